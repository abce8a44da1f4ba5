"""Numbers as the user's locale has them.

Qt shows them so. This module alone knows what is typed: a point or a comma, of which
Qt takes the one that is not the locale's for nothing and makes 25 of 2.5, and a number
that stands in its box without Return.
"""

from __future__ import annotations

from qtpy.QtCore import QEvent, QLocale, QObject
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QDoubleSpinBox, QWidget

_POINTS = (".", ",")


class _Points(QObject):
    def eventFilter(self, box: QDoubleSpinBox, event: QEvent) -> bool:
        """Let either key be that of the locale."""
        if event.type() != QEvent.Type.KeyPress or event.text() not in _POINTS:
            return False
        point = box.locale().decimalPoint()
        if event.text() == point:
            return False
        key = QKeyEvent(event.type(), 0, event.modifiers(), point)
        QApplication.sendEvent(box, key)
        return True


def take_either_point(widget: QWidget) -> None:
    """Let number boxes take a point or a comma before the decimals.

    Parameters
    ----------
    widget
        In which they are.
    """
    points = _Points(widget)
    for box in widget.findChildren(QDoubleSpinBox):
        box.installEventFilter(points)


def take_typed(widget: QWidget) -> None:
    """Take the numbers that are typed and not yet confirmed, as Return does.

    A click on a button takes them only where it moves the keyboard's focus: not on
    macOS, and not in a window that is not active.

    Parameters
    ----------
    widget
        In which the number boxes are.
    """
    for box in widget.findChildren(QAbstractSpinBox):
        if box.lineEdit().isModified():
            box.interpretText()
            box.editingFinished.emit()  # sliders hear of their box by this alone


def as_typed(text: str) -> float | str:
    """Read a number as the locale has it; what is none stays as it was typed."""
    locale = QLocale()
    locale.setNumberOptions(QLocale.NumberOption.RejectGroupSeparator)
    number, is_number = locale.toDouble(text.strip())
    return float(number) if is_number else text.strip()

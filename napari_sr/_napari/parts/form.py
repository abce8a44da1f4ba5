"""The parts of a form that a narrow dock does not break.

This module alone knows how a combo box, a number or a button keeps from widening the
dock, and how parts stand side by side.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent

MOST = 1e9
TEXT_MARGIN = 8
"""Pixels that napari's themes leave beside the text of a combo box."""
STYLE = """
QLabel#hint, QLabel#card_line { font-size: 11px; }
QLabel#card_line { font-style: italic; }
QPushButton#run { font-weight: bold; }
"""
"""No colours: those are of the viewer's theme, dark or light."""


class _Combo(QComboBox):
    """A combo box that ends a text without room in dots, instead of cutting it off."""

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw as usual, with as much of the text as there is room for."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        kind, field = (
            QStyle.ComplexControl.CC_ComboBox,
            QStyle.SubControl.SC_ComboBoxEditField,
        )
        room = self.style().subControlRect(kind, option, field, self).width()
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room - TEXT_MARGIN
        )
        painter = QStylePainter(self)
        painter.drawComplexControl(kind, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


def combo(tip: str) -> QComboBox:
    """Make a combo box that long names do not widen."""
    box = _Combo()
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setToolTip(tip)
    return box


def number(tip: str) -> QDoubleSpinBox:
    """Make a box for a number that is at least 0."""
    box = QDoubleSpinBox()
    box.setRange(0, MOST)
    box.setDecimals(3)
    box.setKeyboardTracking(False)
    box.setToolTip(tip)
    return box


def fill(box: QComboBox, items: Sequence[tuple[str, object]]) -> None:
    """Replace the items of a combo box: what is shown, and what it stands for."""
    box.clear()
    for i, (text, data) in enumerate(items):
        box.addItem(text, data)
        box.setItemData(i, text, Qt.ItemDataRole.ToolTipRole)


def offer(
    box: QComboBox, items: Sequence[tuple[str, object]], otherwise: object = None
) -> None:
    """Replace the items, and say so only if another one is chosen now.

    Parameters
    ----------
    box
        What is chosen stays so where it is still offered.
    items
        What is shown, and what it stands for.
    otherwise
        Chosen where that is gone; where this is not offered either, nothing is chosen.
    """
    before = box.currentData()
    with QSignalBlocker(box):
        fill(box, items)
        known = [data for _, data in items]
        wanted = before if any(data is before for data in known) else otherwise
        place = next((i for i, data in enumerate(known) if data is wanted), -1)
        box.setCurrentIndex(place)
    if box.currentData() is not before:
        box.currentIndexChanged.emit(box.currentIndex())


def choose(box: QComboBox, data: object) -> None:
    """Choose what stands for a value, where it is offered."""
    place = box.findData(data)
    box.setCurrentIndex(place if place >= 0 else box.currentIndex())


def row(*widgets: QWidget, first: int = 1) -> QHBoxLayout:
    """Put widgets side by side.

    Parameters
    ----------
    *widgets
        From the left.
    first
        How often the first is as wide as another; 0: the others are as narrow as can
        be.
    """
    side_by_side = QHBoxLayout()
    for i, widget in enumerate(widgets):
        side_by_side.addWidget(widget, (first or 1) if not i else min(first, 1))
    return side_by_side


def column(*parts: QWidget | QLayout) -> QVBoxLayout:
    """Put parts closely below each other."""
    below = QVBoxLayout()
    below.setSpacing(2)
    for part in parts:
        add = below.addWidget if isinstance(part, QWidget) else below.addLayout
        add(part)
    return below


def order_by_tab(widgets: Sequence[QWidget]) -> None:
    """Let the tab key go from each to the next."""
    for before, after in pairwise(widgets):
        QWidget.setTabOrder(before, after)


def button(text: str, tip: str) -> QPushButton:
    """Make a button that a narrow dock can narrow."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button


def show_progress(bar: QProgressBar, done: int, total: int) -> None:
    """Set a bar so that it is drawn when its turn comes.

    Qt repaints a bar within `setValue`, and with it all of the window that waits to be
    drawn: that would hold the viewer up.
    """
    bar.setUpdatesEnabled(False)
    bar.setRange(0, total)
    bar.setValue(done)
    bar.setUpdatesEnabled(True)


def hint(text: str) -> QLabel:
    """Make a label that is smaller than what it explains."""
    label = QLabel(text)
    label.setObjectName("hint")
    return label


def line() -> QFrame:
    """Make a line between two groups."""
    drawn = QFrame()
    drawn.setFrameShape(QFrame.Shape.HLine)
    drawn.setObjectName("line")
    return drawn

"""One figure of an instrument as a range: two numbers, and a slider between them.

This module alone knows how a value lies on a slider.
"""

from __future__ import annotations

import math

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QWidget
from superqt import QRangeSlider

from napari_sr._napari.parts.plain import caption, fill

Range = tuple[float, float]
STEPS = 1000


class RangeRow(QWidget):
    """Chooses a smallest and a largest value.

    Parameters
    ----------
    title, tip
        What it is, and what it does.
    ends
        Of the slider.
    decimals
        That are shown.
    is_logarithmic
        Whether equal ways on the slider are equal factors.
    """

    changed = Signal()

    def __init__(
        self,
        title: str,
        tip: str,
        ends: Range,
        *,
        decimals: int,
        is_logarithmic: bool = False,
    ) -> None:
        super().__init__()
        self._ends, self._is_logarithmic = ends, is_logarithmic
        self._value = ends
        self.low, self.high = (_number(decimals, ends) for _ in range(2))
        self.slider = QRangeSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the numbers have keys
        self.low.setAccessibleName(f"{title}, smallest")
        self.high.setAccessibleName(f"{title}, largest")
        row = QHBoxLayout()
        row.setSpacing(5)
        row.addWidget(self.low)
        row.addWidget(self.slider, 1)
        row.addWidget(self.high)
        self._title = caption(title)
        self.slider.setMinimumWidth(1)
        fill(self, self._title, row, spacing=0)
        self.setToolTip(tip)
        self.set_value(ends)
        self.slider.valueChanged.connect(self._slid)
        self.low.valueChanged.connect(self._typed)
        self.high.valueChanged.connect(self._typed)

    @property
    def value(self) -> Range:
        """The smallest and the largest, exactly as set unless the user changed them."""
        return self._value

    def changeEvent(self, event: QEvent) -> None:
        """Follow the font."""
        super().changeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        """Follow the theme, whose letters are known only now."""
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give the numbers room for their longest, in letters as large as the title."""
        for number in (self.low, self.high):
            number.setFont(self._title.font())
            widest = f"{self._ends[1]:.{number.decimals()}f}"
            number.setFixedWidth(number.fontMetrics().horizontalAdvance(widest) + 12)

    def set_value(self, value: Range) -> None:
        """Show a range, without emitting `changed`."""
        self._value = value
        parts = (self.low, self.high, self.slider)
        for part in parts:
            part.blockSignals(True)
        self.low.setValue(value[0])
        self.high.setValue(value[1])
        self.slider.setValue(tuple(self._position(end) for end in value))
        for part in parts:
            part.blockSignals(False)

    def _slid(self, positions: tuple[int, int]) -> None:
        """Take over what was moved; the other end keeps its exact value."""
        before = [self._position(end) for end in self._value]
        values = [
            old if at == was else self._value_at(at)
            for old, at, was in zip(self._value, positions, before, strict=True)
        ]
        self.set_value((min(values), max(values)))
        self.changed.emit()

    def _typed(self) -> None:
        low, high = self.low.value(), self.high.value()
        if self.sender() is self.low:
            high = max(low, self._value[1])
        else:
            low = min(high, self._value[0])
        self.set_value((low, high))
        self.changed.emit()

    def _position(self, value: float) -> int:
        low, high = map(self._scaled, self._ends)
        share: float = (self._scaled(value) - low) / (high - low)
        return round(STEPS * min(1.0, max(0.0, share)))

    def _value_at(self, position: int) -> float:
        low, high = map(self._scaled, self._ends)
        value = low + position / STEPS * (high - low)
        value = math.exp(value) if self._is_logarithmic else value
        return float(round(value, self.low.decimals()))

    def _scaled(self, value: float) -> float:
        return math.log(max(value, 1e-9)) if self._is_logarithmic else value


def _number(decimals: int, ends: Range) -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    number.setDecimals(decimals)
    number.setSingleStep(max(10**-decimals, (ends[1] - ends[0]) / 100))
    number.setRange(min(0.0, ends[0]) if not decimals else 0.0, ends[1] * 1000)
    number.setAlignment(Qt.AlignmentFlag.AlignRight)
    number.setStyleSheet("min-width: 0; padding: 1px 3px")  # the theme has wide ones
    number.setKeyboardTracking(False)
    return number

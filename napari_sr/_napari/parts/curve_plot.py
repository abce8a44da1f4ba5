"""A small plot of figures over time.

This module alone draws curves in a widget. They have at most a few hundred points and
take the colours of the viewer's theme, which a plotting library does not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qtpy.QtGui import QPaintEvent

HEIGHT, TALLEST = 116, 400
FAINT, QUIET = 45, 170
"""Opacity of 255: of the frame, of secondary text."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure over time."""

    name: str
    points: tuple[tuple[float, float], ...]
    colour: str


def ticks(low: float, high: float, n_most: int = 3) -> list[float]:
    """Choose round values between two ends, both ends included in their range."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    power = 10 ** math.floor(math.log10(span / n_most))
    for step in (1, 2, 5, 10, 20, 50):
        first = math.ceil(low / (step * power) - 1e-9)
        last = math.floor(high / (step * power) + 1e-9)
        if last - first < n_most:
            break
    return [round(i * step * power, 12) for i in range(first, last + 1)]


class CurvePlot(QWidget):
    """Draws curves, and what they are compared with as level lines.

    Parameters
    ----------
    title
        What is drawn, with its unit.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._curves: tuple[Curve, ...] = ()
        self._levels: dict[str, float] = {}
        self._until = 0.0
        self.setAccessibleName(title)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(HEIGHT)
        self.setMaximumHeight(TALLEST)

    @property
    def curves(self) -> tuple[Curve, ...]:
        """What is drawn."""
        return self._curves

    @property
    def levels(self) -> dict[str, float]:
        """What the curves are compared with."""
        return dict(self._levels)

    def show_curves(
        self,
        curves: Sequence[Curve],
        levels: Mapping[str, float] | None = None,
        until: float = 0.0,
    ) -> None:
        """Draw these from now on, at least until so many minutes."""
        self._curves, self._levels = tuple(curves), dict(levels or {})
        self._until = until
        self.update()

    def sizeHint(self) -> QSize:
        """Give the usual size."""
        return QSize(200, HEIGHT)

    # ── drawing ─────────────────────────────────────────────────────────────────

    def _ink(self, opacity: int = 255) -> QColor:
        ink = QColor(self.palette().color(QPalette.ColorRole.WindowText))
        ink.setAlpha(opacity)
        return ink

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw everything anew; it is little."""
        painter = QPainter(self)
        self._draw(painter)
        painter.end()

    def _draw(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() * 0.85))
        painter.setFont(font)
        text = painter.fontMetrics().height()
        self._draw_legend(painter, text)
        minutes, values = self._ranges()
        measure = painter.fontMetrics().horizontalAdvance
        left = 8 + max(measure(f"{value:g}") for value in ticks(*values))
        frame = QRectF(
            left, text + 5, self.width() - left - 8, self.height() - 2 * text - 9
        )
        place = _Place(frame, minutes, values)
        self._draw_frame(painter, place)
        self._draw_levels(painter, place, text)
        for curve in self._curves:
            painter.setPen(QPen(QColor(curve.colour), 1.8))
            line = QPolygonF([place(*point) for point in curve.points])
            painter.drawPolyline(line)
            if len(curve.points):
                painter.setBrush(QColor(curve.colour))
                painter.drawEllipse(place(*curve.points[-1]), 2.2, 2.2)

    def _ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Give the ends of both axes; the curves fill most of the height."""
        points = [point for curve in self._curves for point in curve.points]
        values = [y for _, y in points] + list(self._levels.values())
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        share = 0.2 if self._levels else 0.08  # room for the names of the levels
        margin = share * (high - low) or max(abs(high) * 0.01, 1e-6)
        last = max([self._until, *(x for x, _ in points)])
        return (0.0, max(last, 0.1)), (low - margin, high + margin)

    def _draw_legend(self, painter: QPainter, text: int) -> None:
        painter.setPen(self._ink())
        left = QRectF(0, 0, self.width(), text)
        painter.drawText(left, int(Qt.AlignmentFlag.AlignLeft), self._title)
        if len(self._curves) < 2:
            return
        right = self.width()
        for curve in reversed(self._curves):
            width = painter.fontMetrics().horizontalAdvance(curve.name)
            right -= width + 8
            painter.setPen(QColor(curve.colour))
            painter.drawText(QPointF(right, painter.fontMetrics().ascent()), curve.name)

    def _draw_frame(self, painter: QPainter, place: _Place) -> None:
        frame, minutes, values = place.frame, place.x_range, place.y_range
        height = painter.fontMetrics().height()
        side = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        below = int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        for value in ticks(*values):
            y = place(minutes[0], value).y()
            painter.setPen(self._ink(FAINT))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(self._ink(QUIET))
            box = QRectF(0, y - height / 2, frame.left() - 4, height)
            painter.drawText(box, side, f"{value:g}")
        for minute in ticks(*minutes, n_most=4):
            x = place(minute, values[0]).x()
            name = f"{minute:g} min" if minute else "0"
            wide = painter.fontMetrics().horizontalAdvance(name) + 2
            left = max(0.0, min(x - wide / 2, self.width() - wide))
            box = QRectF(left, frame.bottom() + 2, wide, height)
            painter.drawText(box, below, name)

    def _draw_levels(self, painter: QPainter, place: _Place, text: int) -> None:
        """Draw broken lines, named at their right end between them if there is room."""
        kinds = (Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
        frame = place.frame
        levels = sorted(self._levels.items(), key=lambda level: -level[1])
        heights = [place(0, value).y() for _, value in levels]
        is_narrow = bool(heights) and max(heights) - min(heights) < 2 * text + 4
        for number, (name, value) in enumerate(levels):
            y = place(0, value).y()
            painter.setPen(QPen(self._ink(QUIET), 1, kinds[number % 2]))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            is_above = (number == 0) == is_narrow
            top = y - text - 1 if is_above else y + 1
            box = QRectF(frame.left(), top, frame.width() - 3, text)
            painter.setPen(self._ink(QUIET))
            right = int(Qt.AlignmentFlag.AlignRight)
            painter.drawText(box, right, f"{name} {value:.2f}")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a point lies on the widget."""

    frame: QRectF
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def __call__(self, x: float, y: float) -> QPointF:
        """Give the place of a value at a time."""
        (left, right), (low, high) = self.x_range, self.y_range
        frame = self.frame
        return QPointF(
            frame.left() + (x - left) / (right - left) * frame.width(),
            frame.bottom() - (y - low) / (high - low) * frame.height(),
        )

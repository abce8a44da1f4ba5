"""A small plot of figures over time, in the colours of the viewer's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtGui import QPalette, QResizeEvent
from qtpy.QtWidgets import QSizePolicy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEIGHT, TALLEST = 116, 400
_DASHES = ("--", ":")


class PlottedCurve(NamedTuple):
    """One figure over time."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Minutes and values."""
    colour: str


class CurvePlot(FigureCanvasQTAgg):
    """Draws curves, and what they are compared with as level lines.

    Parameters
    ----------
    title
        What is drawn, with its unit.
    after
        Milliseconds to wait before it is drawn: several plots that change at once do
        not hold up the window together.
    """

    curves: tuple[PlottedCurve, ...] = ()
    """What is drawn."""
    levels: Mapping[str, float] = {}
    """What the curves are compared with."""
    _until = 0.0

    def __init__(self, title: str, after: int = 0) -> None:
        self._title = title  # before Qt asks to draw it
        self._draw_timer = QTimer()
        self._draw_timer.setSingleShot(True)
        self._draw_timer.setInterval(after)
        super().__init__(Figure())  # type: ignore[no-untyped-call]
        self.setAccessibleName(title)
        self._draw_timer.setParent(self)
        self._draw_timer.timeout.connect(self.draw_idle)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(HEIGHT)
        self.setMaximumHeight(TALLEST)

    def show_curves(
        self,
        curves: Sequence[PlottedCurve],
        levels: Mapping[str, float] | None = None,
        until: float = 0.0,
    ) -> None:
        """Draw these from now on, at least until so many minutes."""
        self.curves, self.levels = tuple(curves), dict(levels or {})
        self._until = until
        self._plot()

    @property
    def _size(self) -> float:
        """Of the texts, in points."""
        return float(max(7.0, self.font().pointSizeF() * 0.85))

    def sizeHint(self) -> QSize:
        """Give the usual size."""
        return QSize(200, HEIGHT)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange):
            self._plot()

    def _plot(self) -> None:
        """Draw everything again; it is little."""
        palette, size = self.palette(), self._size
        ink = palette.color(QPalette.ColorRole.WindowText).name()
        self.figure.clear()
        self.figure.set_facecolor(palette.color(QPalette.ColorRole.Window).name())
        axes = self.figure.add_subplot(facecolor="none")
        for number, (name, value) in enumerate(self.levels.items()):
            label = f"{name} {value:.2f}"
            style = _DASHES[number % len(_DASHES)]
            axes.axhline(value, color=ink, alpha=0.7, lw=1, ls=style, label=label)
        for curve in self.curves:
            minutes, values = (
                zip(*curve.points, strict=True) if curve.points else ((), ())
            )
            axes.plot(
                minutes, values, color=curve.colour, label=curve.name,
                marker="o", markevery=[-1], markersize=3,
            )  # fmt: skip
        axes.set_title(self._title, loc="left", fontsize=size, color=ink)
        axes.set_xlim(0, max(self._until, axes.dataLim.x1, 0.1))
        axes.margins(y=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:g} min")
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.tick_params(colors=ink, labelsize=size, length=0)
        axes.grid(color=ink, alpha=0.15)
        axes.spines[:].set_visible(False)
        if len(self.curves) + len(self.levels) > 1:
            axes.legend(frameon=False, fontsize=size, labelcolor=ink)
        self._leave_room()
        self._draw_timer.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave as much room for the texts as before."""
        super().resizeEvent(event)  # type: ignore[no-untyped-call]
        self._leave_room()

    def _leave_room(self) -> None:
        """Leave room for title and numbers.

        matplotlib's own layouts draw every text several times to find it, in the
        thread of the window.
        """
        width, height = 72 * self.figure.get_size_inches() / self._size
        self.figure.subplots_adjust(
            left=min(0.4, 3.6 / width),
            right=max(0.6, 1 - 2 / width),
            bottom=min(0.3, 2.2 / height),
            top=max(0.6, 1 - 2 / height),
        )

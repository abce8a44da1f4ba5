"""Small images side by side that are panned and zoomed together.

This module alone knows how an image in network range is drawn in a widget. Images of
one field may have pixels of different size: places are shares of the field.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPainter, QPalette
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from qtpy.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QWheelEvent

CLOSEST = 16.0
"""Highest zoom; 1 shows the whole field."""
SMALLEST = 84
"""Pixels of the screen along a view."""
HOW = "Drag to move, wheel to zoom, 0 to see all; the views move together."


class Lens(QObject):
    """Where views look at, and how closely."""

    moved = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.zoom, self.x, self.y = 1.0, 0.5, 0.5

    def look(self, zoom: float, x: float, y: float) -> None:
        """Look at a place, given in shares of the field, from inside it."""
        self.zoom = min(CLOSEST, max(1.0, zoom))
        margin = 0.5 / self.zoom
        self.x, self.y = (min(1 - margin, max(margin, place)) for place in (x, y))
        self.moved.emit()


class ImageView(QWidget):
    """One image under a caption.

    Parameters
    ----------
    title
        What it shows.
    lens
        Where it looks at; shared with the views beside it.
    """

    def __init__(self, title: str, lens: Lens) -> None:
        super().__init__()
        self._title, self._caption, self._lens = title, "", lens
        self._image: QImage | None = None
        self._grabbed: QPointF | None = None
        self.act: Callable[[], object] = partial(lens.look, 1, 0.5, 0.5)
        """Done at a double click; to see all, if nothing else is."""
        lens.moved.connect(self.update)
        self.setAccessibleName(title)
        self.setToolTip(HOW)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_title(self, title: str) -> None:
        """Say what is shown from now on."""
        self._title = title
        self.setAccessibleName(title)
        self.update()

    @property
    def is_filled(self) -> bool:
        """Whether there is an image."""
        return self._image is not None

    @property
    def caption(self) -> str:
        """What stands below the image."""
        return self._caption

    def show_image(
        self, image: NDArray, limits: tuple[float, float], caption: str = ""
    ) -> None:
        """Show `(y, x)` values, black and white at the limits."""
        low, high = limits
        grey = np.clip((image - low) / max(high - low, 1e-9), 0, 1) * 255
        pixels = np.ascontiguousarray(grey.round().astype(np.uint8))
        height, width = pixels.shape
        kind = QImage.Format.Format_Grayscale8
        self._image = QImage(pixels.tobytes(), width, height, width, kind).copy()
        self._caption = caption
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self._image, self._caption = None, ""
        self.update()

    # ── drawing ─────────────────────────────────────────────────────────────────

    def sizeHint(self) -> QSize:
        """Give the usual size."""
        return QSize(SMALLEST, self.heightForWidth(SMALLEST))

    def minimumSizeHint(self) -> QSize:
        """Give the smallest size."""
        return self.sizeHint()

    def hasHeightForWidth(self) -> bool:
        """Be square, with the texts."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Be square, with the texts."""
        return width + 2 * self._text_height()

    def _text_height(self) -> int:
        return int(self.fontMetrics().height()) + 1

    def _frame(self) -> QRectF:
        """Give the square in which the image is drawn."""
        text = self._text_height()
        side = min(self.width(), self.height() - 2 * text)
        return QRectF((self.width() - side) / 2, text, side, side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the part that the lens shows, and the texts."""
        painter = QPainter(self)
        self._draw(painter)
        painter.end()

    def _draw(self, painter: QPainter) -> None:
        frame, lens = self._frame(), self._lens
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(ink)
        font = painter.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() * 0.88))
        painter.setFont(font)
        middle = int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter)
        text = self._text_height()
        painter.drawText(QRectF(0, 0, self.width(), text), middle, self._title)
        below = QRectF(0, frame.bottom(), self.width(), text)
        painter.drawText(below, middle, self._caption)
        if self._image is None:
            ink.setAlpha(40)
            painter.fillRect(frame, ink)
            return
        size = self._image.size()
        width, height = size.width() / lens.zoom, size.height() / lens.zoom
        part = QRectF(
            lens.x * size.width() - width / 2,
            lens.y * size.height() - height / 2,
            width,
            height,
        )
        longest = max(width, height)
        shown = QRectF(
            0, 0, frame.width() * width / longest, frame.height() * height / longest
        )
        shown.moveCenter(frame.center())
        painter.drawImage(shown, self._image, part)

    # ── moving ──────────────────────────────────────────────────────────────────

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom; what lies under the pointer stays there."""
        lens, frame = self._lens, self._frame()
        off = (event.position() - frame.center()) / max(frame.width(), 1)
        zoom = min(CLOSEST, max(1.0, lens.zoom * 1.2 ** (event.angleDelta().y() / 120)))
        moved = 1 / lens.zoom - 1 / zoom
        lens.look(zoom, lens.x + off.x() * moved, lens.y + off.y() * moved)
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold."""
        self._grabbed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the images along."""
        if self._grabbed is None:
            return
        lens, side = self._lens, max(self._frame().width(), 1)
        by = (self._grabbed - event.position()) / (side * lens.zoom)
        self._grabbed = event.position()
        lens.look(lens.zoom, lens.x + by.x(), lens.y + by.y())

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let go."""
        self._grabbed = None

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        """Do what a double click means here."""
        self.act()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zoom with + and -, see all with 0."""
        lens, zoom = self._lens, {"+": 1.25, "-": 0.8, "0": 0.0}.get(event.text())
        if zoom is None:
            super().keyPressEvent(event)
        else:
            lens.look(lens.zoom * zoom, lens.x, lens.y)


class LinkedViews(QWidget):
    """Views of one field beside each other.

    Parameters
    ----------
    titles
        One per view.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        super().__init__()
        self.lens = Lens(self)
        self.views = [ImageView(title, self.lens) for title in titles]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for view in self.views:
            row.addWidget(view)

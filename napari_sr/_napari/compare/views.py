"""What several methods made of one recording, as pictures.

This module alone knows how many of them stand abreast.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_sr._napari.parts.image_view import HOW, ImageView, Lens
from napari_sr.interactive.judging import part_seen
from napari_sr.metrics.descriptions import as_text

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_sr.evaluation.side_by_side import SideBySide

WIDTH = 170
"""Of a picture, about, in pixels of the screen."""


class PictureGrid(QWidget):
    """Pictures of one field that are panned and zoomed together."""

    opened = Signal(str)
    """The name of a picture that was double-clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.lens = Lens(self)
        self.views: list[ImageView] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)

    def show_pictures(
        self, side_by_side: SideBySide, limits: tuple[float, float]
    ) -> None:
        """Show all with these counts as black and white."""
        self.clear_pictures()
        figures = side_by_side.comparison.figures
        for name, picture in side_by_side.pictures.items():
            view = ImageView(name, self.lens)
            psnr = getattr(figures.get(name), "psnr", None)
            caption = "" if psnr is None else f"{as_text('psnr', psnr)} dB"
            view.show_image(picture, limits, caption)
            view.setToolTip(f"{HOW} Double-click to add it as a layer.")
            view.act = partial(self.opened.emit, name)
            self.views.append(view)
        self._place()

    def clear_pictures(self) -> None:
        """Show nothing."""
        for view in self.views:
            self._grid.removeWidget(view)
            view.deleteLater()
        self.views = []

    def part_shown(self, height: int, width: int) -> tuple[slice, slice]:
        """Say which rows and columns of a recording are in sight."""
        lens = self.lens
        rows, columns = (
            part_seen(place, lens.zoom, side)
            for place, side in ((lens.y, height), (lens.x, width))
        )
        return rows, columns

    def look_at(self, part: tuple[slice, slice], height: int, width: int) -> None:
        """Bring rows and columns of a recording in sight."""
        rows, columns = part
        share = max(
            (rows.stop - rows.start) / height, (columns.stop - columns.start) / width
        )
        y, x = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
        self.lens.look(1 / share, x / width, y / height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put as many abreast as there is room for."""
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        n = max(2, self.width() // WIDTH)
        side = (self.width() - (n - 1) * self._grid.spacing()) // n
        for i, view in enumerate(self.views):
            view.setFixedHeight(view.heightForWidth(max(side, 1)))
            self._grid.addWidget(view, i // n, i % n)

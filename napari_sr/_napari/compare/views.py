"""What several methods made of one recording: their pictures and their figures.

This module alone knows how many pictures stand abreast, and which figures fit beside a
name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QScrollArea,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.parts.image_view import ImageView, Lens
from napari_sr._napari.parts.tables import fit_height, plain_table, share_room
from napari_sr.metrics.descriptions import FIGURES, as_text

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_sr.evaluation.comparison import Comparison
    from napari_sr.evaluation.side_by_side import SideBySide

WIDTH = 170
"""Of a picture, about, in pixels of the screen."""
TOLD = ("psnr", "ssim", "spectrum_error", "agreement")
"""Figures that stand in the table, where they were taken; a file has all."""
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class PictureGrid(QWidget):
    """Pictures of one field that are panned and zoomed together."""

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
            _part(place, lens.zoom, side)
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
            view.setFixedHeight(view.heightForWidth(side))
            self._grid.addWidget(view, i // n, i % n)


def scrolled(grid: PictureGrid) -> QScrollArea:
    """Put a grid where it can be taller than the dock."""
    area = QScrollArea()
    area.setWidget(grid)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumHeight(WIDTH + 40)
    return area


class MethodTable(QWidget):
    """A row for each method, a column for each figure."""

    def __init__(self) -> None:
        super().__init__()
        self.table = plain_table()
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.table)
        self.clear_figures()

    def show_figures(self, comparison: Comparison) -> None:
        """Show what was found; each heading explains itself when pointed at."""
        names = [name for name in TOLD if name in comparison.names]
        table = self.table
        table.setRowCount(len(comparison.figures))
        table.setColumnCount(1 + len(names))
        for j, title in enumerate(["", *(FIGURES[name].title for name in names)]):
            heading = QTableWidgetItem(title)
            heading.setTextAlignment(_RIGHT)
            heading.setToolTip(FIGURES[names[j - 1]].meaning if j else "")
            table.setHorizontalHeaderItem(j, heading)
        for i, (method, figures) in enumerate(comparison.figures.items()):
            table.setItem(i, 0, QTableWidgetItem(method))
            for j, name in enumerate(names, 1):
                item = QTableWidgetItem(as_text(name, getattr(figures, name)))
                item.setTextAlignment(_RIGHT)
                item.setToolTip(FIGURES[name].meaning)
                table.setItem(i, j, item)
        share_room(table, widest=())
        fit_height(table, len(comparison.figures) + 1)  # with room for the bar below
        self.setVisible(True)

    def clear_figures(self) -> None:
        """Show nothing."""
        self.table.setRowCount(0)
        self.setVisible(False)


def _part(place: float, zoom: float, side: int) -> slice:
    length = max(1, round(side / zoom))
    start = min(max(0, round(place * side - length / 2)), side - length)
    return slice(start, start + length)

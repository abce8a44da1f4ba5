"""Figures as a small table.

This module alone knows how they are set so that they can be read at a glance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTableWidgetItem, QVBoxLayout, QWidget

from napari_sr._napari.parts.tables import fit_height, plain_table, share_room
from napari_sr.metrics.descriptions import FIGURES

if TYPE_CHECKING:
    from napari_sr.evaluation.comparison import Comparison

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class FigureView(QWidget):
    """A row for each figure, a column for each method."""

    def __init__(self) -> None:
        super().__init__()
        self.table = plain_table()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.table)
        self.setFocusProxy(self.table)
        self.clear_figures()

    def show_figures(self, comparison: Comparison) -> None:
        """Show what was found; each row explains itself when pointed at."""
        table, rows, titles = self.table, comparison.rows(), ["", *comparison.figures]
        table.setRowCount(len(rows))
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        for j in range(1, len(titles)):
            table.horizontalHeaderItem(j).setTextAlignment(_RIGHT)
        for i, (name, texts) in enumerate(zip(comparison.names, rows, strict=True)):
            for j, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(FIGURES[name].meaning)
                if j:
                    item.setTextAlignment(_RIGHT)
                table.setItem(i, j, item)
        share_room(table)
        fit_height(table, len(rows))
        self.setVisible(True)

    def clear_figures(self) -> None:
        """Show nothing."""
        self.table.setRowCount(0)
        self.setVisible(False)

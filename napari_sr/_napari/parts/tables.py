"""Tables, and lists to tick, that look like part of napari.

This module alone knows how: no grid, plain headings, as wide as the dock.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
)

from napari_sr._napari.parts.panel import when

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TABLE_STYLE = """
QHeaderView::section {
    background: transparent; border: none; padding: 3px; font-weight: bold;
}
QTableWidget, QTreeWidget { border: none; }
QTableWidget::item, QTreeWidget::item { padding: 1px 3px; }
QTextBrowser { background: transparent; border: none; }
"""
ROW_HEIGHT = 22
_N_ROWS = "n_rows"
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


def plain_table(
    titles: tuple[str, ...] = (), widest: tuple[int, ...] = (0,)
) -> QTableWidget:
    """Make an empty table.

    Parameters
    ----------
    titles
        Of the columns.
    widest
        The columns that take the room that is left, in equal parts.
    """
    table = QTableWidget(0, len(titles))
    table.setHorizontalHeaderLabels(titles)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)  # the tab key goes on to the next widget
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    table.setStyleSheet(TABLE_STYLE)
    rows, columns = table.verticalHeader(), table.horizontalHeader()
    rows.setVisible(False)
    rows.setMinimumSectionSize(ROW_HEIGHT)
    rows.setDefaultSectionSize(ROW_HEIGHT)
    columns.setHighlightSections(False)
    columns.setSectionsClickable(False)
    columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
    share_room(table, widest)
    when(table, QEvent.Type.FontChange, partial(_fit_again, table))
    return table


def share_room(table: QTableWidget, widest: tuple[int, ...] = (0,)) -> None:
    """Give each column what its text needs, and some of them what is left."""
    columns = table.horizontalHeader()
    columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    for place in widest if table.columnCount() else ():
        columns.setSectionResizeMode(place, QHeaderView.ResizeMode.Stretch)


def show_rows(
    table: QTableWidget,
    titles: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[tuple[str, str]]],
) -> None:
    """Fill a table: names at the left, figures to the right.

    Parameters
    ----------
    table
        It is as tall as its rows afterwards.
    titles
        Of the columns: text and explanation.
    rows
        Texts and explanations.
    """
    table.setRowCount(len(rows))
    table.setColumnCount(len(titles))
    for i, texts in enumerate([titles, *rows], -1):
        for j, (text, tip) in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            if j:
                item.setTextAlignment(_RIGHT)
            if i < 0:
                table.setHorizontalHeaderItem(j, item)
            else:
                table.setItem(i, j, item)
    table.setVisible(True)
    fit_height(table, len(rows))


def fit_height(table: QTableWidget, n_rows: int) -> None:
    """Make a table as tall as so many rows with their heading, whatever the font."""
    table.setProperty(_N_ROWS, n_rows)
    row = max(ROW_HEIGHT, table.fontMetrics().height() + 6)
    table.verticalHeader().setDefaultSectionSize(row)
    heading = table.horizontalHeader().sizeHint().height()
    bar = table.horizontalScrollBar().sizeHint().height()
    table.setFixedHeight(n_rows * row + heading + bar)


def _fit_again(table: QTableWidget) -> None:
    n_rows = table.property(_N_ROWS)
    if n_rows is not None:
        fit_height(table, n_rows)


class TickList(QListWidget):
    """Entries of which any number is ticked.

    Parameters
    ----------
    rows
        That are in sight, at least and at most.
    """

    def __init__(self, rows: tuple[int, int]) -> None:
        super().__init__()
        self._rows, self.entries = rows, list[Any]()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for kind in (QEvent.Type.Show, QEvent.Type.FontChange):
            when(self, kind, self._fit_height)  # when its letters are known

    @property
    def ticked(self) -> list[Any]:
        """The entries that are ticked."""
        checked = Qt.CheckState.Checked
        numbered = enumerate(self.entries)
        return [one for row, one in numbered if self.item(row).checkState() == checked]

    def offer(
        self, entries: Iterable[tuple[str, str, Any]], ticked: Sequence[Any]
    ) -> None:
        """Offer entries, each with its text and its explanation; some are ticked."""
        self.entries = []
        with QSignalBlocker(self):
            self.clear()
            for text, tip, entry in entries:
                item = QListWidgetItem(text, self)
                item.setToolTip(tip)
                item.setFlags(
                    Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable
                )
                is_ticked = any(entry is one or entry == one for one in ticked)
                checked, unchecked = Qt.CheckState.Checked, Qt.CheckState.Unchecked
                item.setCheckState(checked if is_ticked else unchecked)
                self.entries.append(entry)
        self._fit_height()

    def _fit_height(self) -> None:
        fewest, most = self._rows
        rows = min(most, max(fewest, self.count()))
        height = self.fontMetrics().height() + 2
        self.setFixedHeight(rows * height + 2 * self.frameWidth() + 2)

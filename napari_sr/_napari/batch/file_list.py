"""The files of a batch and what became of each.

This module alone knows how a status looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from napari_sr._napari.parts.tables import TABLE_STYLE

if TYPE_CHECKING:
    from napari_sr.interactive.batch import Ended, FilesListed, Progress

_NUMBER = Qt.ItemDataRole.UserRole
_TEXT = Qt.ItemDataRole.UserRole + 1
WAITING = "waiting"
_MARKS = {"done": "✓ done", "already done": "– already done", "failed": "✗ failed"}


class BatchList(QTreeWidget):
    """A row for each file: its name and how it goes."""

    chosen = Signal(Path)
    """A result was double-clicked."""
    explained = Signal(str)
    """What there is to say about the file that is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Recordings and their results")
        self.setHeaderLabels(["Recording", "Result"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setStyleSheet(TABLE_STYLE)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setMinimumHeight(110)
        self.setToolTip("Double-click on a result to open it.")
        sizes = self.header()
        sizes.setStretchLastSection(False)
        sizes.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        sizes.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self._outputs: tuple[Path, ...] = ()
        self.itemDoubleClicked.connect(lambda item, _: self._choose(item))
        self.currentItemChanged.connect(lambda item, _: self._tell(item))

    def show_files(self, listed: FilesListed) -> None:
        """Show the files of a batch, all waiting."""
        self.clear()
        self._outputs = listed.outputs
        for name in listed.names:
            item = QTreeWidgetItem([name, WAITING])
            item.setToolTip(0, name)
            self.addTopLevelItem(item)

    def show_progress(self, progress: Progress) -> None:
        """Show how far a file is, and bring it into view."""
        item = self.topLevelItem(progress.number)
        share = f"{progress.done / progress.total:.0%}"
        if item.text(1) != share:
            item.setText(1, share)
            self.scrollToItem(item)

    def show_end(self, ended: Ended) -> None:
        """Show what became of a file."""
        item = self.topLevelItem(ended.number)
        item.setText(1, _MARKS[ended.status])
        for column in (0, 1):
            item.setToolTip(column, ended.text)
        item.setData(0, _TEXT, ended.text)
        if ended.status != "failed":
            item.setData(0, _NUMBER, ended.number)
        elif self.currentItem() is None:
            self.setCurrentItem(item)  # so that the first error is in sight

    def settle(self) -> None:
        """Say of what was neither done nor failed that it is still to do."""
        for number in range(self.topLevelItemCount()):
            item = self.topLevelItem(number)
            if item.text(1).endswith("%"):
                item.setText(1, WAITING)

    def _tell(self, item: QTreeWidgetItem | None) -> None:
        text = item.data(0, _TEXT) if item is not None else None
        self.explained.emit(text or "")

    def _choose(self, item: QTreeWidgetItem) -> None:
        number = item.data(0, _NUMBER)
        if number is not None:
            self.chosen.emit(self._outputs[number])

"""The widget part in which images are chosen: layers of the viewer, files, folders.

This module alone knows how several images are chosen at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.layers.place import as_stack
from napari_sr._napari.layers.roles import images_in
from napari_sr._napari.parts.panel import when

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from napari_sr.image.stack import Stack

CHECKED, UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked
MOST_ROWS = 5
"""Rows that are shown at once."""
_FLAT = (
    "QToolButton { min-width: 0; padding: 1px 6px; } "
    "QToolButton::menu-indicator { image: none; }"
)


class SourcePicker(QWidget):
    """Chooses any number of image layers, files and folders.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._entries: list[Image | str] = []
        self._title = QLabel()
        self._title.setWordWrap(True)
        self._title.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
        )
        self._list = QListWidget()
        self._list.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._title.setBuddy(self._list)
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self._adding())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(top)
        column.addWidget(self._list)
        self._list.itemChanged.connect(self.changed)
        for kind in (QEvent.Type.Show, QEvent.Type.FontChange):
            when(self._list, kind, self._fit_height)  # when its letters are known
        self.refresh()

    def _adding(self) -> QToolButton:
        """Make the button behind which there is more to choose from."""
        menu = QMenu(self)
        for text, act in (
            ("All visible layers", self.take_visible),
            ("Files…", self._ask_for_files),
            ("Folder or OME-Zarr…", self._ask_for_folder),
        ):
            menu.addAction(text, act)
        button = QToolButton()
        button.setText("Add…")
        button.setToolTip("Add all visible layers, files or a folder.")
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setMenu(menu)
        button.setStyleSheet(_FLAT)
        return button

    def describe(self, title: str, tip: str) -> None:
        """Say what is chosen here."""
        self._title.setText(title)
        self._list.setToolTip(tip)
        self._list.setAccessibleName(title)

    def refresh(self) -> None:
        """Offer the layers that there are now; what was chosen stays chosen."""
        layers = images_in(reversed(self._viewer.layers), colours=True)
        files = [entry for entry in self._entries if isinstance(entry, str)]
        chosen, before = list(self._chosen()), len(list(self._chosen()))
        self._fill([*layers, *files], chosen)
        if len(list(self._chosen())) != before:
            self.changed.emit()

    def add_paths(self, paths: list[str]) -> None:
        """Offer files or folders, and choose them."""
        known = self._entries
        new = [path for path in dict.fromkeys(paths) if path and path not in known]
        if new:
            self._fill([*self._entries, *new], [*self._chosen(), *new])
            self.changed.emit()

    def take(self, *layers: Image) -> None:
        """Choose these layers and no other; files stay as they are."""
        files = [entry for entry in self._chosen() if isinstance(entry, str)]
        self._fill(self._entries, [*layers, *files])
        self.changed.emit()

    def take_visible(self) -> None:
        """Choose the layers that are shown."""
        self.take(
            *(
                entry
                for entry in self._entries
                if isinstance(entry, Image) and entry.visible
            )
        )

    def sources(self) -> tuple[Stack | str, ...]:
        """Give what is chosen.

        Raises
        ------
        StackError
            If a layer cannot be used, in one sentence.
        """
        return tuple(
            entry if isinstance(entry, str) else as_stack(entry)
            for entry in self._chosen()
        )

    def is_empty(self) -> bool:
        """Tell whether nothing is chosen."""
        return not any(True for _ in self._chosen())

    def _chosen(self) -> Iterator[Image | str]:
        for row, entry in enumerate(self._entries):
            item = self._list.item(row)
            if item is not None and item.checkState() == CHECKED:
                yield entry

    def _fill(self, entries: list[Image | str], chosen: list[Image | str]) -> None:
        """Show entries, chosen or not."""
        self._list.blockSignals(True)
        self._list.clear()
        for entry in entries:
            if isinstance(entry, str):
                item = QListWidgetItem(Path(entry).name)
                item.setToolTip(entry)
            else:
                item = QListWidgetItem(entry.name)
                item.setToolTip(f"Layer {entry.name}")
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            is_chosen = any(
                entry is selected or entry == selected for selected in chosen
            )
            item.setCheckState(CHECKED if is_chosen else UNCHECKED)
            self._list.addItem(item)
        self._list.blockSignals(False)
        self._entries = list(entries)
        self._fit_height()

    def _fit_height(self) -> None:
        rows = min(MOST_ROWS, max(2, self._list.count()))
        height = self._list.fontMetrics().height() + 2
        self._list.setFixedHeight(rows * height + 2 * self._list.frameWidth() + 2)

    def _ask_for_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Images", "", "Images (*.tif *.tiff *.btf *.tf8);;All files (*)"
        )
        self.add_paths(paths)

    def _ask_for_folder(self) -> None:
        self.add_paths([QFileDialog.getExistingDirectory(self, "Folder of images")])

"""The widget part in which images are chosen: layers of the viewer, files, folders.

This module alone knows how several images are chosen at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QToolButton,
    QWidget,
)

from napari_sr._napari.layers.place import as_stack
from napari_sr._napari.layers.roles import images_in
from napari_sr._napari.parts.plain import caption, fill
from napari_sr._napari.parts.tables import TickList

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sr.image.stack import Stack

ROWS = (2, 5)
"""Entries in sight, at least and at most."""
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
        self._title, self._list = caption(), TickList(ROWS)
        self._title.setBuddy(self._list)
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self._adding())
        fill(self, top, self._list, spacing=2)
        self._list.itemChanged.connect(self.changed)
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
        files = [entry for entry in self._list.entries if isinstance(entry, str)]
        before = self._list.ticked
        self._fill([*layers, *files], before)
        if len(self._list.ticked) != len(before):
            self.changed.emit()

    def add_paths(self, paths: list[str]) -> None:
        """Offer files or folders, and choose them."""
        known = self._list.entries
        new = [path for path in dict.fromkeys(paths) if path and path not in known]
        if new:
            self._fill([*self._list.entries, *new], [*self._list.ticked, *new])
            self.changed.emit()

    def take(self, *layers: Image) -> None:
        """Choose these layers and no other; files stay as they are."""
        files = [entry for entry in self._list.ticked if isinstance(entry, str)]
        self._fill(self._list.entries, [*layers, *files])
        self.changed.emit()

    def take_visible(self) -> None:
        """Choose the layers that are shown."""
        layers = (one for one in self._list.entries if isinstance(one, Image))
        self.take(*(layer for layer in layers if layer.visible))

    def sources(self) -> tuple[Stack | str, ...]:
        """Give what is chosen.

        Raises
        ------
        StackError
            If a layer cannot be used, in one sentence.
        """
        return tuple(
            entry if isinstance(entry, str) else as_stack(entry)
            for entry in self._list.ticked
        )

    @property
    def layers(self) -> list[Image]:
        """The layers that are chosen."""
        return [one for one in self._list.ticked if isinstance(one, Image)]

    def is_empty(self) -> bool:
        """Tell whether nothing is chosen."""
        return not self._list.ticked

    def _fill(self, entries: list[Image | str], chosen: list[Image | str]) -> None:
        """Show entries, chosen or not."""
        self._list.offer(
            [
                (Path(one).name, one, one)
                if isinstance(one, str)
                else (one.name, f"Layer {one.name}", one)
                for one in entries
            ],
            chosen,
        )

    def _ask_for_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Images", "", "Images (*.tif *.tiff *.btf *.tf8);;All files (*)"
        )
        self.add_paths(paths)

    def _ask_for_folder(self) -> None:
        self.add_paths([QFileDialog.getExistingDirectory(self, "Folder of images")])

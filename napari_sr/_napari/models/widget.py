"""The widget: which models there are, what each is, and how others come in.

This module alone knows how they are shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QFileDialog,
    QMessageBox,
    QTableWidgetItem,
    QTextBrowser,
)

from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.messages import tell_error
from napari_sr._napari.parts.model_choice import refresh_pickers
from napari_sr._napari.parts.panel import Buttons, Panel, button, weakly, when
from napari_sr._napari.parts.tables import TABLE_STYLE, fit_height, plain_table
from napari_sr._napari.parts.worker import once
from napari_sr.catalogue.lookup import list_entries, model_folder
from napari_sr.catalogue.summary import card_as_markdown

if TYPE_CHECKING:
    from napari_sr.catalogue.lookup import Entry

COLUMNS = ("Model", "For", "×", "Yours")
_FEWEST, _MOST = 3, 8
"""Rows that are in sight."""
_FILES = "Models (*.safetensors *.pth *.pt *.ckpt *.tar *.zip)"
_CARD = 150
"""Pixels that a card has at least."""
_WIDEST = 18
"""Letters of a column."""


class Models(Panel):
    """Show the installed models; import and remove the user's own.

    Parameters
    ----------
    napari_viewer
        Whose other widgets are updated when models come and go.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._background = Background(self._show_card)
        self._entries: list[Entry] = []
        self.table = plain_table(COLUMNS, widest=(1,))
        # A long name must leave room for the domain.
        when(self.table, QEvent.Type.FontChange, weakly(self._limit))
        self._limit()
        self.table.setAccessibleName("Models")
        self.card = QTextBrowser()
        self.card.setAccessibleName("Card of the model")
        self.card.setOpenExternalLinks(True)
        self.card.setToolTip(
            "From the model's card. Gains are in dB of PSNR over bicubic, with the "
            "noise level given and with the noise level estimated (auto)."
        )
        self.import_button = button("Import file …", self.import_file)
        self.remove_button = button("Remove …", self.delete)
        self.folder_button = button("Open folder", self.open_folder)
        self.card.setStyleSheet(TABLE_STYLE)
        self.card.setMinimumHeight(_CARD)
        self.put(self.table)
        self.put(self.card, stretch=1)
        self.put(self.import_button, Buttons(self.remove_button, self.folder_button))
        self.end(stretch=0)
        self._connect()
        self.reset_choices()

    @property
    def chosen(self) -> Entry | None:
        """The model that is shown."""
        place = self.table.currentRow()
        return self._entries[place] if 0 <= place < len(self._entries) else None

    def reset_choices(self, *_: object) -> None:
        """Show the models that there are now; the one that was chosen stays so."""
        before = self.chosen
        self._entries = list_entries()
        self.table.setRowCount(len(self._entries))
        for i, entry in enumerate(self._entries):
            card = entry.card
            own = "" if entry.is_shipped else "yes"
            texts = (card.name, card.domain, str(card.factor), own)
            for j, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{card.name}: {card.description}")
                self.table.setItem(i, j, item)
        fit_height(self.table, min(max(len(self._entries), _FEWEST), _MOST))
        paths = [entry.path for entry in self._entries]
        place = paths.index(before.path) if before and before.path in paths else 0
        self.table.setCurrentCell(place if paths else -1, 0)
        self.folder_button.tooltip = f"Show {model_folder()} in the file manager."
        self._show_card()

    def _limit(self) -> None:
        letter = self.table.fontMetrics().averageCharWidth()
        self.table.horizontalHeader().setMaximumSectionSize(_WIDEST * letter)

    def import_file(self, path: str | Path | None = None) -> None:
        """Check a model file, or a third-party network, and copy it to your own.

        Third-party networks are checkpoints and packages of bioimage.io.

        Parameters
        ----------
        path
            Asked for where it is not given.
        """
        if path is None:
            path, _ = QFileDialog.getOpenFileName(
                self.native, "Import a model", "", _FILES
            )
        if path:
            self._background.start(
                once,
                _install,
                path,
                title=f"Checking {Path(path).name}",
                result=self._imported,
            )

    def delete(self) -> None:
        """Remove the chosen model, after a question."""
        entry = self.chosen
        if entry is None or entry.is_shipped or not self._is_sure(entry):
            return
        from napari_sr.catalogue.installing import remove_model

        try:
            remove_model(entry)
        except (OSError, ValueError) as error:
            tell_error(error)
        self._tell_all()

    def open_folder(self) -> None:
        """Show the folder of the user's models; it is made if it is not there yet."""
        try:
            model_folder().mkdir(parents=True, exist_ok=True)
        except OSError as error:
            tell_error(error)
            return
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(model_folder())))

    def _is_sure(self, entry: Entry) -> bool:
        answer = QMessageBox.question(
            self.native,
            "Remove a model",
            f"Delete {entry.path}?\n\nThis cannot be undone.",
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _imported(self, path: Path) -> None:
        show_info(f"{path.stem} can now be chosen.")
        self._tell_all()
        names = [entry.card.name for entry in self._entries]
        if path.stem in names:
            self.table.setCurrentCell(names.index(path.stem), 0)

    def _tell_all(self) -> None:
        self.reset_choices()
        refresh_pickers(self._viewer)

    def _show_card(self) -> None:
        entry = self.chosen
        self.card.setMarkdown(card_as_markdown(entry.card) if entry else "No models.")
        self.import_button.enabled = not self._background.is_busy
        is_own = entry is not None and not entry.is_shipped
        self.remove_button.enabled = is_own
        self.remove_button.tooltip = (
            "Delete the file of this model."
            if is_own
            else "Only your own models can be removed."
        )

    def _connect(self) -> None:
        self.table.itemSelectionChanged.connect(weakly(self._show_card))
        when_closed(self.native, self._background.leave)


def _install(path: str | Path) -> Path:
    """Check and copy in a thread, where torch is loaded."""
    from napari_sr.catalogue.installing import install_foreign, install_model

    is_ours = Path(path).suffix == ".safetensors"
    return (install_model if is_ours else install_foreign)(path)

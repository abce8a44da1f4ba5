"""The rows of the batch widget: what to super-resolve, where to, and how.

This module alone knows how each choice looks. What is chosen leaves it as values.
"""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.parts.form import (
    button,
    choose,
    column,
    combo,
    fill,
    order_by_tab,
    row,
)
from napari_sr._napari.parts.model_picker import ModelPicker
from napari_sr._napari.parts.more_settings import MoreSettings
from napari_sr._napari.parts.preferences import DEVICES, preferences, preferred_settings
from napari_sr._napari.parts.remembered import recall, remember
from napari_sr.files.formats import COMPRESSIONS
from napari_sr.settings import UpscaleSettings

NAME = "batch"
FILES, LAYERS = "files and folders", "all image layers"
_APART = ";"
_SUFFIXES = "Images (*.tif *.tiff *.btf *.tf8);;All files (*)"


class BatchForm(QWidget):
    """What the user wants.

    Parameters
    ----------
    parent
        The widget.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.from_box = combo("Where the recordings come from.")
        self.from_box.addItems([FILES, LAYERS])
        self.sources = QLineEdit()
        self.sources.setPlaceholderText("files; folders; *.tif")
        self.sources.setToolTip(
            "Files, folders (with all images below) and patterns, with ; between them."
        )
        self.files_button = button("Files …", "Choose image files.")
        self.folder_button = button("Folder …", "Choose a folder of images.")
        self.output = QLineEdit(str(recall(NAME).get("output", "")))
        self.output.setPlaceholderText("folder for the results")
        self.output.setToolTip("Results are named after their sources: a_x2.ome.tif.")
        self.output_button = button("…", "Choose the folder for the results.")
        self.models = ModelPicker()
        self.models.choose(recall(NAME).get("model"))
        self.noise_box = combo(
            "To remove: auto estimates it for each file, 0 keeps the grain, or "
            "gain=2,read=5,offset=100 in counts, correlation=0.5 in pixels."
        )
        self.noise_box.setEditable(True)
        self.noise_box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.noise_box.addItems(["auto", "0"])
        self.device_box = combo("Where to compute; auto takes a GPU if there is one.")
        fill(self.device_box, [(name, name) for name in DEVICES])
        self.compression_box = combo(
            "All lossless; zlib is read everywhere, zstd is faster."
        )
        fill(self.compression_box, [(name, name) for name in COMPRESSIONS])
        self.more = MoreSettings(UpscaleSettings, drawn=("noise", "device"))
        self.replace_box = QCheckBox("Replace existing results")
        self.replace_box.setToolTip(
            "Otherwise results that are there are kept, so that running again goes on "
            "where a batch was stopped."
        )
        self._lay_out()
        self._connect()
        self._prefer()
        self._refresh()

    @property
    def takes_layers(self) -> bool:
        """Whether the layers of the viewer are the recordings."""
        return bool(self.from_box.currentText() == LAYERS)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Files and folders as they were typed."""
        typed = (part.strip() for part in self.sources.text().split(_APART))
        return tuple(part for part in typed if part)

    @property
    def folder(self) -> Path | None:
        """Where the results go; None while nothing is typed."""
        typed = self.output.text().strip()
        return Path(typed).expanduser() if typed else None

    @property
    def settings(self) -> UpscaleSettings:
        """How to super-resolve; what is typed wrongly is a ValueError."""
        noise = self.noise_box.currentText().strip()
        device = self.device_box.currentData()
        return preferred_settings(noise=noise, device=device, **self.more.values)

    def remember(self) -> None:
        """Keep what was chosen for the next time."""
        remember(NAME, {"output": self.output.text(), "model": self.models.name})

    def in_order(self) -> list[QWidget]:
        """List what can be used, from top to bottom."""
        what = [self.from_box, self.sources, self.files_button, self.folder_button]
        where = [self.output, self.output_button]
        how = [self.models.box, self.models.factor_box, self.noise_box]
        rest = [self.device_box, self.compression_box, self.replace_box]
        return [*what, *where, *how, *rest, *self.more.in_order()]

    def choose_files(self) -> None:
        """Ask for image files."""
        paths, _ = QFileDialog.getOpenFileNames(self, "Images", "", _SUFFIXES)
        if paths:
            self.sources.setText(f"{_APART} ".join(paths))

    def choose_folder(self) -> None:
        """Ask for a folder of images."""
        path = QFileDialog.getExistingDirectory(self, "Folder of images")
        if path:
            self.sources.setText(path)

    def choose_output(self) -> None:
        """Ask for the folder of the results."""
        path = QFileDialog.getExistingDirectory(self, "Folder for the results")
        if path:
            self.output.setText(path)

    def _prefer(self) -> None:
        """Begin with what the Preferences say."""
        preferred = preferences()
        choose(self.device_box, preferred.device)
        choose(self.compression_box, preferred.compression)

    def _refresh(self) -> None:
        """Enable what matters now."""
        for source in (self.sources, self.files_button, self.folder_button):
            source.setEnabled(not self.takes_layers)
        self.noise_box.setEnabled(self.models.factor is None)
        self.changed.emit()

    def _connect(self) -> None:
        self.from_box.currentIndexChanged.connect(lambda _: self._refresh())
        self.models.changed.connect(self._refresh)
        self.more.changed.connect(self.changed)
        for line in (self.sources, self.output):
            line.textChanged.connect(lambda _: self._refresh())
        self.files_button.clicked.connect(lambda: self.choose_files())
        self.folder_button.clicked.connect(lambda: self.choose_folder())
        self.output_button.clicked.connect(lambda: self.choose_output())

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        pick = row(self.files_button, self.folder_button)
        form.addRow("from", column(self.from_box, self.sources, pick))
        form.addRow("to", row(self.output, self.output_button, first=5))
        form.addRow("model", self.models)
        form.addRow("noise", self.noise_box)
        form.addRow("device", self.device_box)
        form.addRow("compression", self.compression_box)
        form.addRow("", self.replace_box)
        form.addRow(self.more)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addLayout(form)
        order_by_tab(self.in_order())

"""What to super-resolve of many recordings, where to, and how.

This module alone knows how each choice looks. What is chosen leaves it as values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from magicgui.widgets import ComboBox
from pydantic import Field
from qtpy.QtWidgets import QFileDialog

from napari_sr._napari.parts.model_choice import FactorChoice, ModelChoice
from napari_sr._napari.parts.panel import Buttons, Form, button, connect
from napari_sr._napari.parts.preferences import preferences, preferred_settings
from napari_sr._napari.parts.remembered import recall, remember
from napari_sr._napari.parts.settings_form import Asked, SettingsForm, others, rows_of
from napari_sr.files.formats import COMPRESSIONS
from napari_sr.settings import UpscaleSettings

NAME = "batch"
FILES: Literal["files and folders"] = "files and folders"
LAYERS = "all image layers"
FIRST = ("noise", "device")
"""Settings that are in sight."""
_APART = ";"
_SUFFIXES = "Images (*.tif *.tiff *.btf *.tf8);;All files (*)"


class Recordings(Asked):
    """Which recordings, and where their results go."""

    source: Literal["files and folders", "all image layers"] = Field(
        FILES, title="From"
    )
    """Where the recordings come from."""
    paths: str = Field("", examples=["files; folders; *.tif"])
    """Files, folders (with all images below) and patterns, with ; between them."""
    output: str = Field("", title="To", examples=["folder for the results"])
    """Results are named after their sources: a_x2.ome.tif."""
    replace: bool = Field(False, title="Replace results")
    """Those that are there. Else what is there and complete is left as it is, so that
    running again goes on where a batch was stopped."""


class BatchForm(Form):
    """What the user wants."""

    def __init__(self) -> None:
        asked = rows_of(Recordings)
        self.source, self.paths = asked["source"], asked["paths"]
        self.output, self.replace = asked["output"], asked["replace"]
        self.files_button = button("Files …", self.choose_files)
        self.folder_button = button("Folder …", self.choose_folder)
        self.output_button = button("Folder …", self.choose_output)
        self.model, self.factor = ModelChoice(), FactorChoice()
        self.first = SettingsForm(UpscaleSettings, FIRST)
        self.noise, self.device = (self.first.rows[name] for name in FIRST)
        self.noise.tooltip = (
            "Noise to remove: auto estimates it for each file, 0 keeps all noise, or "
            "gain=2,read=5,offset=100 in counts, correlation=0.5 in pixels."
        )
        self.compression = ComboBox(
            choices=COMPRESSIONS,
            name="compression",
            label="Compression",
            tooltip="All lossless. zlib is read everywhere, zstd is faster.",
        )
        self.more = SettingsForm(UpscaleSettings, others(UpscaleSettings, FIRST))
        super().__init__(
            *(self.source, self.paths, Buttons(self.files_button, self.folder_button)),
            *(self.output, self.output_button, self.model, self.factor, self.first),
            *(self.compression, self.replace),
        )
        recalled, preferred = recall(NAME), preferences()
        self.output.value = str(recalled.get("output", ""))
        self.model.recall(recalled.get("model"))
        self.device.offer(preferred.device)
        self.compression.value = preferred.compression
        connect(self._refresh, self.source, self.model)
        self.more.changed.connect(lambda: self.changed.emit(self))
        self._refresh()

    @property
    def takes_layers(self) -> bool:
        """Whether the layers of the viewer are the recordings."""
        return bool(self.source.value == LAYERS)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Files and folders as they were typed."""
        typed = (part.strip() for part in self.paths.value.split(_APART))
        return tuple(part for part in typed if part)

    @property
    def folder(self) -> Path | None:
        """Where the results go; None while nothing is typed."""
        typed = self.output.value.strip()
        return Path(typed).expanduser() if typed else None

    @property
    def settings(self) -> UpscaleSettings:
        """How to super-resolve; what is typed wrongly is a ValueError."""
        noise = self.noise.value.strip() or "auto"
        chosen = {**self.more.values, "noise": noise, "device": self.device.value}
        return preferred_settings(**chosen)

    def remember(self) -> None:
        """Keep what was chosen for the next time."""
        remember(NAME, {"output": self.output.value, "model": self.model.value})

    def choose_files(self) -> None:
        """Choose image files."""
        paths, _ = QFileDialog.getOpenFileNames(self.native, "Images", "", _SUFFIXES)
        if paths:
            self.paths.value = f"{_APART} ".join(paths)

    def choose_folder(self) -> None:
        """Choose a folder of images."""
        if path := self._asked("Folder of images"):
            self.paths.value = path

    def choose_output(self) -> None:
        """Choose the folder for the results."""
        if path := self._asked("Folder for the results"):
            self.output.value = path

    def _asked(self, title: str) -> str:
        return str(QFileDialog.getExistingDirectory(self.native, title))

    def _refresh(self) -> None:
        """Enable what matters now."""
        for one in (self.paths, self.files_button, self.folder_button):
            one.enabled = not self.takes_layers
        is_trained = not isinstance(self.model.model, str)
        self.show_row(self.factor, not is_trained)
        self.noise.enabled = is_trained

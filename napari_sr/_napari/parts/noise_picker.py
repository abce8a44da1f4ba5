"""How much noise to remove.

This module alone knows how a level of noise is chosen, and when it can be.
"""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_sr._napari.parts.form import MOST, column, combo, number
from napari_sr.image.intensity import NoiseLevel

AUTO, NONE, GIVEN = range(3)
NOISES = ("auto: as estimated", "none: keep the grain", "given level, in counts")
_LEVEL = {
    "gain": "Variance per count: photon noise.",
    "read": "Standard deviation without light.",
    "offset": "Counts without light: the detector's dark level.",
    "correlation": "Pixels by which the noise was blurred, as in reconstructed, "
    "registered or resized stacks; 0: white noise.",
}


class NoisePicker(QWidget):
    """Offers to estimate the noise, to keep it, or to give its level."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.box = combo("")
        self.box.addItems(NOISES)
        self.level = {name: number(tip) for name, tip in _LEVEL.items()}
        self.level["offset"].setMinimum(-MOST)
        self.level_rows = QWidget()
        grid = QGridLayout(self.level_rows)
        grid.setContentsMargins(0, 0, 0, 0)
        for i, (name, box) in enumerate(self.level.items()):
            grid.addWidget(QLabel(name), i, 0)
            grid.addWidget(box, i, 1)
            box.valueChanged.connect(self.changed)
        whole = column(self.box, self.level_rows)
        whole.setContentsMargins(0, 0, 0, 0)
        self.setLayout(whole)
        self.box.currentIndexChanged.connect(self._show_level)
        self.box.currentIndexChanged.connect(self.changed)
        self.show_told(False)

    @property
    def noise(self) -> Literal["auto"] | NoiseLevel:
        """As `UpscaleSettings` has it."""
        place = self.box.currentIndex()
        if place == AUTO or not self.box.isEnabledTo(self):
            return "auto"
        if place == NONE:
            return NoiseLevel()
        return NoiseLevel(**{name: box.value() for name, box in self.level.items()})

    def show_told(self, is_told: bool) -> None:
        """Let a level be chosen for a model that is told the noise."""
        self.box.setEnabled(is_told)
        self.box.setToolTip(
            "How much noise to remove: estimated once per recording, none, or a level "
            "that you know."
            if is_told
            else "This model is not told the noise, so it cannot remove a given level."
        )
        self._show_level()

    def in_order(self) -> list[QWidget]:
        """List what can be used, from top to bottom."""
        return [self.box, *self.level.values()]

    def _show_level(self) -> None:
        is_given = self.box.currentIndex() == GIVEN
        self.level_rows.setVisible(is_given and self.box.isEnabledTo(self))

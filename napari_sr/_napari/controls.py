"""The rows of the widget: what to super-resolve, with which model, and how.

This module alone knows how each choice looks and when it can be used. What is chosen
leaves it as the core's own settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_sr._napari.form import MOST, column, combo, fill, hint, number, offer, row
from napari_sr._napari.preferences import DEVICES, preferred_settings
from napari_sr.card import ModelCard
from napari_sr.catalogue import INTERPOLATIONS
from napari_sr.intensity import NoiseLevel
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sr._napari.preparing import Machine

FACTORS = (2, 3, 4, 8)
AUTO, NONE, GIVEN = range(3)
NOISES = ("auto: as estimated", "none: keep the grain", "given level, in counts")
_LEVEL = {
    "gain": "Variance per count: photon noise.",
    "read": "Standard deviation without light.",
    "offset": "Counts without light: the detector's dark level.",
}


class Choices(QWidget):
    """What the user wants.

    Parameters
    ----------
    parent
        The widget.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layer_box = combo("The recording: one channel; any number of planes.")
        self.model_box = combo(
            "Trained models first, then interpolations, which add no detail."
        )
        self.factor_box = combo("How many times as many rows and columns.")
        self.factor_box.setMinimumContentsLength(3)
        self.factor_box.setSizePolicy(
            QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed
        )
        for factor in FACTORS:
            self.factor_box.addItem(f"×{factor}", factor)
        self.card_line = QLabel()
        self.card_line.setWordWrap(True)
        self.card_line.setObjectName("card_line")
        self.dial = QSlider(Qt.Orientation.Horizontal)
        self.dial.setRange(0, 100)
        self.dial.setPageStep(10)
        self.dial_value = QLabel()
        self.dial_ends = (hint("faithful"), hint("textured"))
        self.noise_box = combo("")
        self.noise_box.addItems(NOISES)
        self.level = {name: number(tip) for name, tip in _LEVEL.items()}
        self.level["offset"].setMinimum(-MOST)
        self.device_box = combo("Where to compute; auto takes a GPU if there is one.")
        for name in DEVICES:
            self.device_box.addItem(name, name)
        self.tile_box = QSpinBox()
        self.tile_box.setRange(0, 8192)
        self.tile_box.setSingleStep(32)
        self.tile_box.setKeyboardTracking(False)
        self.tile_box.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed
        )
        self.tile_box.setSpecialValueText("auto")
        self.tile_box.setToolTip(
            "Side of a tile in recorded pixels. auto fits the free memory; the result "
            "does not depend on it."
        )
        self._level_rows = self._lay_out_level()
        self._lay_out()
        self._connect()
        self._show_model()

    @property
    def layer(self) -> Image | None:
        """The chosen recording."""
        return self.layer_box.currentData()

    @property
    def model(self) -> ModelCard | str:
        """The card of a trained model, or the name of an interpolation."""
        model: ModelCard | str = self.model_box.currentData() or INTERPOLATIONS[0]
        return model

    @property
    def factor(self) -> int | None:
        """For interpolations."""
        return self.factor_box.currentData() if isinstance(self.model, str) else None

    @property
    def settings(self) -> UpscaleSettings:
        """How to super-resolve."""
        return preferred_settings(
            device=self.device_box.currentData(),
            tile=self.tile_box.value() or "auto",
            noise=self._noise(),
            dial=self.dial.value() / 100 if self.dial.isEnabledTo(self) else None,
        )

    def _noise(self) -> Literal["auto"] | NoiseLevel:
        place = self.noise_box.currentIndex()
        if place == AUTO or not self.noise_box.isEnabledTo(self):
            return "auto"
        if place == NONE:
            return NoiseLevel()
        return NoiseLevel(**{name: box.value() for name, box in self.level.items()})

    def offer_layers(self, layers: Sequence[Image]) -> None:
        """Offer these layers; what was chosen stays so if it is still there."""
        offer(self.layer_box, [(layer.name, layer) for layer in layers])

    def choose_layer(self, layer: object) -> None:
        """Choose a layer, if it is one that can be chosen."""
        items = range(self.layer_box.count())
        for i in (i for i in items if self.layer_box.itemData(i) == layer):
            self.layer_box.setCurrentIndex(i)

    def offer_models(self, cards: Sequence[ModelCard]) -> None:
        """Offer these models, then the interpolations."""
        before = self.model_box.currentText()
        trained = [(f"{c.name}  ×{c.factor} · {c.domain}", c) for c in cards]
        plain = [(name, name) for name in INTERPOLATIONS]
        with QSignalBlocker(self.model_box):
            fill(self.model_box, [*trained, *plain])
            self.model_box.setCurrentIndex(max(0, self.model_box.findText(before)))
        if self.model_box.currentText() != before:
            self._on_model()

    def show_machine(self, machine: Machine) -> None:
        """Say what each device is, how much of it is free, and what auto means."""
        for i, name in enumerate(DEVICES):
            said = machine.devices.get(name, "")
            self.device_box.setItemText(i, f"{name}: {said}" if said else name)
            self.device_box.setItemData(i, said, Qt.ItemDataRole.ToolTipRole)
        auto = "auto" if machine.tile is None else f"auto ({machine.tile})"
        self.tile_box.setSpecialValueText(auto)

    def in_order(self) -> list[QWidget]:
        """List what can be used, from top to bottom."""
        rows = (self.layer_box, self.model_box, self.factor_box, self.dial)
        noise = (self.noise_box, *self.level.values())
        return [*rows, *noise, self.device_box, self.tile_box]

    def _on_model(self) -> None:
        self._show_model()
        self.changed.emit()

    def _show_model(self) -> None:
        """Show what belongs to the chosen model, and nothing else."""
        model = self.model
        self.factor_box.setVisible(isinstance(model, str))
        parts = {} if isinstance(model, str) else model.digests
        with QSignalBlocker(self.dial):
            recommended = 0.0 if isinstance(model, str) else model.recommended_dial
            self.dial.setValue(round(100 * recommended))
        self._show_dial()
        for part in (self.dial, self.dial_value, *self.dial_ends):
            part.setEnabled("textured" in parts)
        self.dial.setToolTip(
            "From faithful, the smallest error, to textured, the grain of a real "
            f"image; {recommended:.2f} is recommended for this model."
            if "textured" in parts
            else "This model has no textured end: it was trained to be faithful."
            if parts
            else "An interpolation has no dial: it is not trained."
        )
        self.noise_box.setEnabled("noise_estimator" in parts)
        self.noise_box.setToolTip(
            "How much noise to remove: estimated once per recording, none, or a level "
            "that you know."
            if "noise_estimator" in parts
            else "This model is not told the noise, so it cannot remove a given level."
        )
        self._show_level()
        text = (
            "Interpolation: smooth and quick, without new detail."
            if isinstance(model, str)
            else model.description
        )
        self.card_line.setText(text)
        self.card_line.setToolTip("" if isinstance(model, str) else model.verdict)
        self.card_line.setVisible(bool(text))

    def _show_dial(self) -> None:
        self.dial_value.setText(f"{self.dial.value() / 100:.2f}")

    def _show_level(self) -> None:
        is_given = self.noise_box.currentIndex() == GIVEN
        self._level_rows.setVisible(is_given and self.noise_box.isEnabledTo(self))

    def _connect(self) -> None:
        self.model_box.currentIndexChanged.connect(self._on_model)
        self.dial.valueChanged.connect(self._show_dial)
        self.noise_box.currentIndexChanged.connect(self._show_level)
        boxes = (self.layer_box, self.factor_box, self.noise_box, self.device_box)
        for box in boxes:
            box.currentIndexChanged.connect(self.changed)
        for value in (self.dial, self.tile_box, *self.level.values()):
            value.valueChanged.connect(self.changed)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(6)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Layer", self.layer_box)
        model = row(self.model_box, self.factor_box, first=0)
        form.addRow("Model", column(model, self.card_line))
        ends = row(*self.dial_ends, first=0)
        form.addRow("Dial", column(row(self.dial, self.dial_value, first=0), ends))
        form.addRow("Noise", column(self.noise_box, self._level_rows))
        form.addRow("Device", self.device_box)
        form.addRow("Tile", self.tile_box)

    def _lay_out_level(self) -> QWidget:
        rows = QWidget(self)
        grid = QGridLayout(rows)
        grid.setContentsMargins(0, 0, 0, 0)
        for i, (name, box) in enumerate(self.level.items()):
            grid.addWidget(QLabel(name), i, 0)
            grid.addWidget(box, i, 1)
        return rows

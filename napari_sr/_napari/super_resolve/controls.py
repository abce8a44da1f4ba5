"""The rows of the widget: what to super-resolve, with which model, and how.

This module alone knows how each choice looks and when it can be used. What is chosen
leaves it as the core's own settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_sr._napari.layers.roles import guess_source, is_truth
from napari_sr._napari.parts.form import column, combo, fill, hint, offer, row
from napari_sr._napari.parts.model_picker import ModelPicker
from napari_sr._napari.parts.more_settings import MoreSettings
from napari_sr._napari.parts.noise_picker import NoisePicker
from napari_sr._napari.parts.preferences import DEVICES, preferred_settings
from napari_sr.cards.model_card import ModelCard
from napari_sr.methods.names import METHODS
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sr._napari.super_resolve.prepared import Machine

AGREEMENTS = (("auto: where noise allows", "auto"), ("off: as the model says", "off"))


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
        self._is_by_hand = False  # else a recording is chosen as soon as there is one
        self.layer_box = combo("The recording: one channel; any number of planes.")
        self.layer_box.setPlaceholderText("open or choose a recording")
        self.models = ModelPicker()
        self.card_line = QLabel()
        self.card_line.setWordWrap(True)
        self.card_line.setObjectName("card_line")
        self.dial = QSlider(Qt.Orientation.Horizontal)
        self.dial.setRange(0, 100)
        self.dial.setPageStep(10)
        self.dial_value = QLabel()
        self.dial_ends = (hint("faithful"), hint("textured"))
        self.noise = NoisePicker()
        self.agreement_box = combo("")
        fill(self.agreement_box, AGREEMENTS)
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
        # Previews are of one plane, so finer along z is for files and Python so far.
        drawn = ("device", "tile", "noise", "consistency", "dial", "z", "factor")
        self.more = MoreSettings(UpscaleSettings, drawn)
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
        return self.models.model

    @property
    def factor(self) -> int | None:
        """For interpolations."""
        return self.models.factor

    @property
    def settings(self) -> UpscaleSettings:
        """How to super-resolve."""
        return preferred_settings(
            device=self.device_box.currentData(),
            tile=self.tile_box.value() or "auto",
            noise=self.noise.noise,
            consistency=self._agreement(),
            dial=self.dial.value() / 100 if self.dial.isEnabledTo(self) else None,
            **self.more.values,
        )

    def _agreement(self) -> Literal["auto", "off"]:
        chosen: Literal["auto", "off"] = self.agreement_box.currentData()
        return chosen if self.agreement_box.isEnabledTo(self) else "auto"

    def offer_layers(self, layers: Sequence[Image], active: object) -> None:
        """Offer these layers, and choose a recording unless the user chose a layer.

        What was chosen stays so if it is still there, but for a truth for want of a
        recording.
        """
        is_gone = self.layer not in layers
        self._is_by_hand &= not is_gone
        likely = guess_source(layers, active)
        offer(self.layer_box, [(layer.name, layer) for layer in layers], likely)
        if self.layer is not None and not self._is_by_hand:
            if is_truth(self.layer, layers):
                _choose(self.layer_box, likely)

    def choose_layer(self, layer: object) -> None:
        """Choose a layer as a user does, if it is one that can be chosen."""
        _choose(self.layer_box, layer)
        self._is_by_hand = self.layer == layer

    def show_machine(self, machine: Machine) -> None:
        """Say what each device is, how much of it is free, and what auto means."""
        for i, name in enumerate(DEVICES):
            about = machine.devices.get(name, "")
            self.device_box.setItemText(i, f"{name}: {about}" if about else name)
            self.device_box.setItemData(i, about, Qt.ItemDataRole.ToolTipRole)
        auto = "auto" if machine.tile is None else f"auto ({machine.tile})"
        self.tile_box.setSpecialValueText(auto)

    def in_order(self) -> list[QWidget]:
        """List what can be used, from top to bottom."""
        models = (self.models.box, self.models.factor_box)
        rest = (self.agreement_box, self.device_box, self.tile_box)
        rest = (*rest, *self.more.in_order())
        return [self.layer_box, *models, self.dial, *self.noise.in_order(), *rest]

    def _on_model(self) -> None:
        self._show_model()
        self.changed.emit()

    def _show_model(self) -> None:
        """Show what belongs to the chosen model, and nothing else."""
        model = self.model
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
            else "A method without weights has no dial."
        )
        self.noise.show_told("noise_estimator" in parts)
        self._show_agreement()
        chosen = METHODS[model] if isinstance(model, str) else model
        text = chosen.description
        self.card_line.setText(text)
        self.card_line.setToolTip("" if isinstance(model, str) else model.verdict)
        self.card_line.setVisible(bool(text))

    def _show_dial(self) -> None:
        self.dial_value.setText(f"{self.dial.value() / 100:.2f}")

    def _show_agreement(self) -> None:
        """Offer a choice where there is one: see `upscaling.plan`."""
        model = self.model
        is_trained = not isinstance(model, str)
        self.agreement_box.setEnabled(is_trained)
        self.agreement_box.setToolTip(
            "Agreement with the recording: what the result would have been recorded as "
            "is compared with the recording, and differences that noise does not "
            "explain are put right; where noise or blur are not known, those of the "
            "mean. off leaves the model's result as it is."
            if is_trained
            else "What this method makes of a recording is left as it is."
        )

    def _connect(self) -> None:
        self.models.changed.connect(self._on_model)
        self.layer_box.activated.connect(self._keep_layer)
        self.dial.valueChanged.connect(self._show_dial)
        self.noise.changed.connect(self.changed)
        self.more.changed.connect(self.changed)
        for box in (self.layer_box, self.agreement_box, self.device_box):
            box.currentIndexChanged.connect(self.changed)
        for value in (self.dial, self.tile_box):
            value.valueChanged.connect(self.changed)

    def _keep_layer(self, _place: int) -> None:
        self._is_by_hand = True

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(6)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Layer", self.layer_box)
        form.addRow("Model", column(self.models, self.card_line))
        ends = row(*self.dial_ends, first=0)
        form.addRow("Dial", column(row(self.dial, self.dial_value, first=0), ends))
        form.addRow("Noise", self.noise)
        form.addRow("Agreement", self.agreement_box)
        form.addRow("Device", self.device_box)
        form.addRow("Tile", self.tile_box)
        form.addRow(self.more)


def _choose(box: QComboBox, layer: object) -> None:
    """Choose a layer: one that is equal, as napari gives plugins wrapped ones."""
    for place in (i for i in range(box.count()) if box.itemData(i) == layer):
        box.setCurrentIndex(place)

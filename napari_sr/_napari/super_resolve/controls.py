"""What to super-resolve, with which model, and how.

This module alone knows which choice can be used when. What is chosen leaves it as the
core's own settings.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from qtpy.QtCore import Qt

from napari_sr._napari.layers.pixel_size import file_behind
from napari_sr._napari.layers.roles import channels_of, images_in
from napari_sr._napari.layers.view import part_in_view, rectangle_on
from napari_sr._napari.parts.model_choice import FactorChoice, ModelChoice
from napari_sr._napari.parts.noise_row import NoiseRow
from napari_sr._napari.parts.panel import Choice, Form, connect, text
from napari_sr._napari.parts.preferences import preferred_settings
from napari_sr._napari.parts.settings_form import Asked, SettingsForm, others
from napari_sr._napari.super_resolve.layer_models import LayerModels
from napari_sr._napari.super_resolve.pixel_size_row import PixelSizeRow
from napari_sr._napari.super_resolve.z_row import ZRow
from napari_sr.cards.model_card import ModelCard
from napari_sr.interactive.prepared import DEVICES
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.interactive.roles import (
    are_of_one_recording,
    guess_source,
    is_result,
    is_sample,
    is_truth,
)
from napari_sr.methods.names import METHODS
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sr.image.stack import Stack
    from napari_sr.interactive.prepared import FoundNoise, Machine

IN_VIEW, WHOLE, RECTANGLE = "the one in view", "whole plane", "a rectangle"
FIRST = ("dial", "consistency", "device", "tile")
"""Settings that are in sight; noise has a row of its own, and the others are folded."""


class Reach(Asked):
    """How much one click runs."""

    channels: bool = Field(False, title="All channels")
    """Run takes the other channels of this recording as well: layers of the same file,
    or of the same pixels in the same place. Untick it to run this one alone."""
    selected: bool = Field(False, title="All selected layers")
    """Run takes all recordings that are selected in the layer list."""
    planes: Literal["all", "the one in view"] = "all"
    """All of them, beginning with that in view, or that one alone, after which Run
    computes the others."""
    part: Literal["whole plane", "what is in view", "a rectangle"] = "whole plane"
    """Of each plane. A part has the pixels that it has in the whole. A rectangle is
    that which is selected in a Shapes layer."""


class Choices(Form):
    """What the user wants.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    found
        Gives the noise that was found last.
    """

    def __init__(
        self, viewer: ViewerModel, found: Callable[[], FoundNoise | None]
    ) -> None:
        self._viewer = viewer
        self._channels: list[Image] = []
        self.layer = Choice(
            self._layers,
            otherwise=self._likely,
            name="layer",
            label="Layer",
            tooltip="The recording: one channel, any number of planes.",
        )
        self.layer.native.setPlaceholderText("open or choose a recording")
        self.reach = SettingsForm(Reach, Reach.model_fields)
        reach = self.reach.rows
        self.channels, self.selected = reach["channels"], reach["selected"]
        self.planes, self.part = reach["planes"], reach["part"]
        self.pixel_size, self.models = (
            PixelSizeRow(viewer, self._choose_layer),
            LayerModels(),
        )
        self.model, self.factor = ModelChoice(), FactorChoice()
        self.about, self.warning = text(name="about"), text(name="warning")
        self.noise, self.z = NoiseRow(found), ZRow()
        self.first = SettingsForm(UpscaleSettings, FIRST)
        more = others(UpscaleSettings, (*FIRST, "noise", "z", "factor"))
        self.more = SettingsForm(UpscaleSettings, more)
        rows = self.first.rows
        self.dial, self.consistency = rows["dial"], rows["consistency"]
        self.device, self.tile = rows["device"], rows["tile"]
        self._about_consistency = self.consistency.tooltip
        super().__init__(
            *(self.layer, self.pixel_size, self.reach),
            *(self.model, self.factor, self.models),
            *(self.about, self.warning, self.z, self.noise, self.first),
        )
        self.layer.changed.connect(self._show_layer)
        viewer.layers.selection.events.changed.connect(self._show_layer)
        connect(self._show_models, self.channels, self.selected, self.factor)
        self.model.changed.connect(self._show_model)
        self.more.changed.connect(lambda: self.changed.emit(self))
        self._show_model()
        self._show_layer()
        self.show_row(self.warning, False)

    @property
    def settings(self) -> UpscaleSettings:
        """How to super-resolve."""
        return self._settings_of(self.model)

    def _settings_of(self, chosen: ModelChoice) -> UpscaleSettings:
        """Gather the settings for a model; the dial is that of the model of all."""
        is_trained = isinstance(chosen.model, ModelCard)
        has_dial = self.dial.enabled and chosen is self.model
        return preferred_settings(
            **{
                **self.more.values,
                **self.z.values,
                "device": self.device.value,
                "tile": int(self.tile.value) or "auto",
                "noise": self.noise.value,
                "consistency": self.consistency.value if is_trained else "auto",
                "dial": round(self.dial.value, 2) if has_dial else None,
            }
        )

    def request_for(self, stack: Stack, layer: Image) -> UpscaleRequest:
        """Say what is asked for of a layer, all of its planes."""
        chosen = self.models.of(layer) or self.model
        factor = self._factor if isinstance(chosen.model, str) else None
        return UpscaleRequest(stack, chosen.model, factor, self._settings_of(chosen))

    def missing_for(self, layer: Image) -> str:
        """Say in one sentence that the model of a layer is missing; else nothing."""
        return (self.models.of(layer) or self.model).missing

    @property
    def _factor(self) -> int:
        """Of the model of all."""
        model = self.model.model
        return int(self.factor.value if isinstance(model, str) else model.factor)

    def reset_choices(self, *_: object) -> None:
        """Offer the layers and models that there are now.

        A layer that was chosen stays so, but for a truth or a sample that was chosen
        for want of a recording.
        """
        super().reset_choices()
        layer, offered = self.layer.value, self.layer.choices
        if layer is not None and not self.layer.is_by_hand:
            if is_truth(layer, offered) or is_sample(layer):
                self.layer.offer(guess_source(offered))
        self._show_layer()

    @property
    def layers(self) -> list[Image]:
        """What is to be run: the chosen layer, its channels, or all that are selected.

        What has no row is not asked for.
        """
        layer = self.layer.value
        if layer is None:
            return []
        if self.selected.value and len(self._selected) > 1:
            return self._selected
        own = self._channels if self.channels.value else []
        return own if layer in own else [layer]

    @property
    def together(self) -> list[Image]:
        """What a preview shows: the chosen layer, then channels that run with it."""
        layer = self.layer.value
        own = self._channels if self.channels.value else []
        others = [one for one in own if one != layer and layer in own]
        return [] if layer is None else [layer, *others]

    @property
    def _selected(self) -> list[Image]:
        images, selected = images_in(self._viewer.layers), self._viewer.layers.selection
        # Equal, not the same: napari gives plugins a wrapped viewer.
        chosen = [one for one in images if any(one == other for other in selected)]
        return [layer for layer in chosen if not is_result(layer)]

    def leave(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.selection.events.changed.disconnect(self._show_layer)

    def part_of(self, layer: Image) -> tuple[slice, slice] | None:
        """Give the rows and columns of a layer that are chosen; all for None.

        Raises
        ------
        NotInViewError
            If nothing is in view, or drawn, in one sentence.
        """
        if self.part.value == WHOLE:
            return None
        if self.part.value == RECTANGLE:
            found = rectangle_on(layer, self._viewer)
        else:
            found = part_in_view(layer, self._viewer, most=inf)
        return found.rows, found.columns

    def _show_layer(self, *_: object) -> None:
        """Offer what there is to choose of the layer."""
        layer = self.layer.value
        has_planes = layer is not None and not layer.rgb and layer.ndim > 2
        self.show_row(self.planes, has_planes)
        self.z.offer(has_planes)
        self._offer_channels(layer)
        self.show_row(self.selected, len(self._selected) > 1)
        self._show_models()
        self.pixel_size.offer(layer)

    def _offer_channels(self, layer: Image | None) -> None:
        """Offer to run all channels; they are where they were split from one file.

        What the user has chosen stays, for as long as it is this recording.
        """
        others = [] if layer is None else channels_of(layer, self._viewer.layers)
        own = [one for one in self._viewer.layers if one == layer or one in others]
        self.show_row(self.channels, bool(others))
        self.channels.text = f"All {len(own)} channels"
        known, self._channels = self._channels, own
        is_split = any(are_of_one_recording(layer, other) for other in others)
        if layer not in known or (is_split and any(one not in known for one in own)):
            self.channels.value = is_split

    def _show_models(self) -> None:
        """Offer a model for each layer where there are several to be run."""
        layers = self.layers
        self.models.offer(layers if len(layers) > 1 else [], self._factor)
        self.show_row(self.models, len(layers) > 1)

    def show_machine(self, machine: Machine) -> None:
        """Say what each device is, how much of it is free, and what auto means."""
        for place, name in enumerate(DEVICES):
            about = machine.devices.get(name, "")
            box = self.device.native
            box.setItemText(place, f"{name}: {about}" if about else name)
            box.setItemData(place, about, Qt.ItemDataRole.ToolTipRole)
        auto = "auto" if machine.tile is None else f"auto ({machine.tile})"
        self.tile.native.setSpecialValueText(auto)
        self.warning.value = machine.warning
        self.show_row(self.warning, bool(machine.warning))
        self.z.say(machine.voxel)
        layer = self.layer.value
        if layer is not None and machine.file == file_behind(layer):
            self.pixel_size.offer(layer, machine.in_file)

    def _layers(self, _widget: object = None) -> list[tuple[str, Image]]:
        images = images_in(self._viewer.layers, colours=True)
        return [(layer.name, layer) for layer in images]

    def _choose_layer(self, layer: Layer) -> None:
        self.layer.value = layer

    def _likely(self, offered: tuple[Any, ...]) -> object:
        return guess_source(offered, self._viewer.layers.selection.active)

    def _show_model(self) -> None:
        """Show what belongs to the chosen model, and nothing else."""
        model = self.model.model
        parts = {} if isinstance(model, str) else model.digests
        is_trained = isinstance(model, ModelCard)
        self.show_row(self.factor, not is_trained)
        recommended = model.recommended_dial if isinstance(model, ModelCard) else 0.0
        with self.dial.changed.blocked():
            self.dial.value = recommended
        self.dial.enabled = "textured" in parts
        self.dial.tooltip = (
            "From faithful (smallest error) to textured (the texture of real "
            f"images); {recommended:.2f} is recommended for this model."
            if "textured" in parts
            else (
                "This model has no textured end: it was trained for the smallest "
                "error only."
            )
            if is_trained
            else "A method without weights has no dial."
        )
        self.noise.show_told("noise_estimator" in parts)
        self.consistency.enabled = is_trained
        self.consistency.tooltip = (
            self._about_consistency
            if is_trained
            else (
                "The results of this method are not corrected for agreement with the "
                "recording."
            )
        )
        self._show_models()
        chosen = METHODS[model] if isinstance(model, str) else model
        self.about.value = chosen.description
        self.about.tooltip = "" if isinstance(model, str) else model.verdict

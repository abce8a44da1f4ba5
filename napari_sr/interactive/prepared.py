"""What preview and run have in common: the model on its device, and the plan.

This module alone knows what can be kept while the user turns knobs: a model is read
once, and range and noise are measured once per recording and model. It is called in
threads, and loads torch there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from threading import Event, Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_sr.image.stack import Stack
from napari_sr.interactive.heavy_imports import load
from napari_sr.interactive.pixel_size import axes_in_file, voxel_in_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.cards.model_card import ModelCard
    from napari_sr.image.axis import Axis
    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.interactive.request import UpscaleRequest
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.plan import Plan

_Kept = tuple[Any, Any]
"""A question with its answer."""
_MOST_MODELS = 4
"""That are kept: those of the channels of a recording."""
DEVICES = ("auto", "cpu", "cuda", "mps")
"""That can be chosen."""


@dataclass(frozen=True, slots=True)
class FoundNoise:
    """A level as it was estimated."""

    level: NoiseLevel
    signal: float
    """Counts between the darkest and the brightest, at which its strength is said."""

    def strength_of(self, level: NoiseLevel) -> float:
        """Give the standard deviation of some noise at that signal."""
        photons = level.gain * max(0.0, self.signal - level.offset)
        return sqrt(photons + level.read**2)

    def as_strong_as(self, strength: float) -> NoiseLevel:
        """Give the same kind of noise with another standard deviation."""
        times = strength / self.strength_of(self.level)
        gain, read = self.level.gain * times**2, self.level.read * times
        return replace(self.level, gain=gain, read=read)


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to compute with."""

    devices: dict[str, str]
    """What each choice of device is now, and how much is free."""
    tile: int | None
    """What `auto` means for the chosen model and device; None where it cannot be."""
    warning: str = ""
    """Why less is to be expected of the model for the recording, and whose images are
    like it."""
    voxel: str = ""
    """What is to be said of its size, before and after."""
    file: str | None = None
    in_file: tuple[Axis, ...] = ()
    """The pixel size that a file says, where its layer does not."""


class StoppedError(Exception):
    """A measurement was stopped."""


def _until(stop: Event | None, stack: Stack) -> Stack:
    """Give a stack whose planes are read until an event is set."""

    def read(index: tuple[int, ...], part: Any = None) -> NDArray:  # noqa: ANN401
        if stop is not None and stop.is_set():
            raise StoppedError
        return stack.plane(index) if part is None else stack.window(index, part)

    return Stack(
        read,
        axes=stack.axes,
        shape=stack.shape,
        dtype=stack.dtype,
        name=stack.name,
        provenance=stack.provenance,
        info=stack.info,
        read_window=read,
    )


class Preparer:
    """Loads an upscaler and decides on a plan, again only if something has changed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ready: dict[str, tuple[_Kept, _Kept]] = {}
        self._planned: WeakKeyDictionary[Stack, _Kept] = WeakKeyDictionary()
        self._found: WeakKeyDictionary[Stack, tuple[ModelCard | str, FoundNoise]]
        self._found = WeakKeyDictionary()
        self._described: tuple[Stack, dict[str, float]] | None = None

    def prepare(
        self, request: UpscaleRequest, stop: Event | None = None
    ) -> tuple[Upscaler, Plan]:
        """Give what computes, and everything that is the same for all planes.

        Parameters
        ----------
        request
            What the user asked for.
        stop
            Once it is set, no further plane is read.

        Raises
        ------
        StoppedError
            If it was stopped.
        """
        load("napari_sr.upscaling.flow")
        from napari_sr.upscaling.flow import make_plan

        with self._lock:
            upscaler = self._upscaler(request.model, request.factor, request.settings)
            # The dial changes neither range nor noise.
            settings = request.settings.model_copy(update={"dial": None})
            question = (request.model, request.factor, settings)
            known = self._planned.get(request.stack)
            if known is None or known[0] != question:
                plan = make_plan(_until(stop, request.stack), upscaler, settings)
                known = self._planned[request.stack] = (question, plan)
                noise, ends = plan.recorded_noise, plan.intensity
                if settings.noise == "auto" and noise is not None:
                    found = FoundNoise(noise, (ends.low + ends.high) / 2)
                    self._found[request.stack] = (request.model, found)
            plan = known[1]
            dial = getattr(upscaler, "dial", None)
            return upscaler, plan.model_copy(update={"dial": dial})

    def noise_found(self, request: UpscaleRequest) -> FoundNoise | None:
        """Give the noise that was found last, if it is that of the same recording."""
        model, found = self._found.get(request.stack, (None, None))
        return found if model == request.model else None

    def look(
        self,
        model: ModelCard | str,
        factor: int | None,
        settings: UpscaleSettings,
        recording: Stack | None = None,
        file: str | None = None,
    ) -> Machine:
        """Find out what the machine has, and what suits model, device and recording.

        Parameters
        ----------
        model, factor, settings
            As in a `UpscaleRequest`.
        recording
            What is chosen, if it can be used.
        file
            Where its pixel size may be, if the layer lacks it.
        """
        load("napari_sr.upscaling.flow")
        from napari_sr.device import describe_device

        devices = {name: describe_device(name) for name in DEVICES}
        in_file = axes_in_file(file, recording.shape) if file and recording else ()
        try:
            warning = self._warning(model, recording)
            tile, fine = self._tile(model, factor, settings)
            voxel = voxel_in_words(recording, fine, settings) if recording else ""
            return Machine(devices, tile, warning, voxel, file, in_file)
        except (OSError, ValueError):  # a run says why
            return Machine(devices, None, file=file, in_file=in_file)

    def _warning(self, model: ModelCard | str, recording: Stack | None) -> str:
        """Compare a recording with what the model has learnt from, as far as known."""
        from napari_sr.cards.descriptors import SMALLEST, describe_recording
        from napari_sr.cards.suitability import suitability_of
        from napari_sr.catalogue.lookup import scan_models

        statistics = None if isinstance(model, str) else model.training_statistics
        if statistics is None or recording is None:
            return ""
        if min(recording.plane_shape) < SMALLEST:
            return ""
        if self._described is None or self._described[0] is not recording:
            self._described = (recording, describe_recording(recording))
        described = self._described[1]
        found = suitability_of(described, statistics)
        if found.is_suited or isinstance(model, str):
            return ""
        cards = [card for card in scan_models()[0] if card.factor == model.factor]
        suited = [
            card.name
            for card in cards
            if card.training_statistics is not None
            and suitability_of(described, card.training_statistics).is_suited
        ]
        general = f"general-x{model.factor}"
        better = ""
        if suited:
            better = f" It resembles the training images of: {', '.join(suited)}."
        elif general in {card.name for card in cards}:
            better = f" {general} is for all kinds of images."
        return found.in_words() + better

    def _tile(
        self, model: ModelCard | str, factor: int | None, settings: UpscaleSettings
    ) -> tuple[int, int]:
        """Give the side of a tile, and the factor of the model."""
        from napari_sr.device import choose_device, choose_tile

        device = choose_device(settings.device)
        with self._lock:
            upscaler = self._upscaler(model, factor, settings)
            share = settings.share_of_memory
            tile = choose_tile(upscaler.bytes_per_pixel, upscaler.halo, device, share)
            return tile, upscaler.factor

    def _upscaler(
        self, model: ModelCard | str, factor: int | None, settings: UpscaleSettings
    ) -> Upscaler:
        from napari_sr.catalogue.lookup import load_model
        from napari_sr.upscaling.flow import as_upscaler

        # A card has the digests of its weights: a file that was replaced is read again.
        name = model if isinstance(model, str) else model.name
        loaded, ready = self._ready.pop(name, (None, None))
        if loaded is None or loaded[0] != (model, factor):
            loaded, ready = ((model, factor), load_model(name, factor=factor)), None
        wanted = (settings.dial, settings.device)
        if ready is None or ready[0] != wanted:
            ready = (wanted, as_upscaler(loaded[1], settings))
        self._ready[name] = (loaded, ready)
        for oldest in [*self._ready][:-_MOST_MODELS]:
            del self._ready[oldest]
        upscaler: Upscaler = ready[1]
        return upscaler

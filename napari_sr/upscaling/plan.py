"""What is decided once, before the first pixel.

This module alone knows how a recording, an upscaler and the user's settings become one
small frozen `Plan`: range, noise, tile, halo and precision. Whatever could differ
between planes is in it, and it is stored with the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_sr.device import (
    choose_device,
    choose_precision,
    choose_tile,
    full_precision,
)
from napari_sr.image.intensity import (
    IntensityRange,
    NoiseLevel,
    fill_gaps,
)
from napari_sr.image.tiling import pad_plane, plan_tiles
from napari_sr.instrument.data_consistency import fitted_sigma
from napari_sr.interop.foreign import Foreign
from napari_sr.models.sr_model import SRModel
from napari_sr.models.upscaler import BlurEstimate

if TYPE_CHECKING:
    from napari_sr.image.stack import Stack
    from napari_sr.models.upscaler import Prepared, Upscaler
    from napari_sr.settings import UpscaleSettings


HUGE = 12_288
"""Side in recorded pixels above which planes are measured through windows."""
SIDE_FOR_BLUR = 192
"""Side of the part of a stack on which its blur is fitted, in recorded pixels."""


class Plan(BaseModel):
    """What is decided once, before the first pixel; stored with the output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    model_sha256: str | None
    factor: int
    dial: float | None
    intensity: IntensityRange
    noise: NoiseLevel | None
    """To be removed, in counts; `None` when the upscaler is not told."""
    tile: int
    tile_is_auto: bool
    halo: int
    precision: str
    device: str
    dtype: str
    consistency: Literal["auto", "mean", "off", "exact"] = "off"
    """How the result is made to agree with the recording; see `consistency`."""
    options: dict[str, float | str] = Field(default_factory=dict)
    """What was chosen of the upscaler."""
    sees_whole_planes: bool = False
    """Whether a part of a plane can only be made with all of it in view."""
    blur: BlurEstimate | None = None
    """As a blind model found it, in pixels of the result."""
    psf_sigma: float = 0.0
    """Blur with which it agrees, in pixels of the result: as fitted to the stack."""

    @property
    def prepared(self) -> Prepared:
        """What the upscaler found out about the stack."""
        return self.noise if self.blur is None else self.blur


def make_plan(stack: Stack, upscaler: Upscaler, settings: UpscaleSettings) -> Plan:
    """Decide everything that must be the same for all planes.

    Parameters
    ----------
    stack
        The recording; some of its planes are read.
    upscaler
        Already on its device, which the plan takes over if it has one.
    settings
        What the user asked for.

    Raises
    ------
    ValueError
        If the settings do not fit the upscaler or the machine.
    StackError
        If the stack has no finite pixel or cannot be read.
    """
    device = _device_for(upscaler, settings.device)
    precision = choose_precision(settings.precision, device)
    tile = settings.tile
    if tile == "auto":
        tile = choose_tile(
            upscaler.bytes_per_pixel, upscaler.halo, device, settings.share_of_memory
        )
    plan_tiles(stack.plane_shape, tile, upscaler.halo, upscaler.overlap)  # or refuse
    looked_at = stack.thinned(HUGE)
    if settings.intensity_range is None:
        intensity = IntensityRange.measure(looked_at, upscaler.intensity_policy)
    else:
        intensity = IntensityRange(*settings.intensity_range)
    trained = upscaler if isinstance(upscaler, SRModel) else None
    prepared = upscaler.prepare(looked_at, intensity, settings.noise)
    noise = prepared if isinstance(prepared, NoiseLevel) else None
    blur = prepared if isinstance(prepared, BlurEstimate) else None
    network = _network_of(upscaler)
    consistency = _consistency(settings, network, noise)
    psf_sigma = 0.0 if blur is None else blur.round_sigma
    if consistency == "auto" and network is not None:
        psf_sigma = _fitted_blur(looked_at, network, intensity, noise)
    return Plan(
        model=upscaler.name,
        model_sha256=(
            upscaler.digest if isinstance(upscaler, SRModel | Foreign) else None
        ),
        factor=upscaler.factor,
        dial=trained.dial if trained else None,
        intensity=intensity,
        noise=noise,
        blur=blur,
        tile=tile,
        tile_is_auto=settings.tile == "auto",
        halo=upscaler.halo,
        precision=str(precision).removeprefix("torch."),
        device=str(device),
        dtype=stack.dtype.name if settings.dtype == "same" else settings.dtype,
        options=upscaler.options,
        sees_whole_planes=upscaler.sees_whole_planes,
        consistency=consistency,
        psf_sigma=psf_sigma,
    )


def _device_for(upscaler: Upscaler, wanted: str) -> torch.device:
    """Plan for where an upscaler is: what "auto" would choose may be elsewhere."""
    there = upscaler.device
    if there is None:
        return choose_device(wanted)
    if wanted != "auto" and not _is_same(choose_device(wanted), there):
        raise ValueError(
            f"Device {wanted!r} was asked for, but {upscaler.name} is on '{there}'. "
            f"Move it first, with to({wanted!r}), or leave the device at 'auto'."
        )
    return there


def _is_same(one: torch.device, other: torch.device) -> bool:
    """Tell whether two names mean one device, as "cuda" and "cuda:0" mostly do."""
    has_numbers = one.index is not None and other.index is not None
    return one.type == other.type and (not has_numbers or one.index == other.index)


def _network_of(upscaler: Upscaler) -> SRModel | None:
    """Find the trained model that an upscaler is, or has as its base."""
    base = getattr(upscaler, "base", upscaler)
    return base if isinstance(base, SRModel) else None


def _consistency(
    settings: UpscaleSettings, trained: SRModel | None, noise: NoiseLevel | None
) -> Literal["auto", "mean", "off", "exact"]:
    """Ask for the mean only where noise is not known, or the blur is of any shape."""
    if settings.consistency != "auto":
        return settings.consistency
    if trained is None:
        return "off"
    if noise is None or trained.card.instrument.psf_image:
        return "mean"
    return "auto"


def _fitted_blur(
    stack: Stack, model: SRModel, intensity: IntensityRange, noise: NoiseLevel | None
) -> float:
    """Find the blur that relates what a model makes of the middle to its recording.

    A model that is trained for blurred recordings sharpens them, by as much as it takes
    them to be blurred.
    """
    within = model.card.instrument.psf_sigma
    if within[0] == within[1]:
        return within[0]
    middle = tuple(length // 2 for length in stack.leading_shape)
    starts = [max(0, (side - SIDE_FOR_BLUR) // 2) for side in stack.plane_shape]
    part = tuple(slice(start, start + SIDE_FOR_BLUR) for start in starts)
    low = intensity.normalize(fill_gaps(stack.plane(middle)[part])[0])
    told = model.inputs(torch.from_numpy(low)[None, None], intensity, noise)
    padded = [pad_plane(channel, model.halo) for channel in told[0].numpy()]
    batch = torch.from_numpy(np.stack(padded))[None]
    with full_precision():
        high = model(batch.to(model.device))[0, 0].float().cpu().numpy()
    inside = slice(model.halo * model.factor, -model.halo * model.factor)
    return fitted_sigma(high[inside, inside], low, model.factor, within)

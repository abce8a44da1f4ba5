"""What is decided once, before the first pixel.

This module alone knows how a recording, an upscaler and the user's settings become one
small frozen `Plan`: range, noise, tile, halo and precision. Whatever could differ
between planes is in it, and it is stored with the output.
"""

from __future__ import annotations

from math import ceil, log, prod, sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_sr.device import (
    choose_device,
    choose_precision,
    choose_tile,
)
from napari_sr.image.intensity import (
    LARGEST_CHANGE,
    IntensityRange,
    NoiseLevel,
    change_by_rounding,
)
from napari_sr.image.regions import SIDE
from napari_sr.image.stack import StackError
from napari_sr.image.tiling import plan_tiles
from napari_sr.image.units import convert
from napari_sr.instrument.noise import SIGNAL_RADIUS
from napari_sr.metrics.along_z import blur_along_z, middle_of
from napari_sr.models.upscaler import Prepared

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from napari_sr.image.stack import Axis, Stack
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.settings import PixelType, UpscaleSettings


HUGE = 12_288
"""Side in recorded pixels above which planes are measured through windows."""
_SLAB, _FEWEST, _MOST = 2**25, 4, 64
"""Fine pixels of volumes that are computed together along z, about, and recorded planes
of them: what is seen around costs more, the fewer they are."""


class AlongZ(BaseModel):
    """How a volume gets its planes along z; see `along_z`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: int
    """Place of z among the leading axes."""
    ratio: float
    """Planes of the result for each recorded one."""
    factor: int
    """Of the model."""
    n_passes: int
    """How often it is applied."""
    slab: int
    """Planes of the result that are computed together."""
    noise: NoiseLevel | None
    """Of the recording, which is removed here and not in the plane."""
    reach: int | None
    """Of the model, see `Plan.reach`."""
    consistency: Literal["auto", "mean", "off", "exact"]
    """Agreement of the volume with its recording, once it is binned along z again."""

    neighbours: tuple[float, float] = (0.0, 0.0)
    """Weights of each of the two planes beside an XZ and a YZ plane, which the network
    sees averaged: noise is less then, and differs from plane to plane."""
    note: str = ""
    """Why more planes show no more detail, where they do not."""

    def planes_from(self, n_recorded: int) -> int:
        """Tell how many planes a result has; the last may reach beyond the recording.

        What was recorded is in one.
        """
        return ceil(n_recorded * self.ratio - 1e-9)


class Plan(Prepared):
    """What was found out and decided before the first pixel; stored with the output."""

    model: str
    model_sha256: str | None
    factor: int
    dial: float | None
    intensity: IntensityRange
    tile: int
    tile_is_auto: bool
    halo: int
    precision: str
    device: str
    dtype: str
    consistency: Literal["auto", "mean", "off", "exact"] = "off"
    """How the result is made to agree with the recording; see `data_consistency`."""
    options: dict[str, float | str] = Field(default_factory=dict)
    """What was chosen of the upscaler."""
    reach: int | None
    """Recorded pixels around each that take part in it; `None`: all of a plane."""
    psf_sigma: float = 0.0
    """Blur with which it agrees, in pixels of the result: as fitted to the stack."""
    dtype_note: str = ""
    """Why the pixel type is not that of the recording, where none was asked for; or
    what is lost in it, where the format of the result has no other."""

    z: AlongZ | None = None
    """How there come to be more planes along z; `None` where there are none."""

    @property
    def recorded_noise(self) -> NoiseLevel | None:
        """Noise of the recording that is removed, along z or in the plane."""
        return self.noise if self.z is None else self.z.noise

    def shape_of(self, stack: Stack) -> tuple[int, ...]:
        """Give the shape of the result of a stack."""
        return self.shape_from(stack.shape)

    def shape_from(self, recorded: Sequence[int]) -> tuple[int, ...]:
        """Give the shape of the result of a recording of this one."""
        *leading, height, width = recorded
        if self.z is not None:
            leading[self.z.axis] = self.z.planes_from(leading[self.z.axis])
        return (*leading, height * self.factor, width * self.factor)

    def axes_of(self, stack: Stack) -> tuple[Axis, ...]:
        """Give the axes of the result of a stack, whose borders are those of it."""
        axes = [*stack.upscaled_axes(self.factor)]
        if self.z is not None:
            axes[self.z.axis] = axes[self.z.axis].upscaled(self.z.ratio)
        return tuple(axes)

    @model_validator(mode="before")
    @classmethod
    def _as_version_0_1_0_wrote_it(cls, plan: object) -> object:
        """Read plans that said no reach, but whether all of a plane takes part."""
        if not isinstance(plan, dict) or "reach" in plan:
            return plan
        is_whole = plan.get("sees_whole_planes", False)
        reach = None if is_whole else plan.get("halo", 0) + SIGNAL_RADIUS
        rest = {name: plan[name] for name in plan if name != "sees_whole_planes"}
        return {**rest, "reach": reach}


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
    prepared = upscaler.prepare(looked_at, intensity, settings.noise)
    consistency = _consistency(settings, upscaler, prepared)
    psf_sigma = 0.0 if prepared.blur is None else prepared.blur.round_sigma
    if consistency == "auto":
        psf_sigma = upscaler.fitted_blur(looked_at, intensity, prepared)
    dtype, dtype_note = _pixel_type(stack, settings.dtype)
    ratio = planes_along_z(stack, upscaler.factor, settings)
    along_z, reach = None, upscaler.reach
    if ratio != 1:
        along_z = _along_z(stack, upscaler, ratio, prepared.noise, consistency)
        # The first network along z removes the noise; the others have none to remove.
        cleared = NoiseLevel() if prepared.noise else None
        prepared = prepared.model_copy(update={"noise": cleared})
    if settings.factor == 1:
        if along_z is None:
            raise StackError(
                f"{stack.name} already has planes as close as its pixels, so nothing "
                "would become finer. Give z as a number, or leave factor=1 out."
            )
        consistency, reach = "off", 0
    return Plan(
        model=upscaler.name,
        model_sha256=upscaler.digest,
        factor=settings.factor or upscaler.factor,
        dial=upscaler.dial,
        intensity=intensity,
        **dict(prepared),
        tile=tile,
        tile_is_auto=settings.tile == "auto",
        halo=upscaler.halo,
        precision=str(precision).removeprefix("torch."),
        device=str(device),
        dtype=dtype,
        dtype_note=dtype_note,
        options=dict(upscaler.options),
        reach=reach,
        consistency=consistency,
        psf_sigma=psf_sigma,
        z=along_z,
    )


def planes_along_z(stack: Stack, factor: int, settings: UpscaleSettings) -> float:
    """Tell how many planes a result has for each recorded one; 1 without an axis z.

    Parameters
    ----------
    stack
        The recording.
    factor
        Of the model, in the plane.
    settings
        What the user asked for.

    Raises
    ------
    StackError
        If more planes are asked for where there is no z, or its step is unknown.
    """
    if settings.z is None or settings.z == 1:
        return 1.0
    z, (y, x) = stack.axes[axis_z(stack)], stack.axes[-2:]
    if settings.z != "isotropic":
        return settings.z
    step = convert(z.spacing, z.unit, x.unit) if z.unit else None
    if step is None or y.unit != x.unit:
        raise StackError(
            f"{stack.name} does not state the distance of its planes and the size of "
            "its pixels in the same unit, which isotropic needs. Give a number, such "
            "as z=3.5."
        )
    side = sqrt(x.spacing * y.spacing) / (settings.factor or factor)
    return max(1.0, step / side)


def axis_z(stack: Stack) -> int:
    """Find z among the leading axes: by name, or the only one that may be it."""
    names = [axis.name for axis in stack.axes[:-2]]
    if "z" not in names and len(names) == 1 and names != ["t"]:
        names = ["z"]  # pages of a file that does not say what they are
    if "z" not in names or stack.leading_shape[names.index("z")] < 2:
        raise StackError(
            f"{stack.name} has no z axis with two planes or more. Leave z out."
        )
    if stack.info.is_uneven_along_z:
        raise StackError(
            f"{stack.name} has planes at uneven distances along z; expected evenly "
            "spaced ones. Resample it to one distance, or leave z out."
        )
    return names.index("z")


def _along_z(
    stack: Stack,
    upscaler: Upscaler,
    ratio: float,
    noise: NoiseLevel | None,
    consistency: Literal["auto", "mean", "off", "exact"],
) -> AlongZ:
    """Decide how to get so many planes: the model as often as needed, then averages."""
    axis = axis_z(stack)
    n_passes = max(1, ceil(log(ratio, upscaler.factor) - 1e-9))
    fine = upscaler.factor**n_passes
    plane = prod(min(side, SIDE) for side in stack.plane_shape)
    if upscaler.undoes_blur_along_z and consistency != "exact":
        consistency = "off"
    n_recorded = max(_FEWEST, min(_MOST, _SLAB // (fine * plane)))
    return AlongZ(
        axis=axis,
        ratio=ratio,
        factor=upscaler.factor,
        n_passes=n_passes,
        slab=max(1, round(n_recorded * ratio)),
        noise=noise,
        reach=upscaler.reach,
        consistency=consistency,
        neighbours=_neighbours(stack, axis, noise),
        note="" if upscaler.undoes_blur_along_z else blur_along_z(stack, axis),
    )


def _neighbours(
    stack: Stack, axis: int, noise: NoiseLevel | None
) -> tuple[float, float]:
    """Weigh the planes beside XZ and YZ planes by how much of a difference is noise.

    Least squares takes twice the variance of the noise over the mean square of the
    second difference, at most 1/3; that is squared, since an estimate of the noise may
    hold some of the specimen, where the difference is not noise alone. Noise of which
    neighbours hold the same is not averaged out.
    """
    if noise is None or noise.correlation or not (noise.gain or noise.read):
        return 0.0, 0.0
    volume = middle_of(stack, axis)[0].astype(np.float64)
    light = np.maximum(volume - noise.offset, 0)
    variance = float(np.mean(noise.gain * light + noise.read**2))
    weights = []
    for across in (1, 2):
        second = np.diff(volume, 2, axis=across)
        square = float(np.mean(second**2)) if second.size else 0.0
        share = 1.0 if square == 0 else min(1.0, 6 * variance / square)
        weights.append(share**2 / 3)
    return weights[0], weights[1]


def _pixel_type(stack: Stack, wanted: PixelType) -> tuple[str, str]:
    """Choose the pixel type of a result: float32 where counts are too few to round.

    What is asked for is taken, and what it may cost is said.
    """
    dtype = stack.dtype.name if wanted == "same" else wanted
    share = change_by_rounding(stack, dtype)
    if share <= LARGEST_CHANGE:
        return dtype, ""
    loss = f"in whole counts the mean may change by up to {min(share, 1):.2%}"
    if wanted == "same":
        return "float32", f"float32, since {loss}"
    return (
        dtype,
        f"{dtype}, although {loss}; float32 in .ome.tif or .ome.zarr avoids this",
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


def _is_same(first: torch.device, other: torch.device) -> bool:
    """Tell whether two names mean one device, as "cuda" and "cuda:0" mostly do."""
    has_numbers = first.index is not None and other.index is not None
    return first.type == other.type and (not has_numbers or first.index == other.index)


def _consistency(
    settings: UpscaleSettings, upscaler: Upscaler, prepared: Prepared
) -> Literal["auto", "mean", "off", "exact"]:
    """Ask for the mean only where the noise or the blur is not known.

    A model of measured pairs has learnt to undo the blur between both instruments,
    whatever it is; to bring its results back to the recording would undo that.
    """
    if settings.consistency != "auto":
        return settings.consistency
    if upscaler.instrument is None:
        return "off"
    if prepared.noise is None or upscaler.instrument.psf_image or upscaler.from_pairs:
        return "mean"
    return "auto"

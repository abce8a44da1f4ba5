"""What a run will take, found out before it is begun: disk, memory, time.

This module alone knows how a short trial on the middle of a recording is carried over
to all of it, and when a disk is too small.
"""

from __future__ import annotations

import shutil
import tracemalloc
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import psutil

from napari_sr.files import create_stack
from napari_sr.files.zarr.regions import level_shapes
from napari_sr.image.axis import Axis
from napari_sr.image.regions import CHUNK, Region, Regions, region_side
from napari_sr.image.stack import StackError
from napari_sr.upscaling.along_z import effort_of
from napari_sr.upscaling.flow import margin_of, result_steps
from napari_sr.upscaling.plan import make_plan, planes_along_z

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sr.image.stack import Stack
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.plan import AlongZ, Plan

    Shape = tuple[int, ...]

TIFF, ZARR = ".ome.tif", ".ome.zarr"
SIDE, SIDE_ALONG_Z, PLANES = 512, 32, 4
"""Of what a trial computes, in recorded pixels; along z, where many planes are seen for
few, so much of so many planes of the result."""

_MOST_COMPRESSION = 100
"""No recording is stored in fewer bytes than this part of its own."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a small part of a recording took."""

    plan: Plan
    n_axes: int
    """Of the recording."""
    seconds: float
    """For each pixel that is looked at, compression included."""
    suffix: str
    """Of the results."""
    share_stored: float
    """Of the bytes of the result, what compression leaves; 1 where there is none."""
    n_bytes: float
    """Of arrays at a time, for each recorded pixel that a region looks at; along z for
    each fine voxel."""
    n_bytes_of_tile: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will take, about; bytes and seconds."""

    shapes: tuple[Shape, ...]
    """Of the results."""
    plan: Plan
    n_regions: int
    """Parts that are done and kept one by one: of planes, or planes, or files."""
    n_bytes_raw: int
    """Of all pixels, coarser levels included, before compression."""
    disk: int
    free: int
    memory: int
    seconds: float
    """In one process on this machine."""

    @property
    def fits(self) -> bool:
        """Whether the disk can hold it."""
        return self.disk <= self.free


def trial_run(
    stack: Stack,
    upscaler: Upscaler,
    settings: UpscaleSettings,
    suffix: str,
    compression: str | None,
) -> Trial:
    """Super-resolve the middle of a recording, twice: for memory, then for time."""
    plan = make_plan(stack, upscaler, settings)
    regions = _tried(stack, plan)
    looked = _looked_at_once(stack.shape, plan, regions)
    tracemalloc.start()
    try:
        _pixels_of(stack, upscaler, plan, regions)
        n_bytes = tracemalloc.get_traced_memory()[1] / looked.largest
    finally:
        tracemalloc.stop()
    started = perf_counter()
    pixels = _pixels_of(stack, upscaler, plan, regions)
    share_stored = _share_stored(pixels, suffix, compression)
    return Trial(
        plan=plan,
        n_axes=len(stack.shape),
        seconds=(perf_counter() - started) / looked.n_pixels,
        suffix=suffix,
        share_stored=share_stored,
        n_bytes=n_bytes,
        n_bytes_of_tile=upscaler.bytes_per_pixel * plan.tile**2,
    )


def forecast(trial: Trial, shapes: Sequence[Shape], output: Path) -> Forecast:
    """Carry a trial over to recordings of these shapes, of which it tried a part.

    Parameters
    ----------
    trial
        From `trial_run`.
    shapes
        Of the recordings.
    output
        Of one of the results, or the folder of all.

    Raises
    ------
    StackError
        If one has other axes than what was tried, so that z is elsewhere.
    """
    plan, stored = trial.plan, trial.share_stored
    others = [shape for shape in shapes if len(shape) != trial.n_axes]
    if plan.z is not None and others:
        raise StackError(
            f"What becomes finer along z was tried on {trial.n_axes} axes, and a "
            f"recording of {' x '.join(map(str, others[0]))} pixels has "
            f"{len(others[0])}. Plan each separately."
        )
    seen = [_looked_at(shape, plan, trial.suffix == ZARR) for shape in shapes]
    results = [plan.shape_from(shape) for shape in shapes]
    rest = (plan.dtype, trial.suffix, stored == 1)
    raw = sum(raw_bytes(shape, *rest) for shape in results)
    at_once = max(looked.largest for looked in seen) * trial.n_bytes
    return Forecast(
        shapes=tuple(results),
        plan=plan,
        n_regions=sum(looked.n_regions for looked in seen),
        n_bytes_raw=raw,
        disk=int(raw * stored),
        free=free_disk(output),
        memory=int(psutil.Process().memory_info().rss + at_once)
        + trial.n_bytes_of_tile,
        seconds=sum(looked.n_pixels for looked in seen) * trial.seconds,
    )


def refuse_what_cannot_fit(
    channels: Sequence[Stack],
    upscaler: Upscaler,
    settings: UpscaleSettings,
    output: Path,
    compression: str | None,
) -> None:
    """Refuse to begin what the disk cannot hold; a trial is only made in doubt.

    Raises
    ------
    StackError
        With what is needed and what there is.
    """
    stack, n_channels = channels[0], len(channels)
    dtype = stack.dtype.name if settings.dtype == "same" else settings.dtype
    *leading, height, width = stack.upscaled_shape(settings.factor or upscaler.factor)
    times = planes_along_z(stack, upscaler.factor, settings)
    shape = (*leading, height, width)
    suffix = suffix_of(output)
    padded = compression in (None, "none")
    raw = int(raw_bytes(shape, dtype, suffix, padded) * n_channels * times)
    free = free_disk(output)
    if raw <= free:
        return
    if raw > _MOST_COMPRESSION * free:
        raise StackError(
            f"{output} would be {' x '.join(map(str, shape))} pixels, {raw / 1e9:.3g} "
            f"GB, but only {free / 1e9:.3g} GB are free there, too few for any "
            "compression. Check the recording: its stated size may be wrong."
        )
    trial = trial_run(stack, upscaler, settings, suffix, compression)
    estimate = forecast(trial, [stack.shape] * n_channels, output)
    if not estimate.fits:
        raise StackError(
            f"{output} needs about {estimate.disk / 1e9:.3g} GB, but only "
            f"{estimate.free / 1e9:.3g} GB are free there. Choose another place, or "
            f"stronger compression."
        )


def raw_bytes(shape: Shape, dtype: str, suffix: str, padded: bool = False) -> int:
    """Count the bytes of a result before compression, with its coarser levels.

    `padded` counts whole chunks: not compressed, those at the far edges are stored so.
    """
    levels = level_shapes(shape)
    if padded and suffix == ZARR:
        levels = [(*level[:-2], *map(_whole_chunks, level[-2:])) for level in levels]
    return sum(map(prod, levels)) * np.dtype(dtype).itemsize


def _whole_chunks(side: int) -> int:
    return -(-side // CHUNK) * CHUNK if side > CHUNK else side


def suffix_of(output: Path) -> str:
    """Tell the two formats of results apart, whatever their suffix is exactly."""
    return ZARR if output.suffix.lower() == ".zarr" else TIFF


def free_disk(path: Path) -> int:
    """Count the bytes that are free where something is to be written."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _tried(stack: Stack, plan: Plan) -> list[Region]:
    """Choose what a trial computes of a result: its middle."""
    *leading, height, width = plan.shape_of(stack)
    middle, n = [length // 2 for length in leading], 1
    side = (SIDE if plan.z is None else SIDE_ALONG_Z) * plan.factor
    cuts = [
        slice(
            max(0, (length - side) // 2 // plan.factor * plan.factor),
            min(length, (length + side) // 2 // plan.factor * plan.factor),
        )
        for length in (height, width)
    ]
    axis = 0
    if plan.z is not None:  # planes of one slab
        axis = plan.z.axis
        middle[axis] = middle[axis] // plan.z.slab * plan.z.slab
        n = min(PLANES, plan.z.slab, leading[axis] - middle[axis])
    indices = [
        tuple(place + i * (number == axis) for number, place in enumerate(middle))
        for i in range(n)
    ]
    return [Region(index, cuts[0], cuts[1]) for index in indices]


def _pixels_of(
    stack: Stack, upscaler: Upscaler, plan: Plan, regions: Sequence[Region]
) -> np.ndarray:
    *_, last = result_steps(stack, upscaler, plan, regions)
    assert last.plane is not None  # it comes with the last tile
    return last.plane


def _share_stored(pixels: np.ndarray, suffix: str, compression: str | None) -> float:
    """Write pixels as they would be in a result, and look how large that is."""
    if compression in (None, "none"):
        return 1.0
    with TemporaryDirectory() as folder:
        path = Path(folder, f"trial{suffix}")
        with create_stack(
            path,
            shape=pixels.shape,
            dtype=pixels.dtype,
            axes=[Axis("y"), Axis("x")],
            provenance={},
            compression=compression,
        ) as writer:
            writer.write((), pixels)
        files = [path] if path.is_file() else path.rglob("*")
        n_bytes = sum(file.stat().st_size for file in files if file.is_file())
    return min(n_bytes / pixels.nbytes, 0.999)


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """What is looked at for all regions of a recording, counted and not listed."""

    n_regions: int
    n_pixels: int
    """Recorded, those that several regions look at counted for each of them; along z
    those of all XZ, YZ and XY planes."""
    largest: int
    """Recorded pixels that one region looks at; along z the fine voxels of a slab."""


def _looked_at_once(shape: Shape, plan: Plan, regions: Sequence[Region]) -> _LookedAt:
    """Tell what one region looks at, or those of one slab."""
    if plan.z is not None:
        effort = effort_of(shape, plan, regions)
        return _LookedAt(len(regions), effort.n_pixels, effort.n_voxels)
    part = regions[0].recorded(plan.factor)
    n_pixels = prod(part.window((shape[-2], shape[-1]), margin_of(plan)).shape)
    return _LookedAt(1, n_pixels, n_pixels)


def _looked_at(shape: Shape, plan: Plan, is_zarr: bool) -> _LookedAt:
    if plan.z is not None:
        return _slabs_looked_at(shape, plan, plan.z, is_zarr)
    plane = (shape[-2], shape[-1])
    side = region_side(plan.factor) if is_zarr else max(plane)
    lines = [_line(length, side, margin_of(plan)) for length in plane]
    n_regions, n_pixels, largest = (prod(parts) for parts in zip(*lines, strict=True))
    n_planes = prod(shape[:-2])
    return _LookedAt(n_planes * n_regions, n_planes * n_pixels, largest)


def _slabs_looked_at(
    shape: Shape, plan: Plan, along: AlongZ, is_zarr: bool
) -> _LookedAt:
    """Add up the slabs of a volume, and multiply by how many volumes there are."""
    *leading, height, width = plan.shape_from(shape)
    side = region_side(plan.factor) * plan.factor if is_zarr else max(height, width)
    n_planes = leading[along.axis]
    looked = []
    for start in range(0, n_planes, along.slab):
        ends = (start, min(start + along.slab, n_planes) - 1)
        for part in Regions((height, width), side):
            indices = [[0] * len(leading), [0] * len(leading)]
            for index, end in zip(indices, ends, strict=True):
                index[along.axis] = end
            slab = [replace(part, index=tuple(index)) for index in indices]
            looked.append(_looked_at_once(shape, plan, slab))
    n_volumes = prod(leading) // n_planes
    return _LookedAt(
        n_volumes * n_planes * len(Regions((height, width), side)),
        n_volumes * sum(one.n_pixels for one in looked),
        max(one.largest for one in looked),
    )


def _line(length: int, side: int, margin: int) -> tuple[int, int, int]:
    """Count the regions along an axis, what all of them see, and what one sees."""
    n = -(-length // side)
    # What those far from both ends see is not cut off there.
    at_ends = -(-margin // side) + 1
    n_inside = max(0, n - 2 * at_ends)
    numbers = [*range(min(n, at_ends)), *range(max(at_ends, n - at_ends), n)]
    seen = [
        min(length, (i + 1) * side + margin) - max(0, i * side - margin)
        for i in numbers
    ]
    inside = side + 2 * margin
    return n, sum(seen) + n_inside * inside, max([*seen, inside * (n_inside > 0)])

"""Finer along z: a volume → the same volume with more planes, by a model of the plane.

XZ planes are super-resolved like any plane and binned back along x, YZ planes along y;
the mean of both is finer along z alone. Where there is noise, each plane is averaged
with the two beside it before, as far as they differ by noise. Where the model's factor
is less than what is asked for, it is applied again; what is too fine then is averaged.
This module alone knows that, and what a part of a volume depends on: a box with a
margin on every side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil, floor, prod
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import correlate1d

from napari_sr.image.intensity import NoiseLevel, fill_gaps, restore_gaps
from napari_sr.image.regions import Region
from napari_sr.image.sampling import binned
from napari_sr.image.stack import Stack
from napari_sr.instrument.data_consistency import reach_of
from napari_sr.upscaling.planes import TileStep, agreeing, margin_of, region_steps

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sr.models.upscaler import Upscaler
    from napari_sr.upscaling.plan import AlongZ, Plan

    Box = tuple[slice, slice, slice]
    """Along z, y and x."""
    Volume = NDArray[np.float32]
    """`(z, y, x)` counts."""

_NEARLY = 1e-9
"""Planes by which a ratio such as 10/3 misses the border of one."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """One application of the model."""

    seen: Box
    """What it is given, in the volume before it."""
    kept: Box
    """In what it is given, where its result is right."""


@dataclass(frozen=True, slots=True)
class _Slab:
    """Planes of a result that are computed together, in one part of the plane."""

    others: tuple[int, ...]
    """Index over the leading axes but z."""
    planes: range
    """Along z, of the result."""
    box: Box
    """Recorded pixels to which they belong, with what agreement and the plane see."""
    passes: tuple[_Pass, ...]

    @property
    def n_turned(self) -> int:
        """Count the XZ and YZ planes that are super-resolved."""
        return sum(_length(cut) for each in self.passes for cut in each.kept[1:])


@dataclass(frozen=True, slots=True)
class Effort:
    """What a slab takes of a machine."""

    n_pixels: int
    """That the model is given in all planes, however turned, halos included."""
    n_voxels: int
    """Fine ones of the volume that is held."""


def effort_of(shape: Sequence[int], plan: Plan, regions: Sequence[Region]) -> Effort:
    """Tell what regions of one slab take, of a recording of this shape."""
    slab, turned = _slab_for(shape, plan, regions), _turned_plan(plan, 0)
    n_pixels = n_voxels = 0
    for each in slab.passes:
        kept_z, *kept = each.kept
        seen_z, *seen = map(_length, each.seen)
        for across, along in ((0, 1), (1, 0)):
            part = Region((), kept_z, kept[along])
            given = _n_given(part, (seen_z, seen[along]), turned)
            n_pixels += _length(kept[across]) * given
        n_voxels = prod(map(_length, each.kept)) * turned.factor
    if plan.factor > 1:
        part = regions[0].recorded(plan.factor)
        given = _n_given(part, (shape[-2], shape[-1]), plan)
        n_pixels += len(slab.planes) * given
    return Effort(n_pixels, n_voxels)


def _n_given(part: Region, shape: tuple[int, int], plan: Plan) -> int:
    """Count the pixels that the model is given for a part of a plane."""
    window = part.window(shape, margin_of(plan))
    return prod(side + 2 * plan.halo for side in window.shape)


def slab_number(plan: Plan, region: Region) -> tuple[int, ...]:
    """Tell which regions of a result are best done together: those of one number."""
    along = plan.z
    cuts = (region.rows.start, region.columns.start)
    if along is None:
        return (*region.index, *cuts)
    others, z = _parted(region.index, along.axis)
    return (*others, *cuts, z // along.slab)


def volume_steps(
    stack: Stack, upscaler: Upscaler, plan: Plan, regions: Sequence[Region]
) -> Iterator[TileStep]:
    """Super-resolve parts of volumes along z, and in the plane as the plan says.

    Parameters
    ----------
    stack
        The recording, with an axis z; a box of it is in memory.
    upscaler
        Already on its device.
    plan
        From `make_plan`, with `z`.
    regions
        Parts of planes of the result, in its pixels. Those of one slab (`slab_number`)
        are computed together where they follow each other.

    Yields
    ------
    TileStep
        After each XZ or YZ plane, and with each region its pixels.
    """
    groups = [
        list(some) for _, some in groupby(regions, lambda r: slab_number(plan, r))
    ]
    slabs = [_slab_for(stack.shape, plan, group) for group in groups]
    n_all = len(regions) + sum(slab.n_turned for slab in slabs)
    n_done = 0
    for slab, group in zip(slabs, groups, strict=True):
        refining = _refined(stack, upscaler, plan, slab)
        while True:
            try:
                next(refining)
            except StopIteration as end:
                volume: Volume = end.value
                break
            n_done += 1
            yield TileStep(group[0].index, n_done, n_all)
        parts = _in_plane(volume, upscaler, plan, slab, group)
        for region, (pixels, *counted) in zip(group, parts, strict=True):
            n_done += 1
            yield TileStep(region.index, n_done, n_all, pixels, *counted)


def _slab_for(shape: Sequence[int], plan: Plan, regions: Sequence[Region]) -> _Slab:
    """Find what regions of one slab depend on."""
    along = _along(plan)
    others, _ = _parted(regions[0].index, along.axis)
    wanted = [_parted(region.index, along.axis)[1] for region in regions]
    planes = range(min(wanted), max(wanted) + 1)
    n_recorded, *sides = (shape[along.axis], *shape[-2:])
    times = along.factor**along.n_passes
    start, stop = _fine_range(along, planes.start, planes.stop, n_recorded)
    part = regions[0].recorded(plan.factor)
    margin = _margin_in_plane(plan) + reach_of(along.consistency, 1)
    box = (
        slice(start // times, -(-stop // times)),
        _grown(part.rows, margin, sides[0]),
        _grown(part.columns, margin, sides[1]),
    )
    passes: list[_Pass] = []
    reach = margin_of(_turned_plan(plan, 0))
    rows, columns = box[1:]
    for number in reversed(range(along.n_passes)):
        before = along.factor**number
        if passes:  # whole planes of the volume before that
            z = passes[-1].seen[0]
            z = slice(z.start // along.factor, -(-z.stop // along.factor))
            rows, columns = passes[-1].seen[1:]
        else:
            z = slice(box[0].start * before, box[0].stop * before)
        kept = (z, rows, columns)
        seen_z = _grown(z, reach, n_recorded * before)
        if number:  # its planes come in the blocks of the pass before
            seen_z = slice(
                seen_z.start // along.factor * along.factor,
                -(-seen_z.stop // along.factor) * along.factor,
            )
        seen = (
            seen_z,
            _grown(rows, reach, sides[0]),
            _grown(columns, reach, sides[1]),
        )
        passes.append(_Pass(seen, _within(kept, seen)))
    return _Slab(others, planes, box, tuple(reversed(passes)))


def _refined(
    stack: Stack, upscaler: Upscaler, plan: Plan, slab: _Slab
) -> Generator[None, None, Volume]:
    """Super-resolve a slab along z; a step for each XZ and YZ plane."""
    along, seen = _along(plan), slab.passes[0].seen
    volume, gaps = _recorded(stack, along, slab.others, seen)
    own = _within(slab.box, seen)
    low, gaps = volume[own], gaps[own]
    for number, each in enumerate(slab.passes):
        made = []
        for weight, order in zip(along.neighbours, ((1, 0, 2), (2, 0, 1)), strict=True):
            beside = 0.0 if number else weight
            settled = _turned_plan(plan, number, beside)
            shown = _with_neighbours(volume, beside, order[0])
            finer = yield from _turned(shown, order, each.kept, upscaler, settled)
            made.append(finer)
        xz, yz = made
        volume = np.float32(0.5) * (xz + yz)
    times = along.factor**along.n_passes
    volume = _agreeing_along_z(volume, low, plan)
    if gaps.any():
        volume[gaps.repeat(times, axis=0)] = np.nan
    return _averaged(volume, along, slab, stack.leading_shape[along.axis])


def _recorded(
    stack: Stack, along: AlongZ, others: tuple[int, ...], box: Box
) -> tuple[Volume, NDArray[np.bool_]]:
    """Read a box; what holds no number is filled, and marked."""
    shape = tuple(_length(cut) for cut in box)
    volume, gaps = np.empty(shape, np.float32), np.zeros(shape, np.bool_)
    for number, z in enumerate(range(box[0].start, box[0].stop)):
        index = (*others[: along.axis], z, *others[along.axis :])
        volume[number], missing = fill_gaps(stack.window(index, box[1:]))
        if missing is not None:
            gaps[number] = missing
    return volume, gaps


def _with_neighbours(volume: Volume, weight: float, across: int) -> Volume:
    """Average each plane with the two beside it, of so much weight each."""
    if not weight:
        return volume
    weights = (weight, 1 - 2 * weight, weight)
    averaged: Volume = correlate1d(volume, weights, axis=across, mode="mirror")
    return averaged


def _turned(
    volume: Volume,
    order: tuple[int, int, int],
    kept: Box,
    upscaler: Upscaler,
    plan: Plan,
) -> Generator[None, None, Volume]:
    """Super-resolve the planes of a volume that hold z, and bin the other axis back.

    Parameters
    ----------
    volume
        What is seen.
    order
        (1, 0, 2) for XZ planes, (2, 0, 1) for YZ ones.
    kept
        Where in it.
    upscaler, plan
        As for a plane.

    Returns
    -------
    ndarray
        `(factor·z, y, x)` of what is kept.
    """
    across, z, along = (kept[axis] for axis in order)
    planes = Stack.from_array(volume.transpose(order))
    regions = [Region((i,), z, along) for i in range(across.start, across.stop)]
    shape = (_length(across), _length(z) * plan.factor, _length(along))
    finer = np.empty(shape, np.float32)
    for step in region_steps(planes, upscaler, plan, regions):
        if step.plane is not None:
            binned_back = binned(step.plane, plan.factor, axes=(1,))
            finer[step.index[0] - across.start] = binned_back
            yield
    return finer.transpose(np.argsort(order))


def _agreeing_along_z(volume: Volume, low: Volume, plan: Plan) -> Volume:
    """Make a volume agree with its recording, as far as noise explains no difference.

    Binned along z again, each plane is one that was recorded: it is judged and
    corrected like a plane, so that it has its mean, and no stripes are left.
    """
    settled = _turned_plan(plan, 0).model_copy(
        update={"factor": 1, "consistency": _along(plan).consistency}
    )
    volume = np.ascontiguousarray(volume)  # of which the blocks are views
    blocks = volume.reshape(len(low), -1, *low.shape[1:])
    for block, recorded in zip(blocks, low, strict=True):
        again = block.mean(axis=0, dtype=np.float64).astype(np.float32)
        network = plan.intensity.normalize(again)
        added = agreeing(network, recorded, settled) - network
        block += added * np.float32(plan.intensity.high - plan.intensity.low)
    return volume


def _averaged(volume: Volume, along: AlongZ, slab: _Slab, n_recorded: int) -> Volume:
    """Average fine planes to those that are asked for, by what they hold of each."""
    times = along.factor**along.n_passes
    first = slab.box[0].start * times
    start, stop = slab.planes.start, slab.planes.stop
    if along.ratio == times:
        return volume[start - first : stop - first]
    result = np.empty((len(slab.planes), *volume.shape[1:]), np.float32)
    for number, z in enumerate(slab.planes):
        low, high = _fine_range(along, z, z + 1, n_recorded)
        ends = np.clip(np.array([z, z + 1]) * times / along.ratio, low, high)
        places = np.arange(low, high)
        shares = np.minimum(places + 1, ends[1]) - np.maximum(places, ends[0])
        shares = np.maximum(shares, 0) / np.maximum(shares, 0).sum()
        planes = volume[low - first : high - first]
        result[number] = np.tensordot(shares.astype(np.float32), planes, 1)
    return result


def _in_plane(
    volume: Volume,
    upscaler: Upscaler,
    plan: Plan,
    slab: _Slab,
    regions: Sequence[Region],
) -> Iterator[tuple[NDArray, int, int]]:
    """Finish the planes of a slab: pixels, how many clipped, tiles computed again."""
    along = _along(plan)
    part = regions[0].recorded(plan.factor)
    kept = (
        _shifted(part.rows, -slab.box[1].start),
        _shifted(part.columns, -slab.box[2].start),
    )
    numbers = [_parted(r.index, along.axis)[1] - slab.planes.start for r in regions]
    if plan.factor == 1:
        for number in numbers:
            plane, gaps = fill_gaps(volume[number][kept])
            network = plan.intensity.normalize(plane)
            counts, n_clipped = plan.intensity.denormalize(network, plan.dtype)
            yield restore_gaps(counts, gaps, 1, plan.intensity), n_clipped, 0
        return
    settled = plan.model_copy(update={"z": None})
    parts = [Region((number,), *kept) for number in numbers]
    for step in region_steps(Stack.from_array(volume), upscaler, settled, parts):
        if step.plane is not None:
            yield step.plane, step.n_clipped, step.n_repeated


def _turned_plan(plan: Plan, number: int, weight: float = 0.0) -> Plan:
    """Give the plan for XZ and YZ planes: the first pass has the recording's noise.

    It is less where planes are averaged with those beside them, of so much weight each.
    """
    along = _along(plan)
    noise = along.noise if number == 0 or along.noise is None else NoiseLevel()
    if noise is not None and weight:
        share = (1 - 2 * weight) ** 2 + 2 * weight**2
        noise = replace(noise, gain=noise.gain * share, read=noise.read * share**0.5)
    return plan.model_copy(
        update={
            "z": None,
            "factor": along.factor,
            "reach": along.reach,
            "noise": noise,
            "consistency": "off",
            "psf_sigma": 0.0,
            "dtype": "float32",
        }
    )


def _margin_in_plane(plan: Plan) -> int:
    return 0 if plan.factor == 1 else margin_of(plan)


def _fine_range(
    along: AlongZ, start: int, stop: int, n_recorded: int
) -> tuple[int, int]:
    """Tell which fine planes those of a result are averaged from."""
    times = along.factor**along.n_passes
    ends = (n * times / along.ratio for n in (start, stop))
    low, high = floor(next(ends) + _NEARLY), ceil(next(ends) - _NEARLY)
    return low, min(max(high, low + 1), n_recorded * times)


def _parted(index: tuple[int, ...], axis: int) -> tuple[tuple[int, ...], int]:
    """Part an index over the leading axes into that along z and the others."""
    return (*index[:axis], *index[axis + 1 :]), index[axis]


def _grown(cut: slice, margin: int, length: int) -> slice:
    return slice(max(0, cut.start - margin), min(length, cut.stop + margin))


def _within(box: Box, seen: Box) -> Box:
    z, y, x = (_shifted(b, -s.start) for b, s in zip(box, seen, strict=True))
    return z, y, x


def _shifted(cut: slice, by: int) -> slice:
    return slice(cut.start + by, cut.stop + by)


def _length(cut: slice) -> int:
    return cut.stop - cut.start  # type: ignore[no-any-return]


def _along(plan: Plan) -> AlongZ:
    assert plan.z is not None  # what the plan of a volume has
    return plan.z

"""What a training is given → pairs that were checked, registered and put on one scale.

This module alone knows the order of these steps, and what is said about them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psutil

from napari_sr.datasets.images import images_of
from napari_sr.datasets.pairs.brightness import fit_brightness
from napari_sr.datasets.pairs.checks import Placement, check_kind, place_all
from napari_sr.datasets.pairs.measured import PairReport, combine_pair
from napari_sr.datasets.pairs.mix_ups import StackPair
from napari_sr.datasets.pairs.names import PairError, match_names, match_order
from napari_sr.datasets.pairs.volumes import are_volumes, match_volumes, ratio_of
from napari_sr.datasets.plane_cache import FilledPlane, PlaneCache
from napari_sr.datasets.registration import Registration
from napari_sr.datasets.sources import SourceImage, find_recordings
from napari_sr.image.intensity import IntensityRange
from napari_sr.image.stack import Stack, StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.datasets.pairs.brightness import Brightness
    from napari_sr.datasets.pairs.measured import MeasuredPair
    from napari_sr.datasets.pairs.mix_ups import Index
    from napari_sr.datasets.sources import Sources
    from napari_sr.image.intensity import IntensityPolicy

LARGEST_SHIFT = 5.0
"""Low-resolution pixels up to which a shift is corrected, unless stated."""
_COPIES = 4
"""Of two volumes, as float32, while they are found in each other."""
_FOLLOWS = 0.8
"""Correlation of the coarse structure of both images below which it is said."""


@dataclass(frozen=True, slots=True)
class PairCheck:
    """The pairs that can be learnt from, and what was said about them."""

    pairs: list[MeasuredPair]
    """One per plane, stack after stack."""
    notes: list[str]
    """One sentence each: how partners were found, and what was done to each stack."""


def gather_pairs(
    low_sources: Sources,
    high_sources: Sources,
    factor: int,
    policy: IntensityPolicy,
    *,
    channel: int | None = None,
    largest_shift: float = LARGEST_SHIFT,
    cache: PlaneCache | None = None,
) -> PairCheck:
    """Gather and check pairs of recordings; their pixels are read when they are needed.

    Two volumes whose planes do not belong together one by one are found in each other
    first, see `match_volumes`: by the sizes of their voxels where the files have them,
    else as showing the same. They are read whole, and their planes then stay as they
    were placed.

    Files are matched by name, without case and marks such as `_lr` and `_hr`; where no
    name is like another, and arrays, by their order. Of each stack up to 24 planes are
    registered; where they agree their median shift holds for all planes, else every
    plane is registered. The high image is moved by whole pixels and quintic splines,
    and both are cropped to what they share. Planes that show too little to be placed to
    a tenth of a pixel are left out, unless the rest of their stack says where they lie.

    The range of each low stack is measured as for a recording to be upscaled. The high
    stack is put on the same scale by one gain and offset, fitted to the coarse
    structure of its registered planes, so that a network learns resolution and not a
    change of brightness.

    Parameters
    ----------
    low_sources, high_sources
        Arrays, stacks, files, folders or patterns, see `find_recordings`.
    factor
        Low-resolution pixel over high-resolution pixel.
    policy
        How the range of each low stack is found: the model's own.
    channel
        Which channel of each file, from 0; None where there is only one.
    largest_shift
        Low-resolution pixels up to which a shift is corrected; a larger one is refused.
    cache
        Where decoded planes are kept; a new one of 1 GiB when not given.

    Raises
    ------
    PairError
        If anything is missing or of the wrong size or type, does not show the same as
        its partner, belongs to another one, or is shifted too far; or if nothing is
        left to learn from.
    """
    if factor < 2 or not 0 < largest_shift < math.inf:
        raise PairError(
            f"Pairs need a factor of at least 2 and a largest shift above 0, not "
            f"{factor} and {largest_shift}."
        )
    cache = PlaneCache() if cache is None else cache
    low = _found(low_sources, channel, cache)
    high = _found(high_sources, channel, cache)
    matched, how = _matched(low, high)
    stacks = [StackPair(low[i], high[j], factor) for i, j in matched]
    volumes = [s for s in stacks if are_volumes(s.low.stack, s.high.stack, factor)]
    planes = [stack for stack in stacks if stack not in volumes]
    for stack in planes:
        check_kind(stack)
    try:
        gathered = [
            _pairs_of(stack, placement, policy)
            for stack, placement in zip(
                planes, place_all(planes, largest_shift), strict=True
            )
        ]
        gathered += [_pairs_of_volumes(stack, policy) for stack in volumes]
    except StackError as error:
        raise PairError(str(error)) from error
    pairs = [pair for of_recording, _ in gathered for pair in of_recording]
    if not pairs:
        raise PairError(
            f"None of the {len(stacks)} pairs has enough detail to be registered to a "
            "tenth of a pixel. Record less noisy images or larger fields."
        )
    return PairCheck(pairs, [how, *(note for _, notes in gathered for note in notes)])


def _found(
    sources: Sources, channel: int | None, cache: PlaneCache
) -> list[SourceImage]:
    try:
        return find_recordings(sources, channel=channel, cache=cache)
    except ValueError as error:
        raise PairError(str(error)) from error


def _matched(
    low: list[SourceImage], high: list[SourceImage]
) -> tuple[list[tuple[int, int]], str]:
    if all(recording.is_file for recording in (*low, *high)):
        return match_names(
            [recording.name for recording in low],
            [recording.name for recording in high],
        )
    return match_order(len(low), len(high), "not all of which are named files")


def _pairs_of(
    stack: StackPair, placement: Placement, policy: IntensityPolicy
) -> tuple[list[MeasuredPair], list[str]]:
    """Bring the planes of a stack together, and say what was done."""
    name, n_planes = stack.low.name, stack.low.stack.n_planes
    n_left_out = n_planes - len(placement.shifts)
    left_out = (
        f"{name}: {n_left_out} of {n_planes} planes have too little detail to be "
        "registered to a tenth of a pixel and were left out."
    )
    notes = [left_out] if n_left_out else []
    if not placement.shifts:
        return [], notes
    intensity = IntensityRange.measure(stack.low.cached_stack(), policy)
    fit = fit_brightness(stack, placement)
    if fit.correlation < _FOLLOWS:
        notes.append(
            f"{name}: the brightness of both images is only loosely related "
            f"(correlation {fit.correlation:.2f})."
        )
    ends = [(end - fit.offset) / fit.gain for end in (intensity.low, intensity.high)]
    scaled = IntensityRange(*ends)
    lows, highs = images_of(stack.low, intensity), images_of(stack.high, scaled)
    pairs = [
        combine_pair(low, high, stack.factor, _report(placement, at, fit))
        for at, low, high in zip(stack.low.stack.indices(), lows, highs, strict=True)
        if at in placement.shifts
    ]
    return pairs, [*notes, _said(name, pairs, len(placement.measured))]


def _pairs_of_volumes(
    stack: StackPair, policy: IntensityPolicy
) -> tuple[list[MeasuredPair], list[str]]:
    """Find a volume in another, and bring their planes together."""
    low, high = stack.low.stack, stack.high.stack
    _check_memory(stack)
    try:
        found = match_volumes(
            _volume(low),
            _volume(high),
            ratio_of(low, high),
            stack.factor,
        )
    except PairError as error:
        raise PairError(f"{low.name} and {high.name}: {error}") from error
    cut = StackPair(
        _source(stack.low, found.low),
        _source(stack.high, found.high),
        stack.factor,
    )
    there = Registration((0.0, 0.0), found.correlation, math.inf, 0.0, 0.0)
    placed = dict.fromkeys(cut.low.stack.indices(), there)
    place = ", ".join(f"{at:.2f}" for at in found.place)
    note = (
        f"{low.name}: {high.name} starts at ({place}) of its voxels (z, y, x); "
        f"correlation {found.correlation:.2f}, {len(found.low)} planes of "
        f"{' × '.join(map(str, found.low.shape[1:]))} px are shared."
    )
    placement = Placement(dict.fromkeys(placed, there.shift), placed)
    pairs, notes = _pairs_of(cut, placement, policy)
    return pairs, [note, *notes]


def _volume(stack: Stack) -> NDArray:
    """Read all planes, their gaps filled; they are needed once."""
    return np.stack(
        [FilledPlane.of(stack.plane(i)).counts for i in stack.indices()]
    ).astype(np.float32, copy=False)


def _source(source: SourceImage, volume: NDArray) -> SourceImage:
    """Give a part that was cut out the name of what it was cut from."""
    stack = Stack.from_array(volume, name=source.name)
    return SourceImage(source.name, stack, source.cache, source.is_file)


def _check_memory(stack: StackPair) -> None:
    """Refuse volumes that do not fit into memory, as what is made of them."""
    n_bytes = (
        _COPIES
        * 4
        * (math.prod(stack.low.stack.shape) + math.prod(stack.high.stack.shape))
    )
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise PairError(
            f"{stack.low.name} and {stack.high.name} are registered as volumes, which "
            f"needs {n_bytes / 1e9:.3g} GB of memory; {free / 1e9:.3g} GB are free. "
            "Give a part of each."
        )


def _said(name: str, pairs: Sequence[MeasuredPair], n_measured: int) -> str:
    if len(pairs) == 1:
        return f"{name}: {pairs[0].report}."
    shifts = np.array([pair.shift for pair in pairs])
    if np.ptp(shifts, axis=0).max() == 0:
        return f"{name}: {pairs[0].report}; measured on {n_measured} planes."
    (top, left), (bottom, right) = shifts.min(axis=0), shifts.max(axis=0)
    return (
        f"{name}: planes are shifted by ({top:+.2f}, {left:+.2f}) to ({bottom:+.2f}, "
        f"{right:+.2f}) low-resolution pixels (y, x), each corrected."
    )


def _report(placement: Placement, index: Index, fit: Brightness) -> PairReport:
    registration = placement.measured.get(index)
    return PairReport(
        placement.shifts[index],
        None if registration is None else registration.uncertainty,
        None if registration is None else registration.correlation,
        fit.gain,
        fit.offset,
    )

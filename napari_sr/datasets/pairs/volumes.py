"""A coarse and a fine volume of one specimen → planes of both that show the same slabs.

This module alone knows how volumes are found in each other: the fine one is binned to
the voxels of the coarse one, looked for in it, and moved until the differences are
least. What is left between two planes, pairs of planes take care of.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
from skimage.feature import match_template

from napari_sr.datasets.pairs.names import PairError
from napari_sr.image.sampling import means_between
from napari_sr.image.units import convert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack

    Volume = NDArray[np.float32]
    """`(z, y, x)` counts."""

_CORE = 0.6
"""Share of each side of the fine volume, in its middle, that is looked for: the rest
may lie outside the coarse one."""
_SMALLEST = 6
"""Coarse voxels a side that are enough to find a place."""
_FEWEST = ceil(_SMALLEST / _CORE)
_ALIKE = 0.5
"""Correlation below which two volumes are not taken for one specimen."""
_BESIDE = 3
"""Coarse voxels around the best place that are that place."""
_CERTAIN, _DISTINCT = 0.7, 0.25
"""Correlation from which two volumes are of one specimen, and by how much that of the
best place must be above all others below it, by the transformation of Fisher: of 14
real pairs it was 0.76 to 0.88, of their halves exchanged up to 0.66, hardly above that
of other places."""
_UNEVEN = 0.5
"""By how much the ratio in the plane may fall short of the factor: sizes of voxels are
rounded, and a magnification is never exact."""
_STEPS, _STEP, _ENOUGH = 12, 0.25, 1e-3
"""Of the search for the least difference, in coarse voxels."""


@dataclass(frozen=True, slots=True)
class VolumePair:
    """Two volumes of one specimen, plane by plane."""

    low: Volume
    """`(z, y, x)` of the coarse volume, where the fine one is."""
    high: Volume
    """`(z, factor·y, factor·x)` of the fine one: thick planes at the same places."""
    place: tuple[float, float, float]
    """Of the first corner of the fine volume, in coarse voxels from that of the coarse.
    """
    correlation: float
    """Of both, on the coarse voxels."""


def are_volumes(low: Stack, high: Stack, factor: int) -> bool:
    """Tell whether two stacks are to be found in each other as volumes.

    Planes that belong to each other one by one are pairs of planes, whatever they are
    planes of; so are stacks along time, and of a few planes. Pages of a file that does
    not say what they are may lie along z. Where no size of a voxel is known, as many
    planes are taken for planes.
    """
    for stack in (low, high):
        if len(stack.shape) != 3 or stack.axes[0].name == "t":
            return False
        if stack.shape[0] < _FEWEST:
            return False
    (n, y, x), (n_fine, *_) = low.shape, high.shape
    if high.shape == (n, factor * y, factor * x):
        return False
    ratio = ratio_of(low, high)
    return n_fine > n if ratio is None else min(ratio) >= 1


def ratio_of(low: Stack, high: Stack) -> tuple[float, ...] | None:
    """Give the fine voxels for each coarse one by their sizes, if those are known."""
    ratio = []
    for coarse, fine in zip(low.axes, high.axes, strict=True):
        own = convert(fine.spacing, fine.unit, coarse.unit) if fine.unit else None
        if not own:
            return None
        ratio.append(round(coarse.spacing / own, 6))  # 1 is 1, in whatever unit
    return tuple(ratio)


def match_volumes(
    low: NDArray,
    high: NDArray,
    ratio: Sequence[float] | None = None,
    factor: int | None = None,
) -> VolumePair:
    """Find a fine volume in a coarse one, and give planes that show the same.

    Parameters
    ----------
    low
        `(z, y, x)` counts of the coarse volume.
    high
        `(z, y, x)` counts of the fine one, of all of the specimen or a part; in any
        scale of counts, since pairs of planes are brought to one.
    ratio
        Fine voxels for each coarse one, along z, y and x; that of the shapes when not
        given, which is right where both show the same.
    factor
        Pixels of the fine planes for each coarse one, at most the ratio in the plane;
        the ratio, rounded, when not given.

    Returns
    -------
    VolumePair
        Its planes are `low_images` and `images` of a training.

    Raises
    ------
    PairError
        If they do not show one specimen, or less than a few voxels of it.
    """
    low, high = (np.asarray(volume, np.float32) for volume in (low, high))
    if low.ndim != 3 or high.ndim != 3:
        raise PairError(
            f"Two volumes (z, y, x) are expected, but arrays with {low.ndim} and "
            f"{high.ndim} axes were given. Give one channel and one time point."
        )
    shapes = zip(high.shape, low.shape, strict=True)
    times = [h / n for h, n in shapes] if ratio is None else list(map(float, ratio))
    least = (factor or 2) - _UNEVEN
    if len(times) != 3 or min(times) < 1 or min(times[1:]) < least:
        raise PairError(
            f"The fine volume has {' x '.join(f'{t:.3g}' for t in times)} voxels (z, "
            f"y, x) for each of the coarse one; at least {factor or 2} in the plane "
            f"and 1 along z are expected. Give the ratio along z, y and x, or files "
            f"with the size of their voxels."
        )
    place, correlation = _placed(low, high, times)
    if correlation < _ALIKE:
        raise PairError(
            "The fine volume matches the coarse one nowhere (correlation "
            f"{correlation:.2f}). Check that both show the same specimen in the same "
            "orientation."
        )
    factor = factor or round(min(times[1:]))
    return _cut(low, high, times, factor, place, correlation)


def _placed(
    low: Volume, high: Volume, times: Sequence[float]
) -> tuple[NDArray[np.float64], float]:
    """Find the first corner of the fine volume, to a fraction of a coarse voxel."""
    n_own = [floor(side / t + 1e-9) for side, t in zip(high.shape, times, strict=True)]
    margins = [floor(n * (1 - _CORE) / 2) for n in n_own]
    inner = [
        min(n - 2 * m, side)
        for n, m, side in zip(n_own, margins, low.shape, strict=True)
    ]
    if min(inner) < _SMALLEST:
        raise PairError(
            f"Of the fine volume {' x '.join(map(str, n_own))} coarse voxels are left; "
            f"at least {_FEWEST} a side are needed to find it."
        )
    core = _means(high, times, np.array(margins, np.float64), inner)
    scores = match_template(low, core)  # type: ignore[no-untyped-call]
    best = np.unravel_index(int(np.argmax(scores)), scores.shape)
    part = low[tuple(slice(b, b + n) for b, n in zip(best, inner, strict=True))]
    shift = np.zeros(3)  # of the core in the fine volume, from where it was cut
    for _ in range(_STEPS):
        moved = [
            _means(high, times, margins + shift + _STEP * direction, inner)
            for direction in (np.zeros(3), *np.eye(3), *-np.eye(3))
        ]
        slopes = [(moved[1 + a] - moved[4 + a]) / (2 * _STEP) for a in range(3)]
        columns = np.stack(
            [moved[0], np.ones_like(part), *slopes], axis=-1, dtype=np.float64
        )
        found, *_ = np.linalg.lstsq(columns.reshape(-1, 5), part.ravel(), rcond=None)
        change = np.clip(found[2:] / (found[0] or 1.0), -0.5, 0.5)
        shift = np.clip(shift + change, -1.5, 1.5)
        if np.abs(change).max() < _ENOUGH:
            break
    core = _means(high, times, margins + shift, inner)
    correlation = float(np.nan_to_num(np.corrcoef(core.ravel(), part.ravel())[0, 1]))
    if _ALIKE <= correlation < _CERTAIN and (other := _next_best(scores, best)):
        raise PairError(
            f"The fine volume matches the coarse one hardly better at its best place "
            f"(correlation {correlation:.2f}) than elsewhere ({other:.2f}). Check that "
            f"both show the same specimen in the same orientation."
        )
    return np.array(best) - margins - shift, correlation


def _next_best(scores: NDArray, best: Sequence[np.intp]) -> float:
    """Give the score of another place that is nearly as good; 0 if there is none."""
    elsewhere = np.ones(scores.shape, bool)
    elsewhere[tuple(slice(max(0, b - _BESIDE), b + _BESIDE + 1) for b in best)] = False
    if not elsewhere.any():
        return 0.0
    own, other = float(scores[tuple(best)]), float(scores[elsewhere].max())
    return other if np.arctanh(own) - np.arctanh(other) < _DISTINCT else 0.0


def _cut(
    low: Volume,
    high: Volume,
    times: Sequence[float],
    factor: int,
    place: NDArray[np.float64],
    correlation: float,
) -> VolumePair:
    """Take the coarse voxels that the fine volume covers wholly, and the fine ones."""
    first = [max(0, ceil(at - 1e-6)) for at in place]
    ends = [
        min(n, floor(at + side / t + 1e-6))
        for n, at, side, t in zip(low.shape, place, high.shape, times, strict=True)
    ]
    if min(e - f for f, e in zip(first, ends, strict=True)) < 2:
        raise PairError(
            "The fine volume covers no two voxels of the coarse one along each axis. "
            "Give volumes with a larger overlap."
        )
    fine = (1, factor, factor)
    starts = (np.array(first) - place) * fine
    counts = [(e - f) * n for f, e, n in zip(first, ends, fine, strict=True)]
    planes = _means(
        high, [t / n for t, n in zip(times, fine, strict=True)], starts, counts
    )
    part = low[tuple(slice(f, e) for f, e in zip(first, ends, strict=True))]
    z, y, x = map(float, place)
    return VolumePair(part, planes, (z, y, x), correlation)


def _means(
    volume: Volume,
    times: Sequence[float],
    start: NDArray[np.float64],
    counts: Sequence[int],
) -> Volume:
    """Average to voxels so many times larger, from a place that may lie between.

    Parameters
    ----------
    volume
        The fine one; beyond its border it goes on as there.
    times
        Its voxels for each of the result, along each axis.
    start
        Of the first, in voxels of the result.
    counts
        How many there are to be.
    """
    result: NDArray = volume
    for axis, (t, begin, n) in enumerate(zip(times, start, counts, strict=True)):
        result = means_between(result, (begin + np.arange(n + 1)) * t, axis)
    return result.astype(np.float32)

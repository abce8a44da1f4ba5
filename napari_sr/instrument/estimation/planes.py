"""What is given → the planes that are looked at.

This module alone decides how many planes, and how much of each, an estimate needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from napari_sr.datasets.plane_cache import PlaneCache
from napari_sr.datasets.sources import find_recordings
from napari_sr.image.stack import DTYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.datasets import Sources

_MOST_PLANES = 40
_MOST_PIXELS = 8_000_000
"""Of all planes together; of larger ones the middle is looked at."""


def planes_of(sources: Sources, *, multiple: int = 1) -> list[NDArray]:
    """Read a sample of planes, evenly spread over all that are given.

    Parameters
    ----------
    sources
        As `find_recordings` takes them, and arrays of any real dtype.
    multiple
        Of what the sides of the planes shall be.

    Returns
    -------
    list of ndarray
        `(y, x)` counts, gaps as NaN.

    Raises
    ------
    StackError, ValueError
        If something is missing, not usable or no image.
    """
    recordings = find_recordings(_in_known_types(sources), cache=PlaneCache(0))
    places = [(one, index) for one in recordings for index in one.stack.indices()]
    n = min(len(places), _MOST_PLANES)
    chosen = np.linspace(0, len(places) - 1, n).round().astype(int)
    side = int((_MOST_PIXELS / n) ** 0.5)
    planes = []
    for i in chosen:
        recording, index = places[i]
        plane = recording.cached_stack().plane(index)
        planes.append(_middle(plane, side, multiple))
    return planes


def _in_known_types(sources: Sources) -> Sources:
    """Make float32 of arrays whose dtype no stack holds, such as float64."""
    if isinstance(sources, list | tuple):
        return [_in_known_types(source) for source in sources]
    if isinstance(sources, np.ndarray) and sources.dtype not in DTYPES:
        if sources.dtype.kind not in "iuf":
            raise ValueError(
                f"Images hold real numbers, not {sources.dtype}. Convert them."
            )
        return cast("Sources", sources.astype(np.float32))
    return sources


def _middle(plane: NDArray, side: int, multiple: int) -> NDArray:
    """Cut out the middle, with sides that are multiples of a number."""
    parts = []
    for length in plane.shape:
        kept = min(length, max(side, multiple)) // multiple * multiple
        start = (length - kept) // 2
        parts.append(slice(start, start + kept))
    return plane[parts[0], parts[1]]


def pooled_percentiles(
    planes: Sequence[NDArray], percents: tuple[float, float]
) -> tuple[float, float]:
    """Find percentiles over the finite pixels of all planes."""
    pixels = np.concatenate([plane[np.isfinite(plane)] for plane in planes])
    low, high = np.percentile(pixels, percents)
    return float(low), float(high)

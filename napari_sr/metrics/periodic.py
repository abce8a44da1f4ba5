"""Stripes and rings: what a detector, a scan or a network writes across a whole image.

This module alone knows how they are separated from the specimen: they are the same in
parts of an image that do not touch. What has the period of the factor is `lattice`'s.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARTS = 4
_SMOOTH = 9
"""Pixels over which a profile is smoothed; what is wider is taken for the specimen."""
_SIGNIFICANT = 5.0
"""Standard deviations of chance above which parts agree."""
_SMALLEST = 64
"""Pixels along a profile, and across all parts, without which nothing is said."""
_MOST_DEVIATIONS = 2.0
"""Robust standard deviations at which fine detail is cut off."""
_FIRST_RING = 16
"""Radius in pixels below which a ring has too few pixels."""


def stripes(image: NDArray) -> tuple[float, float]:
    """Measure lines that cross a whole image, along y and along x.

    Parameters
    ----------
    image
        `(y, x)` in any units, without gaps.

    Returns
    -------
    along_y, along_x : float
        Standard deviation of the profile that all parts share, in the units of the
        image; 0 where they share none.
    """
    along_y, along_x = (_shared_lines(turned) for turned in (image, image.T))
    return along_y, along_x


def rings(image: NDArray, centre: tuple[float, float]) -> float:
    """Measure rings around a point, as a detector makes them in computed tomography.

    Parameters
    ----------
    image
        `(y, x)` in any units, without gaps.
    centre
        Row and column, inside the image or not.

    Returns
    -------
    float
        As `stripes`, of the profile along the radius.
    """
    y, x = np.indices(image.shape)
    dy, dx = y - centre[0], x - centre[1]
    radius = np.hypot(dy, dx)
    # Sectors by quadrant, of which the opposite ones do not touch.
    sector = 2 * (dy >= 0) + ((dx >= 0) ^ (dy >= 0))
    n = int(radius.max()) + 1
    place = (sector * n + radius.astype(int)).ravel()
    counts = np.bincount(place, minlength=_PARTS * n).reshape(_PARTS, n)
    detail = _tamed(image, (_SMOOTH, _SMOOTH))
    sums = np.bincount(place, detail.ravel(), _PARTS * n).reshape(_PARTS, n)
    full = [
        (part, (counts[part] >= np.maximum(_FIRST_RING, np.arange(n) / 2)))
        for part in range(_PARTS)
    ]
    pairs = [
        (sums[:, both] / np.maximum(counts[:, both], 1))[[one, other]]
        for (one, first), (other, second) in combinations(full, 2)
        if (one + other) % 2 == 0
        and np.count_nonzero(both := _longest(first & second)) >= _SMALLEST
    ]
    return _amplitude(pairs)


def _tamed(values: NDArray, sides: tuple[int, int]) -> NDArray[np.float64]:
    """Leave what is fine, and no more of edges and spots than of the rest."""
    values = values.astype(np.float64)
    detail = values - ndimage.uniform_filter(values, sides)
    most = _MOST_DEVIATIONS * 1.4826 * float(np.median(np.abs(detail)))
    tamed: NDArray[np.float64] = np.clip(detail, -most, most)
    return tamed


def _longest(places: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the longest run of places."""
    labels, n = ndimage.label(places)
    if not n:
        return places
    longest: NDArray[np.bool_] = (
        labels == 1 + np.bincount(labels[labels > 0] - 1).argmax()
    )
    return longest


def _shared_lines(image: NDArray) -> float:
    """Measure lines along the first axis."""
    if min(image.shape) < _SMALLEST:
        return 0.0
    bands = np.array_split(_tamed(image, (1, _SMOOTH)), _PARTS, axis=0)
    profiles = [band.mean(axis=0) for band in bands]
    return _amplitude(
        [
            np.stack([profiles[one], profiles[other]])
            for one, other in combinations(range(_PARTS), 2)
            if other - one > 1  # a structure may lie in two that touch
        ]
    )


def _amplitude(pairs: list[NDArray]) -> float:
    """Give what pairs of profiles share, if that is not by chance."""
    if not pairs:
        return 0.0
    powers, chances = [], []
    for pair in pairs:
        detail = _tamed(pair, (1, _SMOOTH))[:, _SMOOTH:-_SMOOTH]  # edges cross parts
        first, second = detail - detail.mean(axis=-1, keepdims=True)
        powers.append((first * second).mean())
        chances.append(first.std() * second.std() / len(first) ** 0.5)
    power, chance = float(np.mean(powers)), float(np.mean(chances))
    return power**0.5 if power > _SIGNIFICANT * chance else 0.0

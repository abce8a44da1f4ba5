"""The shift between planes of two resolutions.

This module alone knows how two resolutions are made comparable: the high image is
averaged over the pixels of the low one, wherever the shift puts those. Where it is
measured in a large plane, and whether it is the same everywhere, is decided here too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.datasets.registration.phase_correlation import (
    Peak,
    Shift,
    coarse_shift,
    cross_power,
    find_peak,
    phase_spectrum,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 16
"""Pixels along a side of a low-resolution plane below which nothing is measured."""
_LARGEST, _QUARTER = 512, 256
"""Largest side of the window that is compared, and of the four that are compared to
see whether the shift is the same everywhere."""
_REPEATS = 3
"""Measurements after the first estimate; one more would change less than 0.01 pixel."""
_CLEAR = 10.0
"""Significance from which a quarter of the plane is compared with the others."""


@dataclass(frozen=True, slots=True)
class Registration(Peak):
    """Where a low-resolution plane lies on a high-resolution one, see `Peak`."""

    variation: float
    """By how much the shift differs between the quarters of the plane, beyond their
    uncertainty: 0 for a pure shift, more where the images are rotated, distorted or
    differ in magnification."""


def register(low: NDArray, high: NDArray, factor: int, reach: float) -> Registration:
    """Measure the shift between a low- and a high-resolution plane.

    The first estimate is repeated with the high image averaged over the pixels that it
    points to: where no shift remains both are aliased alike, so that aliasing no longer
    pulls the result towards whole pixels.

    Parameters
    ----------
    low
        `(y, x)` counts without gaps, at least `SMALLEST` pixels a side.
    high
        `(factor · y, factor · x)` counts without gaps.
    factor
        Low-resolution pixel over high-resolution pixel.
    reach
        Shift that is expected at most, in low-resolution pixels. A larger one is found
        too, unless there is a similar peak within reach.

    Raises
    ------
    ValueError
        If the shapes do not belong together or are too small.

    Notes
    -----
    The peak is climbed by matrix products, as in Guizar-Sicairos et al., Optics Letters
    33, 156 (2008). scikit-image's `phase_cross_correlation` weights all frequencies
    alike; on real images it missed a tenth of a pixel in one case of six.
    """
    _check_shapes(low, high, factor)
    window = _Window(low, high, factor, *_structured_part(low))
    guess = coarse_shift(window.crossed((0.0, 0.0)), reach)
    peak = window.overlapping(guess).peak_near(guess)
    variation = _variation(low, high, factor, peak.shift)
    return Registration(**asdict(peak), variation=variation)


def has_detail(plane: NDArray) -> bool:
    """Say whether a plane shows anything that a shift could be measured by.

    Its even pixels are registered on its odd ones: noise differs between them, what the
    specimen shows does not.

    Parameters
    ----------
    plane
        `(y, x)` counts without gaps, at least `SMALLEST` pixels a side.
    """
    seen = plane[_structured_part(plane)]
    even, odd = seen[0::2, 0::2], seen[1::2, 1::2]
    even = even[: odd.shape[0], : odd.shape[1]]
    crossed = cross_power(phase_spectrum(even), phase_spectrum(odd))
    return find_peak(crossed, (0.5, 0.5)).significance > _CLEAR


def area_means(
    high: NDArray, factor: int, shape: tuple[int, int], start: Shift
) -> NDArray[np.float64]:
    """Average a plane over square areas that may begin anywhere.

    Parameters
    ----------
    high
        `(y, x)` counts without gaps.
    factor
        Side of an area, in pixels of `high`.
    shape
        Number of areas along y and x; they touch each other.
    start
        Upper left corner of the first one, in pixels of `high`. Areas that would leave
        the plane are moved to its edge.

    Returns
    -------
    ndarray
        `shape` float64 counts.
    """
    rows = _segment_means(high, factor, shape[0], start[0])
    return _segment_means(rows.T, factor, shape[1], start[1]).T


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a low plane, and the high plane in which it is looked for."""

    low: NDArray
    high: NDArray
    factor: int
    rows: slice
    columns: slice

    def crossed(self, shift: Shift) -> NDArray:
        """Compare with the high image under a shift: the cross-power spectrum."""
        seen = self.low[self.rows, self.columns]
        y = self.factor * (self.rows.start - shift[0])
        x = self.factor * (self.columns.start - shift[1])
        averaged = area_means(self.high, self.factor, seen.shape, (y, x))
        return cross_power(phase_spectrum(seen), phase_spectrum(averaged))

    def overlapping(self, shift: Shift) -> _Window:
        """Leave out what the high image does not show, unless little is left."""
        parts = [
            slice(max(part.start, math.ceil(by)), min(part.stop, side + math.floor(by)))
            for part, side, by in zip(
                (self.rows, self.columns), self.low.shape, shift, strict=True
            )
        ]
        if min(part.stop - part.start for part in parts) < SMALLEST:
            return self
        return _Window(self.low, self.high, self.factor, *parts)

    def peak_near(self, shift: Shift) -> Peak:
        """Measure what is left of the shift, again and again."""
        for _ in range(_REPEATS):
            rest = find_peak(self.crossed(shift), (0.0, 0.0))
            shift = (shift[0] + rest.shift[0], shift[1] + rest.shift[1])
        return replace(rest, shift=shift)


def _check_shapes(low: NDArray, high: NDArray, factor: int) -> None:
    expected = tuple(factor * side for side in low.shape)
    if high.shape != expected or min(low.shape) < SMALLEST:
        raise ValueError(
            f"Planes of at least {SMALLEST} × {SMALLEST} pixels at factor {factor} are "
            f"compared, not {low.shape} with {high.shape}. Check the sizes first."
        )


def _structured_part(low: NDArray) -> tuple[slice, slice]:
    """Choose the part of a large plane that varies most, coarsely and so not by noise.

    The first of those that are alike is taken.
    """
    sides = [min(side, _LARGEST) for side in low.shape]
    starts = [
        np.linspace(0, whole - side, math.ceil(whole / side)).astype(int).tolist()
        for whole, side in zip(low.shape, sides, strict=True)
    ]
    parts = [
        (slice(y, y + sides[0]), slice(x, x + sides[1])) for y, x in product(*starts)
    ]
    if len(parts) == 1:
        return parts[0]
    coarse = (sides[0] // 8, sides[1] // 8)
    return max(parts, key=lambda at: area_means(low[at], 8, coarse, (0, 0)).std())


def _segment_means(
    values: NDArray, length: int, n: int, start: float
) -> NDArray[np.float64]:
    """Average along the first axis over `n` neighbouring segments."""
    begins = np.clip(start + length * np.arange(n), 0, len(values) - length)
    first = np.floor(begins).astype(int)
    rest = (begins - first).reshape(-1, *[1] * (values.ndim - 1))
    total = np.zeros((n, *values.shape[1:]))
    for step in range(length):
        total += values[first + step]
    # of the pixels that a segment cuts, the last gets what the first has to give
    last = np.minimum(first + length, len(values) - 1)
    total += rest * (values[last].astype(np.float64) - values[first])
    total /= length
    return total


def _variation(low: NDArray, high: NDArray, factor: int, shift: Shift) -> float:
    """Compare the shifts in the quarters of a plane, less what noise allows for."""
    sides = [min(whole // 2, _QUARTER) for whole in low.shape]
    if min(sides) < 2 * SMALLEST:
        return 0.0
    starts = [
        [(whole // 2 - side) // 2, whole - side - (whole // 2 - side) // 2]
        for whole, side in zip(low.shape, sides, strict=True)
    ]
    shifts = [
        _Window(low, high, factor, slice(y, y + sides[0]), slice(x, x + sides[1]))
        .overlapping(shift)
        .peak_near(shift)
        for y, x in product(*starts)
    ]
    clear = [
        registration for registration in shifts if registration.significance > _CLEAR
    ]
    if len(clear) < 2:
        return 0.0
    noise = sorted(registration.uncertainty for registration in clear)[-2:]
    extent = float(np.ptp([registration.shift for registration in clear], axis=0).max())
    return max(0.0, extent - 3 * math.hypot(*noise))

"""The shift between two planes of one pixel size, by phase correlation.

This module alone knows which frequencies are compared, how the peak is found and how
certain its place is. Where the planes are aliased differently, near Nyquist, their
phases say nothing of a shift; those frequencies count little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage
from scipy.signal.windows import tukey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TAPER = 0.5
"""Share of a plane over which it fades, so that its edges are not taken for detail."""
_EXTREMES = (0.1, 99.9)
"""Percentiles; what lies further out than their distance is brought in, so that a hot
pixel of one image does not outweigh all else."""
_CONSTANT = 1e-7
"""A plane that varies less, relative to its values, shows nothing but rounding."""
_LOWEST, _WIDTH = 0.03, 0.35
"""Band of frequencies that are compared (Nyquist = 1): above uneven illumination, and
fading as a Gaussian of this width before aliasing and noise dominate."""
_SAME_PEAK = 0.5
"""A peak within reach of this share of the highest one is preferred to it: periodic
specimens have many alike."""
_ALIKE = 7
"""Frequencies along y and x over which the noise of a spectrum is taken for correlated:
the taper does that, and specimens of few bright spots do it more."""
_UNDERRATED = 1.6
"""Scatter of the shift over repeated noise beside what follows from one spectrum: 1.1
to 2 on real images of all kinds, 4 for thirty lone spots."""

Shift = tuple[float, float]
"""`(y, x)` in pixels."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest point of a correlation surface."""

    shift: Shift
    """By how much a detail lies further down and to the right in the first plane."""
    correlation: float
    """Of the phases at this shift: 1 for the same image, about 0 for unrelated ones."""
    significance: float
    """Height in standard deviations of the surface; up to 7 are chance."""
    uncertainty: float
    """One standard deviation of the less certain component of the shift."""


def phase_spectrum(plane: NDArray) -> NDArray[np.complex64]:
    """Give the phases of the Fourier transform of a plane, its edges faded out.

    Parameters
    ----------
    plane
        `(y, x)` counts without gaps.

    Returns
    -------
    ndarray
        `(y, x)` complex64 of magnitude 1, or 0 where there is nothing.
    """
    darkest, brightest = np.percentile(plane, _EXTREMES)
    span = brightest - darkest
    tamed = np.clip(plane, darkest - span, brightest + span)
    window = np.outer(*(tukey(side, _TAPER) for side in plane.shape))
    if np.ptp(tamed) <= _CONSTANT * np.abs(tamed).max():
        return np.zeros(plane.shape, np.complex64)
    # a large offset would leak through the taper
    faded = (tamed - np.average(tamed, weights=window)) * window
    spectrum = fft.fft2(faded.astype(np.float32))
    size = np.abs(spectrum)
    size[size <= 1e-6 * size.max()] = np.inf
    phases: NDArray = spectrum / size
    return phases


def cross_power(first: NDArray, second: NDArray) -> NDArray[np.complex64]:
    """Give the weighted cross-power spectrum of two planes.

    Parameters
    ----------
    first, second
        `(y, x)` complex64 of one shape, from `phase_spectrum`.

    Returns
    -------
    ndarray
        `(y, x)` complex64: its inverse transform is the correlation surface.
    """
    crossed: NDArray = first * second.conj() * _weights(first.shape)
    return crossed


def coarse_shift(crossed: NDArray, reach: float) -> Shift:
    """Find the shift in whole pixels.

    Parameters
    ----------
    crossed
        `(y, x)` complex64, from `cross_power`.
    reach
        Shift expected at most, in pixels. A larger one is found too, unless there is a
        similar peak within reach.
    """
    surface = fft.ifft2(crossed).real
    y, x = (np.rint(side * np.fft.fftfreq(side)) for side in surface.shape)
    near = (np.abs(y)[:, None] <= reach + 1) & (np.abs(x) <= reach + 1)
    within = np.where(near, surface, -np.inf)
    chosen = within if within.max() >= _SAME_PEAK * surface.max() else surface
    row, column = np.unravel_index(int(chosen.argmax()), surface.shape)
    return float(y[row]), float(x[column])


def find_peak(crossed: NDArray, near: Shift) -> Peak:
    """Find the peak to a hundredth of a pixel.

    Parameters
    ----------
    crossed
        `(y, x)` complex64, from `cross_power`.
    near
        Where it is, to 0.8 pixels.
    """
    shift, correlation = _climbed(crossed, near)
    chance = float(np.linalg.norm(crossed)) / float(_weights(crossed.shape).sum())
    significance = correlation / chance if chance > 0 else 0.0
    return Peak(shift, correlation, significance, _uncertainty(crossed, shift))


def likeness(first: NDArray, second: NDArray, reach: float) -> float:
    """Say how alike two planes are where they lie on each other best.

    Parameters
    ----------
    first, second
        `(y, x)` complex64 of one shape, from `phase_spectrum`.
    reach
        As for `coarse_shift`.

    Returns
    -------
    float
        Correlation as in `Peak`.
    """
    crossed = cross_power(first, second)
    return _climbed(crossed, coarse_shift(crossed, reach))[1]


@lru_cache(maxsize=8)
def _weights(shape: tuple[int, int]) -> NDArray[np.float32]:
    """How much each frequency counts."""
    y, x = (2 * np.fft.fftfreq(side) for side in shape)
    radius = np.hypot(y[:, None], x)
    detail = 1 - np.exp(-((radius / _LOWEST) ** 2))
    fading = np.exp(-((radius / _WIDTH) ** 2) / 2)
    weights: NDArray = (detail * fading).astype(np.float32)
    weights.flags.writeable = False
    return weights


def _climbed(crossed: NDArray, near: Shift) -> tuple[Shift, float]:
    """Climb to the peak in steps of a tenth, then of a hundredth of a pixel."""
    shift, height = np.array(near), 0.0
    for step in (0.1, 0.01):
        around = np.arange(-8, 9) * step
        turns = [
            _turns(side, by + around)
            for side, by in zip(crossed.shape, shift, strict=True)
        ]
        surface = (turns[0] @ crossed @ turns[1].T).real
        row, column = np.unravel_index(int(surface.argmax()), surface.shape)
        shift += around[row], around[column]
        height = float(surface[row, column])
    correlation = height / float(_weights(crossed.shape).sum())
    return (float(shift[0]), float(shift[1])), correlation


def _turns(side: int, shifts: Sequence[float] | NDArray) -> NDArray[np.complex64]:
    """By which factor each shift turns each frequency, `(n, side)`."""
    angle = 2 * math.pi * np.outer(shifts, np.fft.fftfreq(side))
    turns: NDArray = np.exp(1j * angle).astype(np.complex64)
    return turns


def _uncertainty(crossed: NDArray, shift: Shift) -> float:
    """Estimate the standard deviation of a shift from how the phases scatter.

    The usual sandwich for an estimate that solves Σ w · 2πf · sin(phase) = 0, for noise
    that neighbouring frequencies share.
    """
    y, x = (_turns(side, [by]) for side, by in zip(crossed.shape, shift, strict=True))
    rest = crossed * y.T * x
    worst = 0.0
    for axis, side in enumerate(crossed.shape):
        slope = 2 * math.pi * np.fft.fftfreq(side)
        slope = np.expand_dims(slope, 1 - axis)
        curvature = float((slope**2 * rest.real).sum())
        if curvature <= 0:
            return math.inf
        shared = ndimage.uniform_filter(slope * rest.imag, _ALIKE, mode="grid-wrap")
        # every frequency stands there twice, as itself and as its opposite
        scatter = 2 * _ALIKE**2 * float((shared**2).sum())
        worst = max(worst, _UNDERRATED * math.sqrt(scatter) / curvature)
    return worst

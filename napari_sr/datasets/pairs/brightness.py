"""The gain and offset between two recordings of one specimen.

This module alone knows how brightness is separated from sharpness: the gain is that of
ever coarser structure, since a blur that dims a filament leaves the light of an area as
it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, optimize
from scipy.signal.windows import hann

from napari_sr.datasets.pairs.measured import shared_part
from napari_sr.datasets.pairs.names import PairError
from napari_sr.datasets.registration import area_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.datasets.pairs.checks import Placement
    from napari_sr.datasets.pairs.mix_ups import StackPair
    from napari_sr.datasets.registration import Shift

_N_BINS = 30
_EDGES = np.linspace(0.03, 0.5, _N_BINS + 1)
"""Frequencies that are compared (Nyquist of the low image = 1): finer than uneven
illumination, coarser than most noise and aliasing."""
_CENTRES = (_EDGES[:-1] + _EDGES[1:]) / 2
_COARSE = 0.15
"""Frequency below which both are expected to follow each other."""
_FALLS = (-2.0, 40.0)
"""Bounds of how the ratio of both falls with the square of the frequency. A blur of the
low image by σ pixels more than the high one is 4.9 σ²."""


@dataclass(frozen=True, slots=True)
class Brightness:
    """low counts = gain · high counts + offset."""

    gain: float
    offset: float
    correlation: float
    """Of the coarse structure of both."""


def fit_brightness(stack: StackPair, placement: Placement) -> Brightness:
    """Fit the brightness of a high-resolution stack to that of its low one.

    In Fourier space low = gain · exp(-a f²) · high, for a blur of any width; fitted by
    least squares to all registered planes together, which weights a frequency by what
    the specimen shows of it. Noise of the low image does not bias that. On real images
    of 60 to 500 pixels a side the gain was 1 % off at 200 photons, 2 % at 30 (r.m.s.).

    Parameters
    ----------
    stack
        Two recordings.
    placement
        How they lie on each other; at least one plane was measured.

    Raises
    ------
    PairError
        If one does not become brighter where the other does.
    """
    sums, means = np.zeros((3, _N_BINS)), np.zeros(2)
    for index, shift in placement.shifts.items():
        if index in placement.measured:
            low, high = _on_one_grid(*stack.planes(index), stack.factor, shift)
            sums += _band_sums(low, high)
            means += np.array([low.mean(), high.mean()]) / len(placement.measured)
    follows, gain = _correlation(sums), _gain(sums)
    if min(follows, gain) <= 0:
        raise PairError(
            f"The brightness of the low image of pair {stack.low.name!r} does not "
            f"follow that of the high one (correlation {follows:.2f}). Check the "
            "recordings."
        )
    return Brightness(gain, float(means[0] - gain * means[1]), follows)


def _on_one_grid(
    low: NDArray, high: NDArray, factor: int, shift: Shift
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the high image over the low pixels; of both, what they share."""
    rows, columns = shared_part(low.shape, shift)
    seen = low[rows, columns].astype(np.float64)
    y, x = factor * (rows.start - shift[0]), factor * (columns.start - shift[1])
    return seen, area_means(high, factor, seen.shape, (y, x))


def _band_sums(low: NDArray, high: NDArray) -> NDArray[np.float64]:
    """Sum the cross power and both powers in rings of frequency, `(3, _N_BINS)`."""
    window = np.outer(*(hann(side) for side in low.shape))
    spectra = [fft.rfft2((image - image.mean()) * window) for image in (low, high)]
    y, x = np.fft.fftfreq(low.shape[0]), np.fft.rfftfreq(low.shape[1])
    ring = np.digitize(2 * np.hypot(y[:, None], x), _EDGES).ravel()
    powers = [
        spectra[0] * spectra[1].conj(),
        *(image * image.conj() for image in spectra),
    ]
    rings = [np.bincount(ring, image.real.ravel(), _N_BINS + 2) for image in powers]
    sums: NDArray = np.array(rings)[:, 1:-1]
    return sums


def _correlation(sums: NDArray) -> float:
    """Correlate the coarse structure of both."""
    crossed, low_power, high_power = sums[:, _CENTRES < _COARSE].sum(axis=1)
    size = math.sqrt(low_power * high_power)
    return float(crossed / size) if size > 0 else 0.0


def _gain(sums: NDArray) -> float:
    """Fit the gain beside a blur: the least of Σ (low - gain · shape · high)²."""
    crossed, _, high_power = sums

    def best(fall: float) -> tuple[float, float]:
        shape = np.exp(-fall * _CENTRES**2)
        explained = float((crossed * shape).sum())
        gain = explained / max(float((high_power * shape**2).sum()), 1e-300)
        return gain, -gain * explained

    minimum = optimize.minimize_scalar(
        lambda fall: best(fall)[1], bounds=_FALLS, method="bounded"
    )
    return best(minimum.x)[0]

"""How well a volume resolves along each of its axes.

This module alone knows spectra of lines: what two volumes share along one axis,
frequency by frequency, and how one volume is split so that its noise is not shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def line_correlation(
    volume: NDArray, other: NDArray, axis: int
) -> tuple[NDArray, NDArray]:
    """Correlate two volumes along an axis, frequency by frequency, over all lines.

    As a Fourier ring correlation, of lines: see `ring_correlation` for what it means.

    Parameters
    ----------
    volume, other
        `(z, y, x)` of one shape, in any units.
    axis
        Along which.

    Returns
    -------
    frequencies
        `(k,)` in cycles per voxel along the axis, without 0.
    correlation
        `(k,)` from -1 to 1; 0 where one of them has no power.
    """
    first, second = (_spectra(each, axis) for each in (volume, other))
    together = (first * second.conj()).real.sum(axis=(0, 1))
    powers = (np.abs(first) ** 2).sum(axis=(0, 1)), (np.abs(second) ** 2).sum((0, 1))
    norm = np.sqrt(np.maximum(powers[0] * powers[1], np.finfo(np.float64).tiny))
    frequencies = np.fft.rfftfreq(volume.shape[axis])[1:]
    return frequencies, (together / norm)[1:]


def _spectra(volume: NDArray, axis: int) -> NDArray[np.complex128]:
    lines = np.moveaxis(volume, axis, -1).astype(np.float64)
    lines = lines - lines.mean(axis=-1, keepdims=True)
    spectra: NDArray[np.complex128] = np.fft.rfft(lines * np.hanning(lines.shape[-1]))
    return spectra


def split_lines(volume: NDArray, axis: int) -> tuple[NDArray, NDArray]:
    """Make two volumes of one: the means of both diagonals of each 2 × 2 lines.

    Along the axis nothing is lost, and no voxel is in both, so that noise of single
    voxels is not shared; see `split_pixels`.
    """
    lines = np.moveaxis(volume, axis, -1).astype(np.float64)
    height, width = (side - side % 2 for side in lines.shape[:2])
    even = lines[:height, :width]
    halves = (
        (even[::2, ::2] + even[1::2, 1::2]) / 2,
        (even[::2, 1::2] + even[1::2, ::2]) / 2,
    )
    falling, rising = (np.moveaxis(half, -1, axis) for half in halves)
    return falling, rising

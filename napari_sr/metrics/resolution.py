"""To which frequency two images of one field agree: Fourier ring correlation.

This module alone knows what is called a resolution, and how one image becomes two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sr.metrics.spectra import ring_frequencies, ring_means, windowed

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLD = 1 / 7
"""Correlation below which two images are said to differ."""
BLOCK = 32
"""Pixels a side for which one local resolution is given."""
_N_RINGS = 3
"""So many rings in a row are averaged before the threshold is looked for."""


def ring_correlation(image: NDArray, other: NDArray) -> tuple[NDArray, NDArray]:
    """Correlate two images ring by ring of their spectra (Saxton and Baumeister 1982).

    It cannot tell why two images are alike. Of two recordings with noise of their own
    it is the signal; an image and its reference agree where the detail is at its place;
    two results of one model also agree in what the model adds to both.

    Parameters
    ----------
    image, other
        `(y, x)` in any units: a gain or an offset changes nothing.

    Returns
    -------
    frequencies
        `(k,)` float64, cycles per pixel, as for `radial_spectrum`.
    correlation
        `(k,)` float64 from -1 to 1; 0 where one of the images has no power.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if image.shape != other.shape:
        raise ValueError(
            f"Rings of two images are correlated pixel by pixel, but they have "
            f"{image.shape} and {other.shape} px. Crop or resample one of them."
        )
    first, second = windowed(image), windowed(other)
    # FRC(r) = Σ F₁ F₂* / √(Σ |F₁|² Σ |F₂|²) over the ring r; of a signal of power S
    # with independent noise N in each image it is S / (S + N).
    together = ring_means((first * second.conj()).real)
    powers = ring_means(np.abs(first) ** 2) * ring_means(np.abs(second) ** 2)
    norm = np.sqrt(np.maximum(powers, np.finfo(np.float64).tiny))
    return ring_frequencies(image.shape), together / norm


def split_pixels(image: NDArray) -> tuple[NDArray, NDArray]:
    """Make two images of one: the means of both diagonals of every 2 × 2 block.

    Both lie at the same place, and no pixel is in both, so that noise of single pixels
    is not correlated. After the checkerboard of Koho et al. (Nature Communications
    2019). Pixels of the halves are twice as large, so nothing finer than 4 pixels of
    the image can be seen; what neighbouring pixels share, such as interpolated noise or
    invented texture, counts as signal.

    Parameters
    ----------
    image
        `(y, x)`, at least 4 pixels a side.

    Returns
    -------
    tuple of ndarray
        `(y // 2, x // 2)` float64 each.
    """
    height, width = (side - side % 2 for side in image.shape)
    even = image[:height, :width].astype(np.float64)
    falling = (even[::2, ::2] + even[1::2, 1::2]) / 2
    rising = (even[::2, 1::2] + even[1::2, ::2]) / 2
    return falling, rising


def resolution_of(frequencies: NDArray, correlation: NDArray) -> float | None:
    """Find the period at which a ring correlation falls below 1/7.

    The threshold of Rosenthal and Henderson (2003), common for microscopy. The mean of
    three neighbouring rings is looked at, and the crossing interpolated.

    Parameters
    ----------
    frequencies, correlation
        As from `ring_correlation`.

    Returns
    -------
    float or None
        Pixels per cycle; `None` where it stays above: the resolution is at least that
        of the highest frequency.
    """
    smooth = np.convolve(correlation, np.ones(_N_RINGS) / _N_RINGS, mode="valid")
    middle = frequencies[_N_RINGS // 2 : len(frequencies) - _N_RINGS // 2]
    below = np.flatnonzero(smooth < THRESHOLD)
    if below.size == 0:
        return None
    first = int(below[0])
    if first == 0:
        return float(1 / middle[0])
    # rises along x, as interp wants it
    levels, places = smooth[[first, first - 1]], middle[[first, first - 1]]
    return float(1 / np.interp(THRESHOLD, levels, places))


def local_resolution(image: NDArray, other: NDArray | None = None) -> NDArray:
    """Find the resolution of each part of an image: a rolling ring correlation.

    Parts of twice `BLOCK` pixels a side, half of each shared with its neighbours; what
    lies beyond the border is continued by reflection.

    Parameters
    ----------
    image
        `(y, x)`, at least `BLOCK` pixels a side.
    other
        Another image of the field, of the same shape; both halves of the image are
        compared when not given (`split_pixels`).

    Returns
    -------
    ndarray
        `(⌈y / BLOCK⌉, ⌈x / BLOCK⌉)` float32, pixels per cycle; the finest that can be
        seen, 2, or 4 of halves, where the correlation does not fall.
    """
    n_rows, n_columns = (-(-side // BLOCK) for side in image.shape)
    around = BLOCK // 2
    more = [
        (around, n * BLOCK - side + around)
        for n, side in zip((n_rows, n_columns), image.shape, strict=True)
    ]
    padded = np.pad(image, more, mode="reflect")
    beside = None if other is None else np.pad(other, more, mode="reflect")
    found = np.empty((n_rows, n_columns), np.float32)
    for row, column in np.ndindex(n_rows, n_columns):
        part = tuple(slice(n * BLOCK, (n + 2) * BLOCK) for n in (row, column))
        if beside is None:
            pair, unit = split_pixels(padded[part]), 2
        else:
            pair, unit = (padded[part], beside[part]), 1
        frequencies, correlation = ring_correlation(*pair)
        period = resolution_of(frequencies, correlation)
        found[row, column] = unit * (2.0 if period is None else period)
    return found

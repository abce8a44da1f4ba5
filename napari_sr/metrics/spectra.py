"""What an image is made of, frequency by frequency.

This module alone knows how frequencies are counted: one window, one ring width, and
where what a recording can hold ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from napari_sr.metrics.similarity import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BESIDE = 2
"""So many coefficients beside one of a lattice are taken for part of it: the window
makes it one wider, and its strength varies. In small images it is a quarter of the way
to the next, so that others are left."""


def radial_spectrum(image: NDArray) -> tuple[NDArray, NDArray]:
    """Power at each spatial frequency, averaged over all directions.

    The mean is subtracted and a sin² window applied, so that a mismatch of opposite
    borders does not act as an edge. Rings are one cycle per shorter side wide. White
    noise of variance σ² has power σ² at every frequency.

    Parameters
    ----------
    image
        `(y, x)` in any units.

    Returns
    -------
    frequencies
        `(k,)` float64: the middle of each ring in cycles per pixel, above 0 and up to
        0.5 (Nyquist). The corners of the spectrum beyond it are left out.
    power
        `(k,)` float64, in these units squared.
    """
    return ring_frequencies(image.shape), ring_means(np.abs(windowed(image)) ** 2)


def spectrum_error(
    result: NDArray, truth: NDArray, factor: int, *, border: int = 0
) -> float:
    """How far the power of the detail that was added is from that of the truth.

    The mean of |log10 (power of the result / power of the truth)| over the rings of
    `radial_spectrum` from the Nyquist frequency of the recording (0.5 / factor cycles
    per sharp pixel, itself left out) to twice that. What a recording cannot hold lies
    there. The multiples of 1 / factor along y and x, where a lattice lies, are left out
    with their neighbours: `lattice` is for those. It says whether there is as much
    detail as there should be, not whether it is at its place: 0.3 is half or double the
    power.

    Parameters
    ----------
    result, truth
        `(y, x)` in the same units.
    factor
        Ratio of pixel sizes of recording and result, at least 2.
    border
        Pixels at each edge that do not count.

    Returns
    -------
    float
        0 for identical images. Power below what float32 can hold of the truth counts as
        that much, so the error of a result without any detail is large and finite.

    Raises
    ------
    ValueError
        If the factor is below 2, or the images are too small for the band.
    """
    result, truth = inner(result, truth, border)
    if factor < 2 or min(truth.shape) < 2 * factor:
        raise ValueError(
            f"Between the Nyquist frequency of the recording and twice that, a factor "
            f"of {factor!r} leaves nothing of {' × '.join(map(str, truth.shape))} px. "
            f"It must be at least 2, and the images at least {2 * factor} px a side."
        )
    # Of whole periods, the transform of a lattice is at its own frequencies only.
    height, width = (side - side % factor for side in truth.shape)
    # Power in ring r: mean |F(u, v)|² over r − 1/2 ≤ |(u, v)| < r + 1/2. A ratio of
    # powers is judged by its logarithm, so half and double are equally wrong.
    counted = ~_is_of_lattice((height, width), factor)
    power, expected = (
        ring_means(np.abs(windowed(image[:height, :width])) ** 2, counted)
        for image in (result, truth)
    )
    frequencies = ring_frequencies((height, width))
    band = (frequencies > 0.5 / factor) & (frequencies <= 1 / factor)
    band &= np.isfinite(expected)
    floor = np.finfo(np.float32).eps ** 2 * np.mean(truth**2)
    floor = max(floor, np.finfo(np.float64).tiny)
    ratio = np.maximum(power[band], floor) / np.maximum(expected[band], floor)
    return float(np.mean(np.abs(np.log10(ratio))))


def split_bands(image: NDArray, factor: int) -> tuple[NDArray, NDArray]:
    """Split an image at the Nyquist frequency of its recording.

    The cosine transform of an image, mirrored at its borders, has as many coefficients
    up to that frequency (along y and along x) as there were recorded pixels. The image
    made of those is in-band: it can be checked against the recording. The rest no
    recording can hold: it comes from what the model has learnt. The cut is sharp, so
    both have ripples along strong edges; together they are the image.

    Parameters
    ----------
    image
        `(factor·y, factor·x)` in any units.
    factor
        Ratio of pixel sizes of recording and image, at least 1.

    Returns
    -------
    in_band, out_of_band
        `(factor·y, factor·x)` float32 each; the second has a mean of 0.

    Raises
    ------
    ValueError
        If the sides are not multiples of the factor.
    """
    if factor < 1 or any(side % factor for side in image.shape):
        raise ValueError(
            f"An image of {' × '.join(map(str, image.shape))} px is not {factor} times "
            f"finer than a recording. Its sides must be multiples of the factor."
        )
    coefficients = fft.dctn(image.astype(np.float32), norm="ortho")
    height, width = (side // factor for side in image.shape)
    out = coefficients.copy()
    out[:height, :width] = 0
    out_of_band: NDArray = fft.idctn(out, norm="ortho")
    in_band: NDArray = fft.idctn(coefficients - out, norm="ortho")
    return in_band, out_of_band


def out_of_band_share(image: NDArray, factor: int) -> float:
    """Tell which share of an image's variance lies beyond the recorded Nyquist.

    Parameters
    ----------
    image, factor
        As for `split_bands`.

    Returns
    -------
    float
        From 0 to 1; 0 for a constant image.
    """
    _, beyond = split_bands(image, factor)
    variance = float(np.var(image, dtype=np.float64))
    return (
        float(np.mean(np.square(beyond, dtype=np.float64))) / variance
        if variance
        else 0.0
    )


def windowed(image: NDArray) -> NDArray[np.complex128]:
    """Transform an image without its mean under a sin² window.

    Parameters
    ----------
    image
        `(y, x)` in any units.

    Returns
    -------
    ndarray
        `(y, x)` complex128: white noise of variance σ² has a mean power of σ².
    """
    y, x = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in image.shape)
    window = np.outer(y, x)
    centred = image - np.average(image.astype(np.float64), weights=window)
    window /= np.sqrt(np.sum(window**2))
    spectrum: NDArray[np.complex128] = np.fft.fft2(centred * window)
    return spectrum


def ring_frequencies(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Tell the middle of each ring of a spectrum, in cycles per pixel."""
    side = min(shape)
    return np.arange(1, side // 2 + 1) / side


def ring_means(
    values: NDArray, counted: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Average a quantity over rings one cycle per shorter side wide.

    Parameters
    ----------
    values
        `(y, x)` real, in the order of `numpy.fft.fft2`.
    counted
        `(y, x)` which of them count; all when not given.

    Returns
    -------
    ndarray
        `(k,)` at the frequencies of `ring_frequencies`; NaN where none counts.
    """
    side = min(values.shape)
    fy, fx = (np.fft.fftfreq(n) for n in values.shape)
    rings = np.rint(np.hypot(fy[:, None], fx) * side).astype(np.intp).ravel()
    kept = slice(1, side // 2 + 1)
    weights = np.ones(values.size) if counted is None else counted.ravel().astype(float)
    total: NDArray = np.bincount(rings, weights * values.ravel())[kept]
    n = np.bincount(rings, weights)[kept]
    means: NDArray[np.float64] = np.full(n.shape, np.nan)
    np.divide(total, n, out=means, where=n > 0)
    return means


def _is_of_lattice(shape: tuple[int, ...], factor: int) -> NDArray[np.bool_]:
    """Tell which coefficients of `numpy.fft.fft2` a lattice has, or lie beside them."""
    places = [np.fft.fftfreq(n, 1 / n) for n in shape]
    orders = [np.rint(at * factor / n) for at, n in zip(places, shape, strict=True)]
    apart_y, apart_x = (
        at - order * n / factor
        for at, order, n in zip(places, orders, shape, strict=True)
    )
    beside = min(_BESIDE, min(shape) / factor / 4)
    is_near = np.hypot(apart_y[:, None], apart_x) <= beside
    is_mean = (orders[0] == 0)[:, None] & (orders[1] == 0)
    is_lattice: NDArray[np.bool_] = is_near & ~is_mean
    return is_lattice

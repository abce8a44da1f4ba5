"""Draw bodies and random textures without jagged edges.

This module alone knows how a specimen is kept free of aliasing: everything is drawn on
a grid `OVERSAMPLING` times finer than the truth, blurred by the optics there, and
averaged down to the truth's pixels at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OVERSAMPLING = 2
"""Fine pixels per truth pixel, along y and along x."""


def bin_blocks(image: NDArray, factor: int) -> Floats:
    """Average over blocks of `factor` x `factor` pixels.

    Parameters
    ----------
    image
        `(..., factor * y, factor * x)` numbers.
    factor
        Side of a block.

    Returns
    -------
    ndarray
        `(..., y, x)` float64.
    """
    *leading, height, width = image.shape
    blocks = image.reshape(*leading, height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(-3, -1), dtype=np.float64))


def fine_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of the fine grid under a truth plane of `shape`."""
    return shape[0] * OVERSAMPLING, shape[1] * OVERSAMPLING


def to_truth_pixels(fine: Floats, blur: float) -> Floats:
    """Blur by the optics and average down to the truth's pixels.

    Parameters
    ----------
    fine
        `(y * OVERSAMPLING, x * OVERSAMPLING)` float64 plane.
    blur
        Standard deviation of the optics' point spread, in truth pixels.

    Returns
    -------
    ndarray
        `(y, x)` float64.
    """
    return bin_blocks(blurred(fine, blur), OVERSAMPLING)


def blurred(fine: Floats, sigma: float) -> Floats:
    """Blur a fine plane by a Gaussian of `sigma` truth pixels, mirrored at borders."""
    return np.asarray(gaussian_filter(fine, sigma * OVERSAMPLING, mode="reflect"))


def power_law_field(
    shape: tuple[int, int], exponent: float, rng: np.random.Generator
) -> Floats:
    """Draw a random texture whose amplitude falls as 1 / frequency ** exponent.

    It is cut out of a larger field, so that opposite borders do not match.

    Parameters
    ----------
    shape
        Rows and columns.
    exponent
        0 is white noise, 1.5 looks like breast tissue, 1.8 like a fractured surface.
    rng
        Source of the phases.

    Returns
    -------
    ndarray
        `shape` float64, mean 0, standard deviation 1.
    """
    height, width = shape[0] * 5 // 4 + 1, shape[1] * 5 // 4 + 1
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * frequency**-exponent, s=(height, width))
    field = field[: shape[0], : shape[1]]
    return np.asarray((field - field.mean()) / field.std())


def random_outline(rng: np.random.Generator, roughness: float) -> Floats:
    """Draw the waves of a closed outline, for `outline_radius`.

    Returns
    -------
    ndarray
        `(n, 3)` float64: order, amplitude and phase of each wave.
    """
    orders = np.arange(2.0, 7.0)
    amplitudes = roughness * rng.standard_normal(5) / (orders - 1)
    return np.stack([orders, amplitudes, rng.uniform(0, 2 * np.pi, 5)], axis=1)


def outline_radius(across: Floats, along: Floats, outline: Floats) -> Floats:
    """Measure the distance from the middle, 1 on a wavy outline.

    Parameters
    ----------
    across, along
        Body coordinates of the pixels, 1 at the end of the body's semi-axis.
    outline
        `(n, 3)` waves from `random_outline`.

    Returns
    -------
    ndarray
        The pixels' shape, float64: 0 in the middle, 1 on the outline.
    """
    angle = np.arctan2(across, along)
    edge = np.ones_like(angle)
    for order, amplitude, phase in outline:
        edge += amplitude * np.cos(order * angle + phase)
    return np.asarray(np.hypot(across, along) / np.maximum(edge, 0.2))


def window(
    centre: Floats, reach: float, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], Floats, Floats]:
    """Cut the part of a fine plane that lies around a body.

    Parameters
    ----------
    centre
        `(2,)` y and x of the body in truth pixels.
    reach
        Half the side of the window in truth pixels.
    shape
        Rows and columns of the truth plane.

    Returns
    -------
    slices, y, x
        Where the window lies in the fine plane (it may be empty), and the distances of
        its pixels from the centre in truth pixels, as a column and as a row.
    """
    slices, distances = [], []
    for middle, length in zip(centre, fine_shape(shape), strict=True):
        first = int(np.clip((middle - reach) * OVERSAMPLING, 0, length))
        last = int(np.clip((middle + reach) * OVERSAMPLING + 1, 0, length))
        slices.append(slice(first, last))
        distances.append((np.arange(first, last) + 0.5) / OVERSAMPLING - middle)
    return (slices[0], slices[1]), distances[0][:, None], distances[1][None, :]


def scatter(
    box: tuple[float, ...],
    margin: float,
    spacing: float,
    rng: np.random.Generator,
) -> Floats:
    """Place points at random, none closer than `spacing` to another.

    Parameters
    ----------
    box
        Lengths of the box's sides, from 0.
    margin
        How far around the box points are placed too, so that bodies cross its border.
    spacing
        Smallest distance between two points.
    rng
        Source of the places.

    Returns
    -------
    ndarray
        `(n, len(box))` float64; the box is full or nearly so.
    """
    sides = np.asarray(box) + 2 * margin
    n_tries = int(12 * np.prod(sides / spacing)) + 20
    kept = np.empty((0, len(box)))
    for point in rng.uniform(-margin, sides - margin, (n_tries, len(box))):
        if not (np.sum((kept - point) ** 2, axis=1) < spacing**2).any():
            kept = np.vstack([kept, point])
    return kept

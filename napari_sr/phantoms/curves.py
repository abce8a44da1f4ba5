"""Draw points and strands: filaments, ligaments, scratches, chromosomes.

This module alone knows how a curve bends and how its points become light on the fine
grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from napari_sr.phantoms.drawing import OVERSAMPLING, blurred, fine_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def wandering_path(
    start: Floats,
    angle: float,
    length: float,
    rng: np.random.Generator,
    *,
    stiffness: float,
    step: float = 0.35,
) -> Floats:
    """Follow a semi-flexible chain (a worm-like chain) through the plane.

    Parameters
    ----------
    start
        `(2,)` y and x of the first point, in truth pixels.
    angle
        First direction in radians, from x towards y.
    length
        Length of the chain in truth pixels.
    rng
        Source of the bends.
    stiffness
        Persistence length in truth pixels: how far the chain remembers its direction.
    step
        Distance between points in truth pixels.

    Returns
    -------
    ndarray
        `(n, 2)` float64, y and x of the points, in truth pixels.
    """
    n_points = max(2, int(length / step))
    # Bends that are themselves smooth: a chain of independent kinks looks like a wire.
    kinks = rng.standard_normal(n_points) * np.sqrt(2 * step / stiffness)
    angles = angle + np.cumsum(gaussian_filter1d(kinks, 10 / step, mode="reflect"))
    steps = step * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return np.asarray(start + np.cumsum(steps, axis=0))


def splat(points: Floats, weights: Floats, shape: tuple[int, int]) -> Floats:
    """Add weighted points to an empty fine plane, shared among four pixels each.

    Parameters
    ----------
    points
        `(n, 2)` y and x in truth pixels; the corner of the plane is (0, 0). Points
        outside are left out.
    weights
        `(n,)` what each point adds to the sum of the plane.
    shape
        Rows and columns of the truth plane.

    Returns
    -------
    ndarray
        `fine_shape(shape)` float64.
    """
    height, width = fine_shape(shape)
    place = points * OVERSAMPLING - 0.5  # in fine pixels, centre of the first at 0
    corner = np.floor(place).astype(np.int64)
    share = place - corner
    fine = np.zeros(height * width)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        y, x = corner[:, 0] + dy, corner[:, 1] + dx
        part = np.abs(1 - dy - share[:, 0]) * np.abs(1 - dx - share[:, 1]) * weights
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        flat = (y * width + x)[inside]
        fine += np.bincount(flat, part[inside], minlength=height * width)
    return fine.reshape(height, width)


def draw_paths(
    paths: Iterable[tuple[Floats, float, float]], shape: tuple[int, int]
) -> Floats:
    """Draw strands of several widths, each with a Gaussian cross-section.

    Parameters
    ----------
    paths
        For each strand its `(n, 2)` points in truth pixels, the standard deviation of
        its cross-section in truth pixels, and its height on the middle line.
    shape
        Rows and columns of the truth plane.

    Returns
    -------
    ndarray
        `fine_shape(shape)` float64.
    """
    by_width: dict[float, list[tuple[Floats, float]]] = {}
    for points, sigma, height in paths:
        by_width.setdefault(sigma, []).append((points, height))
    fine = np.zeros(fine_shape(shape))
    for sigma, strands in by_width.items():
        points = np.concatenate([points for points, _ in strands])
        weights = np.concatenate([_line_weights(*strand) for strand in strands])
        # A Gaussian of unit sum across a line of unit density peaks at 1/(sigma*2.507).
        line = splat(points, weights * sigma * np.sqrt(2 * np.pi), shape)
        fine += blurred(line * OVERSAMPLING**2, sigma)
    return fine


def _line_weights(points: Floats, height: float) -> Floats:
    """Weigh points by the length they stand for, tapered towards both ends."""
    step = np.hypot(*(points[1] - points[0]))
    taper = np.minimum(1, 8 * np.sin(np.linspace(0, np.pi, len(points))))
    return np.asarray(height * step * taper)

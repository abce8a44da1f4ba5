"""Figures of surfaces whose pixels are heights.

This module alone knows what roughness and slope are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sr.metrics.similarity import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray


def levelled(heights: NDArray) -> NDArray[np.float64]:
    """Subtract the plane that fits best (least squares).

    Parameters
    ----------
    heights
        `(y, x)` in any units, without gaps.
    """
    y, x = (np.linspace(-1, 1, side) for side in heights.shape)
    flat = heights - heights.mean(dtype=np.float64)
    # Along a regular grid the two slopes do not mix, so each is found by itself.
    tilt_y = (flat.mean(1) @ y) / (y @ y)
    tilt_x = (flat.mean(0) @ x) / (x @ x)
    surface: NDArray = flat - tilt_y * y[:, None] - tilt_x * x
    return surface


def roughness(heights: NDArray) -> tuple[float, float]:
    """Measure Sa and Sq (ISO 25178-2) of a levelled surface, without a filter.

    Parameters
    ----------
    heights
        `(y, x)` in any units, without gaps.

    Returns
    -------
    sa, sq
        Mean absolute height and root mean square height above the mean plane.
    """
    surface = levelled(heights)
    return float(np.abs(surface).mean()), float(np.sqrt(np.mean(surface**2)))


def slope_rmse(result: NDArray, truth: NDArray, *, border: int = 0) -> float:
    """Compare slopes: root mean square length of the difference of both gradients.

    Parameters
    ----------
    result, truth
        `(y, x)` heights in the same units.
    border
        Pixels at each edge that do not count.

    Returns
    -------
    float
        In these units per pixel; 0 where the surfaces differ by an offset only.
    """
    result, truth = inner(result, truth, border)
    along_y, along_x = np.gradient(result - truth)
    return float(np.sqrt(np.mean(along_y**2 + along_x**2)))

"""How much of an image is a regular lattice with the period of the factor.

A network that puts f × f pixels in the place of each recorded one can treat them
unequally. The eye sees a lattice; the error and the power of an image hardly tell it
from texture. This module alone knows how it is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 20_000
"""Counts of the data range to which lattices are stated."""


def lattice(image: NDArray, factor: int, *, border: int = 0) -> float:
    r"""Measure the standard deviation of the f × f phase means of an image.

    With the smooth part S = T ∗ image, T the triangle [1, 2, …, f, …, 2, 1] / f² along
    y and along x, and with n blocks of f × f pixels that lie wholly inside,

    .. math:: m_{ij} = \frac{1}{n} \sum_{k,l} (image - S)[f k + i, f l + j]

    has a standard deviation (over all i, j < f) that is returned. T is zero at every
    frequency of a lattice, so a lattice is found by its exact value; it is symmetric
    and sums to 1, so a slope leaves nothing, and a parabola the same in every phase.
    Structure of the image lies in all phases alike and averages out: white noise of
    deviation σ leaves σ / √n · √(1 - 1 / f²). A plain mean is taken, not a robust one:
    spots are skewed, and more so where a phase is sharper, which trimming takes for a
    lattice.

    Parameters
    ----------
    image
        `(y, x)` in any units, without gaps.
    factor
        Pixels a side that stand for a recorded one, at least 2.
    border
        Pixels at each edge that do not count.

    Returns
    -------
    float
        In the units of the image; 0 where there is no lattice. Compare it with that of
        the truth, or of an interpolation: an image of few blocks has some by chance.

    Raises
    ------
    ValueError
        If the factor is below 2, or there is not one block.
    """
    height, width = image.shape
    reach = factor - 1
    edges = 2 * (border + reach)
    n_rows, n_columns = ((side - edges) // factor for side in image.shape)
    if factor < 2 or border < 0 or min(n_rows, n_columns) < 1:
        raise ValueError(
            f"A lattice of a factor of {factor!r} cannot be seen in {height} × {width} "
            f"px without a border of {border} px. The factor must be at least 2, and "
            f"{3 * factor - 2} px a side must be left."
        )
    inside = image[border : height - border, border : width - border].astype(np.float64)
    inside -= inside.mean()  # so that a large offset costs no digits
    box = np.full(factor, 1 / factor)
    smooth = inside
    for axis in (0, 1):
        smooth = ndimage.convolve1d(smooth, np.convolve(box, box), axis)
    detail = (inside - smooth)[reach:, reach:]
    blocks = detail[: n_rows * factor, : n_columns * factor].reshape(
        n_rows, factor, n_columns, factor
    )
    return float(blocks.mean((0, 2)).std())

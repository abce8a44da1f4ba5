"""Where an image lies over a recording, and how each piece of it is moved to fit.

This module alone knows how images are registered for retrieval: as a whole by their
correlation, to a pixel; then piece by piece, a few pixels around that place.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_sr.networks.resampling import resample

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

WINDOW = 7
"""Side of the surroundings by which a piece is moved, in recorded pixels."""
AROUND = 2
"""How far from where an image lies its pieces are looked for, in pixels of the
result."""
_CHOOSY = 4
_LITTLE = 1e-6


@dataclass(frozen=True, slots=True)
class AlignedImage:
    """An image of the bank, laid over a plane."""

    name: str
    shift: tuple[int, int]
    """Rows and columns from its corner to that of the plane's, in fine pixels."""
    pixels: NDArray[np.float32]
    """`(factor·y, factor·x)` in the plane's network range; 0 where it has nothing."""


def align_to(
    name: str, image: NDArray[np.float32], fine: NDArray[np.float32]
) -> AlignedImage:
    """Lay an image over a plane, by the highest correlation, with its brightness.

    Parameters
    ----------
    name
        What the image is called.
    image
        `(y, x)` in a network range of its own.
    fine
        `(factor·y, factor·x)`: the plane, interpolated.
    """
    shape = [a + b for a, b in zip(image.shape, fine.shape, strict=True)]
    spectra = [np.fft.rfft2(_windowed(picture), shape) for picture in (image, fine)]
    crossed = spectra[0] * spectra[1].conj()
    # Half-way to phase correlation: coarse structure alone has no sharp peak.
    peak = np.fft.irfft2(crossed / (np.sqrt(np.abs(crossed)) + 1e-9), shape)
    row, column = (int(i) for i in np.unravel_index(peak.argmax(), peak.shape))
    shift = (
        row - shape[0] * (row >= image.shape[0]),
        column - shape[1] * (column >= image.shape[1]),
    )
    over = np.zeros_like(fine)
    into = [
        slice(max(0, -by), min(there, here - by))
        for by, here, there in zip(shift, image.shape, fine.shape, strict=True)
    ]
    part = tuple(into)
    taken = tuple(
        slice(cut.start + by, cut.stop + by)
        for cut, by in zip(into, shift, strict=True)
    )
    seen, known = image[taken], fine[part]
    if seen.size:
        spread = float(seen.var())
        gain = float(np.mean((seen - seen.mean()) * (known - known.mean())))
        gain = max(gain / spread, 0.0) if spread > 1e-9 else 0.0
        over[part] = known.mean() + gain * (seen - seen.mean())
    return AlignedImage(name, shift, over)


def reach_of_alignment(factor: int) -> int:
    """Tell how many recorded pixels take part around each in `refine_alignment`."""
    return WINDOW // 2 + ceil(AROUND / factor)


def refine_alignment(low: Tensor, image: Tensor, factor: int) -> Tensor:
    """Move the pieces of an image to where they are most like a recording.

    Parameters
    ----------
    low
        `(n, 1, h, w)` recording in network range.
    image
        `(n, 1, factor·h, factor·w)`, laid over it.
    factor
        Super-resolution factor.

    Returns
    -------
    Tensor
        `(n, 1, factor·h, factor·w)`. Places that fit almost as well take part, or tiny
        differences would decide.
    """
    steps = range(-AROUND, AROUND + 1)
    places = [image.roll(step, (2, 3)) for step in product(steps, steps)]
    apart = torch.cat(
        [_apart(low, functional.avg_pool2d(place, factor)) for place in places], dim=1
    )
    chosen = ((apart.amin(1, keepdim=True) + _LITTLE) / (apart + _LITTLE)) ** _CHOOSY
    chosen = chosen / chosen.sum(1, keepdim=True)
    fitted = torch.zeros_like(image)
    for share, place in zip(torch.split(chosen, 1, 1), places, strict=True):
        fitted += resample(share, factor, "nearest") * place
    return fitted


def _apart(low: Tensor, other: Tensor) -> Tensor:
    """Give the mean squared difference of surroundings."""
    return functional.avg_pool2d((low - other).square(), WINDOW, 1, WINDOW // 2)


def _windowed(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Take out brightness, and let the borders fade."""
    faded = np.multiply.outer(*(np.hanning(side + 2)[1:-1] for side in image.shape))
    windowed: NDArray[np.float64] = (image - image.mean()) * faded
    return windowed

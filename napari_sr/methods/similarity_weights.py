"""How much of the detail of other images is to be believed.

This module alone knows how that is determined from the recording itself: by how much of
its own finest detail, just below its Nyquist frequency, the other images explain. What
lies beyond is hardly ever shared more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 15
"""Side of the surroundings in which detail is compared, in recorded pixels."""
ALIKE = 0.3
"""Correlation of the finest recorded detail below which nothing is taken."""
N_SMOOTHINGS = 3
"""The finest detail is what each of so many smoothings takes away."""
REACH = WINDOW // 2 + N_SMOOTHINGS
"""Recorded pixels that take part around each pixel."""
_RIDGE = 0.02
_LITTLE = 1e-6


def trusted(low: Tensor, others: Tensor) -> Tensor:
    """Weigh images by how much of the finest detail of a recording they explain.

    Parameters
    ----------
    low
        `(n, 1, h, w)` recording in network range.
    others
        `(n, k, h, w)`: what the images would have been recorded as.

    Returns
    -------
    Tensor
        `(n, k, h, w)` from 0, in sum at most 1: by least squares in the surroundings
        of each pixel, less where that explains little, be it for noise.
    """
    with torch.autocast(low.device.type, enabled=False):
        return _trusted(low.float(), others.float())


def _trusted(low: Tensor, others: Tensor) -> Tensor:
    own, theirs = _finest(low), _finest(others)
    common = _mean(own * theirs)
    among = torch.stack(
        [_mean(theirs * image) for image in torch.split(theirs, 1, 1)], 1
    )
    among = among.permute(0, 3, 4, 1, 2)  # (n, h, w, k, k)
    sizes = among.diagonal(dim1=-2, dim2=-1)
    kept = _RIDGE * sizes.mean(-1, keepdim=True) + _LITTLE
    common = common.permute(0, 2, 3, 1)  # (n, h, w, k)
    # Normal equations (AᵀA + λI) w = Aᵀb of the recording on the images, in a window
    # around each pixel; λ keeps images that are nearly the same from fighting each
    # other.
    shares = torch.linalg.solve(among + torch.diag_embed(kept.expand_as(sizes)), common)
    weights: Tensor = shares.clamp_min(0)
    explained = (weights * common).sum(-1, keepdim=True).clamp_min(0)
    size = _mean(own.square()).permute(0, 2, 3, 1) + _LITTLE
    alike = (explained / size).sqrt().clamp_max(1)
    weights = weights * functional.relu(alike - ALIKE) / ((1 - ALIKE) * alike + _LITTLE)
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1)
    return weights.permute(0, 3, 1, 2)


def _finest(image: Tensor) -> Tensor:
    """Take out all but the detail just below the Nyquist frequency."""
    for _ in range(N_SMOOTHINGS):
        # Twice a mean of two: weights 1, 2, 1 along both axes.
        smooth = functional.avg_pool2d(functional.pad(image, (1,) * 4), 2, 1)
        image = image - functional.avg_pool2d(smooth, 2, 1)
    return image


def _mean(image: Tensor) -> Tensor:
    return functional.avg_pool2d(image, WINDOW, 1, WINDOW // 2)

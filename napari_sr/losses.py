"""Losses: two images in, one number out.

This module alone says what a generator is told to be good at. Pure functions of
tensors; they are computed in float32 whatever the network's precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mean_absolute_error(result: Tensor, truth: Tensor) -> Tensor:
    """Average |result − truth| over all pixels, also called the L1 loss.

    Parameters
    ----------
    result, truth
        `(n, 1, h, w)` in network range.
    """
    return (result.float() - truth.float()).abs().mean()

"""Back-projection: what a result would have been recorded as, and what is missing.

This module alone corrects a result by the interpolated difference from its recording
(Irani and Peleg, CVGIP 1991). The recording is the mean over blocks of pixels, as a
detector integrates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from napari_sr.networks.resampling import kernel_radius, resample

if TYPE_CHECKING:
    from torch import Tensor

N_STEPS = 3
"""Each leaves about a tenth of the difference."""
REACH = N_STEPS * kernel_radius("bicubic")
"""Recorded pixels that take part around each pixel."""


def back_projected(fine: Tensor, low: Tensor, factor: int) -> Tensor:
    """Bring a result `(n, 1, f·h, f·w)` to agreement with its recording `(n, 1, h, w)`.

    Parameters
    ----------
    fine
        The result.
    low
        What was recorded.
    factor
        Super-resolution factor.
    """
    for _ in range(N_STEPS):
        missing = low - functional.avg_pool2d(fine, factor)
        fine = fine + resample(missing, factor, "bicubic")
    return fine

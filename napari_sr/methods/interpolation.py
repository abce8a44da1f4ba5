"""Classical interpolation, as an upscaler like any other.

The filters themselves are in `napari_sr.networks.resampling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_sr.image.factor import check_factor
from napari_sr.methods.weightless import Weightless
from napari_sr.networks.resampling import kernel_radius, resample

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sr.networks.resampling import Kernel


class Interpolation(Weightless):
    """An upscaler that knows nothing about the specimen.

    Pixel areas stay aligned: the corners of the result are those of the recording.

    Parameters
    ----------
    kernel
        "nearest", "bilinear", "bicubic" or "lanczos".
    factor
        Super-resolution factor: 2, 3, 4 or 8.

    Raises
    ------
    ValueError
        If the kernel or the factor is none of these.
    """

    def __init__(self, kernel: Kernel, factor: int) -> None:
        check_factor(factor)
        # In memory are the phases, shuffled, copied.
        super().__init__(kernel, factor, halo=kernel_radius(kernel), copies=3)
        self.kernel: Kernel = kernel

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Interpolate a batch `(n, 1, h, w)` to `(n, 1, factor·h, factor·w)`."""
        return resample(batch, self.factor, self.kernel)

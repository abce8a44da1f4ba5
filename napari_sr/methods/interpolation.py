"""Classical interpolation, as an upscaler like any other.

This module alone knows how an interpolation answers what the upscaling flow asks; the
filters themselves are in `napari_sr.networks.resampling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import torch

from napari_sr.intensity import IntensityPolicy
from napari_sr.networks.resampling import check_factor, kernel_radius, resample

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sr.intensity import IntensityRange, NoiseLevel
    from napari_sr.networks.resampling import Kernel
    from napari_sr.stack import Stack

_DESCRIPTIONS = {
    "nearest": "Repeats each pixel: no smoothing, nothing added.",
    "bilinear": "Linear between pixel centres: soft, never beyond the recorded range.",
    "bicubic": "Cubic convolution (Keys, a = -1/2): the usual comparison.",
    "lanczos": "Windowed sinc of three lobes: the sharpest, rings at strong edges.",
}


class Interpolation:
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

    domain = "any"

    def __init__(self, kernel: Kernel, factor: int) -> None:
        check_factor(factor)
        self.halo = kernel_radius(kernel)
        self.kernel: Kernel = kernel
        self.factor = factor
        self.name = kernel
        self.description = _DESCRIPTIONS[kernel]
        self.intensity_policy = IntensityPolicy()
        self.overlap = 0
        self.bytes_per_pixel = 4 * 3 * factor * factor  # phases, shuffled, copied

    def to(self, device: torch.device | str) -> Self:
        """Give the same upscaler: it has no weights and computes where its input is."""
        return self

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> None:
        """Find out nothing: an interpolation keeps the noise of the recording.

        Parameters
        ----------
        stack, intensity
            The recording and its range; not looked at.
        noise
            "auto", or a level of zero: both keep the recording's grain.

        Raises
        ------
        ValueError
            If noise is to be removed.
        """
        if noise != "auto" and (noise.gain > 0 or noise.read > 0):
            raise ValueError(
                f"Interpolation {self.name!r} cannot remove noise, but {noise} was "
                f"asked for. Leave noise at 'auto', or use a model that is told it."
            )

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: NoiseLevel | None
    ) -> Tensor:
        """Put nothing beside a plane.

        Parameters
        ----------
        plane
            `(1, 1, y, x)` float32 in network range.
        intensity, prepared
            The stack's range and what `prepare` found; not looked at.

        Returns
        -------
        Tensor
            `(1, 1, y, x)`: the plane itself.
        """
        return plane

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Interpolate a batch.

        Pixels beyond the border of the batch count as zero, so the outermost `halo`
        recorded pixels are only right where they are cut away.

        Parameters
        ----------
        batch
            `(n, 1, h, w)` float32 in network range.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """
        return resample(batch, self.factor, self.kernel)

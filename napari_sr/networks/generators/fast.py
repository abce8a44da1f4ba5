"""The fast generator: a plain stack of 3×3 convolutions on top of bicubic.

It alone knows how the noise map enters a network. Everything happens at the low
resolution and nothing is pooled, so the network is purely local: a tile with a halo of
the receptive radius gives the same pixels as the whole plane. The output is the
bicubic interpolation plus what the stack adds, and the last layer starts at zero: an
untrained network *is* bicubic. Residual blocks as in EDSR (Lim et al., CVPRW 2017),
one shuffle at the end as in ESPCN (Shi et al., CVPR 2016), noise map as in FFDNet
(Zhang et al., TIP 2018). The shape was chosen by `benchmarks/studies/choose_fast.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from napari_sr.networks.generator import Generator
from napari_sr.networks.resampling import kernel_radius, phase_kernel

if TYPE_CHECKING:
    from torch import Tensor

NOISE_GAIN = 10.0
"""Noise is an order of magnitude smaller than the image; this brings it level."""


def image_of(batch: Tensor) -> Tensor:
    """Take the image from the inputs of a network, `(n, c, h, w)` to `(n, 1, h, w)`.

    In memory of its own: some versions of PyTorch compute convolutions of single
    channels of a channels-last tensor wrongly on Apple's GPUs, without a word.
    """
    return batch[:, :1].contiguous()


class FastBlock(nn.Module):
    """Two 3×3 convolutions with a ReLU between, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape."""
        added: Tensor = self.second(functional.relu(self.first(features)))
        return features + added


class Fast(Generator):
    """Purely local, noise-conditioned generator.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    channels
        Feature channels.
    n_blocks
        Residual blocks of two convolutions each.
    """

    in_channels = 2
    conditions = ("noise",)
    bicubic: Tensor

    def __init__(self, factor: int, channels: int = 48, n_blocks: int = 5) -> None:
        super().__init__()
        self.factor = factor
        self.halo = 2 + 2 * n_blocks
        self.head = nn.Conv2d(self.in_channels, channels, 3, padding=1)
        self.body = nn.Sequential(*(FastBlock(channels) for _ in range(n_blocks)))
        self.tail = nn.Conv2d(channels, factor * factor, 3, padding=1)
        bicubic = phase_kernel("bicubic", factor)  # (factor², 1, 5, 5)
        self.register_buffer("bicubic", bicubic, persistent=False)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(cast("nn.Parameter", self.tail.bias))

    def raw_output(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, 2, h, w)` float: the image in network range, and the standard deviation
            of the noise that the result should not contain, in the same units.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """
        image, noise = image_of(batch), batch[:, 1:]
        levelled = torch.cat([image, noise * NOISE_GAIN], dim=1)
        features = functional.relu(self.head(levelled))
        phases = functional.conv2d(
            image, self.bicubic, padding=kernel_radius("bicubic")
        )
        phases = phases + self.tail(self.body(features))  # (n, factor², h, w)
        return functional.pixel_shuffle(phases, self.factor)

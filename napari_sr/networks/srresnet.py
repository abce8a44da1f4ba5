"""The generator of the SRGAN paper, to the letter.

Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
Adversarial Network", CVPR 2017, figure 4: 9×9 head, sixteen residual blocks with batch
norm, long skip, one sub-pixel block for each factor of two, 9×9 tail, no activation at
the output. The paper's output lies in [−1, 1] (its input in [0, 1]): a network that is
built anew has the step from there to network range, a model's card may hold another.
With two input channels, which the paper does not have, it is told the noise.
"""

from __future__ import annotations

from math import ceil, isqrt, log2
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_sr.networks.fast import NOISE_GAIN
from napari_sr.networks.generator import Generator

if TYPE_CHECKING:
    from torch import Tensor


FAINT = 0.01
"""What the untrained network adds to an interpolation: little, but all of its reach."""


def _pass_on(layer: nn.Conv2d, scale: float, offset: float) -> None:
    """Let the middle tap between the first channels carry the image, and no noise."""
    layer.weight[0, 0] = 0.0
    layer.weight[0, 1:2] = 0.0
    middle = layer.weight.shape[-1] // 2
    layer.weight[0, 0, middle, middle] = scale
    _set_bias(layer, 1, offset)


def _interpolate(layer: nn.Conv2d) -> None:
    """Let the sub-pixels of the first channel lie on parabolas through three pixels."""
    n_sub_pixels = layer.out_channels // layer.in_channels
    step = isqrt(n_sub_pixels)
    place = (torch.arange(step) + 0.5) / step - 0.5  # of sub-pixels, in pixels
    taps = torch.stack(
        [place * (place - 1) / 2, 1 - place.square(), place * (place + 1) / 2], dim=1
    )
    kernels = torch.einsum("ai,bj->abij", taps, taps).flatten(0, 1)
    layer.weight[:n_sub_pixels] = 0.0
    layer.weight[:n_sub_pixels, 0] = kernels
    _set_bias(layer, n_sub_pixels, 0.0)


def _set_bias(layer: nn.Conv2d, n_first: int, value: float) -> None:
    assert layer.bias is not None
    layer.bias[:n_first] = value


def _convolution_with_norm(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)]


class ResidualBlock(nn.Module):
    """Convolution, norm, PReLU, convolution, norm; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution_with_norm(channels),
            nn.PReLU(),
            *_convolution_with_norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape."""
        added: Tensor = self.layers(features)
        return features + added


class SRResNet(Generator):
    """The paper's generator, for one channel.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 4 or 8 by sub-pixel blocks of two, 3 by one of
        three.
    channels
        Feature channels; 64 in the paper.
    n_blocks
        Residual blocks; 16 in the paper.
    in_channels
        1 in the paper: the image. 2: the image and the map of the noise to remove.

    Raises
    ------
    ValueError
        For another number of input channels.
    """

    output_step = (0.5, 0.5)

    def __init__(
        self, factor: int, channels: int = 64, n_blocks: int = 16, in_channels: int = 1
    ) -> None:
        super().__init__()
        if in_channels not in (1, 2):
            raise ValueError(
                f"The paper's generator takes the image (in_channels 1), or the image "
                f"and its noise map (in_channels 2), got in_channels {in_channels}."
            )
        self.factor, self.in_channels = factor, in_channels
        steps = [3] if factor == 3 else [2] * int(log2(factor))
        self.halo = self._receptive_radius(steps, n_blocks)
        first = nn.Conv2d(in_channels, channels, 9, padding=4)
        self.head = nn.Sequential(first, nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(n_blocks)))
        self.middle = nn.Sequential(*_convolution_with_norm(channels))
        self.upsampling = nn.Sequential(
            *(layer for step in steps for layer in self._sub_pixel(channels, step))
        )
        self.tail = nn.Conv2d(channels, 1, 9, padding=4)
        self._start_as_interpolation(first)

    @torch.no_grad()
    def _start_as_interpolation(self, first: nn.Conv2d) -> None:
        """Let the first channel carry the image, so that only detail is to be learnt.

        The paper says nothing of where its training starts. From here a short one gets
        far: the untrained network interpolates, quadratically.
        """
        *between, last = [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in (*between[1::2], last):  # whatever is added to a skip
            nn.init.constant_(norm.weight, FAINT)
        _pass_on(first, 1.0, 0.0)
        for layer in self.upsampling:
            if isinstance(layer, nn.Conv2d):
                _interpolate(layer)
        self.tail.weight.mul_(FAINT)
        _pass_on(self.tail, 2.0, -1.0)  # from [0, 1] to the paper's range

    @staticmethod
    def _sub_pixel(channels: int, step: int) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, channels * step * step, 3, padding=1),
            nn.PixelShuffle(step),
            nn.PReLU(),
        ]

    @staticmethod
    def _receptive_radius(steps: list[int], n_blocks: int) -> int:
        """Add up the radii of all convolutions, in low-resolution pixels."""
        radius, resolution = 4.0 + 2 * n_blocks + 1, 1
        for step in steps:
            radius += 1 / resolution
            resolution *= step
        return ceil(radius + 4 / resolution)

    def raw_output(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, in_channels, h, w)` float: the image in network range, [0, 1] for
            typical counts, and the standard deviation of the noise that the result
            should not contain where the network is told.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in the paper's output range, [−1, 1].
        """
        if self.in_channels == 2:
            batch = torch.cat([batch[:, :1], batch[:, 1:] * NOISE_GAIN], dim=1)
        shallow = self.head(batch)
        deep = self.middle(self.blocks(shallow))
        fine: Tensor = self.tail(self.upsampling(deep + shallow))
        return fine

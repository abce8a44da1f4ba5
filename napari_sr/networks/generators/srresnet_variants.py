"""SRResNet as other repositories built it, for one channel and without batch norm.

This module alone knows how their networks differ from the paper's: what stands at the
output, which skip there is, and a second convolution before the last. Every activation
is a PReLU per channel: ReLU, leaky ReLU and a shared slope are special cases of it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_sr.networks.generator import Generator, start_without_lattice

if TYPE_CHECKING:
    from torch import Tensor


def _convolution(n_in: int, n_out: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)


class Block(nn.Module):
    """Convolution, PReLU, convolution, added to the input."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, kernel)
        self.slope = nn.PReLU(channels)
        self.second = _convolution(channels, channels, kernel)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape."""
        added: Tensor = self.second(self.slope(self.first(features)))
        return features + added


class OtherSRResNet(Generator):
    """The paper's form: long skip around the blocks, large first and last kernels.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 4 or 8 by sub-pixel steps of two, 3 by one of three.
    channels, n_blocks
        Feature channels and residual blocks.
    outer_kernel, kernel
        Sides of the first and last convolution, and of all others; odd.
    n_inputs, n_outputs
        1, or 3 where colours could not be collapsed without changing the result: the
        image is then repeated, and the mean of the outputs taken.
    """

    in_channels = 1
    has_bilinear_skip = False
    input_mean: Tensor
    input_deviation: Tensor

    def __init__(
        self,
        factor: int,
        channels: int = 64,
        n_blocks: int = 16,
        outer_kernel: int = 9,
        kernel: int = 3,
        n_inputs: int = 1,
        n_outputs: int = 1,
    ) -> None:
        super().__init__()
        self.factor = factor
        steps = [3] if factor == 3 else [2] * (factor.bit_length() - 1)
        self.register_buffer("input_mean", torch.zeros(n_inputs, 1, 1))
        self.register_buffer("input_deviation", torch.ones(n_inputs, 1, 1))
        self.head = _convolution(n_inputs, channels, outer_kernel)
        self.head_slope = nn.PReLU(channels)
        self.blocks = nn.Sequential(*(Block(channels, kernel) for _ in range(n_blocks)))
        self.middle: nn.Module = nn.Identity()
        self.fine: nn.Module = nn.Identity()
        if self.has_bilinear_skip:
            self.fine = nn.Sequential(
                _convolution(channels, channels, kernel), nn.PReLU(channels)
            )
        else:
            self.middle = _convolution(channels, channels, kernel)
        self.upsampling = nn.ModuleList(
            _convolution(channels, channels * step * step, kernel) for step in steps
        )
        for layer, step in zip(self.upsampling, steps, strict=True):
            start_without_lattice(layer, step)
        self.upsampling_slopes = nn.ModuleList(nn.PReLU(channels) for _ in steps)
        self.steps = steps
        self.tail = _convolution(channels, n_outputs, outer_kernel)
        self.halo = self._receptive_radius(outer_kernel // 2, kernel // 2)

    def _receptive_radius(self, outer: int, inner: int) -> int:
        """Add up the radii of all convolutions, in low-resolution pixels."""
        n_inner = 2 * len(self.blocks) + (not self.has_bilinear_skip)
        radius, resolution = float(outer + inner * n_inner), 1
        for step in self.steps:
            radius += inner / resolution
            resolution *= step
        finest = outer + inner * self.has_bilinear_skip
        return ceil(radius + finest / resolution)

    def raw_output(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, 1, h, w)` float image in network range.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in the range of the network's output.
        """
        shallow = self.head_slope(
            self.head((batch - self.input_mean) / self.input_deviation)
        )
        features = self.blocks(shallow)
        if not self.has_bilinear_skip:
            features = self.middle(features) + shallow
        for convolution, slope, step in zip(
            self.upsampling, self.upsampling_slopes, self.steps, strict=True
        ):
            features = slope(functional.pixel_shuffle(convolution(features), step))
        fine: Tensor = self.tail(self.fine(features))
        if self.has_bilinear_skip:
            fine = fine + functional.interpolate(
                batch, scale_factor=self.factor, mode="bilinear", align_corners=False
            )
        return self.at_output(fine).mean(dim=1, keepdim=True)

    def at_output(self, fine: Tensor) -> Tensor:
        """Give the output as it is."""
        return fine


class TanhSRResNet(OtherSRResNet):
    """With a hyperbolic tangent at the output."""

    output_step = (0.5, 0.5)

    def at_output(self, fine: Tensor) -> Tensor:
        """Bend into [−1, 1]."""
        return torch.tanh(fine)


class ClampedSRResNet(OtherSRResNet):
    """With an output that is cut off at 0 and 1."""

    def at_output(self, fine: Tensor) -> Tensor:
        """Cut off at 0 and 1."""
        return fine.clamp(0, 1)


class MSRResNet(OtherSRResNet):
    """No long skip, a convolution more before the last, added to bilinear."""

    has_bilinear_skip = True

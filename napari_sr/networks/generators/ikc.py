"""A generator that is conditioned on the blur, and two networks that estimate it.

Gu et al., "Blind Super-Resolution With Iterative Kernel Correction", CVPR 2019: the
generator SFTMD, whose features are scaled and shifted by layers that see the code of
the blur (SFT); the predictor, which guesses that code from the recording; the
corrector, which sees what was made with a code and says how to change it. It alone
knows how a blur is a code: its principal components among Gaussians of all widths,
shapes and directions. Differences from the paper: the result is added to bicubic, so
that a training begins there, and brightness is taken out of what the two others see.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from napari_sr.instrument.psf import gaussian_psf
from napari_sr.networks.generator import Generator, start_without_lattice
from napari_sr.networks.generators.fast import image_of
from napari_sr.networks.resampling import kernel_radius, resample

if TYPE_CHECKING:
    from torch import Tensor

SIDE, N_CODE = 21, 10
"""Side of a kernel in pixels of the result; numbers of its code."""
_SLOPE = 0.2


def _convolution(n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2)


class FeatureTransform(nn.Module):
    """SFT layer: scale and shift features by what they and the code say.

    Parameters
    ----------
    channels
        Of the features; half as many are between its two convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 2, 1)
        self.scale_first = _convolution(channels + N_CODE, hidden)
        self.scale_second = _convolution(hidden, channels)
        self.shift_first = _convolution(channels + N_CODE, hidden)
        self.shift_second = _convolution(hidden, channels)

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape; `code` is `(n, 10, h, w)`."""
        seen = torch.cat([features, code], dim=1)
        scale = functional.leaky_relu(self.scale_first(seen), _SLOPE)
        shift = functional.leaky_relu(self.shift_first(seen), _SLOPE)
        factor = torch.sigmoid(self.scale_second(scale))
        shifted: Tensor = features * factor + self.shift_second(shift)
        return shifted


class TransformedBlock(nn.Module):
    """Twice an SFT layer, ReLU and a convolution; added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first_transform = FeatureTransform(channels)
        self.first = _convolution(channels, channels)
        self.second_transform = FeatureTransform(channels)
        self.second = _convolution(channels, channels)

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape."""
        inner = self.first(functional.relu(self.first_transform(features, code)))
        inner = self.second(functional.relu(self.second_transform(inner, code)))
        return features + cast("Tensor", inner)


class Sftmd(Generator):
    """The generator, which is conditioned on the code of the blur.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 4 or 8 by sub-pixel steps of two, 3 by one of three.
    channels, n_blocks
        64 and 16 in the paper.
    """

    in_channels = 1 + N_CODE
    conditions = ("blur",)
    kernel_mean: Tensor
    kernel_basis: Tensor
    code_size: Tensor

    def __init__(self, factor: int, channels: int = 64, n_blocks: int = 16) -> None:
        super().__init__()
        self.factor = factor
        self.steps = [3] if factor == 3 else [2] * (factor.bit_length() - 1)
        self.head = nn.ModuleList(
            [_convolution(1, channels)]
            + [_convolution(channels, channels) for _ in range(2)]
        )
        self.blocks = nn.ModuleList(TransformedBlock(channels) for _ in range(n_blocks))
        self.last_transform = FeatureTransform(channels)
        self.middle = _convolution(channels, channels)
        self.upsampling = nn.ModuleList(
            _convolution(channels, channels * step**2) for step in self.steps
        )
        for layer, step in zip(self.upsampling, self.steps, strict=True):
            start_without_lattice(layer, step)
        self.tail = _convolution(channels, 1, 9)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(cast("nn.Parameter", self.tail.bias))
        # How a blur is a code belongs to the weights: it must not change with them.
        self.register_buffer("kernel_mean", torch.zeros(SIDE * SIDE))
        self.register_buffer("kernel_basis", torch.zeros(N_CODE, SIDE * SIDE))
        self.register_buffer("code_size", torch.ones(N_CODE))
        self._learn_kernels(gaussian_kernels(factor))
        self.halo = self._receptive_radius(n_blocks)

    def _receptive_radius(self, n_blocks: int) -> int:
        """Add up the radii of all convolutions, in low-resolution pixels."""
        # An SFT layer has two convolutions; there are two in a block, one behind them.
        radius, resolution = 3.0 + 6 * n_blocks + 2 + 1, 1
        for step in self.steps:
            radius += 1 / resolution
            resolution *= step
        return max(ceil(radius + 4 / resolution), kernel_radius("bicubic"))

    def raw_output(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, 11, h, w)` float: the image in network range, and the code of the blur,
            the same for all pixels.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """
        image, code = image_of(batch), batch[:, 1:]
        features = image
        for convolution in self.head[:2]:
            features = functional.leaky_relu(convolution(features), _SLOPE)
        features = shallow = self.head[2](features)
        for block in self.blocks:
            features = block(features, code)
        features = self.middle(self.last_transform(features + shallow, code))
        for convolution, step in zip(self.upsampling, self.steps, strict=True):
            fine = functional.pixel_shuffle(convolution(features), step)
            features = functional.leaky_relu(fine, _SLOPE)
        added: Tensor = self.tail(features)
        return resample(image, self.factor, "bicubic") + added

    # ── kernels and their codes ─────────────────────────────────────────────────

    @torch.no_grad()
    def _learn_kernels(self, kernels: Tensor) -> None:
        """Find the principal components of `(n, 21, 21)` kernels, once and for all."""
        flat = kernels.flatten(1).double()
        mean = flat.mean(0)
        basis = torch.linalg.svd(flat - mean, full_matrices=False)[2][:N_CODE]
        self.kernel_mean.copy_(mean)
        self.kernel_basis.copy_(basis)
        self.code_size.copy_(((flat - mean) @ basis.T).std(0))

    def code_of(self, kernels: Tensor) -> Tensor:
        """Encode `(n, 21, 21)` kernels, `(n, 10)`; each number is of size 1."""
        apart = kernels.flatten(1) - self.kernel_mean
        return apart @ self.kernel_basis.T / self.code_size

    def kernel_of(self, code: Tensor) -> Tensor:
        """Decode `(n, 10)` to kernels `(n, 21, 21)` of unit sum."""
        flat = self.kernel_mean + (code * self.code_size) @ self.kernel_basis
        return (flat / flat.sum(1, keepdim=True)).view(-1, SIDE, SIDE)


def as_kernel(psf: Tensor) -> Tensor:
    """Bring point-spread functions `(n, 1, k, k)`, `k` odd, to `(n, 21, 21)`."""
    margin = SIDE // 2 - psf.shape[-1] // 2  # below 0 its outskirts are cut off
    kernel = functional.pad(psf[:, 0], (margin,) * 4)
    return kernel / kernel.sum((1, 2), keepdim=True)


def gaussian_grid(factor: int, n_widths: int = 16, n_directions: int = 6) -> Tensor:
    """List the blurs that instruments have, `(n, 3)`: width, ratio of both, direction.

    Standard deviations go from a fifth of a pixel of the result to a recorded pixel,
    as in the paper, second ones from half of the first to as much.
    """
    widths = torch.linspace(0.2, float(factor), n_widths)
    ratios = torch.tensor([1.0, 0.84, 0.7, 0.59, 0.5])
    angles = torch.arange(n_directions) * 180.0 / n_directions
    return torch.cartesian_prod(widths, ratios, angles)


def gaussian_kernels(factor: int, n_widths: int = 16, n_directions: int = 6) -> Tensor:
    """Sample the blurs of `gaussian_grid`, `(n, 21, 21)`."""
    grid = gaussian_grid(factor, n_widths, n_directions)
    return as_kernel(gaussian_psf(*grid.T))


class Predictor(nn.Module):
    """Guess the code of the blur from a recording: six convolutions, averaged.

    Parameters
    ----------
    channels
        64 in the paper.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        strides = (1, 1, 1, 2, 1, 1)
        widths = [1, *[channels] * 5, N_CODE]
        self.layers = nn.ModuleList(
            _convolution(n_in, n_out, 5, stride)
            for n_in, n_out, stride in zip(widths, widths[1:], strides, strict=False)
        )
        _start_with_large_weights(self)

    def forward(self, low: Tensor) -> Tensor:
        """Map `(n, 1, h, w)` to codes `(n, 10)`."""
        features = _levelled(low)
        for layer in self.layers:
            features = functional.leaky_relu(layer(features), _SLOPE)
        return features.mean((2, 3))


class Corrector(nn.Module):
    """Say how to change a code, from what was made with it.

    Parameters
    ----------
    channels
        64 in the paper.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        strides = (1, 2, 1, 2, 1, 1, 1)
        widths = [1, *[channels] * 7]
        self.image = nn.ModuleList(
            _convolution(n_in, n_out, 5, stride)
            for n_in, n_out, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.code = nn.ModuleList(
            [nn.Linear(N_CODE, channels), nn.Linear(channels, channels)]
        )
        self.both = nn.ModuleList(
            [
                _convolution(2 * channels, 2 * channels, 1),
                _convolution(2 * channels, channels, 1),
                _convolution(channels, N_CODE, 1),
            ]
        )
        _start_with_large_weights(self)

    def forward(self, fine: Tensor, code: Tensor) -> Tensor:
        """Map a result `(n, 1, h, w)` and its code `(n, 10)` to a step `(n, 10)`."""
        features = _levelled(fine)
        for layer in self.image:
            features = functional.leaky_relu(layer(features), _SLOPE)
        for layer in self.code:
            code = functional.leaky_relu(layer(code), _SLOPE)
        stretched = code[..., None, None].expand(-1, -1, *features.shape[-2:])
        both = torch.cat([features, stretched], dim=1)
        for layer in self.both[:-1]:
            both = functional.leaky_relu(layer(both), _SLOPE)
        step: Tensor = self.both[-1](both).mean((2, 3))
        return step


def _start_with_large_weights(network: nn.Module) -> None:
    """Start so that what is seen fades from layer to layer no more than it has to."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
            nn.init.zeros_(cast("nn.Parameter", layer.bias))


def _levelled(image: Tensor) -> Tensor:
    """Take out brightness and contrast: neither says anything of the blur."""
    mean = image.mean((2, 3), keepdim=True)
    spread = (image - mean).square().mean((2, 3), keepdim=True).sqrt()
    return (image - mean) / (spread + 1e-3)


def with_code(image: Tensor, code: Tensor) -> Tensor:
    """Put a code `(n, 10)` beside every pixel of an image `(n, 1, h, w)`."""
    stretched = code[..., None, None].expand(len(image), -1, *image.shape[-2:])
    return torch.cat([image, stretched], dim=1)

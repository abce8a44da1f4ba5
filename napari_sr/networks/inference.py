"""The generators as they run: the same functions, arranged for speed.

This module alone knows how a trained generator is laid out for inference. A generator
is a chain of stages that each see a few pixels around a pixel. They compute without
padding: what is asked for shrinks by a stage's radius from stage to stage, so nothing
is computed that the next stage does not need. Each stage runs piece by piece, with
intermediate results that fit in a cache; between stages there are whole maps, so that
pieces cost next to no halo. With batch norms folded, the last convolution of the
paper's network before its shuffle and activations in place, results differ from those
of the trained network by float rounding only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_sr.networks.fast import NOISE_GAIN, Fast
from napari_sr.networks.fold import before_shuffle, fold_batch_norm
from napari_sr.networks.resampling import kernel_radius
from napari_sr.tiling import plan_tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_sr.networks.srresnet import SRResNet

PIECE_BYTES = {"cpu": 2**24}
"""Largest intermediate result of a stage: a share of a processor's cache."""
PIECE_BYTES_OF_A_GPU = 2**28
"""There, pieces only bound the memory. Chosen without one at hand."""


def for_inference(network: Fast | SRResNet) -> FastInference | SRResNetInference:
    """Arrange a trained generator for inference.

    Parameters
    ----------
    network
        In evaluation mode. It is not changed afterwards, and its batch norms are
        folded.

    Returns
    -------
    nn.Module
        Maps `(n, c, h, w)` to `(n, 1, f·(h - 2·halo), f·(w - 2·halo))`: what the
        network gives away from the border by its `halo`, to float rounding.
    """
    if isinstance(network, Fast):
        return FastInference(network)
    return SRResNetInference(network)


def in_pieces(
    stage: Callable[..., Tensor],
    *sources: tuple[Tensor, int],
    bytes_per_pixel: int,
    factor: int = 1,
) -> Tensor:
    """Apply a stage piece by piece.

    Parameters
    ----------
    stage
        Maps one tensor for each source to pixels that are `factor` times finer, all
        that can be had without padding.
    *sources
        Maps `(n, c, h + 2·radius, w + 2·radius)`, each with its own radius: how many
        pixels the stage needs of it around a pixel.
    bytes_per_pixel
        Of the stage's largest intermediate result, for each of the `h·w` pixels.
    factor
        How many times finer the result is.

    Returns
    -------
    Tensor
        `(n, c', factor·h, factor·w)`.
    """
    (first, radius), *_ = sources
    n, shape = len(first), [side - 2 * radius for side in first.shape[-2:]]
    budget = PIECE_BYTES.get(first.device.type, PIECE_BYTES_OF_A_GPU)
    side = max(16, int((budget / (n * bytes_per_pixel)) ** 0.5))
    pieces = plan_tiles((shape[0], shape[1]), side, halo=0)
    out: Tensor | None = None
    for piece in pieces:
        rows, columns = piece.outer
        found = stage(
            *(
                source[
                    ...,
                    rows.start : rows.stop + 2 * radius,
                    columns.start : columns.stop + 2 * radius,
                ]
                for source, radius in sources
            )
        )
        height, width = (factor * (one.stop - one.start) for one in piece.outer)
        found = _middle(found, height, width)
        if len(pieces) == 1:
            return found
        if out is None:
            out = found.new_empty(
                (n, found.shape[1], factor * shape[0], factor * shape[1])
            ).contiguous(memory_format=torch.channels_last)
        top, left = factor * rows.start, factor * columns.start
        out[..., top : top + height, left : left + width] = found
    assert out is not None  # a plane has at least one piece
    return out


def _middle(features: Tensor, height: int, width: int) -> Tensor:
    """Cut what lies beyond a height and a width, the same on both sides."""
    top, left = (features.shape[-2] - height) // 2, (features.shape[-1] - width) // 2
    return features[..., top : top + height, left : left + width]


class ResidualStage(nn.Module):
    """Two 3×3 convolutions with an activation between, added to their input."""

    radius = 2

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d, slope: float) -> None:
        super().__init__()
        self.first, self.second, self.slope = _bare(first), _bare(second), slope

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, c, h + 4, w + 4)` to `(n, c, h, w)`."""
        inner = functional.leaky_relu_(self.first(features), self.slope)
        added: Tensor = self.second(inner)
        return added.add_(features[..., 2:-2, 2:-2])


class FastInference(nn.Module):
    """`Fast` for inference; see `for_inference`."""

    bicubic: Tensor

    def __init__(self, network: Fast) -> None:
        super().__init__()
        self.factor, self.halo = network.factor, network.halo
        self.head = _bare(network.head)
        with torch.no_grad():
            self.head.weight[:, 1] *= NOISE_GAIN
        blocks = (ResidualStage(one.first, one.second, 0.0) for one in network.body)
        self.blocks = nn.ModuleList(blocks)
        self.tail = _bare(network.tail)
        self.register_buffer("bicubic", network.bicubic)
        self.map_bytes = 4 * max(self.head.out_channels, self.tail.out_channels)
        self.bytes_per_pixel = 3 * self.map_bytes + 8 * self.factor**2

    def forward(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch; see `for_inference`."""
        features = in_pieces(self._shallow, (batch, 1), bytes_per_pixel=self.map_bytes)
        for block in self.blocks:
            features = in_pieces(block, (features, 2), bytes_per_pixel=self.map_bytes)
        radius, unused = kernel_radius("bicubic"), self.halo - kernel_radius("bicubic")
        image = batch[:, :1, unused:-unused, unused:-unused]
        return in_pieces(
            self._fine,
            (features, 1),
            (image, radius),
            bytes_per_pixel=self.map_bytes,
            factor=self.factor,
        )

    def _shallow(self, batch: Tensor) -> Tensor:
        return functional.relu_(self.head(batch))

    def _fine(self, features: Tensor, image: Tensor) -> Tensor:
        added = self.tail(features)
        # In full precision, whatever the network computes in: it is most of the image.
        with torch.autocast(image.device.type, enabled=False):
            phases = functional.conv2d(image.float(), self.bicubic)
            return functional.pixel_shuffle(phases.add_(added), self.factor)


class SRResNetInference(nn.Module):
    """`SRResNet` for inference; see `for_inference`."""

    def __init__(self, network: SRResNet) -> None:
        super().__init__()
        fold_batch_norm(network)
        self.factor, self.halo = network.factor, network.halo
        self.head, self.slope = _bare(network.head[0]), _slope(network.head[1])
        self.blocks = nn.ModuleList(
            ResidualStage(one.layers[0], one.layers[3], _slope(one.layers[2]))
            for one in network.blocks
        )
        self.middle = _bare(network.middle[0])
        *_, (_, last_step, _) = steps = _sub_pixel_steps(network.upsampling)
        self.steps = nn.ModuleList(_bare(convolution) for convolution, _, _ in steps)
        self.shuffles = [(shuffle.upscale_factor, slope) for _, shuffle, slope in steps]
        self.tail = before_shuffle(network.tail, last_step.upscale_factor)
        channels, finer = self.head.out_channels, self.factor // self.shuffles[-1][0]
        self.map_bytes = 4 * channels
        self.fine_bytes = 4 * finer**2 * self.steps[-1].out_channels
        self.bytes_per_pixel = 4 * self.map_bytes + 8 * self.factor**2

    def forward(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch; see `for_inference`."""
        features = shallow = in_pieces(
            self._shallow, (batch, 4), bytes_per_pixel=self.map_bytes
        )
        for block in self.blocks:
            features = in_pieces(block, (features, 2), bytes_per_pixel=self.map_bytes)
        shallow = _middle(shallow, *features.shape[-2:])
        features = in_pieces(
            self._deep, (features, 1), (shallow, 1), bytes_per_pixel=self.map_bytes
        )
        unused = self.halo - 4 - 2 * len(self.blocks) - 1
        return in_pieces(
            self._fine,
            (features, unused),
            bytes_per_pixel=self.fine_bytes,
            factor=self.factor,
        )

    def _shallow(self, batch: Tensor) -> Tensor:
        return functional.leaky_relu_(self.head(batch), self.slope)

    def _deep(self, features: Tensor, shallow: Tensor) -> Tensor:
        deep: Tensor = self.middle(features)
        return deep.add_(shallow[..., 1:-1, 1:-1])

    def _fine(self, features: Tensor) -> Tensor:
        """Make features finer step by step; the tail comes before the last shuffle."""
        step = 1
        for convolution, (following, slope) in zip(
            self.steps, self.shuffles, strict=True
        ):
            features = functional.pixel_shuffle(features, step)
            # An activation of single values may as well come before the shuffle.
            features = functional.leaky_relu_(convolution(features), slope)
            step = following
        return functional.pixel_shuffle(self.tail(features), step)


def _bare(convolution: nn.Conv2d) -> nn.Conv2d:
    """Copy a convolution, without its padding."""
    n_out, n_in, *side = convolution.weight.shape
    copy = nn.Conv2d(n_in, n_out, (side[0], side[1]), bias=convolution.bias is not None)
    copy.load_state_dict(convolution.state_dict())
    return copy.to(convolution.weight)


def _slope(activation: nn.PReLU) -> float:
    """Give the slope below zero, the same for all channels."""
    return float(activation.weight.item())


def _sub_pixel_steps(
    upsampling: nn.Sequential,
) -> list[tuple[nn.Conv2d, nn.PixelShuffle, float]]:
    """Take convolution, shuffle and slope of each sub-pixel block."""
    layers = list(upsampling)
    return [
        (convolution, shuffle, _slope(activation))
        for convolution, shuffle, activation in zip(
            layers[::3], layers[1::3], layers[2::3], strict=True
        )
    ]

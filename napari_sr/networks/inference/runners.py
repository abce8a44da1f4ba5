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

from typing import TYPE_CHECKING, TypedDict, cast

import torch
from torch import nn
from torch.nn import functional

from napari_sr.networks.generator import to_network_range
from napari_sr.networks.generators.fast import NOISE_GAIN, Fast, image_of
from napari_sr.networks.generators.srresnet import SRResNet
from napari_sr.networks.inference.as_trained import AsTrained
from napari_sr.networks.inference.cache_pieces import Maps, in_pieces, middle_of
from napari_sr.networks.inference.fold import before_shuffle, fold_batch_norm
from napari_sr.networks.resampling import kernel_radius

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from napari_sr.networks.generator import Generator
    from napari_sr.networks.generators.fast import FastBlock
    from napari_sr.networks.generators.srresnet import ResidualBlock as PaperBlock


class _Rest(TypedDict):
    bytes_per_pixel: int
    maps: Maps


def for_inference(network: Generator) -> Runner:
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
    if isinstance(network, SRResNet):
        return SRResNetInference(network)
    return AsTrained(network)


class ResidualStage(nn.Module):
    """Two 3×3 convolutions with an activation between, added to their input."""

    radius = 2

    def __init__(self, first: nn.Module, second: nn.Module, slope: float) -> None:
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
        self.output_step = network.output_step
        self.head = _bare(network.head)
        with torch.no_grad():
            self.head.weight[:, 1] *= NOISE_GAIN
        blocks = cast("Iterable[FastBlock]", network.body)
        self.blocks = nn.ModuleList(
            ResidualStage(layer.first, layer.second, 0.0) for layer in blocks
        )
        self.tail = _bare(network.tail)
        self.register_buffer("bicubic", network.bicubic)
        self.map_bytes = 4 * max(self.head.out_channels, self.tail.out_channels)
        self.bytes_per_pixel = 3 * self.map_bytes + 8 * self.factor**2

    def forward(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch; see `for_inference`."""
        rest: _Rest = {"bytes_per_pixel": self.map_bytes, "maps": Maps()}
        features = in_pieces(self._shallow, (batch, 1), **rest)
        for block in self.blocks:
            features = in_pieces(block, (features, 2), **rest)
        radius, unused = kernel_radius("bicubic"), self.halo - kernel_radius("bicubic")
        image = image_of(batch)[..., unused:-unused, unused:-unused]
        fine = in_pieces(
            self._fine,
            (features, 1),
            (image, radius),
            bytes_per_pixel=self.map_bytes,
            factor=self.factor,
        )
        return to_network_range(fine, self.output_step)

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
        self.output_step = network.output_step
        self.head, self.slope = _bare(network.head[0]), _slope(network.head[1])
        with torch.no_grad():
            self.head.weight[:, 1:] *= NOISE_GAIN
        blocks = cast("Iterable[PaperBlock]", network.blocks)
        self.blocks = nn.ModuleList(
            ResidualStage(layer.layers[0], layer.layers[3], _slope(layer.layers[2]))
            for layer in blocks
        )
        self.middle = _bare(network.middle[0])
        layers = [*network.upsampling]  # convolution, shuffle, activation and again
        self.finer = nn.ModuleList(_bare(layer) for layer in layers[::3])
        self.slopes = [_slope(layer) for layer in layers[2::3]]
        self.step = round(self.factor ** (1 / len(self.finer)))
        self.tail = before_shuffle(network.tail, self.step)
        self.map_bytes = 4 * self.head.out_channels
        self.fine_bytes = self.map_bytes * self.factor**2
        self.bytes_per_pixel = 4 * self.map_bytes + 8 * self.factor**2

    def forward(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch; see `for_inference`."""
        features = shallow = in_pieces(
            self._shallow, (batch, 4), bytes_per_pixel=self.map_bytes
        )
        rest: _Rest = {"bytes_per_pixel": self.map_bytes, "maps": Maps()}
        for block in self.blocks:
            features = in_pieces(block, (features, 2), **rest)
        shallow = middle_of(shallow, *features.shape[-2:])
        features = in_pieces(self._deep, (features, 1), (shallow, 1), **rest)
        unused = self.halo - 4 - 2 * len(self.blocks) - 1
        fine = in_pieces(
            self._fine,
            (features, unused),
            bytes_per_pixel=self.fine_bytes,
            factor=self.factor,
        )
        return to_network_range(fine, self.output_step)

    def _shallow(self, batch: Tensor) -> Tensor:
        return functional.leaky_relu_(self.head(batch), self.slope)

    def _deep(self, features: Tensor, shallow: Tensor) -> Tensor:
        deep: Tensor = self.middle(features)
        return deep.add_(shallow[..., 1:-1, 1:-1])

    def _fine(self, features: Tensor) -> Tensor:
        """Make features finer step by step; the tail comes before the last shuffle."""
        step = 1
        for convolution, slope in zip(self.finer, self.slopes, strict=True):
            features = functional.pixel_shuffle(features, step)
            # An activation of single values may as well come before the shuffle.
            features = functional.leaky_relu_(convolution(features), slope)
            step = self.step
        return functional.pixel_shuffle(self.tail(features), step)


def _bare(convolution: nn.Module) -> nn.Conv2d:
    """Copy a convolution, without its padding."""
    assert isinstance(convolution, nn.Conv2d)
    n_out, n_in, *side = convolution.weight.shape
    copy = nn.Conv2d(n_in, n_out, (side[0], side[1]), bias=convolution.bias is not None)
    copy.load_state_dict(convolution.state_dict())
    return copy.to(convolution.weight)


def _slope(activation: nn.Module) -> float:
    """Give the slope below zero, the same for all channels."""
    assert isinstance(activation, nn.PReLU)
    return float(activation.weight.item())


Runner = AsTrained | FastInference | SRResNetInference

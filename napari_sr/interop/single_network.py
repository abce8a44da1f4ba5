"""A model as one plain network, for whoever computes without this package.

This module alone knows how the parts of a model become a single module: the dial set,
batch norm folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_sr.networks import build_generator
from napari_sr.networks.inference.fold import fold_batch_norm
from napari_sr.networks.weights import between, fitting

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sr.models.sr_model import SRModel
    from napari_sr.networks.weights import Weights


class PlainNetwork(nn.Module):
    """The image, and the noise map if the network is noise-conditioned, as inputs.

    Parameters
    ----------
    model
        A trained model; its dial counts.
    """

    def __init__(self, model: SRModel) -> None:
        super().__init__()
        card = model.card
        network = build_generator(
            card.architecture, card.factor, card.arguments, card.output_step
        )
        network.load_state_dict(weights_at_dial(model))
        self.network = fold_batch_norm(network.eval().requires_grad_(False))
        self.in_channels = network.in_channels
        self.eval()

    def forward(self, image: Tensor, noise: Tensor | None = None) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        image
            `(n, 1, h, w)` float in network range.
        noise
            `(n, 1, h, w)`: the standard deviation of the noise that the result should
            not contain, in the same units; None if the network is not
            noise-conditioned.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """
        batch = image if noise is None else torch.cat([image, noise], dim=1)
        high: Tensor = self.network(batch)
        return high

    def example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Make inputs of a size, the same at every call."""
        draw = torch.Generator().manual_seed(0)
        image = torch.rand(2, 1, height, width, generator=draw)
        noise = 0.05 * torch.rand(2, 1, height, width, generator=draw)
        return (image, noise)[: self.in_channels]


class EvenNoiseNetwork(PlainNetwork):
    """Conditioned on one standard deviation of noise for the whole image, not a map."""

    def forward(self, image: Tensor, noise: Tensor | None = None) -> Tensor:
        """Super-resolve a batch; `noise` is `(n, 1)`, else as `PlainNetwork`."""
        if noise is not None:
            noise = noise[:, :, None, None].expand_as(image)
        return super().forward(image, noise)

    def example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Make inputs of a size, the same at every call."""
        inputs = super().example(height, width)
        return (*inputs[:1], *(extra[:, :, 0, 0] for extra in inputs[1:]))


def weights_at_dial(model: SRModel) -> Weights:
    """Give the weights of a model's generator where its dial stands."""
    card = model.card
    network = build_generator(card.architecture, model.factor, card.arguments)
    weights = fitting(network, model.weights["faithful"], model.name)
    if model.dial == 0:
        return weights
    textured = fitting(network, model.weights["textured"], model.name)
    return between(weights, textured, model.dial)

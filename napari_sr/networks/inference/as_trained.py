"""Generators for which there is no inference form: they run as they were trained.

This module alone knows how much memory such a network takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sr.networks.generator import Generator

_LIVE_TENSORS = 4
"""Feature maps alive at once in a residual block, with what the library works in."""


class AsTrained(nn.Module):
    """A generator without what it gives within its halo of the border."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network
        self.factor, self.halo = network.factor, network.halo
        self.bytes_per_pixel = working_memory(network)

    def forward(self, batch: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, 1, f·(h - 2·halo), f·(w - 2·halo))`."""
        ring = self.factor * self.halo
        fine: Tensor = self.network(batch)
        return fine[..., ring:-ring, ring:-ring]


@torch.inference_mode()
def working_memory(network: Generator, side: int = 32) -> int:
    """Estimate a network's working memory from the feature maps of a small run.

    Parameters
    ----------
    network
        A generator.
    side
        Side of the trial in recorded pixels.

    Returns
    -------
    int
        Bytes per recorded pixel in float32.
    """
    largest = 0

    def look(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, torch.Tensor):
            largest = max(largest, output.numel())

    hooks = [module.register_forward_hook(look) for module in network.modules()]
    try:
        device = next(network.parameters()).device
        network(torch.zeros(1, network.in_channels, side, side, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return 4 * _LIVE_TENSORS * largest // (side * side)

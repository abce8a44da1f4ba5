"""A third-party network, for one channel, as an upscaler.

This module alone knows how such a network is tiled. One that is local within
`LARGEST_REACH` gets its measured reach as halo, so that tiles are exact; others are
blended, and their description says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

import torch

from napari_sr.cards.model_card import ModelCard
from napari_sr.interop.probe import look_at
from napari_sr.models.upscaler import Upscaler

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_sr.image.intensity import IntensityPolicy

LARGEST_REACH = 40
"""Recorded pixels of halo that are worth exact tiles."""
BLENDED_HALO, OVERLAP = 24, 16
SIDE_OF_PROBE = 2 * (LARGEST_REACH + 8) + 1
"""Recorded pixels of the image in which the reach is measured."""


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """Where a network comes from, and what is known without running it."""

    title: str
    """What it is, for people."""
    architecture: str
    digest: str
    """SHA-256 of everything that its pixels depend on."""
    intensity: IntensityPolicy
    bytes_per_pixel: int
    """Working memory per recorded pixel in float32."""
    is_shifting: bool = False
    """Whether its pixels depend on where a tile begins."""
    least_halo: int = 0
    """Recorded pixels that its makers tell to leave around a tile."""
    licence: str = "unknown"
    facts: dict[str, str | float] = field(default_factory=dict)
    """What else its card tells."""


class Foreign(Upscaler):
    """A third-party network, for one channel.

    Parameters
    ----------
    name
        Short name.
    network
        Maps `(1, 1, h, w)` in network range to `(1, 1, f·h, f·w)`.
    factor
        Super-resolution factor.
    origin
        Where it comes from.
    """

    def __init__(
        self, name: str, network: nn.Module, factor: int, origin: NetworkSource
    ) -> None:
        self.name, self.factor, self.origin = name, factor, origin
        self.network = network.eval()
        self.device = torch.device("cpu")
        self.intensity_policy = origin.intensity
        self.bytes_per_pixel = origin.bytes_per_pixel
        reach = LARGEST_REACH + 1 if origin.is_shifting else _reach_of(network, factor)
        self.is_local = reach <= LARGEST_REACH
        recommended = min(origin.least_halo, LARGEST_REACH)
        self.halo = max(1, reach, recommended) if self.is_local else BLENDED_HALO
        self.overlap = 0 if self.is_local else OVERLAP
        how = (
            f"local within {reach} px, so tiles are exact"
            if self.is_local
            else (
                "not local, so tiles are blended and the result depends slightly on "
                "the tile size"
            )
        )
        self.description = f"{origin.title}, {how}."

    @property
    def digest(self) -> str:
        """SHA-256 of everything that its pixels depend on."""
        return self.origin.digest

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        self.network.to(device)
        self.device = torch.device(device)
        return self

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve `(n, 1, h, w)` to `(n, 1, f·h, f·w)`, both in network range."""
        return torch.cat([self.network(image[None]) for image in batch])

    @cached_property
    def card(self) -> ModelCard:
        """What it is, with what a self-test finds."""
        return ModelCard(
            name=self.name,
            description=self.description,
            factor=self.factor,
            architecture=self.origin.architecture,
            intensity=self.intensity_policy,
            halo=self.halo,
            licence=self.origin.licence,
            imported={
                **self.origin.facts,
                "sha256": self.digest,
                **look_at(self),
            },
        )


@torch.inference_mode()
def _reach_of(network: nn.Module, factor: int) -> int:
    """Measure over how many recorded pixels a changed pixel is felt.

    What reaches as far as the measure goes is not known to end there.
    """
    middle = SIDE_OF_PROBE // 2
    draw = torch.Generator().manual_seed(0)
    base = torch.rand(1, 1, SIDE_OF_PROBE, SIDE_OF_PROBE, generator=draw)
    before, reach = network(base), 0
    for value in (0.0, 1.0):
        changed = base.clone()
        changed[..., middle, middle] = value
        felt = (network(changed) != before)[0, 0].nonzero() // factor - middle
        reach = max(reach, int(felt.abs().max()) if len(felt) else 0)
    return reach

"""What a training step learns from: recordings beside the truth, by position.

This module alone knows the two kinds: sharp images, recorded by a simulated instrument,
and pairs that were measured. A batch follows from its position alone, so that a resumed
training sees what it would have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from napari_sr.training.patches import PairPatchSource, PatchSource
from napari_sr.training.simulation import Recording, simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sr.datasets import SharpImage
    from napari_sr.datasets.pairs import MeasuredPair
    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.settings import TrainingSettings


class Examples(Protocol):
    """Batches of recordings with their truth."""

    def batch(self, position: int) -> Recording:
        """Give the batch of one step; the same position gives the same batch."""


class SimulatedExamples:
    """Sharp patches, recorded by instruments drawn at random.

    Parameters
    ----------
    images
        Sharp images in network range: arrays `(y, x)`, or what reads on demand.
    settings
        Patch, batch, instrument and seed.
    weights
        How often each image is drawn, relative to the others.
    """

    def __init__(
        self,
        images: Sequence[SharpImage],
        settings: TrainingSettings,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._settings = settings
        side = settings.patch * settings.factor
        self._source = PatchSource(images, side, weights, settings.seed)

    def batch(self, position: int) -> Recording:
        """Record the patches of one step."""
        settings = self._settings
        seed = (settings.seed << 32) + position + 1
        random = torch.Generator().manual_seed(seed)
        sharp = self._source.batch(position, settings.batch)
        return simulated(sharp, settings, random)


class MeasuredExamples:
    """Patches of recordings that were measured at both resolutions.

    Parameters
    ----------
    pairs
        Registered pairs in network range.
    settings
        Patch, batch and seed.
    noise
        Of each pair's recording, in network units: which conditions the generator.
    weights
        How often each pair is drawn, relative to the others.
    """

    def __init__(
        self,
        pairs: Sequence[MeasuredPair],
        settings: TrainingSettings,
        noise: Sequence[NoiseLevel],
        weights: Sequence[float] | None = None,
    ) -> None:
        self._settings = settings
        self._source = PairPatchSource(pairs, settings.patch, weights, settings.seed)
        self._noise = noise

    def batch(self, position: int) -> Recording:
        """Draw the patches of one step."""
        low, sharp = self._source.batch(position, self._settings.batch)
        chosen = self._source.drawn_from(position, self._settings.batch)
        levels = [self._noise[i] for i in chosen]
        return Recording(
            sharp=sharp,
            low=low,
            gain=_column([level.gain for level in levels]),
            read=_column([level.read for level in levels]),
            offset=_column([level.offset for level in levels]),
        )


def _column(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)

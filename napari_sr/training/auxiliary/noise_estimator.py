"""Flow B, second half: sharp images → recordings → the estimator of their noise.

This module alone trains the regression behind `noise="auto"`, on the recordings that
its generator was trained for: what counts as noise is the same for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_sr.instrument.noise import NoiseEstimator, estimator_loss, noise_statistics
from napari_sr.training.patches import PatchSource
from napari_sr.training.simulation import simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.datasets import SharpImage
    from napari_sr.settings import TrainingSettings

SIDES = (64, 96, 128, 192)
"""Sides of the recordings that the estimator learns from, in low pixels."""


def train_noise_estimator(
    images: Sequence[NDArray | SharpImage],
    weights: Sequence[float] | None,
    settings: TrainingSettings,
    n_recordings: int = 12_000,
    n_epochs: int = 80,
) -> NoiseEstimator:
    """Train the estimator behind `noise="auto"` on the generator's own recordings.

    Parameters
    ----------
    images, weights
        As for `train`.
    settings
        The settings that the generator was trained with.
    n_recordings
        Simulated recordings; each contributes one row of statistics.
    n_epochs
        Passes over them.

    Returns
    -------
    NoiseEstimator
        In evaluation mode.
    """
    statistics, levels, signals = _examples(images, weights, settings, n_recordings)
    torch.manual_seed(settings.seed)
    estimator = NoiseEstimator()
    estimator.mean.copy_(statistics.mean(0))
    estimator.deviation.copy_(statistics.std(0) + 1e-6)
    optimizer = torch.optim.AdamW(estimator.parameters(), 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    for _ in range(n_epochs):
        for rows in torch.split(torch.randperm(len(statistics)), 128):
            loss = estimator_loss(
                estimator(statistics[rows]), levels[rows], signals[rows]
            ).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()
    return estimator.eval()


@torch.no_grad()
def _examples(
    images: Sequence[NDArray | SharpImage],
    weights: Sequence[float] | None,
    settings: TrainingSettings,
    n_recordings: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Record patches of several sizes; statistics, true levels and typical signals."""
    largest = max(min(image.shape) for image in images) // settings.factor
    rows, levels, signals = [], [], []
    for step in range(n_recordings):
        random = torch.Generator().manual_seed((settings.seed << 32) + step)
        side = min(SIDES[step % len(SIDES)], largest) * settings.factor
        source = PatchSource(images, side, weights, settings.seed + 1)
        seen = simulated(source.batch(step, 1), settings, random)
        rows.append(noise_statistics(seen.low[0, 0]))
        levels.append(torch.cat([seen.gain, seen.read, seen.offset]).flatten())
        signals.append(torch.quantile(seen.low, torch.linspace(0.05, 0.99, 8)))
    return torch.stack(rows), torch.stack(levels), torch.stack(signals)

"""Flow B, second half: sharp images → recordings → the estimator of their noise.

This module alone trains the regression behind `noise="auto"`, on the recordings that
its generator was trained for: what counts as noise is the same for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from napari_sr.instrument.noise import (
    DARK_AND_BRIGHT,
    NoiseEstimator,
    estimator_loss,
)
from napari_sr.instrument.noise_statistics import noise_statistics
from napari_sr.training.patches import PatchSource
from napari_sr.training.simulation import simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.datasets import SharpImage
    from napari_sr.settings import TrainingSettings
    from napari_sr.training.simulation import Recording

SIDES = (24, 32, 48, 64, 64, 64)
"""Sides of the recordings that the estimator learns from, in low pixels."""
_BATCH, _ROWS = 32, 512
"""Recordings that are simulated at a time, and that are learnt from at a time."""
_RATE = 3e-3
_STRUCTURED, _FLAT = 0.3, 0.1
"""Patches are taken as they come, more than for a generator: there is least to tell
noise from where an image is flat. How often the more structured one, and shares."""


class _Examples(NamedTuple):
    """What is learnt from, a row for each recording."""

    statistics: Tensor
    level: Tensor
    """Gain, read noise and offset in network units."""
    correlation: Tensor
    signal: Tensor
    """Where it is dark and where it is bright."""
    detail: Tensor
    """Root mean square of what was not recorded."""


def train_noise_estimator(
    images: Sequence[NDArray | SharpImage],
    weights: Sequence[float] | None,
    settings: TrainingSettings,
    n_recordings: int = 12_000,
    n_epochs: int = 40,
    rather_more: float = 0.0,
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
    rather_more
        By how much of its uncertainty correlated noise is taken for stronger.

    Returns
    -------
    NoiseEstimator
        In evaluation mode.
    """
    examples = _examples(images, weights, settings, n_recordings)
    torch.manual_seed(settings.seed)
    estimator = NoiseEstimator()
    seen = estimator.relative(examples.statistics)
    estimator.mean.copy_(seen.mean(0))
    estimator.deviation.copy_(seen.std(0) + 1e-6)
    estimator.rather_more.fill_(rather_more)
    optimizer = torch.optim.AdamW(estimator.parameters(), _RATE, weight_decay=0.05)
    n_steps = n_epochs * -(-len(seen) // _ROWS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, total_steps=n_steps, pct_start=0.1
    )
    for _ in range(n_epochs):
        for rows in torch.split(torch.randperm(len(seen)), _ROWS):
            some = _Examples(*(part[rows] for part in examples))
            estimate = estimator(some.statistics)
            loss = estimator_loss(estimate, *some[1:]).mean()
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
) -> _Examples:
    """Record patches of several sizes."""
    settings = settings.model_copy(update={"share_flat": _FLAT})
    largest = max(min(image.shape) for image in images) // settings.factor
    rows = []
    for step, first in enumerate(range(0, n_recordings, _BATCH)):
        random = torch.Generator().manual_seed((settings.seed << 32) + step)
        side = min(SIDES[step % len(SIDES)], largest) * settings.factor
        source = PatchSource(images, side, weights, settings.seed + 1, _STRUCTURED)
        sharp = source.batch(step, min(_BATCH, n_recordings - first))
        seen = simulated(sharp, settings, random)
        rows.append(_rows_of(seen, settings.factor))
    return _Examples(*map(torch.cat, zip(*rows, strict=True)))


def _rows_of(seen: Recording, factor: int) -> _Examples:
    low, sharp = seen.low[:, 0], seen.sharp
    coarse = functional.avg_pool2d(sharp, factor)
    detail = sharp - functional.interpolate(coarse, scale_factor=factor, mode="bicubic")
    correlation = seen.correlation
    return _Examples(
        statistics=noise_statistics(low),
        level=torch.cat([seen.gain, seen.read, seen.offset], 1).flatten(1),
        correlation=torch.zeros(len(low))
        if correlation is None
        else correlation.flatten(),
        signal=torch.quantile(low.flatten(1), DARK_AND_BRIGHT, dim=1).T,
        detail=detail.square().mean((1, 2, 3)).sqrt(),
    )

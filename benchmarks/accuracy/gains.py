"""How far a network in training is ahead of bicubic, on calibrate images."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    recorded,
    rows_of,
    sharp_planes,
)
from napari_sr.evaluation.protocol import BORDER
from napari_sr.instrument.noise import noise_map
from napari_sr.networks.resampling import resample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

Gains = dict[tuple[str, str], float]
"""Mean gain in dB by kind of recording and dataset."""


def gains_over_bicubic(network: nn.Module, root: Path) -> dict[str, float]:
    """Mean gain in PSNR over datasets, in dB, noise given, on the calibrate role."""
    return means_of(gains_by_dataset(network, root, (None, 200)))


def means_of(gains: Gains) -> dict[str, float]:
    """Average over the datasets."""
    by_kind = defaultdict(list)
    for (kind, _), gain in gains.items():
        by_kind[kind].append(gain)
    return {kind: round(float(np.mean(many)), 3) for kind, many in by_kind.items()}


@torch.inference_mode()
def gains_by_dataset(
    network: nn.Module,
    root: Path,
    photons: Sequence[float | None],
    role: str = "calibrate",
    per_dataset: int = 5,
) -> Gains:
    """Measure the gain in PSNR on every dataset of a role, noise given.

    Of each image the first plane, and of that the first 384 px a side.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    n_seen = Counter[str]()
    for row in rows_of(root, role):
        if not row.usable_as_target or n_seen[row.dataset] == per_dataset:
            continue
        n_seen[row.dataset] += 1
        sharp = next(iter(sharp_planes(root, row)))[:384, :384]
        truth = torch.from_numpy((sharp - BLACK) / DATA_RANGE)[None, None]
        for level in photons:
            heights = row.domain == "topography"
            low = recorded(sharp, network.factor, level, heights=heights)
            image = torch.from_numpy((low.astype(np.float32) - BLACK) / DATA_RANGE)
            image = image[None, None]
            noise = noise_map(image, 1 / level if level else 0.0, 0.0)
            told = torch.cat([image, noise], 1)[:, : network.in_channels]
            gain = _psnr(network(told), truth)
            gain -= _psnr(resample(image, network.factor, "bicubic"), truth)
            found[f"{level:g} photons" if level else "clean", row.dataset].append(gain)
    return {key: float(np.mean(many)) for key, many in found.items()}


def _psnr(result: Tensor, truth: Tensor) -> float:
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = (result[inner] - truth[inner]).square().mean()
    return float(-10 * torch.log10(error))

"""How far a network in training is ahead of bicubic, on calibrate images."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.real_images import (
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
    from pathlib import Path

    from torch import Tensor, nn

PHOTONS = (None, 200)


@torch.inference_mode()
def gains_over_bicubic(
    network: nn.Module, root: Path, domain: str | None = None, per_dataset: int = 5
) -> dict[str, float]:
    """Mean gain in PSNR over datasets, in dB, noise given, on the calibrate role."""
    gains: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of(root, "calibrate", domain):
        if not row.usable_as_target or len(gains["clean"][row.dataset]) >= per_dataset:
            continue
        sharp = next(iter(sharp_planes(root, row)))[:384, :384]
        heights = row.domain == "topography"
        for photons in PHOTONS:
            low = recorded(sharp, network.factor, photons, heights=heights)
            image = torch.from_numpy((low.astype(np.float32) - BLACK) / DATA_RANGE)
            image = image[None, None]
            gain = 1 / photons if photons else 0.0
            noise = noise_map(image, gain, 0.0)
            truth = torch.from_numpy((sharp - BLACK) / DATA_RANGE)[None, None]
            told = torch.cat([image, noise], 1)[:, : network.in_channels]
            ours = _psnr(network(told), truth)
            key = f"{photons} photons" if photons else "clean"
            gains[key][row.dataset].append(
                ours - _psnr(resample(image, network.factor, "bicubic"), truth)
            )
    return {
        key: round(float(np.mean([np.mean(v) for v in of.values() if v])), 3)
        for key, of in gains.items()
    }


def _psnr(result: Tensor, truth: Tensor) -> float:
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = (result[inner] - truth[inner]).square().mean()
    return float(-10 * torch.log10(error))

"""The noise estimator of files of version 0.1.0, which finds white noise alone.

This module alone knows what such a file holds and how it is read, so that
results have the same pixels as before. Nothing is trained here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_sr.image.intensity import NoiseLevel
from napari_sr.instrument.noise_statistics import FLOOR, noise_statistics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

N_STATISTICS = 64
"""Of those of today, the first."""
_WINDOW, _N_WINDOWS, _HIDDEN = 64, 16, 32


class OlderNoiseEstimator(nn.Module):
    """Two-layer regression from the statistics of a window to gain and read noise."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_STATISTICS))
        self.register_buffer("deviation", torch.ones(N_STATISTICS))
        self.layers = nn.Sequential(
            nn.Linear(N_STATISTICS, _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, 2)
        )

    def forward(self, statistics: Tensor) -> Tensor:
        """Map `(n, N_STATISTICS)` statistics to `(n, 2)`: gain and read noise."""
        standard = (statistics - self.mean) / self.deviation
        log_sigma = self.layers(standard.clamp(-5, 5)).clamp(-12, 0)
        bright, dark = torch.exp(log_sigma).unbind(1)
        return torch.stack([bright.square(), dark], dim=1)

    @torch.no_grad()
    def estimate(self, planes: Iterable[Tensor]) -> NoiseLevel:
        """Estimate the noise of a stack from `(h, w)` planes in network range.

        Each plane is looked at through its windows of most structure, whose gains count
        by the square of their light; the level is the median over the planes.
        """
        levels = torch.stack([self._of_plane(plane) for plane in planes])
        gain, read = levels.median(dim=0).values.tolist()
        return NoiseLevel(gain=gain, read=read, offset=0.0)

    def _of_plane(self, plane: Tensor) -> Tensor:
        windows = _windows(plane)
        seen = [noise_statistics(window[None])[0, :N_STATISTICS] for window in windows]
        gains, reads = self(torch.stack(seen)).unbind(1)
        light = torch.stack([window.mean() for window in windows]).clamp_min(FLOOR)
        weights = light.square() / light.square().sum()
        return torch.stack([(weights * gains).sum(), reads.median()])


def _windows(plane: Tensor) -> list[Tensor]:
    """Cut a plane into equal windows and take those of most structure."""
    rows, columns = (-(-side // _WINDOW) for side in plane.shape)
    windows = [
        window
        for band in torch.tensor_split(plane, rows, dim=0)
        for window in torch.tensor_split(band, columns, dim=1)
    ]
    windows.sort(key=lambda window: float(window.std()), reverse=True)
    return windows[:_N_WINDOWS]

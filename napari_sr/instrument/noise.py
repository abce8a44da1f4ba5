"""How much noise to remove, and where.

This module alone knows what a noise map is: per pixel, the standard deviation, in
network units, of the noise that the result should not contain. In training that is the
noise drawn on top of a target; at inference it comes from the user's `NoiseLevel` or
from the `NoiseEstimator` here, a small regression on statistics of whole planes that is
trained on the same recordings as its generator (a rule of thumb would take fine texture
for noise).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_sr.image.intensity import NoiseLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

N_FEATURES = 64
FLOOR = 1e-4
"""Noise below this, in network units, is none: 2 counts in 20,000."""
SIGNAL_RADIUS = 2
"""Pixels around each over which `noise_map` averages the signal."""
WINDOW, N_WINDOWS = 64, 16
"""Largest side of a window in which noise is estimated, and how many of a plane."""
_BLOCK = 8
_CONSTANT = 1e-12
"""High-pass energy of a block that varies no more than its numbers are rounded."""
_SMALLEST = 2 * _BLOCK
_MAX_BLOCKS = 1 << 16
_LEVELS = torch.tensor([0.02, 0.1, 0.3, 0.5, 0.8])


def noise_map(
    image: Tensor,
    gain: Tensor | float,
    read: Tensor | float,
    offset: Tensor | float = 0.0,
) -> Tensor:
    """Map the standard deviation of the noise from its level.

    The signal is taken from the recording itself, averaged over 5 × 5 pixels.

    Parameters
    ----------
    image
        `(n, 1, h, w)` float32 recording in network range.
    gain, read, offset
        The level in network units: variance = gain × (signal − offset) + read².
        Numbers, or `(n, 1, 1, 1)`.

    Returns
    -------
    Tensor
        `(n, 1, h, w)` float32, ≥ 0.
    """
    # A plane of two pixels has too little to reflect for a radius of two.
    radius = min(SIGNAL_RADIUS, *(side - 1 for side in image.shape[-2:]))
    padded = functional.pad(image, (radius,) * 4, mode="reflect")
    signal = functional.avg_pool2d(padded, 2 * radius + 1, stride=1)
    read = torch.as_tensor(read, dtype=image.dtype, device=image.device)
    gain = torch.as_tensor(gain, dtype=image.dtype, device=image.device)
    return torch.sqrt(gain * (signal - offset).clamp_min(0) + read.square())


def noise_statistics(image: Tensor) -> Tensor:
    """Summarise a plane in the statistics that tell noise from texture.

    Percentiles over 8 × 8 blocks of the log energy of small high-pass filters (each
    passes white noise at unit size), plain and relative to the block's mean; the energy
    of the quieter blocks of each brightness, which for photons rises with it; short-lag
    autocorrelation and kurtosis of the Laplacian; percentiles of the block means.
    Blocks without any variation are left out: where nothing arrived (a black or a
    clipped background), or was masked, there is no telling how noisy the light is.

    Parameters
    ----------
    image
        `(h, w)` float32 recording in network range. One of less than 16 pixels a side
        is continued by reflection: its statistics are finite, and say little.

    Returns
    -------
    Tensor
        `(N_FEATURES,)` float32.
    """
    image = _reflected(image)
    bands = _high_pass(image[None, None])  # (1, 7, h - 4, w - 4)
    energy = _per_block(bands.square())  # (7, n_blocks)
    mean = _per_block(image[None, None, 2:-2, 2:-2])[0]  # (n_blocks,)
    alive = energy.amax(0) > _CONSTANT
    share_alive = alive.float().mean()
    if alive.any():
        energy, mean = energy[:, alive], mean[alive]
    log_energy = torch.log(energy + FLOOR**2)
    relative = log_energy[[0, -1]] - torch.log(mean.clamp_min(0.01))
    laplacian = bands[0, 0]
    return torch.cat(
        [
            torch.quantile(log_energy, _LEVELS, dim=1).T.flatten(),  # 35
            torch.quantile(relative, _LEVELS, dim=1).T.flatten(),  # 10
            _quiet_by_brightness(log_energy[-1], mean),  # 10
            _autocorrelation(laplacian),  # 5
            _log_kurtosis(laplacian, share_alive)[None],  # 1
            torch.quantile(mean, torch.tensor([0.1, 0.5, 0.9])),  # 3
        ]
    )


def _reflected(image: Tensor) -> Tensor:
    """Continue a small plane by reflection until it has a few blocks."""
    for axis, side in enumerate(image.shape):
        if side < _SMALLEST:
            period = max(1, 2 * side - 2)
            place = torch.arange(_SMALLEST) % period
            image = image.index_select(axis, torch.minimum(place, period - place))
    return image


def _high_pass(image: Tensor) -> Tensor:
    """Filter with Laplacian, second differences, checkerboard and fourth differences.

    The fourth differences along both axes pass the corner of the spectrum alone, where
    an instrument hardly transmits anything but noise.
    """
    second = torch.tensor([0.0, 1.0, -2.0, 1.0, 0.0])
    fourth = torch.tensor([1.0, -4.0, 6.0, -4.0, 1.0])
    kernels = torch.zeros(7, 1, 5, 5)
    kernels[0, 0] = torch.outer(second, second)
    kernels[1, 0, 2] = second
    kernels[2, 0, :, 2] = second
    kernels[3, 0, 1:3, 1:3] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    kernels[4, 0, 2] = fourth
    kernels[5, 0, :, 2] = fourth
    kernels[6, 0] = torch.outer(fourth, fourth)
    norms = kernels.square().sum((1, 2, 3), keepdim=True).sqrt()
    return functional.conv2d(image, kernels / norms)


def _quiet_by_brightness(log_energy: Tensor, mean: Tensor) -> Tensor:
    """Sort blocks into five classes of brightness: quiet energy and mean of each."""
    order = torch.argsort(mean)
    n = len(order)
    found = []
    for i in range(5):
        members = order[i * n // 5 : max(i * n // 5 + 1, (i + 1) * n // 5)]
        found.append(torch.quantile(log_energy[members], 0.3))
        found.append(mean[members].mean())
    return torch.stack(found)


def _per_block(values: Tensor) -> Tensor:
    """Average `(1, c, h, w)` over blocks to `(c, n_blocks)`, thinned to a bound."""
    side = min(_BLOCK, *values.shape[-2:])
    blocks = functional.avg_pool2d(values, side).flatten(2)[0]
    return blocks[:, :: max(1, blocks.shape[1] // _MAX_BLOCKS)]


def _autocorrelation(band: Tensor) -> Tensor:
    variance = band.square().mean() + FLOOR**2
    lagged = [
        (band[:, 1:] * band[:, :-1]).mean(),
        (band[1:] * band[:-1]).mean(),
        (band[1:, 1:] * band[:-1, :-1]).mean(),
        (band[:, 2:] * band[:, :-2]).mean(),
        (band[2:] * band[:-2]).mean(),
    ]
    return torch.stack(lagged) / variance


def _log_kurtosis(band: Tensor, share_alive: Tensor) -> Tensor:
    """Measure the tails of a band over the share of it where it is not zero."""
    variance = band.square().mean() + FLOOR**2
    kurtosis = share_alive * band.pow(4).mean() / variance.square()
    return torch.log(kurtosis + 1e-3)


class NoiseEstimator(nn.Module):
    """Two-layer regression from a plane's statistics to its noise.

    Parameters
    ----------
    hidden
        Width of the hidden layer.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("deviation", torch.ones(N_FEATURES))
        last = nn.Linear(hidden, 2)
        # Start at a common level: above 1 the clamp in `forward` passes no gradient.
        nn.init.constant_(last.bias, -4.0)
        self.layers = nn.Sequential(nn.Linear(N_FEATURES, hidden), nn.Tanh(), last)

    def forward(self, statistics: Tensor) -> Tensor:
        """Map `(n, N_FEATURES)` statistics to `(n, 2)`: gain and read noise."""
        standard = (statistics - self.mean) / self.deviation
        log_sigma = self.layers(standard.clamp(-5, 5)).clamp(-12, 0)
        bright, dark = torch.exp(log_sigma).unbind(1)
        return torch.stack([bright.square(), dark], dim=1)

    @torch.no_grad()
    def estimate(self, planes: Iterable[Tensor]) -> NoiseLevel:
        """Estimate the noise of a stack from some of its planes.

        Each plane is looked at through its windows of most structure. Photon noise is
        told by those with most light, so their gains count by the square of it: where a
        specimen is sparse, the rest of the plane is dark and says nothing of photons.

        Parameters
        ----------
        planes
            `(h, w)` float32 planes in network range, without gaps.

        Returns
        -------
        NoiseLevel
            In network units; the median over the planes.
        """
        found = torch.stack([self._of_plane(plane) for plane in planes])
        gain, read = found.median(dim=0).values.tolist()
        return NoiseLevel(gain=gain, read=read, offset=0.0)

    def _of_plane(self, plane: Tensor) -> Tensor:
        """Estimate `(2,)` gain and read noise of one plane."""
        windows = _windows(plane)
        gains, reads = self(torch.stack([*map(noise_statistics, windows)])).unbind(1)
        light = torch.stack([window.mean() for window in windows]).clamp_min(FLOOR)
        weights = light.square() / light.square().sum()
        return torch.stack([(weights * gains).sum(), reads.median()])


def _windows(plane: Tensor) -> list[Tensor]:
    """Cut a plane into equal windows and take those of most structure."""
    rows, columns = (-(-side // WINDOW) for side in plane.shape)
    windows = [
        window
        for band in torch.tensor_split(plane, rows, dim=0)
        for window in torch.tensor_split(band, columns, dim=1)
    ]
    windows.sort(key=lambda window: float(window.std()), reverse=True)
    return windows[:N_WINDOWS]


def estimator_loss(predicted: Tensor, true: Tensor, signal: Tensor) -> Tensor:
    """Compare two noise levels by the maps that they make.

    Parameters
    ----------
    predicted
        `(n, 2)` gain and read noise in network units; their offset is 0.
    true
        `(n, 3)` gain, read noise and offset in network units.
    signal
        `(n, k)` signals at which the maps are compared, for each recording its own.

    Returns
    -------
    Tensor
        `(n,)` mean absolute log ratio; noise far below `0.003` counts as none.
    """

    def log_sigma(gain: Tensor, read: Tensor, light: Tensor) -> Tensor:
        variance = gain * light.clamp_min(0) + read.square()
        return torch.log(torch.sqrt(variance + 1e-12) + 0.003)

    found = log_sigma(predicted[:, :1], predicted[:, 1:], signal)
    drawn = log_sigma(true[:, :1], true[:, 1:2], signal - true[:, 2:])
    return (found - drawn).abs().mean(dim=1)

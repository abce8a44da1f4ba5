"""How much noise to remove, and where.

This module alone knows what a noise map is: per pixel, the standard deviation, in
network units, of the noise that the result should not contain. In training that is the
noise drawn on top of a target; at inference it comes from the user's `NoiseLevel` or
from the `NoiseEstimator` here, a small regression on statistics of windows that is
trained on the same recordings as its generator (a rule of thumb would take fine texture
for noise).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_sr.image.intensity import NoiseLevel
from napari_sr.instrument.noise_statistics import (
    FLOOR,
    LOG_ENERGIES,
    N_FEATURES,
    WHERE_FLAT,
    noise_statistics,
)
from napari_sr.instrument.older_noise_estimator import N_STATISTICS, OlderNoiseEstimator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

SIGNAL_RADIUS = 2
"""Pixels around each over which `noise_map` averages the signal."""
WINDOW, N_WINDOWS = 64, 32
"""Largest side of a window in which noise is estimated, and how many of a plane."""
SIZES = (N_FEATURES, 128, 48, 4)
"""Widths of the estimator, statistics to outputs."""
DARK_AND_BRIGHT = torch.tensor([0.2, 0.8])
"""Percentiles of the signal of a window at which its noise is estimated."""
_MOST_CORRELATED = 1.2
"""Pixels; recordings to learn from have up to 1."""
_SHARES = torch.linspace(0, 1, 21)
"""Of photons in the variance, at the mean signal, among which the best is taken."""
_OF_DETAIL = 0.3
"""Share of the detail that was not recorded beside which noise counts."""
_SEEN = 0.01
"""Noise of which it matters how it is correlated."""
_DARK = 0.03
"""Signal, in network units, so dark that it hardly counts."""
_NO_NOISE = 0.003
"""Noise far below this, in network units, is as good as none: 60 counts in 20,000."""


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
    # Poisson counts of gain g (counts per photon) have the variance g · signal; their
    # own value instead of the signal would make bright outliers look certain, so it is
    # averaged.
    radius = min(SIGNAL_RADIUS, *(side - 1 for side in image.shape[-2:]))
    padded = functional.pad(image, (radius,) * 4, mode="reflect")
    signal = functional.avg_pool2d(padded, 2 * radius + 1, stride=1)
    read = torch.as_tensor(read, dtype=image.dtype, device=image.device)
    gain = torch.as_tensor(gain, dtype=image.dtype, device=image.device)
    return torch.sqrt(gain * (signal - offset).clamp_min(0) + read.square())


class NoiseEstimator(nn.Module):
    """Regression from the statistics of windows to their noise.

    Energies are taken relative to that of the flattest blocks, which is noise above
    all, so that an image and its noise that are both twice as strong look the same.
    """

    mean: Tensor
    deviation: Tensor
    rather_more: Tensor
    """By how much of its uncertainty noise is taken for stronger than it looks, for
    each pixel of correlation; below 0 for weaker. What costs less is another at each
    factor: blurred noise that is left, or fine texture that is taken for it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("deviation", torch.ones(N_FEATURES))
        self.register_buffer("rather_more", torch.zeros(()))
        layers: list[nn.Module] = []
        for before, after in pairwise(SIZES):
            layers += [nn.Linear(before, after), nn.Tanh()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, statistics: Tensor) -> Tensor:
        """Estimate the noise of windows.

        Parameters
        ----------
        statistics
            `(n, N_FEATURES)`.

        Returns
        -------
        Tensor
            `(n, 4)`: log standard deviation where the window is dark and where it is
            bright, correlation in pixels, and how uncertain the logarithms are.
        """
        standard = (self.relative(statistics) - self.mean) / self.deviation
        estimate: Tensor = self.layers(standard.clamp(-5, 5))
        log_flat = 0.5 * statistics[:, WHERE_FLAT, None]
        return torch.cat(
            [
                (log_flat + estimate[:, :2]).clamp(-12, 0),
                _MOST_CORRELATED * torch.sigmoid(estimate[:, 2:3]),
                torch.exp(estimate[:, 3:].clamp(-3.5, 1)),
            ],
            dim=1,
        )

    def relative(self, statistics: Tensor) -> Tensor:
        """Take what the layers see, before it is standardized."""
        level = statistics[:, WHERE_FLAT, None]
        return torch.where(LOG_ENERGIES, statistics - level, statistics)

    @torch.no_grad()
    def estimate(self, planes: Iterable[Tensor]) -> NoiseLevel:
        """Estimate the noise of a stack from some of its planes.

        Each window says how noisy it is where it is dark and where it is bright, and
        the uncertainty of both. The level is the line through most of them.

        Parameters
        ----------
        planes
            `(h, w)` float32 planes in network range, without gaps.

        Returns
        -------
        NoiseLevel
            In network units; its offset is 0.
        """
        parts = [self._of_plane(plane) for plane in planes]
        signal, variance, weight, correlation = map(torch.cat, zip(*parts, strict=True))
        signal = signal.clamp_min(0)
        # Where nearly no light arrived there is next to no noise, of any kind.
        weight = weight * (signal + _DARK)
        gain, read = _line_through(signal, variance, weight)
        blurred = _medians(correlation[None], weight).item()
        return NoiseLevel(gain, read, 0.0, round(blurred, 2))

    def _of_plane(self, plane: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give signals, variances, weights and correlations, two of each window."""
        windows = _windows(plane)
        signal = torch.quantile(windows.flatten(1), DARK_AND_BRIGHT, dim=1).T
        estimate = self(noise_statistics(windows))
        more = self.rather_more * estimate[:, 2:3] * estimate[:, 3:]
        variance = torch.exp(2 * (estimate[:, :2] + more).clamp_max(0))
        weight, correlation = estimate[:, 3:].reciprocal(), estimate[:, 2:3]
        spread = (signal, variance, weight.expand(-1, 2), correlation.expand(-1, 2))
        first, second, third, fourth = (part.flatten() for part in spread)
        return first, second, third, fourth


AnyNoiseEstimator = NoiseEstimator | OlderNoiseEstimator


def estimator_for(weights: Mapping[str, Tensor]) -> AnyNoiseEstimator:
    """Build an estimator for weights of today, or of an older file; none are loaded."""
    mean = weights.get("mean")
    if mean is not None and len(mean) == N_STATISTICS:
        return OlderNoiseEstimator()
    return NoiseEstimator()


def _windows(plane: Tensor) -> Tensor:
    """Cut `(n, h, w)` windows out of a plane, evenly spread, where it is not dead."""
    starts = []
    for side in plane.shape:
        most = max(0, side - WINDOW)
        starts.append(torch.linspace(0, most, -(-side // WINDOW)).round().long())
    places = torch.cartesian_prod(*starts)
    chosen = torch.linspace(0, len(places) - 1, min(N_WINDOWS, len(places)))
    windows = torch.stack(
        [
            plane[y : y + WINDOW, x : x + WINDOW]
            for y, x in places[chosen.round().long()].tolist()
        ]
    )
    is_dead = windows.flatten(1).std(1, correction=0) <= FLOOR
    return windows if is_dead.all() else windows[~is_dead]


def _line_through(
    signal: Tensor, variance: Tensor, weight: Tensor
) -> tuple[float, float]:
    """Fit gain and read noise to variances, by least deviations of their logarithms."""
    mean = ((weight * signal).sum() / weight.sum()).clamp_min(1e-3)
    # What was seen in the dark is not drawn out to what bright pixels would have.
    shares = _SHARES[: 1 + int((mean / _DARK).clamp_max(1) * (len(_SHARES) - 1)), None]
    shape = torch.log(shares * signal / mean + 1 - shares + 1e-3)
    difference = torch.log(variance + _NO_NOISE**2) - shape  # (n_shares, n)
    level = _medians(difference, weight)
    best = (weight * (difference - level).abs()).sum(1).argmin()
    whole = (level[best].exp() - _NO_NOISE**2).clamp_min(0)
    gain, read = _SHARES[best] * whole / mean, torch.sqrt((1 - _SHARES[best]) * whole)
    return float(gain), float(read)


def _medians(values: Tensor, weight: Tensor) -> Tensor:
    """Take the weighted median of each row of `(k, n)` values, `(k, 1)`."""
    order = values.argsort(1)
    before = weight[order].cumsum(1)
    place = (before >= before[:, -1:] / 2).int().argmax(1, keepdim=True)
    return values.gather(1, order).gather(1, place)


def estimator_loss(
    estimate: Tensor, true: Tensor, correlation: Tensor, signal: Tensor, detail: Tensor
) -> Tensor:
    """Compare estimates with what was drawn, by what a wrong level costs.

    Where a result could not be right to the last detail anyhow, a little too much noise
    removed, or too little, costs nothing: both are compared on top of that detail.

    Parameters
    ----------
    estimate
        `(n, 4)` as an estimator gives it.
    true
        `(n, 3)` gain, read noise and offset in network units.
    correlation
        `(n,)` in pixels.
    signal
        `(n, 2)` where the recordings are dark and where they are bright.
    detail
        `(n,)` root mean square of the detail that was not recorded.

    Returns
    -------
    Tensor
        `(n,)`.
    """
    floor = (_OF_DETAIL * detail[:, None]).square() + _NO_NOISE**2
    light = (signal - true[:, 2:]).clamp_min(0)
    drawn = true[:, :1] * light + true[:, 1:2].square()
    ratio = torch.log((torch.exp(2 * estimate[:, :2]) + floor) / (drawn + floor)) / 2
    squared, spread = ratio.square().mean(1), estimate[:, 3]
    surprise = squared.detach() / (2 * spread.square()) + torch.log(spread)
    sigma = torch.sqrt(drawn[:, 0])
    wrong = (estimate[:, 2] - correlation).abs() * sigma / (sigma + _SEEN)
    return squared + 0.2 * surprise + 0.3 * wrong

"""Noise whose neighbouring pixels go together: blurred, or left by a reconstruction.

This module alone knows how white noise becomes correlated noise: a filter that keeps
its variance, so that the level of the noise means the same for either.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from napari_sr.instrument.ranges import Correlation

MARGIN = 8
"""Recorded pixels around a field in which noise is drawn too, for those at its border:
the filter is a circular one."""


@dataclass(frozen=True, slots=True)
class DrawnCorrelation:
    """How the noise of each recording of a batch is correlated, `(n, 1, 1, 1)`."""

    sigma: Tensor
    """Standard deviation, in recorded pixels, of the Gaussian that blurred the noise;
    its autocorrelation at a distance of d pixels is exp(−d² / 4σ²)."""
    sampled: Tensor
    """How far the kernel is a Gaussian sampled at pixels, from 0 to 1."""
    ramp: Tensor
    """1 where a slice was reconstructed by filtered back-projection, 0 elsewhere."""


def draw_correlation(
    correlation: Correlation, n: int, generator: Generator
) -> DrawnCorrelation | None:
    """Draw how the noise of `n` recordings is correlated; None: all of it is white."""
    if correlation.share == 0:
        return None
    present, ramp, place = torch.rand(3, n, 1, 1, 1, generator=generator)
    low, high = correlation.sigma
    is_correlated = (present < correlation.share).float()
    least, most = correlation.sampled
    sampled = torch.full((n, 1, 1, 1), least)
    if least < most:
        sampled = least + (most - least) * torch.rand(n, 1, 1, 1, generator=generator)
    return DrawnCorrelation(
        sigma=is_correlated * (low + (high - low) * place),
        sampled=sampled,
        ramp=is_correlated * (ramp < correlation.share_ramp),
    )


def correlated(noise: Tensor, drawn: DrawnCorrelation) -> Tensor:
    """Filter white noise; its variance stays as it is.

    Parameters
    ----------
    noise
        `(n, 1, h, w)` of mean 0.
    drawn
        Of each recording. The power of a reconstructed slice rises as the frequency
        before it is blurred (Riederer et al., Phys. Med. Biol. 1978).

    Returns
    -------
    Tensor
        `(n, 1, h, w)`; opposite borders are neighbours.
    """
    height, width = noise.shape[-2:]
    y = torch.fft.fftfreq(height, device=noise.device).view(-1, 1)
    x = torch.fft.rfftfreq(width, device=noise.device)
    squared = y.square() + x.square()  # cycles² / pixel²
    transfer = torch.exp(-2 * pi**2 * drawn.sigma.square() * squared)
    if (drawn.sampled > 0).any():
        both = _sampled(drawn.sigma, y) * _sampled(drawn.sigma, x)
        transfer = torch.lerp(transfer, both, drawn.sampled)
    transfer = transfer * torch.where(drawn.ramp > 0, squared**0.25, 1.0)
    # All but the columns of no and of the highest frequency stand for two.
    twice = torch.where((x == 0) | (x == 0.5), 1.0, 2.0)
    power = (transfer.square() * twice).sum((2, 3), keepdim=True) / (height * width)
    spectrum = torch.fft.rfft2(noise) * transfer / power.sqrt()
    filtered: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return filtered


def _sampled(sigma: Tensor, frequency: Tensor) -> Tensor:
    """Give what a Gaussian that is sampled at pixels lets through."""
    place = torch.arange(-MARGIN, MARGIN + 1, device=sigma.device).view(-1, 1, 1, 1, 1)
    weights = torch.exp(-place.square() / (2 * sigma.square()).clamp_min(1e-6))
    waves = torch.cos(2 * pi * place * frequency)
    return (weights * waves).sum(0) / weights.sum(0)

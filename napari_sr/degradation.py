"""The instrument: what it would have recorded of a sharp image.

This module alone draws the random numbers of a recording. Steps, in the order of the
physics: point-spread function → area binning (a detector integrates over its pixel) →
photon noise → read noise. Everything is in network units.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from napari_sr.card import Instrument


@dataclass(frozen=True, slots=True)
class DrawnNoise:
    """What was drawn for a batch of recordings; the generator is told the noise."""

    gain: Tensor
    """`(n, 1, 1, 1)` variance of the photon noise per unit of signal."""
    read: Tensor
    """`(n, 1, 1, 1)` standard deviation of the read noise."""
    psf_sigma: float
    """Gaussian point-spread function of the whole batch, in sharp pixels."""


def draw_noise(instrument: Instrument, n: int, generator: Generator) -> DrawnNoise:
    """Draw an instrument from a range of them, for `n` recordings.

    Parameters
    ----------
    instrument
        The range.
    n
        Recordings; each has its own noise, all share one point-spread function.
    generator
        Source of the random numbers.
    """

    def even_in_log(low: float, high: float) -> Tensor:
        exponent = torch.rand(n, generator=generator) * (log(high) - log(low))
        return torch.exp(exponent + log(low)).view(n, 1, 1, 1)

    def present(share: float) -> Tensor:
        return (torch.rand(n, generator=generator) < share).float().view(n, 1, 1, 1)

    some = 1 - instrument.share_clean
    low, high = instrument.psf_sigma
    return DrawnNoise(
        gain=present(some) / even_in_log(*instrument.photons),
        # Most instruments are limited by photons: read noise in half of those.
        read=present(some / 2) * even_in_log(*instrument.read),
        psf_sigma=low + (high - low) * float(torch.rand(1, generator=generator)),
    )


def record(
    sharp: Tensor,
    factor: int,
    *,
    psf_sigma: float = 0.0,
    gain: Tensor | float = 0.0,
    read: Tensor | float = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """Record sharp images with an instrument of lower resolution.

    Parameters
    ----------
    sharp
        `(n, 1, h, w)` float32 in network range; zero means no light. `h` and `w` are
        multiples of `factor`.
    factor
        Ratio of pixel sizes; `factor` × `factor` sharp pixels are averaged to one.
    psf_sigma
        Standard deviation of a Gaussian point-spread function in sharp pixels; 0: none.
    gain
        Variance of the photon noise per unit of signal: one over the photons that a
        pixel of value 1 collects. A number, or `(n, 1, 1, 1)`. 0: no photon noise.
    read
        Standard deviation of the Gaussian read noise; a number, or `(n, 1, 1, 1)`.
    generator
        Source of the random numbers; the same state gives the same pixels.

    Returns
    -------
    Tensor
        `(n, 1, h / factor, w / factor)` float32; the mean is kept.

    Raises
    ------
    ValueError
        If the shape is not a multiple of the factor, or a figure is negative.
    """
    if sharp.shape[-1] % factor or sharp.shape[-2] % factor:
        raise ValueError(
            f"Sharp images of {tuple(sharp.shape[-2:])} pixels cannot be binned "
            f"{factor} × {factor}. Crop them to multiples of {factor}."
        )
    gain, read = torch.as_tensor(gain), torch.as_tensor(read)
    if (gain < 0).any() or (read < 0).any() or psf_sigma < 0:
        raise ValueError(
            f"Gain, read noise and point-spread function must not be negative, got "
            f"{gain.min():g}, {read.min():g} and {psf_sigma:g}. Use 0 for none."
        )
    low = functional.avg_pool2d(blur(sharp, psf_sigma), factor)
    return _with_read_noise(_with_photon_noise(low, gain, generator), read, generator)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Convolve `(n, 1, h, w)` images with a Gaussian of `sigma` pixels, reflected."""
    if sigma <= 0:
        return image
    radius = min(ceil(4 * sigma), min(image.shape[-2:]) - 1)
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    profile = torch.exp(-0.5 * (x / sigma) ** 2)
    profile = profile / profile.sum()
    padded = functional.pad(image, (radius,) * 4, mode="reflect")
    rows = functional.conv2d(padded, profile.view(1, 1, -1, 1))
    return functional.conv2d(rows, profile.view(1, 1, 1, -1))


def _with_photon_noise(
    low: Tensor, gain: Tensor, generator: Generator | None
) -> Tensor:
    if not (gain > 0).any():
        return low
    per_photon = gain.clamp_min(1e-12)
    # Below zero there is no light to count: that part is background, without photons.
    counted = torch.poisson(low.clamp_min(0) / per_photon, generator) * per_photon
    return torch.where(gain > 0, counted + low.clamp_max(0), low)


def _with_read_noise(low: Tensor, read: Tensor, generator: Generator | None) -> Tensor:
    if not (read > 0).any():
        return low
    normal = torch.randn(
        low.shape, generator=generator, dtype=low.dtype, device=low.device
    )
    return low + read * normal

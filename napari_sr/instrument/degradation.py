"""The instrument: what it would have recorded of a sharp image.

This module alone draws the random numbers of a recording. Steps, in the order of the
physics: point-spread function → area binning (a detector integrates over its pixel) →
illumination → photon noise → read noise → what correlates them → faults of the detector
→ rounding to counts → a file that loses some. Everything is in network units.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.instrument.correlation import MARGIN, correlated, draw_correlation
from napari_sr.instrument.defects import draw_defects, with_defects, with_flat_drift
from napari_sr.instrument.jpeg import draw_jpeg, through_jpeg
from napari_sr.instrument.psf import blur, convolve, gaussian_psf, measured_psf

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from napari_sr.instrument.correlation import DrawnCorrelation
    from napari_sr.instrument.defects import DrawnDefects
    from napari_sr.instrument.ranges import Instrument

__all__ = [
    "DrawnInstrument",
    "DrawnNoise",
    "blur",
    "draw_instrument",
    "draw_noise",
    "record",
    "record_with",
]


@dataclass(frozen=True, slots=True)
class DrawnNoise:
    """The noise that was drawn for a batch of recordings, and one width for all."""

    gain: Tensor
    """`(n, 1, 1, 1)` variance of the photon noise per unit of light."""
    read: Tensor
    """`(n, 1, 1, 1)` standard deviation of the read noise."""
    psf_sigma: float
    """Gaussian point-spread function of the whole batch, in sharp pixels."""


@dataclass(frozen=True, slots=True)
class DrawnInstrument:
    """What was drawn for a batch; the generator is conditioned on the noise."""

    gain: Tensor
    """`(n, 1, 1, 1)` variance of the photon noise per unit of light."""
    offset: Tensor
    """`(n, 1, 1, 1)` signal without light."""
    read: Tensor
    """`(n, 1, 1, 1)` standard deviation of the read noise."""
    psf: Tensor | None
    """`(n, 1, k, l)` point-spread functions of unit sum; None: all are points."""
    counts: Tensor | None
    """`(n, 1, 1, 1)` counts per network unit; None: recordings are not rounded."""
    defects: DrawnDefects | None
    """Faults of the detector; None: there are none."""
    correlation: DrawnCorrelation | None = None
    """How neighbouring pixels go together in the noise; None: they do not."""
    jpeg: Tensor | None = None
    """`(n,)` quality of 8-bit JPEG files, 0: none; None: for all."""


def draw_noise(instrument: Instrument, n: int, generator: Generator) -> DrawnNoise:
    """Draw the noise of an instrument, and a width, for `n` recordings.

    Parameters
    ----------
    instrument
        The range.
    n
        Recordings; each has its own noise, all share one point-spread function.
    generator
        Source of the random numbers.
    """

    def present(share: float) -> Tensor:
        return (torch.rand(n, generator=generator) < share).float().view(n, 1, 1, 1)

    some, photons = 1 - instrument.share_clean, instrument.photons
    if photons is None:
        gain = torch.zeros(n, 1, 1, 1)
    else:
        gain = present(some) / _even_in_log(photons, n, generator)
    reads = present(some * instrument.share_read)
    low, high = instrument.psf_sigma
    return DrawnNoise(
        gain=gain,
        read=reads * _even_in_log(instrument.read, n, generator),
        psf_sigma=low + (high - low) * float(torch.rand(1, generator=generator)),
    )


def draw_instrument(
    instrument: Instrument, n: int, generator: Generator
) -> DrawnInstrument:
    """Draw an instrument from a range of them, for each of `n` recordings.

    Parameters
    ----------
    instrument
        The range.
    n
        Recordings; each has its own noise, point-spread function and faults.
    generator
        Source of the random numbers. What is fixed draws none beyond `draw_noise`.
    """
    noise = draw_noise(instrument, n, generator)
    counts, offset = instrument.counts, instrument.offset
    return DrawnInstrument(
        gain=noise.gain,
        read=noise.read,
        psf=_drawn_psf(instrument, n, noise.psf_sigma, generator),
        offset=_even(offset, n, generator)
        if offset[0] < offset[1]
        else torch.full((n, 1, 1, 1), offset[0]),
        counts=None if counts is None else _even_in_log(counts, n, generator),
        defects=draw_defects(instrument.defects, n, generator),
        correlation=draw_correlation(instrument.correlation, n, generator),
        jpeg=draw_jpeg(instrument.jpeg, n, generator),
    )


def _drawn_psf(
    instrument: Instrument, n: int, first: float, generator: Generator
) -> Tensor | None:
    """Draw a point-spread function for each recording; `first` is drawn already."""
    if instrument.psf_image is not None:
        return measured_psf(instrument.psf_image)
    if instrument.psf_sigma[1] == 0:
        return None
    sigma = torch.full((n,), first)
    if instrument.psf_sigma[0] < instrument.psf_sigma[1]:
        sigma[1:] = _even(instrument.psf_sigma, n - 1, generator).flatten()
    if instrument.share_point:
        is_point = torch.rand(n, generator=generator) < instrument.share_point
        sigma = torch.where(is_point, 0.0, sigma)
    ratio, angle = torch.ones(n), torch.zeros(n)
    if instrument.psf_ratio != (1, 1):
        ratio = _even_in_log(instrument.psf_ratio, n, generator).flatten()
        angle = _even(instrument.psf_angle, n, generator).flatten()
    return gaussian_psf(sigma, ratio, angle)


def _even(ends: tuple[float, float], n: int, generator: Generator) -> Tensor:
    low, high = ends
    return low + (high - low) * torch.rand(n, generator=generator).view(n, 1, 1, 1)


def _even_in_log(ends: tuple[float, float], n: int, generator: Generator) -> Tensor:
    low, high = ends
    exponent = torch.rand(n, generator=generator) * (log(high) - log(low))
    return torch.exp(exponent + log(low)).view(n, 1, 1, 1)


def record_with(
    drawn: DrawnInstrument,
    sharp: Tensor,
    factor: int | tuple[int, int],
    generator: Generator,
) -> Tensor:
    """Record `(n, 1, h, w)` sharp images with the instruments that were drawn."""
    return record(
        sharp,
        factor,
        psf=drawn.psf,
        gain=drawn.gain,
        offset=drawn.offset,
        read=drawn.read,
        correlation=drawn.correlation,
        defects=drawn.defects,
        jpeg=drawn.jpeg,
        counts=drawn.counts,
        generator=generator,
    )


def record(
    sharp: Tensor,
    factor: int | tuple[int, int],
    *,
    psf_sigma: float = 0.0,
    psf: Tensor | None = None,
    gain: Tensor | float = 0.0,
    offset: Tensor | float = 0.0,
    read: Tensor | float = 0.0,
    correlation: DrawnCorrelation | None = None,
    defects: DrawnDefects | None = None,
    counts: Tensor | float | None = None,
    jpeg: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Record sharp images with an instrument of lower resolution.

    Parameters
    ----------
    sharp
        `(n, 1, h, w)` float32 in network range. `h` and `w` are multiples of `factor`.
    factor
        Ratio of pixel sizes; `factor` × `factor` sharp pixels are averaged to one. Two
        numbers are those along y and x.
    psf_sigma
        Standard deviation of a Gaussian point-spread function in sharp pixels, for all
        images; 0: none.
    psf
        `(n, 1, k, l)` or `(1, 1, k, l)` point-spread functions of unit sum on sharp
        pixels, centred on the pixel `(k // 2, l // 2)`; applied after the Gaussian.
    gain
        Variance of the photon noise per unit of light: one over the photons that a
        pixel of value 1 collects. A number, or `(n, 1, 1, 1)`. 0: no photon noise.
    offset
        Value at which there is no light, in network units: variance of the photon
        noise = gain × (value − offset). A number, or `(n, 1, 1, 1)`.
    read
        Standard deviation of the Gaussian read noise in network units; a number, or
        `(n, 1, 1, 1)`.
    correlation
        How neighbouring pixels go together in the noise, which is as strong as gain and
        read noise say; None: they do not.
    defects
        Faults of the detector; None: none.
    counts
        Counts of the digitiser per network unit: the recording is rounded to whole
        counts. Network range has no lower or upper end, so nothing is clipped. A
        number, or `(n, 1, 1, 1)`; None: not rounded.
    jpeg
        `(n,)` quality of the 8-bit JPEG files that recordings went through, 0 for those
        that did not; None: none did.
    generator
        Source of the random numbers; the same state gives the same pixels.

    Returns
    -------
    Tensor
        `(n, 1, h / factor, w / factor)` float32. Point-spread function, binning and
        noise keep the mean.

    Raises
    ------
    ValueError
        If the shape is not a multiple of the factor, or a figure is negative.
    """
    factors = (factor, factor) if isinstance(factor, int) else factor
    if sharp.shape[-1] % factors[1] or sharp.shape[-2] % factors[0]:
        raise ValueError(
            f"Sharp images of {tuple(sharp.shape[-2:])} pixels cannot be binned "
            f"{factors[0]} × {factors[1]}. Crop them to multiples of {factors[0]} and "
            f"{factors[1]}."
        )
    gain, read, offset = map(torch.as_tensor, (gain, read, offset))
    if (gain < 0).any() or (read < 0).any() or psf_sigma < 0:
        raise ValueError(
            f"Gain, read noise and point-spread function must not be negative, got "
            f"{gain.min():g}, {read.min():g} and {psf_sigma:g}. Use 0 for none."
        )
    blurred = blur(sharp, psf_sigma)
    if psf is not None:
        blurred = convolve(blurred, psf)
    low = functional.avg_pool2d(blurred, factors)
    if defects is not None:
        low = with_flat_drift(low - offset, defects.flat_drift, generator) + offset
    around = 0 if correlation is None else MARGIN
    light = functional.pad(low, (around,) * 4, mode="replicate") if around else low
    noisy = _with_photon_noise(light, gain, offset, generator)
    noisy = _with_read_noise(noisy, read, generator)
    if correlation is not None:
        height, width = low.shape[-2:]
        noise = correlated(noisy - light, correlation)
        noisy = low + noise[..., around : around + height, around : around + width]
    if defects is not None:
        noisy = with_defects(noisy, defects, generator)
    if counts is not None:
        noisy = torch.round(noisy * counts) / counts
    return noisy if jpeg is None else through_jpeg(noisy, jpeg)


def _with_photon_noise(
    low: Tensor, gain: Tensor, offset: Tensor, generator: Generator | None
) -> Tensor:
    if not (gain > 0).any():
        return low
    per_photon, light = gain.clamp_min(1e-12), low - offset
    # Below the offset there is no light to count: background, without photons.
    counted = torch.poisson(light.clamp_min(0) / per_photon, generator) * per_photon
    return torch.where(gain > 0, counted + light.clamp_max(0) + offset, low)


def _with_read_noise(low: Tensor, read: Tensor, generator: Generator | None) -> Tensor:
    if not (read > 0).any():
        return low
    normal = torch.randn(
        low.shape, generator=generator, dtype=low.dtype, device=low.device
    )
    return low + read * normal

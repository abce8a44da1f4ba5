"""Whether a result agrees with its recording, where it does not, and in plain words.

A result is re-degraded (see `data_consistency`) and compared with what was recorded.
This module alone knows how large a difference noise may make. Arrays in counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from napari_sr.instrument.data_consistency import alike, recorded_again

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.image.intensity import NoiseLevel

SCALES = (0.0, 1.5, 6.0, 24.0)
"""Widths in recorded pixels over which differences are gathered: Gaussians, 0 a pixel.
An invented cell is many pixels wide, and a wrong gain is everywhere."""
BEYOND = 5.0
"""Deviations that noise does not reach: once in two million pixels."""
ENOUGH_DB = 45.0
"""Agreement that needs no noise as an excuse (NTIRE 2021, learning the SR space)."""
_ROUNDING = 1 / 12
"""Variance of rounding to whole counts."""
_FEW, _MANY, _MOST_CHI = 0.001, 0.05, 1.5

Level = Literal["agrees", "mostly", "differs"]


@dataclass(frozen=True, slots=True)
class Check:
    """What came of recording a result again."""

    residual: NDArray
    """`(y, x)` float32: the re-degraded result less the recording, in counts."""
    deviations: NDArray
    """`(y, x)` float32: the same in standard deviations of what noise explains, at the
    scale of `SCALES` where it stands out most; above 0 is more than was recorded."""
    chi_square: float
    """Mean square of residual over expected noise: 1 for the truth, less where the
    result keeps noise of the recording, more where it contradicts the recording."""
    share_of_pixels: float
    """Share of recorded pixels that differ by more than `BEYOND` deviations."""
    share_beyond: float
    """Share of the field that differs by more than `BEYOND` deviations, averaged over
    any of `SCALES`: a wide faint difference is found, and a small strong one reaches as
    far as the average."""


def check(
    high: NDArray,
    low: NDArray,
    noise: NoiseLevel,
    factor: int,
    psf_sigma: float = 0.0,
) -> Check:
    """Record a result again and compare it with the recording.

    Parameters
    ----------
    high
        `(factor·y, factor·x)` result in counts.
    low
        `(y, x)` recording in counts.
    noise
        Of the recording, in counts.
    factor
        Super-resolution factor.
    psf_sigma
        Blur of the instrument, in pixels of the result.
    """
    again = recorded_again(high.astype(np.float32), factor, psf_sigma)
    residual = again - low.astype(np.float32)
    variance = _variance(again, noise) + _rounding(low) + _rounding(high) / factor**2
    # A result in float32 agrees to rounding at best, also where there is no noise.
    floor = (float(np.abs(low).max()) * np.finfo(np.float32).eps * 4) ** 2
    variance = np.maximum(variance, max(floor, np.finfo(np.float32).tiny))
    deviations = _deviations(residual, variance, noise.correlation)
    return Check(
        residual=residual,
        deviations=deviations,
        chi_square=float(np.mean(residual.astype(np.float64) ** 2 / variance)),
        share_of_pixels=float(np.mean(np.abs(residual) > BEYOND * np.sqrt(variance))),
        share_beyond=float(np.mean(np.abs(deviations) > BEYOND)),
    )


def level_of(chi_square: float, share_beyond: float, agreement_db: float) -> Level:
    """Judge the figures of a `Check`, and the agreement in dB.

    Parameters
    ----------
    chi_square, share_beyond
        Of the check.
    agreement_db
        PSNR of the re-degraded result against the recording.
    """
    is_little = share_beyond <= _FEW and chi_square <= _MOST_CHI
    if is_little or agreement_db >= ENOUGH_DB:
        return "agrees"
    return "mostly" if share_beyond <= _MANY else "differs"


def in_words(
    level: Level, share_beyond: float, agreement_db: float, share_of_pixels: float
) -> str:
    """Say what a level means, in a sentence for whoever looks at the picture."""
    field = (
        f"{share_beyond:.1%} of the field, averaged over neighbourhoods "
        f"({share_of_pixels:.1%} of single pixels)"
    )
    if level == "agrees":
        if share_beyond <= _FEW:
            return (
                "Agrees with the recording: re-degraded, the result differs from it "
                "by no more than its noise."
            )
        return (
            f"Agrees with the recording to {agreement_db:.1f} dB; at {field}, the "
            "small difference is more than noise."
        )
    if level == "mostly":
        return (
            f"Agrees with the recording except at {field}, where noise does not "
            "explain the difference: check these places."
        )
    return (
        f"Differs from the recording at {field}, by more than noise explains: the "
        "result contradicts the recording."
    )


def _variance(signal: NDArray, noise: NoiseLevel) -> NDArray:
    """Tell the variance of noise; from the result, which has less noise of its own."""
    # Where less than one photon is expected, one is no surprise.
    light = np.maximum(signal - noise.offset, noise.gain)
    variance: NDArray = noise.gain * light + noise.read**2
    return variance


def _rounding(image: NDArray) -> float:
    return 0.0 if image.dtype.kind == "f" else _ROUNDING


def _deviations(
    residual: NDArray, variance: NDArray, correlation: float
) -> NDArray[np.float32]:
    """Find, at each pixel, the scale at which the difference is least likely noise."""
    strongest = np.zeros(residual.shape, np.float32)
    for sigma in SCALES:
        # A sum with weights w of independent noise has the variance Σ w² v: the squares
        # of the weights gather the variances, and each scale is in its own standard
        # deviations.
        deviations = residual / np.sqrt(variance)
        if sigma:
            deviations = _gathered(residual, sigma) / (
                alike(correlation, sigma) * np.sqrt(_gathered(variance, sigma, power=2))
            )
        strongest = np.where(
            np.abs(deviations) > np.abs(strongest), deviations, strongest
        )
    return strongest.astype(np.float32)


def _gathered(image: NDArray, sigma: float, power: int = 1) -> NDArray:
    """Sum with Gaussian weights, or their squares; there is nothing beyond a border."""
    radius = round(3 * sigma)
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2)) ** power
    for axis in (0, 1):
        image = ndimage.correlate1d(image, weights, axis, mode="constant")
    return image

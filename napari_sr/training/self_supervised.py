"""Recordings alone → images to learn from, the noise in them, and a check.

Nothing sharp is there. What stands for it is what the base makes of a recording, seen
coarser, where less noise and less blur are left. Re-degraded by the same instrument, it
shows what that takes away, nearly at the scale of the recordings (zero-shot
super-resolution, Shocher et al., CVPR 2018; scale equivariance, Scanvic et al., 2023).

The check is at the scale of the recordings themselves: a recording is split into two
whose noise is independent (Recorrupted-to-Recorrupted, Pang et al., CVPR 2021), and the
result of one, re-degraded, is compared with the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_sr.datasets import SharpImage
from napari_sr.datasets.plane_cache import FilledPlane
from napari_sr.image.intensity import IntensityRange, NoiseLevel
from napari_sr.image.sampling import evenly_spread
from napari_sr.instrument.correlation import DrawnCorrelation, correlated
from napari_sr.instrument.degradation import draw_instrument, record
from napari_sr.instrument.noise import NoiseEstimator
from napari_sr.instrument.ranges import Correlation, typical
from napari_sr.metrics.paired import Gain, paired_gain
from napari_sr.training.simulation import Recording
from napari_sr.training.validation import parts_of, super_resolved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from napari_sr.instrument.noise import AnyNoiseEstimator
    from napari_sr.instrument.ranges import Instrument
    from napari_sr.models.sr_model import SRModel
    from napari_sr.settings import TrainingSettings

N_FIELDS, SIDE = 32, 384
"""Fields that are looked at, of all recordings together, and their largest side."""
SCALE = 1.5
"""Pixel of what stands for a sharp image, in those of a result: at 1 it holds the blur
of the base's result, from 2 on its structures are smaller beside a pixel than those of
the recordings, so that noise was kept for detail (0.4 dB lost on nuclei)."""
SMALLEST = 12
"""Side of a recording that can be seen coarser, and whose parts can be compared."""
_WIDER = 1.4
"""By how much more and less noise is simulated than was found: estimates are that far
off."""
_WHITE = 0.2
"""Correlation, in pixels, below which noise is taken for white."""
_LEAST_READ = 1e-4
_MOST_PHOTONS = 1e5
_WIDER_BLUR = 1.2
"""From so many times the widest blur of a base's training on, a blur is new to it."""
_CAUTION = 1.3
"""Variance of what recordings are split by over that of the noise found in them. Where
less is split off than there is, both halves hold the rest, and to keep noise looks like
agreement: 0.16 dB were lost so on microtubules, whose noise was found a fifth too weak.
"""
_BLOCK = 8
_MOST_IN_FLATTEST, _QUANTILE = 5.0, 0.75
"""Variance of the flattest blocks over that of correlated noise, up to which that is
taken for found, in most recordings. Of ten datasets four with correlated noise lie
below, and gained 1.9 dB or more; five above, and gained from -0.5 to +1.2 dB: noise was
found up to two thirds too weak there, or fine texture was seen instead."""
_NEGLIGIBLE = 0.003
"""Standard deviation of noise, in network units, of which it does not matter how it is
correlated."""
_BORDER = 4
"""Recorded pixels at each edge that are not compared."""


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a recording, and the noise that was found in it."""

    image: SharpImage
    low: Tensor
    """`(1, 1, h, w)` float32 in network range."""
    noise: NoiseLevel
    """In network units."""

    def seen(self, factor: int) -> Recording:
        """Give the inputs of a generator, without a truth."""
        return Recording.measured(self.low, self.noise, factor)


def fields_of(
    images: Sequence[SharpImage], estimator: AnyNoiseEstimator
) -> list[Field]:
    """Take parts of recordings, evenly spread, and estimate their noise.

    Parameters
    ----------
    images
        Recordings in network range.
    estimator
        Of noise.

    Raises
    ------
    ValueError
        If all of them are too small to be seen coarser, and compared.
    """
    chosen = [images[number] for number in evenly_spread(len(images), N_FIELDS)]
    n_each = max(1, N_FIELDS // len(chosen))
    parts = [part for image in chosen for part in _parts_of(image, n_each)]
    parts = [part for part in parts if min(part.shape) >= SMALLEST]
    if not parts:
        raise ValueError(
            "To learn from recordings alone, those for training and those held out "
            f"must be at least {SMALLEST} × {SMALLEST} pixels. Give larger ones, or "
            "more."
        )
    found = []
    for part in parts:
        low = torch.from_numpy(np.ascontiguousarray(part[:, :], np.float32))
        found.append(Field(part, low[None, None], estimator.estimate([low])))
    return found


def _parts_of(image: SharpImage, n: int) -> list[SharpImage]:
    """Cut a plane into parts that are not too large, and take some of them."""
    rows, columns = (
        np.linspace(0, side, -(-side // SIDE) + 1).astype(int) for side in image.shape
    )
    parts = [
        image.cropped(slice(int(top), int(bottom)), slice(int(left), int(right)))
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]
    return [parts[number] for number in evenly_spread(len(parts), n)]


@torch.inference_mode()
def coarser_images(
    fields: Sequence[Field], network: nn.Module, factor: int
) -> list[SharpImage]:
    """Give what stands for sharp images: results of recordings, seen coarser.

    Parameters
    ----------
    fields
        Parts of recordings.
    network
        The base, in evaluation mode.
    factor
        Its factor.

    Returns
    -------
    list of SharpImage
        In network range, of the same stacks as the recordings.
    """
    images = []
    for field in fields:
        result = super_resolved(network, field.seen(factor))
        sides = [round(side / SCALE) for side in result.shape[-2:]]
        plane = functional.interpolate(result, sides, mode="area")[0, 0].numpy()
        of = field.image
        images.append(
            SharpImage(
                name=f"{of.name}, downsampled",
                stack=of.stack,
                depth=of.depth,
                shape=(sides[0], sides[1]),
                intensity=IntensityRange(0.0, 1.0),
                read=partial(FilledPlane, plane, None),
            )
        )
    return images


def with_noise_of(fields: Sequence[Field], instrument: Instrument) -> Instrument:
    """Give an instrument the noise that was found in recordings.

    Parameters
    ----------
    fields
        Parts of recordings, with their noise.
    instrument
        Whose blur is kept.
    """
    gains = [field.noise.gain for field in fields]
    reads = [field.noise.read for field in fields]
    correlation = _correlation_of(fields)
    most = max(gains) * _WIDER
    photons = None
    if most > 1 / _MOST_PHOTONS:
        photons = (1 / most, 1 / max(min(gains) / _WIDER, 1 / _MOST_PHOTONS))
    near = (max(0.0, correlation - _WHITE), correlation + _WHITE)
    return instrument.model_copy(
        update={
            "photons": photons,
            "read": (
                max(min(reads) / _WIDER, _LEAST_READ),
                max(max(reads) * _WIDER, 2 * _LEAST_READ),
            ),
            "share_clean": 0.05,
            "share_read": 1.0,
            "correlation": Correlation(share=1.0, sigma=near)
            if is_correlated(fields)
            else Correlation(),
        }
    )


def doubt_about(base: SRModel, instrument: Instrument, fields: Sequence[Field]) -> str:
    """Say why a training on such recordings is not to be believed, if it is not.

    Where a base was trained for such recordings, its downsampled results are not
    better training images than the sharp ones that it has seen: in tests such trainings
    gained up to 0.4 dB and lost up to 0.8, and no metric without ground truth showed
    which. Where correlated noise is estimated far too weak, noise is taken for detail,
    by the training and by what judges it.

    Parameters
    ----------
    base
        Where the training starts.
    instrument
        Whose blur is to be learnt.
    fields
        Parts of the recordings; their noise by an estimator that knows correlated
        noise.

    Returns
    -------
    str
        A sentence; empty where there is no doubt.
    """
    own = base.card.instrument
    is_blurred = instrument.psf_image is not None or (
        instrument.psf_sigma[1] > _WIDER_BLUR * own.psf_sigma[1]
    )
    finds_it = isinstance(base.noise_estimator, NoiseEstimator)
    if not is_blurred and (finds_it or not is_correlated(fields)):
        return (
            f"{base.name} was already trained for this blur and noise, so a gain "
            f"cannot be expected, nor be shown without sharp images. Give the blur of "
            f"the instrument, if it is wider."
        )
    ratios = [variance_of_flattest(field) for field in fields]
    flattest = float(np.quantile(ratios, _QUANTILE))
    if is_correlated(fields) and flattest > _MOST_IN_FLATTEST:
        return (
            f"Even the flattest parts of these recordings vary {flattest:.0f} times as "
            f"much as the correlated noise that was estimated in them. The estimate "
            f"may be too low, and noise is then taken for detail."
        )
    return ""


def variance_of_flattest(field: Field) -> float:
    """Compare the flattest tenth of a recording with the noise that was found in it.

    Parameters
    ----------
    field
        At least 8 × 8 pixels.

    Returns
    -------
    float
        Variance within blocks of 8 × 8 px, a plane fitted to each, over that of the
        noise; the tenth percentile over blocks. Below 1 for noise alone that is blurred
        over a good part of a block.
    """
    level = Recording.measured(field.low, field.noise, 1).noise_map()
    blocks, levels = (
        functional.unfold(image.double(), _BLOCK, stride=_BLOCK)[0].T
        for image in (field.low, level.expand_as(field.low))
    )
    rows, columns = torch.meshgrid(2 * [torch.arange(_BLOCK)], indexing="ij")
    ones = torch.ones(_BLOCK**2)
    plane = torch.stack([ones, rows.flatten(), columns.flatten()], 1).double()
    fitted, _ = torch.linalg.qr(plane)
    rest = blocks - blocks @ fitted @ fitted.T
    variance = rest.square().sum(1) / (_BLOCK**2 - 3)
    ratio = variance / levels.square().mean(1).clamp_min(1e-12)
    return float(torch.quantile(ratio, 0.1))


def is_correlated(fields: Sequence[Field]) -> bool:
    """Tell whether noise of neighbouring pixels goes together in most recordings.

    Parameters
    ----------
    fields
        Their noise by an estimator that knows correlated noise.
    """
    return _correlation_of(fields) > _WHITE


def _correlation_of(fields: Sequence[Field]) -> float:
    return float(
        np.median(
            [
                field.noise.correlation if _strength(field) > _NEGLIGIBLE else 0.0
                for field in fields
            ]
        )
    )


def _strength(field: Field) -> float:
    """Give the standard deviation of the noise that was found, in network units."""
    level = Recording.measured(field.low, field.noise, 1).noise_map()
    return float(level.square().mean().sqrt())


@torch.inference_mode()
def agreement(
    network: nn.Module,
    base: nn.Module,
    fields: Sequence[Field],
    settings: TrainingSettings,
    told_base: Sequence[NoiseLevel] | None = None,
) -> Gain:
    """Compare how well two networks agree with noise that they have not seen.

    Parameters
    ----------
    network, base
        Generators in evaluation mode.
    fields
        Parts of recordings that neither learnt from.
    settings
        Whose instrument records the results again.
    told_base
        Noise of each field by the estimator of the base, where that is another one.

    Returns
    -------
    Gain
        Of the first over the second, in dB, paired by recording; the noise of what is
        compared with is in it, so that it is small beside the gain in PSNR.
    """
    random = torch.Generator().manual_seed(0)
    psf = draw_instrument(typical(settings.instrument), 1, random).psf
    errors: dict[str, list[tuple[list[float], list[float]]]] = {}
    told = [field.noise for field in fields]
    for field, own, other in zip(fields, told, told_base or told, strict=True):
        first, second = split(field.low, _stronger(field.noise, _CAUTION), random)
        both = []
        for generator, noise in ((network, own), (base, other)):
            seen = Recording.measured(
                first, _stronger(noise, 1 + _CAUTION), settings.factor
            )
            again = record(super_resolved(generator, seen), settings.factor, psf=psf)
            error = (again - second)[0, 0].double().square().numpy()
            inside = error[_BORDER:-_BORDER, _BORDER:-_BORDER]
            both.append([float(part.mean()) for part in parts_of(inside)])
        errors.setdefault(field.image.stack, []).append((both[0], both[1]))
    if len(errors) > 1:  # of each recording its mean
        means = [np.mean(of_one, axis=(0, 2)) for of_one in errors.values()]
    else:  # of the only one its parts
        means = [*np.mean(next(iter(errors.values())), axis=0).T]
    decibels = -10 * np.log10(np.maximum(means, 1e-12))
    return paired_gain(list(decibels[:, 0]), list(decibels[:, 1]))


def _stronger(noise: NoiseLevel, times: float) -> NoiseLevel:
    """Give so many times the variance."""
    return replace(noise, gain=times * noise.gain, read=times**0.5 * noise.read)


def split(
    low: Tensor, noise: NoiseLevel, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Make two recordings of one, whose noise is independent and twice as strong.

    With z drawn as the noise n of y is, y + z and y − z have the noise n + z and n − z,
    whose covariance Σ − Σ is zero; exact for Gaussian noise, nearly so for photons.

    Parameters
    ----------
    low
        `(1, 1, h, w)` float32 in network range.
    noise
        What was found in it.
    random
        Source of the random numbers.
    """
    level = Recording.measured(low, noise, 1).noise_map()
    drawn = torch.randn(low.shape, generator=random)
    if noise.correlation > _WHITE:
        one = torch.ones(1, 1, 1, 1)
        drawn = correlated(
            drawn, DrawnCorrelation(noise.correlation * one, 0 * one, 0 * one)
        )
    return low + level * drawn, low - level * drawn

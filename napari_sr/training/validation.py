"""Held-out images: how good a generator in training is, by always the same recordings.

This module alone judges. Its images are held out from the training; every generator,
the one it started from and bicubic are given the same recordings.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch.nn import functional

from napari_sr.datasets import groups_of
from napari_sr.device import full_precision
from napari_sr.image.sampling import evenly_spread
from napari_sr.metrics import gradient_similarity, psnr, spectrum_error
from napari_sr.metrics.quality import lattice_on_scale
from napari_sr.networks.resampling import resample
from napari_sr.training.simulation import Recording, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_sr.datasets import SharpImage
    from napari_sr.datasets.pairs import MeasuredPair
    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.settings import TrainingSettings

N_IMAGES, N_DRAWS, SIDE = 8, 2, 96
"""At most so many images, each recorded so often, each with so many low pixels."""
_PARTS = 3
"""Per side of a single image, of which the parts tell how much a gain varies."""
_PERFECT = 80.0
"""Decibels: a flat result of a flat truth is perfect, and must not decide a mean."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Mean figures over the held-out recordings."""

    psnr: float
    """In dB, data range 1 in network units."""
    gradient_similarity: float
    """1 for the truth."""
    spectrum_error: float
    """Mean |log10| of the power ratio to the truth beyond what was recorded."""
    lattice: float = 0.0
    """How unequal the sub-pixel positions are, in counts of 20,000."""
    true_lattice: float = 0.0
    """Of the truth, where they are unequal by chance."""


@dataclass(frozen=True, slots=True)
class PatchPreview:
    """One held-out patch, to look at; all `(y, x)` float32 in network range."""

    low: NDArray
    now: NDArray
    truth: NDArray
    psnr: float
    """Of `now` on this patch, in dB."""
    psnr_bicubic: float
    """Of bicubic interpolation of `low`, in dB."""


class HeldOut:
    """Recordings of held-out images, to judge by.

    Parameters
    ----------
    recordings
        Of one image each, `n = 1`.
    n_images
        How many images they show.
    kept
        All that was held out, of which these images were chosen, evenly spread.
    together
        Of each of `kept`, which belong together; found out when not given, which needs
        all of them to be there.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        n_images: int,
        kept: Sequence[SharpImage] | Sequence[MeasuredPair] = (),
        together: Sequence[int] | None = None,
    ) -> None:
        self.recordings = recordings
        self.n_images = n_images
        self._kept, self._together = kept, together

    @cached_property
    def groups(self) -> list[int]:
        """Of each image, the number of the file or volume it belongs to.

        Planes of one are not independent: each image counts by itself only where it is
        unknown what it belongs to.
        """
        if not self._kept:
            return list(range(self.n_images))
        groups = groups_of(self._kept) if self._together is None else self._together
        return [groups[number] for number in evenly_spread(len(groups), N_IMAGES)]

    @torch.inference_mode()
    def judge(self, network: nn.Module) -> Validation:
        """Measure a generator, in evaluation mode or made so for the while."""
        with _evaluating(network):
            results = [super_resolved(network, seen) for seen in self.recordings]
        return self._figures(results)

    @torch.inference_mode()
    def judge_bicubic(self) -> Validation:
        """Measure bicubic interpolation."""
        factor = self._factor()
        return self._figures([_bicubic(seen, factor) for seen in self.recordings])

    @torch.inference_mode()
    def by_image(self, network: nn.Module | None) -> list[float]:
        """Give the PSNR of each file or volume; of the parts of a single one.

        Parameters
        ----------
        network
            A generator; None: bicubic interpolation.
        """
        factor, groups = self._factor(), np.array(self.groups)
        border, per_image = 2 * factor, len(self.recordings) // len(groups)
        errors = []
        for seen in self.recordings:
            if network is None:
                result = _bicubic(seen, factor)
            else:
                with _evaluating(network):
                    result = super_resolved(network, seen)
            difference = (result - seen.sharp)[0, 0].double().numpy()
            errors.append(difference[border:-border, border:-border] ** 2)
        if len(set(groups)) == 1:
            parts = [list(map(np.mean, parts_of(error))) for error in errors]
            decibels = -10 * np.log10(np.maximum(parts, 10 ** (-_PERFECT / 10)))
            return [float(mean) for mean in decibels.mean(axis=0)]
        means = [max(float(error.mean()), 10 ** (-_PERFECT / 10)) for error in errors]
        of_recordings = -10 * np.log10(means)
        whose = np.repeat(groups, per_image)
        return [
            float(of_recordings[whose == one].mean()) for one in sorted(set(groups))
        ]

    @torch.inference_mode()
    def preview(self, network: nn.Module) -> PatchPreview:
        """Show what a generator makes of the recording with most to see."""
        seen = max(self.recordings, key=lambda one: float(one.sharp.std()))
        with _evaluating(network):
            now = super_resolved(network, seen)
        bicubic = _bicubic(seen, self._factor())
        return PatchPreview(
            _plane(seen.low),
            _plane(now),
            _plane(seen.sharp),
            psnr=self._figures_of(now, seen)[0],
            psnr_bicubic=self._figures_of(bicubic, seen)[0],
        )

    def _factor(self) -> int:
        first = self.recordings[0]
        return first.sharp.shape[-2] // first.low.shape[-2]

    def _figures(self, results: Sequence[Tensor]) -> Validation:
        figures = [
            self._figures_of(result, seen)
            for result, seen in zip(results, self.recordings, strict=True)
        ]
        return Validation(
            *(float(np.mean(column)) for column in zip(*figures, strict=True))
        )

    def _figures_of(self, result: Tensor, seen: Recording) -> tuple[float, ...]:
        return _compared(_plane(result), _plane(seen.sharp), self._factor())


def parts_of(image: NDArray) -> list[NDArray]:
    """Cut an image into parts, which tell how much a figure varies in it.

    Parameters
    ----------
    image
        `(y, x)`; of fewer pixels than parts there are fewer.
    """
    rows = np.array_split(image, min(_PARTS, image.shape[0]), axis=0)
    n = min(_PARTS, image.shape[1])
    return [part for row in rows for part in np.array_split(row, n, axis=1)]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Keep a network in evaluation mode for a while."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def _compared(result: NDArray, truth: NDArray, factor: int) -> tuple[float, ...]:
    border = 2 * factor
    return (
        min(psnr(result, truth, data_range=1, border=border), _PERFECT),
        gradient_similarity(result, truth, data_range=1, border=border),
        spectrum_error(result, truth, factor=factor, border=border),
        lattice_on_scale(result, factor, 1.0, border),
        lattice_on_scale(truth, factor, 1.0, border),
    )


def super_resolved(network: nn.Module, seen: Recording) -> Tensor:
    """Give a generator a recording, continued by reflection by its halo.

    As in use, float32 is not rounded.
    """
    device = next(network.parameters()).device
    halo = min(cast("int", network.halo), *(side - 1 for side in seen.low.shape[-2:]))
    batch = seen.to(device).inputs_of(network)
    with full_precision():
        output: Tensor = network(functional.pad(batch, (halo,) * 4, mode="reflect"))
    border = halo * seen.sharp.shape[-2] // seen.low.shape[-2]
    inside = output[..., border:-border, border:-border].float().cpu()
    return seen.comparable(inside)


def _bicubic(seen: Recording, factor: int) -> Tensor:
    return seen.comparable(resample(seen.low, factor, "bicubic"))


def held_out(
    images: Sequence[SharpImage],
    settings: TrainingSettings,
    together: Sequence[int] | None = None,
) -> HeldOut:
    """Record held-out sharp images, a few times each, always alike.

    Parameters
    ----------
    images
        Sharp images in network range that the training does not see.
    settings
        The instrument to record with.
    together
        As for `HeldOut`.
    """
    chosen = evenly_spread(len(images), N_IMAGES)
    settings = settings.model_copy(update={"share_flat": 0.0})
    recordings = []
    for number in chosen:
        sharp = torch.from_numpy(_middle(images[number], settings.factor))[None, None]
        for draw in range(N_DRAWS):
            random = torch.Generator().manual_seed(1_000 * number + draw)
            recordings.append(simulated(sharp, settings, random))
    return HeldOut(recordings, len(chosen), images, together)


def held_out_pairs(
    pairs: Sequence[MeasuredPair],
    noise: Sequence[NoiseLevel],
    factor: int,
    together: Sequence[int] | None = None,
) -> HeldOut:
    """Take held-out pairs as they were measured.

    Parameters
    ----------
    pairs
        Registered pairs in network range that the training does not see.
    noise
        Of each, in network units.
    factor
        Super-resolution factor.
    together
        As for `HeldOut`.
    """
    chosen = evenly_spread(len(pairs), N_IMAGES)
    recordings = []
    for number in chosen:
        pair, level = pairs[number], noise[number]
        low = torch.from_numpy(_middle(pair.low, 1))[None, None]
        sharp = torch.from_numpy(_middle(pair.high, factor))[None, None]
        recordings.append(Recording.measured(low, level, factor, sharp))
    return HeldOut(recordings, len(chosen), pairs, together)


def _middle(image: SharpImage, factor: int) -> NDArray:
    """Cut out the middle, at most `SIDE` low pixels a side, in whole low pixels."""
    slices = []
    for side in image.shape:
        n_low = min(side // factor, SIDE)
        start = (side // factor - n_low) // 2 * factor
        slices.append(slice(start, start + n_low * factor))
    return np.ascontiguousarray(image[slices[0], slices[1]], np.float32)


def _plane(image: Tensor) -> NDArray:
    plane: NDArray = image[0, 0].float().cpu().numpy()
    return plane

"""What the images of a training are like, for its model to warn of others.

This module alone decides which recordings stand for a training, and when there are too
few images to say what is like them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_sr.cards.descriptors import SMALLEST, describe_plane
from napari_sr.cards.suitability import FEWEST_IMAGES, TrainingStatistics
from napari_sr.image.sampling import evenly_spread
from napari_sr.instrument.degradation import draw_instrument, record_with

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sr.datasets import SharpImage
    from napari_sr.settings import TrainingSettings

N_SPECIMENS, N_PLANES, SIDE = 30, 2, 256
"""Specimens that are described, planes of each, and recorded pixels along a side: they
take seconds."""
N_NOISES = 4
"""So many times a sharp image is recorded: its noise differs, as that of users does."""


def statistics_of(
    items: Sequence[Any],
    specimens: Sequence[str],
    recordings_of: Callable[[Any], Sequence[NDArray]],
) -> TrainingStatistics | None:
    """Describe the recordings of a training.

    Parameters
    ----------
    items
        Images or pairs that were learnt from.
    specimens
        Of each, what it shows: planes of one volume are not independent images.
    recordings_of
        Gives recordings `(y, x)` of an item, of any size.

    Returns
    -------
    TrainingStatistics or None
        `None` where nothing can be said, see `TrainingStatistics.of_one_kind`.
    """
    by_specimen: dict[str, list[Any]] = {}
    for item, specimen in zip(items, specimens, strict=True):
        by_specimen.setdefault(specimen, []).append(item)
    if len(by_specimen) < FEWEST_IMAGES:
        return None
    described = [
        _described(planes, recordings_of)
        for planes in _some(list(by_specimen.values()), N_SPECIMENS)
    ]
    return TrainingStatistics.of_one_kind([one for one in described if one])


def _described(
    planes: Sequence[Any], recordings_of: Callable[[Any], Sequence[NDArray]]
) -> list[dict[str, float]]:
    """Describe some planes of a specimen; those that are too small are left out."""
    return [
        describe_plane(recording)
        for plane in _some(planes, N_PLANES)
        for recording in recordings_of(plane)
        if min(recording.shape) >= SMALLEST
    ]


def _some(items: Sequence[Any], n: int) -> list[Any]:
    return [items[number] for number in evenly_spread(len(items), n)]


def simulated_recordings(
    image: SharpImage | NDArray, settings: TrainingSettings
) -> list[NDArray]:
    """Record the middle of a sharp image several times, as a training does."""
    part = image[_middle(image, settings.factor)]
    sharp = torch.from_numpy(np.array(part, np.float32))
    random = torch.Generator().manual_seed(settings.seed)
    drawn = draw_instrument(settings.instrument, N_NOISES, random)
    many = sharp.expand(N_NOISES, 1, -1, -1)
    return list(record_with(drawn, many, settings.factor, random)[:, 0].numpy())


def measured_recording(image: SharpImage) -> list[NDArray]:
    """Give the middle of a recording as it is."""
    return [image[_middle(image, 1)]]


def _middle(image: SharpImage | NDArray, factor: int) -> tuple[slice, slice]:
    """Find the part that is recorded, of whole recorded pixels."""
    sides = [min(side // factor, SIDE) * factor for side in image.shape]
    starts = [
        (whole - side) // 2 for whole, side in zip(image.shape, sides, strict=True)
    ]
    rows, columns = (
        slice(start, start + side) for start, side in zip(starts, sides, strict=True)
    )
    return rows, columns

"""What an instrument does to the chosen images, in a thread.

This module alone knows which patches are shown beside each other: of an image and of a
recording the one with most to see, both in network range.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.cards.model_card import ModelCard
    from napari_sr.datasets import SharpImage
    from napari_sr.image.stack import Stack
    from napari_sr.instrument.estimation import InstrumentEstimate
    from napari_sr.instrument.ranges import Instrument

    Source = Stack | str

SIDE = 96
"""Recorded pixels of a patch, at most."""


@dataclass(frozen=True, slots=True)
class Patches:
    """Two patches to compare, `(y, x)` float32 in network range."""

    factor: int
    """Pixels of `sharp` along one of `recorded`."""
    sharp: NDArray
    recorded: NDArray | None = None
    """None where no recording was chosen."""
    notes: tuple[str, ...] = ()
    """What was found about them."""


def find_patches(
    images: Sequence[Source], recordings: Sequence[Source], card: ModelCard
) -> Patches:
    """Cut a patch out of the first sharp image, and of the first recording."""
    from napari_sr.datasets import gather_images

    factor, policy = card.factor, card.intensity
    sharp = _most_to_see(gather_images([images[0]], policy)[0], factor * SIDE, factor)
    recorded = None
    if recordings:
        first = gather_images([recordings[0]], policy)[0]
        recorded = _most_to_see(first, SIDE, 1)
    return Patches(factor, sharp, recorded)


def check_pairs(
    images: Sequence[Source], recordings: Sequence[Source], card: ModelCard
) -> Patches:
    """Check and register measured pairs; the first is shown, its sharp half moved."""
    from napari_sr.datasets.pairs import gather_pairs

    factor = card.factor
    gathered = gather_pairs(list(recordings), list(images), factor, card.intensity)
    pair = gathered.pairs[0]
    rows, columns = _place_of_most(pair.low, SIDE, 1)
    return Patches(
        factor,
        pair.high[_times(rows, factor), _times(columns, factor)],
        pair.low[rows, columns],
        tuple(gathered.notes),
    )


def simulate(patches: Patches, instrument: Instrument) -> NDArray:
    """Record the sharp patch with the middle of a range of instruments."""
    from napari_sr.training.simulation import typical_recording

    return typical_recording(patches.sharp, instrument, patches.factor)


def estimate(
    images: Sequence[Source], recordings: Sequence[Source], card: ModelCard
) -> InstrumentEstimate:
    """Find the instrument that makes the images look like the recordings."""
    from napari_sr.instrument.estimation import estimate_instrument

    return estimate_instrument(
        list(recordings),
        list(images),
        factor=card.factor,
        photon_noise=card.instrument.photons is not None,
    )


def _most_to_see(image: SharpImage, side: int, multiple: int) -> NDArray:
    piece: NDArray = image[_place_of_most(image, side, multiple)]
    return piece


def _place_of_most(image: SharpImage, side: int, multiple: int) -> tuple[slice, slice]:
    """Find the square with the highest contrast among evenly spread ones."""
    sides = [min(side, length // multiple * multiple) for length in image.shape]
    starts = [
        sorted({(length - n) * third // 4 for third in (2, 0, 1, 3, 4)})
        for length, n in zip(image.shape, sides, strict=True)
    ]
    places = [
        (slice(y, y + sides[0]), slice(x, x + sides[1])) for y, x in product(*starts)
    ]
    return max(places, key=lambda place: float(np.std(image[place])))


def _times(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)

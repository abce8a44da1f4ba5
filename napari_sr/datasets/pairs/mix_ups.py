"""Images that are partners of others than those they were given.

This module alone knows how a low image is looked for among other high images, and
among its own turned, flipped and inverted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.datasets.pairs.names import PairError
from napari_sr.datasets.registration import area_means, likeness, phase_spectrum

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sr.datasets.sources import SourceImage

_LOOK, _N_OTHERS = 256, 16
"""Largest side of the middle of a plane that is compared with other planes, and how
many others: those that were looked at before."""
_MIXED_UP, _BETTER = 0.25, 1.02
"""A partner that is more alike than this, and by this factor more than those given, is
taken for the right one."""

_WAYS: dict[str, Callable[[NDArray], NDArray]] = {
    "inverted": np.negative,
    "flipped upside down": np.flipud,
    "flipped left to right": np.fliplr,
    "turned by 180°": lambda image: np.rot90(image, 2),
    "turned by 90° to the left": np.rot90,
    "turned by 90° to the right": lambda image: np.rot90(image, -1),
    "transposed": np.transpose,
    "transposed and turned by 180°": lambda image: np.rot90(np.transpose(image), 2),
}

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StackPair:
    """A low- and a high-resolution recording of the same planes."""

    low: SourceImage
    high: SourceImage
    factor: int

    def planes(self, index: Index) -> tuple[NDArray, NDArray]:
        """Give the counts of two partners, their gaps filled."""
        return self.low.plane(index).counts, self.high.plane(index).counts


class MixUpSearch:
    """Compares each pair with those that were looked at before it.

    Parameters
    ----------
    reach
        Low-resolution pixels by which partners may be shifted.
    """

    def __init__(self, reach: float) -> None:
        self.mistake: PairError | None = None
        """The first low image found to belong to another high image."""
        self._reach = reach
        self._before: deque[tuple[_Look, float]] = deque(maxlen=_N_OTHERS)

    def look_at(self, pair: StackPair, index: Index) -> None:
        """Compare a plane with its neighbours and with the planes before it."""
        beside = _neighbours(index, pair.low.stack.leading_shape)
        look, *others = (self._own(pair, at) for at in (index, *beside))
        for other in (*others, *self._before):
            self._compare(look, other)
            self._compare(other, look)
        self._before.append(look)

    def _own(self, pair: StackPair, index: Index) -> tuple[_Look, float]:
        look = _Look.of(pair, index)
        return look, likeness(look.low, look.high, self._reach)

    def _compare(self, first: tuple[_Look, float], other: tuple[_Look, float]) -> None:
        """Remember the first low image that fits another high image better.

        It must fit better than both pairs do: the less noisy of two neighbours may fit
        both low images best.
        """
        (look, own), (another, its_own) = first, other
        if self.mistake is not None or look.low.shape != another.high.shape:
            return
        alike = likeness(look.low, another.high, self._reach)
        if alike > max(_MIXED_UP, _BETTER * own, _BETTER * its_own):
            self.mistake = PairError(
                f"The low image {look.low_name!r} fits the high image "
                f"{another.high_name!r} better (correlation {alike:.2f}) than its "
                f"own, {look.high_name!r} ({own:.2f}). Check which images belong "
                "together."
            )


def describe_mix_up(
    pair: StackPair, index: Index, correlation: float, reach: float
) -> PairError:
    """Say that two images are different, or that one of them is only turned.

    Parameters
    ----------
    pair, index
        Which plane.
    correlation
        What was found between its images.
    reach
        Low-resolution pixels by which they may be shifted.

    Returns
    -------
    PairError
        To be raised.
    """
    seen, name = _Look.of(pair, index), pair.low.label(index)
    for way, turned in _WAYS.items():
        high = turned(seen.high_means)
        if high.shape != seen.low.shape:
            continue
        if likeness(seen.low, phase_spectrum(high), reach) > _MIXED_UP:
            return PairError(
                f"The images of pair {name!r} match only if the high one is {way}. Do "
                "that first."
            )
    return PairError(
        f"The low and the high image of pair {name!r} do not match (correlation "
        f"{correlation:.2f}). Check which images belong together."
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """The middle of two partners, ready to be compared."""

    low_name: str
    high_name: str
    low: NDArray
    high: NDArray
    high_means: NDArray

    @classmethod
    def of(cls, pair: StackPair, index: Index) -> _Look:
        low, high = pair.planes(index)
        sides = (min(low.shape[0], _LOOK), min(low.shape[1], _LOOK))
        top, left = ((n - side) // 2 for n, side in zip(low.shape, sides, strict=True))
        start = (float(pair.factor * top), float(pair.factor * left))
        means = area_means(high, pair.factor, sides, start)
        middle = low[top : top + sides[0], left : left + sides[1]]
        return cls(
            pair.low.label(index),
            pair.high.label(index),
            phase_spectrum(middle),
            phase_spectrum(means),
            means.astype(np.float32),
        )


def _neighbours(index: Index, lengths: tuple[int, ...]) -> list[Index]:
    """Give the planes beside one along each leading axis."""
    beside = []
    for axis, length in enumerate(lengths):
        for step in (-1, 1):
            at = index[axis] + step
            if 0 <= at < length:
                beside.append((*index[:axis], at, *index[axis + 1 :]))
    return beside

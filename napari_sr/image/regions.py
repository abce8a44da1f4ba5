"""Parts of planes, so that no plane is too large.

This module alone knows how a plane is divided for what cannot be done at once: which
part a region is responsible for, and what it has to see for that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNK = 1024
"""Side of a chunk of a large result, in its pixels."""
SIDE = 6144
"""Side of a region, at most, in pixels of the result: a few hundred MB at work."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of one plane."""

    index: tuple[int, ...]
    """Which plane, over the leading axes."""
    rows: slice
    columns: slice

    @classmethod
    def whole(cls, index: tuple[int, ...], shape: tuple[int, int]) -> Self:
        """Take all of a plane."""
        return cls(index, slice(0, shape[0]), slice(0, shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def place(self) -> tuple[int | slice, ...]:
        """Where it lies in an array with the leading axes."""
        return (*self.index, self.rows, self.columns)

    def window(self, shape: tuple[int, int], margin: int) -> Window:
        """Find what is to be seen of a plane of some shape for this region."""
        cuts = (self.rows, self.columns)
        seen = [
            slice(max(0, cut.start - margin), min(length, cut.stop + margin))
            for cut, length in zip(cuts, shape, strict=True)
        ]
        kept = [
            slice(cut.start - see.start, cut.stop - see.start)
            for cut, see in zip(cuts, seen, strict=True)
        ]
        return Window((seen[0], seen[1]), (kept[0], kept[1]))

    def times(self, factor: int) -> Region:
        """Give the region of a result that this region of its recording becomes."""
        rows, columns = _times((self.rows, self.columns), factor)
        return Region(self.index, rows, columns)

    def recorded(self, factor: int) -> Region:
        """Give the region of a recording from which this one of its result comes."""
        rows, columns = (
            slice(cut.start // factor, cut.stop // factor)
            for cut in (self.rows, self.columns)
        )
        return Region(self.index, rows, columns)


@dataclass(frozen=True, slots=True)
class Window:
    """A region with what it depends on."""

    seen: tuple[slice, slice]
    """In the plane."""
    kept: tuple[slice, slice]
    """In what is seen: the region."""

    @property
    def shape(self) -> tuple[int, int]:
        """Of what is seen."""
        rows, columns = self.seen
        return rows.stop - rows.start, columns.stop - columns.start

    def kept_of(self, factor: int) -> tuple[slice, slice]:
        """Give the region in a result of what is seen."""
        return _times(self.kept, factor)


def region_side(factor: int) -> int:
    """Give the side of a region in recorded pixels: whole chunks of the result."""
    step = math.lcm(CHUNK, factor)
    return SIDE // step * step // factor


class Regions:
    """A stack divided into regions, numbered plane by plane.

    Parameters
    ----------
    shape
        Length of each axis, y and x last.
    side
        Of a region, in pixels; at the far edges they are smaller.
    """

    def __init__(self, shape: Sequence[int], side: int) -> None:
        *leading, height, width = shape
        self._leading, self._lengths, self._side = tuple(leading), (height, width), side
        self._numbers = [-(-length // side) for length in self._lengths]

    def __len__(self) -> int:
        """Count the regions."""
        return math.prod(self._leading) * math.prod(self._numbers)

    def __getitem__(self, number: int) -> Region:
        """Give a region by its number."""
        if not 0 <= number < len(self):
            raise IndexError(f"There are {len(self)} regions, and none has {number}.")
        plane, place = divmod(number, math.prod(self._numbers))
        index = tuple(int(i) for i in np.unravel_index(plane, self._leading or (1,)))
        return self._at(
            index if self._leading else (), *divmod(place, self._numbers[1])
        )

    def __iter__(self) -> Iterator[Region]:
        """Give all regions by number."""
        for index in np.ndindex(*self._leading):
            for row, column in product(*map(range, self._numbers)):
                yield self._at(index, row, column)

    def _at(self, index: tuple[int, ...], row: int, column: int) -> Region:
        rows, columns = (
            slice(n * self._side, min((n + 1) * self._side, length))
            for n, length in zip((row, column), self._lengths, strict=True)
        )
        return Region(index, rows, columns)


def pyramid_shapes(shape: Sequence[int], largest: int) -> list[tuple[int, ...]]:
    """List the shapes of the levels of an image, the finest first.

    Parameters
    ----------
    shape
        Of the finest.
    largest
        Side of the coarsest, at most: it is read at once.
    """
    *leading, height, width = shape
    shapes = [tuple(shape)]
    while max(height, width) > largest:
        height, width = -(-height // 2), -(-width // 2)
        shapes.append((*leading, height, width))
    return shapes


def _times(part: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    rows, columns = (slice(cut.start * factor, cut.stop * factor) for cut in part)
    return rows, columns

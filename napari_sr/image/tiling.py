"""Planes → tiles → planes, without a seam.

This module alone knows halos, overlaps and slice arithmetic: which part of a plane a
network has to see, which part of its answer to keep, and where that part belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of a plane: what the network sees, and what it is asked for.

    ::

        plane, padded by the halo
        ┌──────────────────────────────────────┐
        │ ┌ low plane ───────────────────────┐ │
        │ │                                  │ │
        │ │   ┌ outer ─────────────┐         │ │
        │ │   │ ↕ margin           │         │ │
        │ │   │   ┌ inner ─────┐   │         │ │
        │ │   │ ↔ │            │   │         │ │
        │ │   │   │            │ ≥ halo      │ │
        │ │   │   └────────────┘   │         │ │
        │ │   └────────────────────┘         │ │
        │ └──────────────────────────────────┘ │
        └──────────────────────────────────────┘

    Between the edge of `outer` and `inner` lies at least a halo on every side, so that
    the pixels of `inner` never feel where the tile was cut.
    """

    outer: tuple[slice, slice]
    """In the padded low plane: what the network sees."""
    inner: tuple[slice, slice]
    """In the low plane: what this tile is responsible for."""
    margin: tuple[int, int]
    """In the tile: low pixels of `outer` above and left of `inner`."""


def pad_plane(plane: NDArray, halo: int) -> NDArray:
    """Continue a plane by reflection, so that a network never sees its border.

    Parameters
    ----------
    plane
        `(y, x)` of any dtype. It may be smaller than the halo: the reflection is then
        reflected again.
    halo
        Low pixels to add on each side.

    Returns
    -------
    ndarray
        `(y + 2 * halo, x + 2 * halo)` of the same dtype. The border pixel itself is
        not repeated.
    """
    return np.pad(plane, halo, mode="reflect")


def plan_tiles(shape: tuple[int, int], tile: int, halo: int, overlap: int = 0) -> Tiles:
    """Divide a plane into tiles that a network can take one by one or as a batch.

    Every `outer` has the same shape: no sliver at the end, and no pixel computed twice
    beyond what equal shapes need. Where a tile is larger than the padded plane, it is
    exactly the padded plane.

    Parameters
    ----------
    shape
        `(y, x)` of the low plane, before padding.
    tile
        Largest side of `outer` in low pixels, halo included.
    halo
        Low pixels that the network needs around what it is asked for.
    overlap
        Low pixels by which the inner regions of neighbours overlap, to be blended. 0:
        they meet without a gap, which is exact when the halo is as large as the
        network's receptive radius.

    Returns
    -------
    Tiles
        A sequence of `Tile` in reading order. Together the inner regions cover the
        plane.

    Raises
    ------
    ValueError
        If a plane is empty, a length is negative, the tile has no room beside its
        halo, or the overlap takes more than half of that room.
    """
    _refuse_bad_plan(shape, tile, halo, overlap)
    rows, columns = (_divide(length, tile - 2 * halo, overlap) for length in shape)
    return Tiles(rows, columns, halo)


class Tiles(Sequence[Tile]):
    """The tiles of a plane in reading order, counted and not listed.

    A small file may claim a plane of so many that a list of them fills the memory.

    Parameters
    ----------
    rows, columns
        The two sides, divided.
    halo
        Low pixels of each tile around what it is asked for.
    """

    def __init__(self, rows: _Division, columns: _Division, halo: int) -> None:
        self._rows, self._columns, self._halo = rows, columns, halo

    def __len__(self) -> int:
        """Count the tiles."""
        return self._rows.n * self._columns.n

    @overload
    def __getitem__(self, number: int) -> Tile: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[Tile, ...]: ...

    def __getitem__(self, number: int | slice) -> Tile | tuple[Tile, ...]:
        """Give a tile by its number, or some of them."""
        numbers = range(len(self))[number]
        if isinstance(numbers, range):
            return tuple(self[i] for i in numbers)
        row_number, column_number = divmod(numbers, self._columns.n)
        row_start, row = self._rows.cut(row_number)
        column_start, column = self._columns.cut(column_number)
        halo = self._halo
        outer = (
            slice(row_start, row_start + self._rows.size + 2 * halo),
            slice(column_start, column_start + self._columns.size + 2 * halo),
        )
        margin = (row.start - row_start + halo, column.start - column_start + halo)
        return Tile(outer, (row, column), margin)


class Mosaic:
    """A plane put together again from what the network made of its tiles.

    Without overlap each pixel is assigned as it is. With overlap each tile fades out
    linearly towards its neighbours, and the sum is divided by the weights that were
    really added. A mosaic never guesses: a pixel that no tile covered is an error.

    Parameters
    ----------
    shape
        `(y, x)` of the low plane, before padding.
    factor
        Super-resolution factor.
    overlap
        The overlap that the tiles were planned with, in low pixels.
    """

    def __init__(self, shape: tuple[int, int], factor: int, overlap: int = 0) -> None:
        self._shape = shape
        self._factor = factor
        self._overlap = overlap
        high_shape = (shape[0] * factor, shape[1] * factor)
        self._pixels = np.zeros(high_shape, np.float32)
        self._weights = np.zeros(high_shape, np.float32) if overlap else None
        self._covered = np.zeros(shape, np.bool_)

    def add(self, tile: Tile, pixels: NDArray[np.float32]) -> None:
        """Lay down one tile; only its inner region is used.

        Parameters
        ----------
        tile
            One tile of the plan for this plane.
        pixels
            `(factor * h, factor * w)` float32: the network's answer to the `(h, w)`
            pixels of `tile.outer`, halo included.

        Raises
        ------
        ValueError
            If `pixels` has another shape.
        """
        expected = tuple((s.stop - s.start) * self._factor for s in tile.outer)
        if pixels.shape != expected:
            raise ValueError(
                f"A tile of {expected} pixels was expected, but {pixels.shape} was "
                "given. Pass the upscaled outer region, halo included, of one "
                "channel."
            )
        source = tuple(
            self._high(margin, margin + inner.stop - inner.start)
            for margin, inner in zip(tile.margin, tile.inner, strict=True)
        )
        target = tuple(self._high(inner.start, inner.stop) for inner in tile.inner)
        if self._weights is None:
            self._pixels[target] = pixels[source]
        else:
            weight = np.multiply.outer(*map(self._fade, tile.inner, self._shape))
            self._pixels[target] += weight * pixels[source]
            self._weights[target] += weight
        self._covered[tile.inner] = True

    def finish(self) -> NDArray[np.float32]:
        """Hand over the plane.

        Returns
        -------
        ndarray
            `(factor * y, factor * x)` float32.

        Raises
        ------
        ValueError
            If a pixel was never covered.
        """
        if not self._covered.all():
            row, column = np.argwhere(~self._covered)[0]
            raise ValueError(
                f"No tile covered {np.count_nonzero(~self._covered)} of "
                f"{self._covered.size} low pixels, the first of them at row {row}, "
                f"column {column}. Add every tile of the plan before finishing."
            )
        if self._weights is not None:
            self._pixels /= self._weights
            self._weights[:] = 1  # so that finishing twice changes nothing
        return self._pixels

    def _high(self, start: int, stop: int) -> slice:
        """Convert a range of low pixels to high pixels."""
        return slice(start * self._factor, stop * self._factor)

    def _fade(self, inner: slice, length: int) -> NDArray[np.float32]:
        """Weigh the high pixels of an inner side: 1, falling towards neighbours."""
        n_pixels = (inner.stop - inner.start) * self._factor
        n_ramp = self._overlap * self._factor
        # sampled at pixel centres, so that two opposite ramps add up to 1
        ramp = np.minimum((np.arange(n_pixels, dtype=np.float32) + 0.5) / n_ramp, 1)
        weight = np.ones(n_pixels, np.float32)
        if inner.start > 0:
            weight = np.minimum(weight, ramp)
        if inner.stop < length:
            weight = np.minimum(weight, ramp[::-1])
        return weight


@dataclass(frozen=True, slots=True)
class _Division:
    """One side of a plane, divided."""

    length: int
    """Of the side."""
    size: int
    """Low pixels of each outer region without its halo; the same for all."""
    n: int
    overlap: int

    def cut(self, number: int) -> tuple[int, slice]:
        """Tell where an outer region starts in the padded plane, and its inner one."""
        start, is_last = self._start(number), number == self.n - 1
        stop = self.length if is_last else self._start(number + 1) + self.overlap
        return start, slice(start, stop)

    def _start(self, number: int) -> int:
        return number * (self.length - self.size) // max(self.n - 1, 1)


def _divide(length: int, largest: int, overlap: int) -> _Division:
    """Divide one side into equal, evenly spread pieces of at most `largest` pixels."""
    if length <= largest:
        return _Division(length, length, 1, overlap)
    n_pieces = -(-(length - overlap) // (largest - overlap))
    size = -(-(length + (n_pieces - 1) * overlap) // n_pieces)
    return _Division(length, size, n_pieces, overlap)


def _refuse_bad_plan(
    shape: tuple[int, int], tile: int, halo: int, overlap: int
) -> None:
    """Refuse lengths from which no tiles can be planned, and say which would do."""
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(
            f"A plane has at least one row and one column, but {shape} was given. "
            f"Pass the (y, x) shape of the low plane."
        )
    if halo < 0 or overlap < 0:
        raise ValueError(
            f"Halo and overlap are numbers of pixels, but {halo} and {overlap} were "
            f"given. Use 0 for none."
        )
    room = tile - 2 * halo
    if room <= 0:
        enough = max(16, 16 * -(-3 * halo // 16))
        raise ValueError(
            f"Tile {tile} px is not larger than twice the model's halo (2 × {halo} "
            f"px). Use a larger one; {enough} px or more is efficient."
        )
    if overlap > room // 2:
        raise ValueError(
            f"Overlap {overlap} px is more than half of the {room} px that a tile of "
            f"{tile} px leaves inside its halo. Use an overlap of at most {room // 2} "
            f"px, or a tile of at least {2 * (overlap + halo)} px."
        )

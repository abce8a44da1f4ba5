"""One specimen at two resolutions, on one grid.

This module alone knows how two registered images are brought together: the high one is
moved onto the low one, and both are cropped to what they share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sr.datasets import SharpImage
    from napari_sr.datasets.registration import Shift

_ALIGNED = 0.03
"""Low-resolution pixels below which a shift is no more than the measurement's error,
and nothing is moved."""
_WHOLE = 0.02
"""High-resolution pixels below which the rest of a movement is left out."""


@dataclass(frozen=True, slots=True)
class PairReport:
    """What was found out about a pair, and done to it."""

    shift: Shift
    """`(y, x)` by which the high image was moved, in low-resolution pixels; positive is
    down and to the right. Of the whole stack where its planes agree."""
    uncertainty: float | None
    """One standard deviation of the shift; None where this plane was not looked at."""
    correlation: float | None
    """Of the phases of both images; None where this plane was not looked at."""
    gain: float
    """low counts = gain · high counts + offset."""
    offset: float
    """low counts = gain · high counts + offset."""

    @property
    def is_corrected(self) -> bool:
        """Whether the high image was moved."""
        return max(map(abs, self.shift)) >= _ALIGNED

    def __str__(self) -> str:
        """Say it in one line."""
        y, x = self.shift
        place = (
            f"shifted by ({y:+.2f}, {x:+.2f}) low-resolution pixels (y, x), corrected"
            if self.is_corrected
            else "not shifted"
        )
        measured = ""
        if self.correlation is not None and self.uncertainty is not None:
            measured = (
                f" (± {self.uncertainty:.2f}, correlation {self.correlation:.2f})"
            )
        return f"{place}{measured}; low = {self.gain:.3g} · high {self.offset:+.3g}"


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPair:
    """One plane at two resolutions, registered; pieces are read when asked for."""

    name: str
    """Name of the low image, and which plane of it."""
    stack: str
    """Name of the low stack."""
    depth: int
    """Where along the stack it lies."""
    low: SharpImage
    """`(y, x)` in network range."""
    high: SharpImage
    """`(factor · y, factor · x)` on the scale of `low`, moved onto it."""
    factor: int
    """Low-resolution pixel over high-resolution pixel."""
    report: PairReport
    """What was found out and done."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in low-resolution pixels."""
        return self.low.shape

    @property
    def shift(self) -> Shift:
        """By how much the high image was moved, see `PairReport`."""
        return self.report.shift

    def cropped(self, rows: slice, columns: slice) -> MeasuredPair:
        """Give a part of the pair, in low-resolution pixels, as a pair of its own."""
        low = self.low.cropped(rows, columns)
        sharp = [
            slice(*(self.factor * end for end in part.indices(side)[:2]))
            for part, side in zip((rows, columns), self.shape, strict=True)
        ]
        high = self.high.cropped(*sharp)
        return replace(self, name=low.name, low=low, high=high)

    def thumbnail(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """Read a piece of the low image."""
        return self.low[part]


def combine_pair(
    low: SharpImage, high: SharpImage, factor: int, report: PairReport
) -> MeasuredPair:
    """Move the high image onto the low one, and crop both to what they share."""
    name, stack, depth = low.name, low.stack, low.depth
    if report.is_corrected:
        rows, columns = shared_part(low.shape, report.shift)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        moves = [factor * by for by in report.shift]
        whole = [round(by) for by in moves]
        rest = [by - n for by, n in zip(moves, whole, strict=True)]
        y, x = (by if abs(by) >= _WHOLE else 0.0 for by in rest)
        low = replace(low, shape=shape, origin=(rows.start, columns.start))
        high = replace(
            high,
            shape=(factor * shape[0], factor * shape[1]),
            origin=(factor * rows.start - whole[0], factor * columns.start - whole[1]),
            moved=(y, x),
        )
    return MeasuredPair(name, stack, depth, low, high, factor, report)


def shared_part(shape: tuple[int, ...], shift: Shift) -> tuple[slice, slice]:
    """Give the low-resolution rows and columns that both images show."""
    rows, columns = (
        slice(max(0, math.ceil(by)), min(side, side + math.floor(by)))
        for side, by in zip(shape, shift, strict=True)
    )
    return rows, columns

"""A part of a plane, before and after: the pixels of a preview.

This module alone knows how a part gets the same pixels as in a run: by the plan of that
run, and with so much around it that the network sees no edge of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.image.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_sr.interactive.prepared import Preparer
    from napari_sr.interactive.request import UpscaleRequest


@dataclass(frozen=True, slots=True)
class View:
    """A part of one plane, in recorded pixels."""

    index: tuple[int, ...]
    """Which plane, over the leading axes."""
    rows: slice
    columns: slice
    is_middle: bool = False
    """Whether it is only the middle of what is on the screen."""

    @property
    def first(self) -> tuple[int, ...]:
        """Give the pixel with which it begins, one index per dimension."""
        return (*self.index, self.rows.start, self.columns.start)

    def covers(self, other: View) -> bool:
        """Tell whether another part lies within this one."""
        return (
            self.index == other.index
            and _within(other.rows, self.rows)
            and _within(other.columns, self.columns)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A part of a plane, before and after."""

    view: View
    factor: int
    before: NDArray
    """`(factor·h, factor·w)`: the recording, its pixels repeated."""
    after: NDArray
    """`(factor·h, factor·w)`: the same pixels as those of a run."""

    def behind_curtain(self, share: float, high: float) -> NDArray:
        """Give the recording up to a share of the width, a bright line, the result.

        Parameters
        ----------
        share
            Of the width, on the left.
        high
            Counts of the line, as far as the pixel type holds them.

        Returns
        -------
        ndarray
            `(1, …, factor·h, factor·w)`, of as many axes as the recording.
        """
        column = math.ceil(share * self.after.shape[1])
        pixels = self.after.copy()
        pixels[:, :column] = self.before[:, :column]
        if 0 < share < 1:
            if pixels.dtype.kind in "iu":
                limits = np.iinfo(pixels.dtype)
                high = min(max(round(high), limits.min), limits.max)
            pixels[:, max(0, column - 1) : column] = high
        return pixels[(np.newaxis,) * len(self.view.index)]


def preview_steps(
    request: UpscaleRequest, preparer: Preparer, view: View
) -> Generator[Sight | None, None, None]:
    """Super-resolve a part of a plane, as a flow for a thread.

    Parameters
    ----------
    request
        What a run would do.
    preparer
        Gives the model, and the plan of that run.
    view
        Which part.

    Yields
    ------
    Sight or None
        After each tile; the last one is there.
    """
    from napari_sr.instrument.noise import SIGNAL_RADIUS
    from napari_sr.upscaling.flow import margin_of, upscale_steps

    upscaler, plan = preparer.prepare(request)
    margin = margin_of(plan)
    if request.stack.dtype.kind == "f":
        # Where pixels hold no number, their neighbours stand in for them.
        margin += 2 * (plan.halo + SIGNAL_RADIUS)
    crop, (top, left) = _crop(request.stack, view, margin)
    height, width = (_length(view.rows), _length(view.columns))
    inner = np.s_[top : top + height, left : left + width]
    for step in upscale_steps(Stack.from_array(crop), upscaler, plan):
        if step.plane is None:
            yield None
            continue
        f = plan.factor
        fine = np.s_[f * top : f * (top + height), f * left : f * (left + width)]
        before = crop[inner].astype(plan.dtype).repeat(f, 0).repeat(f, 1)
        yield Sight(view, f, before, np.ascontiguousarray(step.plane[fine]))


def preview_all(
    asked: Sequence[tuple[UpscaleRequest, View]], preparer: Preparer
) -> Generator[tuple[int, Sight | None], None, None]:
    """Super-resolve what is in view of several recordings, one after the other.

    Yields
    ------
    tuple of int and (Sight or None)
        Of which of them; the rest as `preview_steps`.
    """
    for number, (request, view) in enumerate(asked):
        for sight in preview_steps(request, preparer, view):
            yield number, sight


def _crop(stack: Stack, view: View, margin: int) -> tuple[NDArray, tuple[int, int]]:
    """Read a part with what the network sees around it; say where the part begins."""
    starts = [max(0, side.start - margin) for side in (view.rows, view.columns)]
    stops = [side.stop + margin for side in (view.rows, view.columns)]
    rows, columns = map(slice, starts, stops)
    crop = stack.plane(view.index)[rows, columns]
    return crop, (view.rows.start - starts[0], view.columns.start - starts[1])


def _length(side: slice) -> int:
    return int(side.stop - side.start)


def _within(inner: slice, outer: slice) -> bool:
    return bool(outer.start <= inner.start and inner.stop <= outer.stop)

"""A stage of a network piece by piece, so that what it works in fits in a cache.

This module alone knows how large a piece is.
"""

from __future__ import annotations

from itertools import pairwise
from math import isqrt
from typing import TYPE_CHECKING

from napari_sr.tiling import plan_tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PIECE_BYTES = {"cpu": 2**24}
"""Largest intermediate result of a stage: a share of a processor's cache."""
PIECE_BYTES_OF_A_GPU = 2**28
"""There, pieces only bound the memory. Chosen without one at hand."""

LOWEST_STRIP = 48
"""Rows, below which the rows that strips share cost more than copies of squares."""


class Maps:
    """Memory of two maps that take turns: one is read while the other is written.

    Asked for once for all stages, since memory that is new costs as much time as what
    is written to it.
    """

    def __init__(self) -> None:
        self._held: list[Tensor | None] = [None, None]

    def next(self, shape: tuple[int, int, int, int], like: Tensor) -> Tensor:
        """Give a map in channels_last; the one before the last is overwritten."""
        n, c, h, w = shape
        self._held.reverse()
        held = self._held[0]
        if held is None or held.numel() < n * c * h * w:
            held = self._held[0] = like.new_empty(n * c * h * w)
        return held[: n * c * h * w].view(n, h, w, c).permute(0, 3, 1, 2)


def in_pieces(
    stage: Callable[..., Tensor],
    *sources: tuple[Tensor, int],
    bytes_per_pixel: int,
    factor: int = 1,
    maps: Maps | None = None,
) -> Tensor:
    """Apply a stage piece by piece.

    Parameters
    ----------
    stage
        Maps one tensor for each source to pixels that are `factor` times finer, all
        that can be had without padding.
    *sources
        Maps `(n, c, h + 2·radius, w + 2·radius)`, each with its own radius: how many
        pixels the stage needs of it around a pixel.
    bytes_per_pixel
        Of the stage's largest intermediate result, for each of the `h·w` pixels.
    factor
        How many times finer the result is.
    maps
        Whose turn it is to hold the result; new memory when not given.

    Returns
    -------
    Tensor
        `(n, c', factor·h, factor·w)`.
    """
    (first, radius), *_ = sources
    n, shape = len(first), [side - 2 * radius for side in first.shape[-2:]]
    budget = PIECE_BYTES.get(first.device.type, PIECE_BYTES_OF_A_GPU)
    pieces = _pieces(shape[0], shape[1], budget // (n * bytes_per_pixel))
    out: Tensor | None = None
    for rows, columns in pieces:
        found = stage(
            *(
                source[
                    ...,
                    rows.start : rows.stop + 2 * radius,
                    columns.start : columns.stop + 2 * radius,
                ]
                for source, radius in sources
            )
        )
        height, width = (factor * (cut.stop - cut.start) for cut in (rows, columns))
        found = middle_of(found, height, width)
        if len(pieces) == 1:
            return found
        if out is None:
            full = (n, found.shape[1], factor * shape[0], factor * shape[1])
            out = (maps or Maps()).next(full, found)
        top, left = factor * rows.start, factor * columns.start
        out[..., top : top + height, left : left + width] = found
    assert out is not None  # a plane has at least one piece
    return out


def _pieces(height: int, width: int, n_pixels: int) -> list[tuple[slice, slice]]:
    """Divide a map into strips, which are cut out without a copy, else into squares."""
    if n_pixels >= LOWEST_STRIP * width:
        n_strips = -(-height * width // n_pixels)
        ends = [height * i // n_strips for i in range(n_strips + 1)]
        return [(slice(*one), slice(0, width)) for one in pairwise(ends)]
    side = max(16, isqrt(n_pixels))
    return [piece.outer for piece in plan_tiles((height, width), side, halo=0)]


def middle_of(features: Tensor, height: int, width: int) -> Tensor:
    """Cut what lies beyond a height and a width, the same on both sides."""
    top, left = (features.shape[-2] - height) // 2, (features.shape[-1] - width) // 2
    return features[..., top : top + height, left : left + width]

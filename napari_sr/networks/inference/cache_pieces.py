"""A stage of a network piece by piece, so that what it works in fits in a cache.

This module alone knows how large a piece is, and that pieces are shared out among
threads. Pieces do not depend on how many threads there are, so neither do results.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from math import isqrt
from threading import Lock
from typing import TYPE_CHECKING

import torch

from napari_sr.image.tiling import plan_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Piece = tuple[slice, slice]
    """Rows and columns."""

PIECE_BYTES = {"cpu": 2**23}
"""Largest intermediate result of a stage: a share of a processor's cache."""
PIECE_BYTES_OF_A_GPU = 2**28
"""There, pieces only bound the memory. Chosen without a measurement on one."""

LOWEST_STRIP = 16
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
    n, (height, width) = len(first), (side - 2 * radius for side in first.shape[-2:])
    budget = PIECE_BYTES.get(first.device.type, PIECE_BYTES_OF_A_GPU)
    pieces = _pieces(height, width, budget // (n * bytes_per_pixel))
    out: list[Tensor] = []  # at most one: its channels are those of a piece
    one_at_a_time = Lock()

    def compute(piece: Piece) -> None:
        rows, columns = piece
        fine = stage(
            *(
                source[
                    ...,
                    rows.start : rows.stop + 2 * radius,
                    columns.start : columns.stop + 2 * radius,
                ]
                for source, radius in sources
            )
        )
        fine = middle_of(fine, *(factor * (cut.stop - cut.start) for cut in piece))
        if len(pieces) == 1:
            out.append(fine)
            return
        with one_at_a_time:
            if not out:
                full = (n, fine.shape[1], factor * height, factor * width)
                out.append((maps or Maps()).next(full, fine))
        place = [slice(factor * cut.start, factor * cut.stop) for cut in piece]
        out[0][..., place[0], place[1]] = fine

    _for_each(compute, pieces, first.device)
    return out[0]


def _for_each(
    compute: Callable[[Piece], None], pieces: Sequence[Piece], device: torch.device
) -> None:
    """Compute pieces, on a processor on as many threads as torch has, each on one.

    Torch itself would share out every step of a piece: what one core has computed then
    lies in the cache of another, and each waits for the other after each step.
    """
    n_threads = torch.get_num_threads()
    is_plain = torch.is_inference_mode_enabled() and not torch.is_autocast_enabled(
        device.type
    )
    if device.type != "cpu" or min(n_threads, len(pieces)) == 1 or not is_plain:
        for piece in pieces:
            compute(piece)
        return
    # A thread has its own inference mode.
    alone = torch.inference_mode()(compute)
    deque(_threads(n_threads).map(alone, pieces), maxlen=0)
    torch.set_num_threads(n_threads)  # for new threads: those above have set it to one


@cache
def _threads(n: int) -> ThreadPoolExecutor:
    """Keep threads in which torch computes alone."""
    return ThreadPoolExecutor(n, "napari-sr", torch.set_num_threads, (1,))


def _pieces(height: int, width: int, n_pixels: int) -> list[Piece]:
    """Divide a map into strips, which are cut out without a copy, else into squares."""
    if n_pixels >= LOWEST_STRIP * width:
        n_strips = -(-height * width // n_pixels)
        ends = [height * i // n_strips for i in range(n_strips + 1)]
        return [(slice(*rows), slice(0, width)) for rows in pairwise(ends)]
    side = max(16, isqrt(n_pixels))
    return [piece.outer for piece in plan_tiles((height, width), side, halo=0)]


def middle_of(features: Tensor, height: int, width: int) -> Tensor:
    """Cut what lies beyond a height and a width, the same on both sides."""
    top, left = (features.shape[-2] - height) // 2, (features.shape[-1] - width) // 2
    return features[..., top : top + height, left : left + width]

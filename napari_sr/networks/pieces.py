"""A stage of a network piece by piece, so that what it works in fits in a cache.

This module alone knows how large a piece is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_sr.tiling import plan_tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PIECE_BYTES = {"cpu": 2**24}
"""Largest intermediate result of a stage: a share of a processor's cache."""
PIECE_BYTES_OF_A_GPU = 2**28
"""There, pieces only bound the memory. Chosen without one at hand."""


def in_pieces(
    stage: Callable[..., Tensor],
    *sources: tuple[Tensor, int],
    bytes_per_pixel: int,
    factor: int = 1,
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

    Returns
    -------
    Tensor
        `(n, c', factor·h, factor·w)`.
    """
    (first, radius), *_ = sources
    n, shape = len(first), [side - 2 * radius for side in first.shape[-2:]]
    budget = PIECE_BYTES.get(first.device.type, PIECE_BYTES_OF_A_GPU)
    side = max(16, int((budget / (n * bytes_per_pixel)) ** 0.5))
    pieces = plan_tiles((shape[0], shape[1]), side, halo=0)
    out: Tensor | None = None
    for piece in pieces:
        rows, columns = piece.outer
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
        height, width = (factor * (one.stop - one.start) for one in piece.outer)
        found = middle_of(found, height, width)
        if len(pieces) == 1:
            return found
        if out is None:
            out = found.new_empty(
                (n, found.shape[1], factor * shape[0], factor * shape[1])
            ).contiguous(memory_format=torch.channels_last)
        top, left = factor * rows.start, factor * columns.start
        out[..., top : top + height, left : left + width] = found
    assert out is not None  # a plane has at least one piece
    return out


def middle_of(features: Tensor, height: int, width: int) -> Tensor:
    """Cut what lies beyond a height and a width, the same on both sides."""
    top, left = (features.shape[-2] - height) // 2, (features.shape[-1] - width) // 2
    return features[..., top : top + height, left : left + width]

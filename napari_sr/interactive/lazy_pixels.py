"""The pixels of a stack as an array: all of a small one, of others what is looked at.

This module alone decides what of a file is read at once and what when it is looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import finalize

import numpy as np

if TYPE_CHECKING:
    from dask.array import Array
    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack

IN_MEMORY = 128 * 2**20
"""Bytes up to which a stack is read at once; of a larger one, what is looked at."""
PART = 4096
"""Side of what is read at once of a plane of several levels."""


def is_large(stack: Stack) -> bool:
    """Tell whether a stack is too large to be read at once."""
    return math.prod(stack.shape) * stack.dtype.itemsize > IN_MEMORY


def pixels_of(stack: Stack) -> NDArray | Array:
    """Read a small stack whole; look at a larger one plane by plane."""
    if is_large(stack):
        return lazily(stack)
    with stack:
        pixels = np.empty(stack.shape, stack.dtype)
        for index in stack.indices():
            pixels[index] = stack.plane(index)
    return pixels


def lazily(stack: Stack, side: int | None = None) -> Array:
    """Give a dask array of planes, or of parts of them of some side.

    The file is closed once nothing refers to it.
    """
    import dask.array

    n_leading = len(stack.leading_shape)
    cuts = [_cuts(length, side or length) for length in stack.plane_shape]

    def read(block_id: tuple[int, ...] = ()) -> NDArray:
        *index, row, column = block_id
        part = stack.window(tuple(index), (cuts[0][row], cuts[1][column]))
        return part[(None,) * n_leading]

    finalize(read, stack.close)
    leading = ((1,) * length for length in stack.leading_shape)
    within = (tuple(cut.stop - cut.start for cut in axis) for axis in cuts)
    planes: Array = dask.array.map_blocks(  # type: ignore[no-untyped-call]
        read,
        chunks=(*leading, *within),
        name=f"napari-sr-{uuid4().hex}",
        dtype=stack.dtype,
        meta=np.empty((0,) * len(stack.shape), stack.dtype),
    )
    return planes


def _cuts(length: int, side: int) -> list[slice]:
    return [slice(at, min(at + side, length)) for at in range(0, length, side)]

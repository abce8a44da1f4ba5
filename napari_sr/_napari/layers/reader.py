"""OME-TIFF, OME-Zarr and DICOM files as layers in their place.

This module alone decides what of a file is read at once and what when it is looked at.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import finalize

import numpy as np

from napari_sr._napari.layers.place import KEPT, placed
from napari_sr.files import SeveralChannelsError, holds_dicom, open_stack
from napari_sr.files.zarr.images import open_coarser
from napari_sr.image.info import Channel
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.array import Array
    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack

LayerData = tuple[Any, dict[str, Any], str]
Paths = str | list[str]

SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.zarr", ".dcm")
PLAIN = (".tif", ".tiff", ".lsm", ".stk")
"""What other programs write too: read here if it can be, else by another reader."""
IN_MEMORY = 128 * 2**20
"""Bytes up to which a stack is read at once; of a larger one, what is looked at."""
PART = 4096
"""Side of what is read at once of a plane of several levels."""
_TWO = ("magenta", "green")
_MORE = ("cyan", "magenta", "yellow", "red", "green", "blue")
"""Colours of channels that lie over each other."""


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Give the reader if this is a file, or several files, that it reads.

    A folder is one of OME-Zarr, or holds the slices of a DICOM series.
    """
    paths = [path] if isinstance(path, str) else path
    return read_layers if all(map(_is_ours, paths)) else None


def _is_ours(name: str) -> bool:
    path = Path(name)
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        return True
    if name.endswith(PLAIN) and path.is_file():
        return _can_be_read(path)
    return path.is_dir() and holds_dicom(path)


def _can_be_read(path: Path) -> bool:
    """Tell gray planes from colour pictures and what else there is."""
    try:
        open_stack(path, channel=0).close()
    except (StackError, OSError):
        return False
    return True


def read_layers(path: Paths) -> list[LayerData]:
    """Read a file as one layer per channel.

    Parameters
    ----------
    path
        A file, or several whose planes become one stack.

    Returns
    -------
    list of layer data tuples
        With scale, translate, units and axis labels of the file, and what it says
        about how it was made under "napari_sr" in the metadata.

    Raises
    ------
    StackError
        If it cannot be read, in one sentence.
    """
    try:
        return [_layer(_levels(path, None))]
    except SeveralChannelsError as several:
        n_channels = several.n_channels
    return [
        _layer(_levels(path, channel), channel, n_channels)
        for channel in range(n_channels)
    ]


def _levels(path: Paths, channel: int | None) -> list[Stack]:
    """Open a file, with the coarser levels of a large OME-Zarr."""
    stack = open_stack(path, channel=channel)
    paths = [path] if isinstance(path, str) else path
    first = Path(paths[0])
    if len(paths) > 1 or first.suffix.lower() != ".zarr" or not _is_large(stack):
        return [stack]
    return [stack, *open_coarser(first, channel)]


def _layer(levels: list[Stack], channel: int = 0, n_channels: int = 1) -> LayerData:
    """Make a layer of open stacks, which from now on belong to it."""
    stack = levels[0]
    origin = {key: value for key, value in stack.provenance.items() if key != KEPT}
    keywords: dict[str, Any] = {
        "name": stack.name,
        "rgb": False,
        "metadata": {"napari_sr": origin},
        **placed(stack.axes, stack.provenance),
    }
    known = (*stack.info.channels, Channel())[0]
    if n_channels > 1:
        colours = _TWO if n_channels == 2 else _MORE
        keywords |= {
            "name": f"{stack.name} [{known.name or channel}]",
            "colormap": known.colour or colours[channel % len(colours)],
            "blending": "additive",
        }
    elif known.colour:
        keywords["colormap"] = known.colour
    elif stack.info.is_inverted:
        keywords["colormap"] = "gray_r"
    if len(levels) > 1:
        pixels = [_lazily(level, PART) for level in levels]
        return pixels, {**keywords, "multiscale": True}, "image"
    return _pixels(stack), keywords, "image"


def _is_large(stack: Stack) -> bool:
    return math.prod(stack.shape) * stack.dtype.itemsize > IN_MEMORY


def _pixels(stack: Stack) -> NDArray | Array:
    """Read a small stack whole; look at a larger one plane by plane."""
    if _is_large(stack):
        return _lazily(stack)
    with stack:
        pixels = np.empty(stack.shape, stack.dtype)
        for index in stack.indices():
            pixels[index] = stack.plane(index)
    return pixels


def _lazily(stack: Stack, side: int | None = None) -> Array:
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

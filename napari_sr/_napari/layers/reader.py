"""OME-TIFF, OME-Zarr and DICOM files as layers in their place.

This module alone knows how what a file says becomes names and colours of layers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sr._napari.layers.place import KEPT, placed
from napari_sr.files import SeveralChannelsError, holds_dicom, open_stack
from napari_sr.files.zarr.images import open_coarser
from napari_sr.image.info import Channel
from napari_sr.image.stack import StackError
from napari_sr.interactive.lazy_pixels import PART, is_large, lazily, pixels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sr.image.stack import Stack

LayerData = tuple[Any, dict[str, Any], str]
Paths = str | list[str]

SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.zarr", ".dcm")
PLAIN = (".tif", ".tiff", ".lsm", ".stk")
"""What other programs write too: read here if it can be, else by another reader."""
_TWO = ("magenta", "green")
_MORE = ("cyan", "magenta", "yellow", "red", "green", "blue")
"""Colours of channels that lie over each other."""
_A_NUMBER = re.compile(r"((channel|ch|c)?[ _:-]*\d+(:\d+)*)?", re.I)
"""What programs call a channel without a name of its own."""


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
    if len(paths) > 1 or first.suffix.lower() != ".zarr" or not is_large(stack):
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
    called = f"[{known.name}]"
    if not _A_NUMBER.fullmatch(known.name) and called not in stack.name:
        keywords["name"] = f"{stack.name} {called}"
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
        pixels = [lazily(level, PART) for level in levels]
        return pixels, {**keywords, "multiscale": True}, "image"
    return pixels_of(stack), keywords, "image"

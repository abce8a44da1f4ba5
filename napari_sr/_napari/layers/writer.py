"""An image layer as an OME-TIFF or OME-Zarr that keeps its place.

This module alone knows how napari asks for a file: after a dialog in which the user has
agreed to replace what has exactly that name, and nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info

from napari_sr._napari.layers.place import KEPT, describe_unheld, stack_of, unheld
from napari_sr._napari.parts.preferences import preferences
from napari_sr.files import create_stack
from napari_sr.files.formats import FORMATS
from napari_sr.image.info import Channel, ImageInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sr._napari.layers.place import Pixels

_OF_RESULT = re.compile(r"\[([^\[\]]+)\] \[[^\[\]]+\]$")
"""What the name of the result of a channel ends in."""
_SUFFIXES = {file_format.name: file_format.suffixes for file_format in FORMATS}
KINDS = {"OME-TIFF (*.ome.tif)": "TIFF", "OME-Zarr (*.ome.zarr)": "OME-Zarr"}
"""What a layer can be saved as: in the words of a dialog, and of `FORMATS`."""


def write_tiff(path: str, data: Pixels, meta: dict[str, Any]) -> list[str]:
    """Write an image layer to an OME-TIFF; see `write_layer`."""
    return _as_napari_hears(path, data, meta, _SUFFIXES["TIFF"], ".ome.tif")


def write_zarr(path: str, data: Pixels, meta: dict[str, Any]) -> list[str]:
    """Write an image layer to an OME-Zarr; see `write_layer`."""
    return _as_napari_hears(path, data, meta, _SUFFIXES["OME-Zarr"], ".ome.zarr")


def save_layers(layers: Sequence[Image], path: str, kind: str) -> str:
    """Write a layer with its place, or several as channels of one image.

    Parameters
    ----------
    layers
        Each a channel; of several `are_channels` holds.
    path
        As the user named it.
    kind
        Of `KINDS`, where the name has the suffix of none of them.

    Returns
    -------
    str
        The file; see `write_layer`.
    """
    data, meta, _ = layers[0].as_layer_data_tuple()
    named = [one for one in KINDS.values() if path.lower().endswith(_SUFFIXES[one])]
    suffixes = _SUFFIXES[next(iter(named), KINDS[kind])]
    default = kind.split("*")[1].rstrip(")")
    (written,) = write_layer(path, data, meta, suffixes, default, layers)
    return written


def are_channels(layers: Sequence[Image]) -> bool:
    """Tell whether layers are results of channels of one recording, complete.

    Their names say so ("cells [DAPI] [model]"): other recordings may have the same
    grid. Grid and pixel type must be one as well, to be one image.
    """
    first, *others = layers
    named = [_OF_RESULT.search(layer.name) for layer in layers]
    recordings = {
        layer.name[: name.start()] if name else None
        for layer, name in zip(layers, named, strict=True)
    }
    if len(recordings) > 1 or None in recordings:
        return False
    return all(
        layer.data.shape == first.data.shape
        and layer.dtype == first.dtype
        and np.allclose(layer.affine.affine_matrix, first.affine.affine_matrix)
        and np.allclose(layer.scale, first.scale)
        and np.allclose(layer.translate, first.translate)
        for layer in others
    )


def _channel_of(layer: Image) -> Channel:
    """Say of a layer what a file says of a channel; "cells [GFP] [model]" is GFP."""
    named = _OF_RESULT.search(layer.name)
    colour = (255 * np.asarray(layer.colormap.map(1.0)).ravel()[:3]).round().astype(int)
    low, high = map(float, layer.contrast_limits)
    return Channel(
        named[1] if named else layer.name,
        "#" + "".join(f"{value:02x}" for value in colour.tolist()),
        (low, high),
    )


def _as_napari_hears(path: str, *rest: Any) -> list[str]:  # noqa: ANN401
    """Write a layer; raise another error than ValueError if that is refused.

    napari takes those to mean that no plugin could be found, and says that instead.
    """
    try:
        return write_layer(path, *rest)
    except ValueError as error:
        is_of_system = isinstance(error.__cause__, OSError)
        kind = OSError if is_of_system else RuntimeError
        raise kind(str(error)) from error


def write_layer(
    path: str,
    data: Pixels,
    meta: dict[str, Any],
    suffixes: tuple[str, ...],
    default: str,
    layers: Sequence[Image] = (),
) -> list[str]:
    """Write an image layer plane by plane; the file is complete or absent.

    Parameters
    ----------
    path
        As the user named it. If it lacks the suffix of the format, it gets one, and a
        file of that name is not replaced, since the user was not asked.
    data, meta
        Of the layer, as napari hands them over; of several levels the finest is
        written.
    suffixes
        Those of the format.
    default
        The suffix that is added.
    layers
        All that are written as channels, where it is not one layer alone; the first is
        that of `data`.

    Returns
    -------
    list of str
        The file.

    Raises
    ------
    StackError
        If the layer or the place is not usable, in one sentence.
    """
    is_agreed = path.lower().endswith(suffixes)
    target = Path(path if is_agreed else f"{path}{default}")
    stack = stack_of(data, meta)
    kept = unheld(meta, len(stack.shape))
    ours = (meta.get("metadata") or {}).get("napari_sr")
    provenance = {**ours} if isinstance(ours, dict) else {}
    several = layers if len(layers) > 1 else ()
    if several:  # as files of several channels have them
        made = [dict(one.metadata.get("napari_sr", {})) for one in several]
        provenance["plans"] = [one.get("plan", {}) for one in made]
    with create_stack(
        target,
        shape=stack.shape,
        dtype=stack.dtype,
        axes=stack.axes,
        provenance=provenance | ({KEPT: kept} if kept else {}),
        info=ImageInfo(channels=tuple(map(_channel_of, several))),
        compression=preferences().compression,
        overwrite=is_agreed,
    ) as writer:
        for index in stack.indices() if not several else ():
            writer.write(index, stack.plane(index))
        for number, layer in enumerate(several):
            channel = stack_of(*layer.as_layer_data_tuple()[:2])
            for index in channel.indices():
                writer.write((number, *index), channel.plane(index))
    if kept:
        show_info(
            f"{target.name}: the format cannot hold the {describe_unheld(kept)} of "
            f"this layer; kept as metadata that only napari-sr reads."
        )
    return [str(target)]

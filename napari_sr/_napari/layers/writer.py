"""An image layer as an OME-TIFF or OME-Zarr that keeps its place.

This module alone knows how napari asks for a file: after a dialog in which the user has
agreed to replace what has exactly that name, and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.utils.notifications import show_info

from napari_sr._napari.layers.place import KEPT, stack_of
from napari_sr._napari.layers.saving import refuse_to_replace
from napari_sr._napari.parts.preferences import preferences
from napari_sr.files import create_stack
from napari_sr.files.formats import FORMATS
from napari_sr.image.info import Channel, ImageInfo
from napari_sr.interactive.layer_axes import describe_unheld, unheld
from napari_sr.interactive.roles import OF_RESULT, are_named_as_channels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sr._napari.layers.place import Pixels

_SUFFIXES = {file_format.name: file_format.suffixes for file_format in FORMATS}
KINDS = {"OME-TIFF (*.ome.tif)": "TIFF", "OME-Zarr (*.ome.zarr)": "OME-Zarr"}
"""What a layer can be saved as: in the words of a dialog, and of `FORMATS`."""


def write_tiff(path: str, data: Pixels, meta: dict[str, Any]) -> list[str]:
    """Write an image layer to an OME-TIFF; see `write_layers`."""
    return _as_napari_hears(path, [(data, meta)], _SUFFIXES["TIFF"], ".ome.tif")


def write_zarr(path: str, data: Pixels, meta: dict[str, Any]) -> list[str]:
    """Write an image layer to an OME-Zarr; see `write_layers`."""
    return _as_napari_hears(path, [(data, meta)], _SUFFIXES["OME-Zarr"], ".ome.zarr")


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
        The file; see `write_layers`.
    """
    named = [one for one in KINDS.values() if path.lower().endswith(_SUFFIXES[one])]
    suffixes = _SUFFIXES[next(iter(named), KINDS[kind])]
    default = kind.split("*")[1].rstrip(")")
    channels = [layer.as_layer_data_tuple()[:2] for layer in layers]
    (written,) = write_layers(path, channels, suffixes, default)
    return written


def are_channels(layers: Sequence[Image]) -> bool:
    """Tell whether layers are results of channels of one recording, complete.

    Their names say so ("cells [DAPI] [model]"): other recordings may have the same
    grid. Grid and pixel type must be one as well, to be one image.
    """
    first, *others = layers
    if not are_named_as_channels([layer.name for layer in layers]):
        return False
    return all(
        layer.data.shape == first.data.shape
        and layer.dtype == first.dtype
        and np.allclose(layer.affine.affine_matrix, first.affine.affine_matrix)
        and np.allclose(layer.scale, first.scale)
        and np.allclose(layer.translate, first.translate)
        for layer in others
    )


def _channel_of(meta: dict[str, Any]) -> Channel | None:
    """Say what a file says of a channel: "cells [GFP] [model]" is GFP."""
    named = OF_RESULT.search(str(meta.get("name", "")))
    if named is None:
        return None
    top = np.asarray(meta["colormap"]["colors"])[-1, :3]
    colour = "".join(f"{round(255 * float(share)):02x}" for share in top)
    low, high = map(float, meta["contrast_limits"])
    return Channel(named[1], f"#{colour}", (low, high))


def _as_napari_hears(
    path: str,
    channels: Sequence[tuple[Pixels, dict[str, Any]]],
    *rest: Any,  # noqa: ANN401
) -> list[str]:
    """Write a layer; raise another error than ValueError if that is refused.

    A result never takes the place of a file from which a layer was read.

    napari takes those to mean that no plugin could be found, and says that instead.
    """
    viewer, ((_, meta),) = napari.current_viewer(), channels
    made = (meta.get("metadata") or {}).get("napari_sr") or {}
    try:
        if viewer is not None and {"plan", "model"} & {*made}:
            refuse_to_replace(path, viewer.layers)
        return write_layers(path, channels, *rest)
    except ValueError as error:
        is_of_system = isinstance(error.__cause__, OSError)
        kind = OSError if is_of_system else RuntimeError
        raise kind(str(error)) from error


def write_layers(
    path: str,
    channels: Sequence[tuple[Pixels, dict[str, Any]]],
    suffixes: tuple[str, ...],
    default: str,
) -> list[str]:
    """Write image layers plane by plane; the file is complete or absent.

    Parameters
    ----------
    path
        As the user named it. If it lacks the suffix of the format, it gets one, and a
        file of that name is not replaced, since the user was not asked.
    channels
        One layer, or several of one size: data and keywords, as napari hands them over;
        of several levels the finest is written.
    suffixes
        Those of the format.
    default
        The suffix that is added.

    Returns
    -------
    list of str
        The file.

    Raises
    ------
    StackError
        If a layer or the place is not usable, in one sentence.
    """
    is_agreed = path.lower().endswith(suffixes)
    target = Path(path if is_agreed else f"{path}{default}")
    stacks, meta = [stack_of(*channel) for channel in channels], channels[0][1]
    kept = unheld(meta, len(stacks[0].shape))
    said = [(one.get("metadata") or {}).get("napari_sr") for _, one in channels]
    made = [{**one} if isinstance(one, dict) else {} for one in said]
    provenance = made[0] | ({KEPT: kept} if kept else {})
    if len(stacks) > 1:  # as files of several channels have them
        provenance["plans"] = [one.get("plan", {}) for one in made]
    with create_stack(
        target,
        shape=stacks[0].shape,
        dtype=stacks[0].dtype,
        axes=stacks[0].axes,
        provenance=provenance,
        info=ImageInfo(tuple(filter(None, (_channel_of(one) for _, one in channels)))),
        compression=preferences().compression,
        overwrite=is_agreed,
    ) as writer:
        for number, stack in enumerate(stacks):
            for index in stack.indices():
                place = (number, *index) if len(stacks) > 1 else index
                writer.write(place, stack.plane(index))
    if kept:
        show_info(
            f"{target.name}: the format cannot hold the {describe_unheld(kept)} of "
            f"this layer; kept as metadata that only napari-sr reads."
        )
    return [str(target)]

"""Where a result is saved: a name of its own, and never that of a recording.

This module alone knows which name is suggested, and which files are not replaced,
whatever a dialog was answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr._napari.layers.pixel_size import file_of
from napari_sr._napari.layers.roles import images_in
from napari_sr.files.formats import stem_of
from napari_sr.interactive.roles import guess_recording, stem_of_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.layers import Image, Layer

SUFFIX = ".ome.tif"
"""Of the file that is suggested."""


def suggest_path(results: Sequence[Image], layers: Iterable[Layer]) -> str:
    """Suggest a file for a result, or for several that are channels of one image.

    Parameters
    ----------
    results
        To be written into one file.
    layers
        Of the viewer, with the recordings.

    Returns
    -------
    str
        Beside the recording's file where it has one, and named after recording and
        model: "cells_model.ome.tif" of "cells.ome.tif".
    """
    result = results[0]
    recording = guess_recording(result, images_in(layers))
    file = file_of(recording) if recording is not None else None
    stem = stem_of(Path(file).name) if file else ""
    is_copy, is_one = bool(file_of(result)), len(results) == 1
    name = f"{stem_of_result(result.name, stem, is_copy, is_one)}{SUFFIX}"
    return str(Path(file).parent / name) if file else name


def refuse_to_replace(path: str, layers: Iterable[Layer]) -> None:
    """Refuse a file from which a layer was read.

    Parameters
    ----------
    path
        As the user named it.
    layers
        Of the viewer.

    Raises
    ------
    ValueError
        If a layer was read from that file, or from inside of that folder.
    """
    target = Path(path).resolve()
    for layer in layers:
        file = file_of(layer)
        if file is None:
            continue
        read = Path(file).resolve()
        is_same = target.exists() and target.samefile(read)
        if is_same or target in read.parents:
            raise ValueError(
                f"A result needs a file of its own, and {layer.name!r} was read from "
                f"{target.name}; nothing was written. Choose another name."
            )

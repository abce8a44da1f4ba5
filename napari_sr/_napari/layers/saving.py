"""Where a result is saved: a name of its own, and never that of a recording.

This module alone knows which name is suggested, and which files are not replaced,
whatever a dialog was answered.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr._napari.layers.pixel_size import file_of
from napari_sr._napari.layers.roles import guess_recording, images_in
from napari_sr.files.formats import stem_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.layers import Image, Layer

SUFFIX = ".ome.tif"
"""Of the file that is suggested."""
_RESULT = re.compile(
    r"(?P<recording>.+?)(?: \[(?P<channel>[^\[\]]+)\])? \[(?P<model>[^\[\]]+)\]"
    r"(?P<rest>[^\[\]]*)"
)
"""How a run names what it makes: "cells [GFP] [model] (2 of 3 planes)"."""


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
    words = [result.name, "copy" if file_of(result) else None]
    if named := _RESULT.fullmatch(result.name):
        channel = named["channel"] if len(results) == 1 else None
        rest = re.sub(r"\W+", "-", named["rest"]).strip("-")
        stem = stem_of(Path(file).name) if file else named["recording"]
        words = [stem, channel, named["model"], rest]
    name = f"{'_'.join(filter(None, words))}{SUFFIX}".replace("/", "_")
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

"""Model files into the user's folder and out of it.

This module alone changes which models there are. A file is checked before it comes in,
and is there whole or not at all.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.aside import written_aside
from napari_sr.card import ModelFormatError
from napari_sr.catalogue import list_entries, model_folder, new_model_path
from napari_sr.interop.checkpoints import import_checkpoint
from napari_sr.methods import METHODS
from napari_sr.model import read_model, save_model

if TYPE_CHECKING:
    import os

    from napari_sr.catalogue import Entry


def install_model(path: str | os.PathLike[str]) -> Path:
    """Copy a model file into the user's folder, once all of it has been checked.

    Parameters
    ----------
    path
        A `.safetensors` file that `save_model` wrote. The model is called as it is.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    ModelFormatError
        If it is not a usable model, or there is one of that name already.
    OSError
        If the folder cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or path.stem in METHODS:
        raise ModelFormatError(
            f"{path.name}: a model file ends in .safetensors and has no name of a "
            "method. Choose or rename the file."
        )
    model = read_model(path)
    for part in model.weights:
        _ = model.weights[part]  # reads it, and refuses what is not what was saved
    target = model_folder() / path.name
    _refuse_taken(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(target) as partial:
        shutil.copyfile(path, partial)
    return target


def install_checkpoint(path: str | os.PathLike[str]) -> Path:
    """Convert a checkpoint of another repository into a model of the user's folder.

    Parameters
    ----------
    path
        See `interop.checkpoints.import_checkpoint`. The model is called as it is.

    Returns
    -------
    Path
        The model file.

    Raises
    ------
    ModelFormatError
        If it is not usable, or there is a model of that name already.
    ValueError
        If no model can have that name.
    """
    target = new_model_path(Path(path).stem)
    _refuse_taken(target)
    return save_model(import_checkpoint(path), target)


def _refuse_taken(target: Path) -> None:
    if target.exists():
        raise ModelFormatError(
            f"There is a model of your own named {target.stem!r} already. Remove it "
            "first, or rename the file."
        )


def remove_model(entry: Entry) -> None:
    """Delete a model file of the user's own.

    Parameters
    ----------
    entry
        As `list_entries` gives it.

    Raises
    ------
    ValueError
        If it came with the package, or is not of the catalogue.
    """
    if entry.is_shipped or entry not in list_entries():
        raise ValueError(
            f"Model {entry.card.name!r} is not one of your own, so it is not removed. "
            "Models that come with napari-sr go with it."
        )
    entry.path.unlink(missing_ok=True)

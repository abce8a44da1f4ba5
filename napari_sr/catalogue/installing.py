"""Model files into the user's folder and out of it.

This module alone changes which models there are. A file is checked before it comes in,
and is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.catalogue.lookup import (
    SIDE_CARD,
    list_entries,
    model_folder,
    new_model_path,
    read_foreign,
    side_cards,
)
from napari_sr.catalogue.trusted import forget_trust, remember_trust
from napari_sr.files.atomic import written_atomically
from napari_sr.interop.bioimageio.files import Package
from napari_sr.interop.bioimageio.reading import read_package
from napari_sr.interop.recognizing import ARCHIVE, CHECKPOINTS, is_foreign, is_package
from napari_sr.methods.names import METHODS
from napari_sr.models.sr_model import SRModel, read_model, save_model

if TYPE_CHECKING:
    import os

    from napari_sr.catalogue.lookup import Entry


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
            f"{path.name}: a model file ends in .safetensors and must not have the "
            "name of a method. Choose another file or rename it."
        )
    model = read_model(path)
    for part in model.weights:
        _ = model.weights[part]  # reads it, and refuses what is not what was saved
    target = model_folder() / path.name
    _refuse_taken(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(target) as partial:
        shutil.copyfile(path, partial)
    return target


def install_foreign(path: str | os.PathLike[str], *, trust: bool = False) -> Path:
    """Import a third-party network into the user's folder.

    An SRResNet becomes a model file. Of other networks a copy is kept, and a card
    beside it.

    Parameters
    ----------
    path
        A checkpoint, or a package of bioimage.io; see `catalogue.load_model`. The model
        is called as it is.
    trust
        Whether code in a package may be run, now and whenever the model is used: that
        is remembered of this user and this file, see `trusted`.

    Returns
    -------
    Path
        The file in the folder.

    Raises
    ------
    ModelFormatError
        If it is not usable, or there is a model of that name already.
    ValueError
        If no model can have that name.
    """
    path = Path(path)
    if path.exists() and not is_foreign(path):
        raise ModelFormatError(
            f"{path.name}: a third-party model is a checkpoint "
            f"({' '.join(CHECKPOINTS)}) or a package of bioimage.io ({ARCHIVE}, its "
            "folder or its rdf.yaml). Export it as one of these."
        )
    package = Package(path) if is_package(path) else None
    name = package.model_name if package else path.stem
    target = new_model_path(name)
    _refuse_taken(target)
    model = read_package(package, trust=trust) if package else read_foreign(path)
    if isinstance(model, SRModel):
        return save_model(model, target)
    target = target.with_name(f"{name}.zip" if package else path.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(target) as partial:
        if package:
            package.save(partial)
        else:
            shutil.copyfile(path, partial)
    content = target.read_bytes()
    if trust:
        remember_trust(content, target.name)
    digests = {target.name: hashlib.sha256(content).hexdigest()}
    card = model.card.model_copy(update={"digests": digests})
    with written_atomically(
        _card_beside(target)
    ) as partial:  # from now on it is listed
        partial.write_text(card.model_dump_json(indent=1), encoding="utf-8")
    return target


def _card_beside(path: Path) -> Path:
    return path.with_name(path.name + SIDE_CARD)


def _refuse_taken(target: Path) -> None:
    if target.exists() or side_cards(target.parent, target.stem):
        raise ModelFormatError(
            f"You already have a model named {target.stem!r}. Remove it first, or "
            "rename the file."
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
            "Models shipped with napari-sr are removed only with napari-sr itself."
        )
    if entry.path.suffix == ARCHIVE and entry.path.is_file():
        forget_trust(entry.path.read_bytes())
    _card_beside(entry.path).unlink(missing_ok=True)
    entry.path.unlink(missing_ok=True)

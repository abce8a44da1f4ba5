"""What the program keeps on this machine beside results, where, and how much of it.

This module alone lists it, and removes what its user chooses.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_sr.catalogue.lookup import (
    SIDE_CARD,
    list_entries,
    list_unreadable,
    model_folder,
    training_folder,
)
from napari_sr.catalogue.trusted import config_folder

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Stored:
    """One kind of what is kept."""

    name: str
    """By which it is removed."""
    about: str
    """What it is, in one line."""
    place: Path
    """Where it is, or would be."""
    items: tuple[Path, ...]
    """Files and folders that there are."""
    is_shared: bool = False
    """Whether other programs use it too; then it is not removed from here."""

    @property
    def n_bytes(self) -> int:
        """Size of all items."""
        return sum(
            file.stat().st_size
            for item in self.items
            for file in (item.rglob("*") if item.is_dir() else [item])
            if file.is_file()
        )

    def only(self, names: Sequence[str]) -> Stored:
        """Keep the items of these names, with or without what they end in."""
        wanted, kept = set(names), []
        for path in self.items:
            network = Path(path.name.removesuffix(SIDE_CARD))
            if wanted & {path.name, network.name, network.stem}:
                kept.append(path)
        return replace(self, items=tuple(kept))

    def remove(self) -> None:
        """Remove all items; what cannot be is an `OSError`."""
        for item in self.items:
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()


def list_stored() -> list[Stored]:
    """List all that is kept, also what there is nothing of."""
    choices = _qt_folder() / "napari-sr" / "widgets.ini"
    napari = platformdirs.user_config_path("napari", False)
    weights = _torch_folder() / "hub" / "checkpoints"
    return [
        Stored("models", "your own models", model_folder(), _own_models()),
        Stored(
            "damaged",
            "model files that cannot be read",
            model_folder(),
            _with_neighbours(list_unreadable()),
        ),
        Stored(
            "trainings",
            "trainings whose model is not saved yet",
            training_folder(),
            tuple(sorted(training_folder().glob("*"))),
        ),
        Stored(
            "trust",
            "which packages with code you trust",
            config_folder() / "trusted",
            tuple(sorted((config_folder() / "trusted").glob("*"))),
        ),
        Stored(
            "choices",
            "your last choices in napari's widgets",
            choices,
            (choices,) if choices.is_file() else (),
        ),
        Stored(
            "preferences",
            "napari-sr in napari's Preferences",
            napari,
            tuple(sorted(napari.rglob("napari-sr.yaml"))),
        ),
        Stored(
            "vgg19",
            "weights of VGG-19, which torchvision fetched",
            weights,
            tuple(sorted(weights.glob("vgg19-*.pth"))),
            is_shared=True,
        ),
    ]


def _own_models() -> tuple[Path, ...]:
    """Find the user's models."""
    own = [entry.path for entry in list_entries() if not entry.is_shipped]
    return _with_neighbours(own)


def _with_neighbours(paths: list[Path]) -> tuple[Path, ...]:
    """Add the cards that lie beside some, and the networks beside cards."""
    cards = [path.with_name(path.name + SIDE_CARD) for path in paths]
    networks = [Path(str(path).removesuffix(SIDE_CARD)) for path in paths]
    every = dict.fromkeys([*paths, *cards, *networks])
    return tuple(path for path in every if path.exists())


def _qt_folder() -> Path:
    """Give the folder in which Qt keeps settings of a user as INI files."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home()))
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _torch_folder() -> Path:
    """Give the folder in which torch keeps what it fetched, without loading torch."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(cache, "torch"))

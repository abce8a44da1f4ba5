"""A name or a path → an upscaler.

This module alone knows where models lie: those that come with the package, those in the
user's model folder, and the methods that need no weights.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_sr.cards.model_card import ModelFormatError, parse_card, read_card
from napari_sr.catalogue.trusted import is_trusted
from napari_sr.image.factor import FACTORS
from napari_sr.interop.recognizing import is_foreign, is_package
from napari_sr.methods import build_method
from napari_sr.methods.names import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sr.cards.model_card import ModelCard
    from napari_sr.interop.foreign import Foreign
    from napari_sr.methods.weightless import Weightless
    from napari_sr.models.sr_model import SRModel
    from napari_sr.models.upscaler import Upscaler

    ModelLike = Upscaler | str | os.PathLike[str]

FOR_ALL_KINDS = "general-x2"
"""The model for whoever has not chosen one."""
_FIRST = "general-"
"""Models of all kinds of images are listed first."""
REPLACED = {
    "em-x2": "general-x2",
    "em-x4": "general-x4",
    "fluorescence-x2": "general-x2",
    "xray-x2": "general-x2",
}
"""Models that were shipped before → what is loaded instead, until version 0.3."""
SHIPPED = Path(__file__).parents[1] / "zoo"
FOR_COMPARISON = Path(__file__).parents[1] / "zoo_comparison"
"""Small networks of other methods, which come with the package beside the models."""
SIDE_CARD = ".card.json"
"""Ends the name of the card beside a third-party network, after all of its name."""
_NAME = re.compile(r"\w(?:[\w .+-]*[\w+-])?")
"""What can be a file's name on every system."""


_preferred_folder: Path | None = None


def model_folder() -> Path:
    """Folder for the user's own models.

    The environment variable NAPARI_SR_MODELS, else the folder given to
    `prefer_model_folder`, else the system's place.
    """
    chosen = os.environ.get("NAPARI_SR_MODELS") or _preferred_folder
    return Path(chosen) if chosen else platformdirs.user_data_path("napari-sr", False)


def prefer_model_folder(folder: Path | None) -> None:
    """Keep the user's models in another folder from now on; None: the system's place.

    NAPARI_SR_MODELS goes before it, as what is said for one run does.
    """
    global _preferred_folder
    _preferred_folder = folder


def training_folder() -> Path:
    """Folder for trainings whose model has not been saved yet."""
    return model_folder() / "trainings"


def new_model_path(name: str) -> Path:
    """Say where the user's model of that name lies, or will lie.

    Raises
    ------
    ValueError
        If no model can have that name.
    """
    if not _NAME.fullmatch(name) or name in METHODS:
        raise ValueError(
            f"A model cannot be called {name!r}. Use letters, digits, spaces, dots, "
            f"hyphens or underscores, and not the name of a method."
        )
    return model_folder() / f"{name}.safetensors"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model file of the catalogue."""

    path: Path
    """Of a third-party network its own file, beside which lies its card."""
    card: ModelCard

    @property
    def is_shipped(self) -> bool:
        """Whether it came with the package; the others are the user's own."""
        return self.path.parent in (SHIPPED, FOR_COMPARISON)


@dataclass(frozen=True, slots=True)
class Listed:
    """What can be loaded by name: a trained model, or a method without weights."""

    name: str
    factors: tuple[int, ...]
    """By which it can super-resolve; `load_model` asks which if there are several."""
    domain: str
    """Kind of images it is for."""
    description: str
    """One line for whoever chooses."""


class ReplacedModelWarning(UserWarning):
    """A model that is not shipped any more; another one is loaded."""


class UnreadableModelWarning(UserWarning):
    """A file of the model folder that cannot be used."""


def in_place_of(name: str) -> str:
    """Say what is used instead of a model that is not shipped any more."""
    return (
        f"{name} is no longer shipped: {REPLACED[name]}, at most 0.15 dB less accurate "
        f"on images of its kind, is used instead. Use that name; {name!r} is "
        "understood until version 0.3."
    )


def list_entries() -> list[Entry]:
    """List all models that can be loaded by name, with their files."""
    return list(_entries().values())


def list_cards() -> list[ModelCard]:
    """List the cards of all models that can be loaded by name."""
    return [entry.card for entry in list_entries()]


def scan_models() -> tuple[list[ModelCard], list[str]]:
    """List the cards, and without a warning a sentence for each unreadable file."""
    entries, unreadable = _found()
    return [entry.card for entry in entries.values()], [*unreadable.values()]


def list_unreadable() -> list[Path]:
    """List the files of the model folder that cannot be used, cards beside included."""
    folder = model_folder()
    return [held for held in _found()[1] if held.parent == folder]


def _entries() -> dict[str, Entry]:
    """Find all readable model files by name, and warn of the others."""
    entries, unreadable = _found()
    for text in unreadable.values():
        warnings.warn(text, UnreadableModelWarning, stacklevel=2)
    return entries


def _found() -> tuple[dict[str, Entry], dict[Path, str]]:
    """Find all model files by name, and why others cannot be read.

    A model is called what its file is called, also after somebody renamed it. The
    user's go before the shipped ones; what cannot be read hides none of its name.
    """
    entries: dict[str, Entry] = {}
    unreadable: dict[Path, str] = {}
    for folder in (SHIPPED, FOR_COMPARISON, model_folder()):
        for held in sorted([*folder.glob("*.safetensors"), *side_cards(folder)]):
            path = Path(str(held).removesuffix(SIDE_CARD))
            try:
                seen = held.stat()
                card = _card_of(held, seen.st_mtime_ns, seen.st_size)
            except (ModelFormatError, OSError) as error:
                unreadable[held] = _left_out(held, error)
                continue
            card = card.model_copy(update={"name": path.stem})
            entries[path.stem] = Entry(path, card)
    first = sorted(entries, key=lambda name: not name.startswith(_FIRST))
    return {name: entries[name] for name in first}, unreadable


def _left_out(path: Path, error: Exception) -> str:
    return f"{path} is skipped because it cannot be read: {error}"


def side_cards(folder: Path, name: str = "") -> list[Path]:
    """Find the cards of third-party networks; all, or that of one name."""
    cards = folder.glob(f"*{SIDE_CARD}")
    return [card for card in cards if name in ("", _name_beside(card))]


def _name_beside(card: Path) -> str:
    return Path(card.name.removesuffix(SIDE_CARD)).stem


@lru_cache(maxsize=256)
def _card_of(path: Path, _modified: int, _size: int) -> ModelCard:
    """Read a card, once for as long as its file is the same: pickers ask often."""
    if path.name.endswith(SIDE_CARD):
        return parse_card(path.name, path.read_text("utf-8", errors="replace"))
    return read_card(path)


def list_models() -> list[Listed]:
    """List everything that can be loaded by name: models, then classical methods.

    Returns
    -------
    list of Listed
        Each with `name`, `factors`, `domain` and a one-line `description`.

    Warns
    -----
    UnreadableModelWarning
        Of each file in the model folder that cannot be read.
    """
    cards = list_cards()
    return [
        *(Listed(c.name, (c.factor,), c.domain, c.description) for c in cards),
        *(Listed(name, FACTORS, "any", m.description) for name, m in METHODS.items()),
    ]


def load_model(
    model: str | os.PathLike[str],
    *,
    factor: int | None = None,
    trust: bool = False,
    **options: object,
) -> SRModel | Weightless | Foreign:
    """Load a model by its name or the path of its file, or a method by its name.

    Parameters
    ----------
    model
        A name that `list_models` shows, the path of a `.safetensors` file, of a
        checkpoint of another repository (see `interop.layouts`; with spandrel installed
        also those that it knows) or of a package of bioimage.io (`.zip`, its folder or
        `rdf.yaml`), or a classical method, which needs no weights: `bicubic`, `wiener`,
        … (`napari_sr.methods.METHODS`).
    factor
        Super-resolution factor, for the classical methods. A trained model has its own;
        any other is refused.
    trust
        Run code that comes with a package of bioimage.io, if its weights need it.
    **options
        Further options of a method, such as `psf_sigma`, or of the architecture of a
        trained model, such as `n_views=8` of sparse coding.

    Raises
    ------
    ModelFormatError
        If there is no such model, or its file is not usable.
    ValueError
        If the factor is missing, or not that of the model, or an option is unknown.
    """
    return load_with_options(model, factor, options, trust=trust)


def load_with_options(
    model: str | os.PathLike[str],
    factor: int | None,
    options: Mapping[str, object],
    *,
    trust: bool = False,
) -> SRModel | Weightless | Foreign:
    """Load as `load_model` does, with options from a file, which trusts nothing."""
    name = os.fspath(model)
    if name in METHODS:
        return _load_method(name, factor, options)
    loaded = _read(name, trust)
    if options:
        loaded = loaded.used_with(options)
    if factor not in (None, loaded.factor):
        raise ValueError(
            f"Model {loaded.name!r} super-resolves by {loaded.factor}, not by "
            f"{factor}. Leave the factor out or choose another model."
        )
    return loaded


def load_trained(model: ModelLike, purpose: str) -> SRModel:
    """Give a trained model, loaded if it is a name or a path.

    Parameters
    ----------
    model
        A model, or the name or path of one.
    purpose
        What only a trained model can do, such as "be exported", for the error.

    Raises
    ------
    ValueError
        If it is a method without weights, or a third-party network.
    """
    from napari_sr.models.sr_model import SRModel

    upscaler: object = model
    if isinstance(model, str | os.PathLike) and os.fspath(model) not in METHODS:
        upscaler = load_model(model)
    if not isinstance(upscaler, SRModel):
        raise ValueError(
            f"{getattr(upscaler, 'name', upscaler)!r} is not a trained model of "
            f"napari-sr, and only those can {purpose}. Choose another of `napari-sr "
            "models`."
        )
    return upscaler


def _load_method(
    name: str, factor: int | None, options: Mapping[str, object]
) -> Weightless:
    if factor is None:
        raise ValueError(
            f"{name!r} works at factor 2, 3, 4 or 8. Say which with --factor 2, or in "
            f"Python load_model({name!r}, factor=2)."
        )
    if name == "retrieval":
        options = dict(options)
        base = load_with_options(str(options.pop("base", "bicubic")), factor, {})
        if (dial := options.pop("dial", None)) is not None:
            base = base.at_dial(float(str(dial)))
        options["base"] = base
    return build_method(name, factor, options)


def _checkpoint(path: str | os.PathLike[str]) -> SRModel | Foreign:
    """Read a layout known here, else one that spandrel knows, where it is installed."""
    from napari_sr.interop.checkpoints import UnknownLayoutError, import_checkpoint

    try:
        return import_checkpoint(path)
    except UnknownLayoutError:
        if find_spec("spandrel") is None:
            raise
    from napari_sr.interop.spandrel_models import read_spandrel

    return read_spandrel(path)


def read_foreign(
    path: str | os.PathLike[str], *, trust: bool = False
) -> SRModel | Foreign:
    """Read a third-party network: a checkpoint, or a package of bioimage.io."""
    if not is_package(path):
        return _checkpoint(path)
    from napari_sr.interop.bioimageio.reading import read_package

    return read_package(path, trust=trust)


def _read_beside(card: Path, trust: bool) -> SRModel | Foreign:
    """Read a network of the model folder, if it is still the one that was imported.

    Its code, where it has any, is run if this user trusted it, then or now.
    """
    path = card.with_name(card.name.removesuffix(SIDE_CARD))
    expected = parse_card(card.name, card.read_text("utf-8", errors="replace")).digests
    content = path.read_bytes() if path.is_file() else b""
    if expected.get(path.name) != hashlib.sha256(content).hexdigest():
        raise ModelFormatError(
            f"{path.name}: is missing or not the file that was imported. Remove "
            f"{card.name} beside it, and import it again."
        )
    if not is_package(path):
        return _checkpoint(path)
    from napari_sr.interop.bioimageio.files import Package
    from napari_sr.interop.bioimageio.reading import read_package

    package = Package(path, content)  # what was looked at is what is run
    return read_package(package, trust=trust or is_trusted(content))


def _read(name: str, trust: bool) -> SRModel | Foreign:
    from napari_sr.models.blind_model import read_model

    folders = () if os.sep in name else (model_folder(), SHIPPED, FOR_COMPARISON)
    paths = [folder / f"{name}.safetensors" for folder in folders]
    paths = [path for path in paths if path.is_file()]
    for path in paths:
        try:
            return read_model(path)
        except ModelFormatError as error:
            if path is paths[-1]:
                raise
            # and take the shipped one of its name
            text = _left_out(path, error)
            warnings.warn(text, UnreadableModelWarning, stacklevel=2)
    for card in side_cards(model_folder(), name):
        return _read_beside(card, trust)
    if is_foreign(name):
        return read_foreign(name, trust=trust)
    if name.endswith(".safetensors") or os.sep in name:
        return read_model(name)
    if name in REPLACED:
        warnings.warn(in_place_of(name), ReplacedModelWarning, stacklevel=2)
        return _read(REPLACED[name], trust)
    known = ", ".join([*sorted(_entries()), *METHODS])
    raise ModelFormatError(
        f"There is no model named {name!r}. There are: {known}; or give the path of a "
        f".safetensors file."
    )

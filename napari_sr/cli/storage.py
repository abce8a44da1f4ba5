"""`napari-sr paths` and `clean`: what is kept where, and removing what is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.cli.terminal import OK, say
from napari_sr.runs.summary import size_as_text

if TYPE_CHECKING:
    import argparse

_NAMES = ("models", "damaged", "trainings", "trust", "choices", "preferences")


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Describe `paths`."""
    parser.set_defaults(run=_paths)


def add_clean(parser: argparse.ArgumentParser) -> None:
    """Describe `clean`."""
    parser.add_argument("what", nargs="+", choices=_NAMES, metavar="WHAT",
        help=f"one or more of {', '.join(_NAMES)}")  # fmt: skip
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="only the models or files of these names",
    )
    parser.add_argument("--yes", action="store_true",
        help="remove them; without this, they are only listed")  # fmt: skip
    parser.set_defaults(run=_clean)


def _paths(_arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.stored import list_stored

    for stored in list_stored():
        n, size = len(stored.items), size_as_text(stored.n_bytes)
        amount = f"{n} item{'s' * (n != 1)}, {size}" if n else "nothing"
        say(f"{stored.name:12} {stored.about}: {amount}\n{'':12} {stored.place}")
        for item in stored.items if stored.name == "damaged" else ():
            say(f"{'':12} {item.name}")
    say(
        "Results are where you wrote them; an unfinished OME-Zarr, hidden next to its "
        "final name, is resumed by the same command. `napari-sr clean WHAT` removes "
        "files."
    )
    return OK


def _clean(arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.stored import list_stored

    chosen = [stored for stored in list_stored() if stored.name in arguments.what]
    if arguments.only:
        chosen = [stored.only(arguments.only) for stored in chosen]
    for stored in chosen:
        for item in stored.items:
            say(item)
        if arguments.yes:
            stored.remove()
    if not any(stored.items for stored in chosen):
        say("There is nothing to remove.")
    elif arguments.yes:
        say("Removed.")
    else:
        say("Nothing is removed yet: add --yes.")
    return OK

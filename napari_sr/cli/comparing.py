"""`napari-sr compare`: several methods on one recording, as a sheet and a table."""

from __future__ import annotations

from argparse import ArgumentTypeError
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.cli.arguments import read_along_z, read_method
from napari_sr.cli.evaluating import read_photons
from napari_sr.cli.terminal import OK, followed, say

if TYPE_CHECKING:
    import argparse

    from napari_sr.evaluation.side_by_side import SideBySide

USUAL = ("bicubic", "lanczos", "wiener", "edge-prior")
"""Compared when nothing is named, beside the general model of the factor."""


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Describe `compare`."""
    add = parser.add_argument
    add("image", type=Path, metavar="IMAGE", help="a recording, or a sharp image")
    add("-m", "--methods", nargs="+", type=read_method, metavar="NAME",
        help="names or files, with options if needed: wiener:psf_sigma=1.2, "
            "general-x2:dial=1; bicubic is always included")  # fmt: skip
    add("--factor", type=int,
        help="2, 3, 4 or 8; that of the models when not given; with --z also 1, which "
            "keeps the pixel size in the plane")  # fmt: skip
    add("--z", type=read_along_z, metavar="RATIO",
        help="compare the results for a volume along z: planes for each recorded one, "
            "or isotropic")  # fmt: skip
    add("--reference", type=Path, metavar="FILE",
        help="ground truth on the pixel grid of the results, if it is "
            "known")  # fmt: skip
    add("--record", type=_recorded_with, metavar="N", nargs="?", const="clean",
        help="take IMAGE as ground truth and simulate its recording first, with N "
            "photons at white, or clean (no noise)")  # fmt: skip
    add("--zoom", nargs=3, type=int, metavar=("ROW", "COLUMN", "SIDE"),
        help="region to enlarge, in recorded pixels; the most detailed one when not "
            "given")  # fmt: skip
    add("-o", "--output", type=Path, metavar="OUT",
        help=".png, the table beside it as .csv; named after IMAGE when not "
        "given")  # fmt: skip
    parser.set_defaults(run=_compare)


def add_bank(parser: argparse.ArgumentParser) -> None:
    """Describe `bank`."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGES", help="files, folders, patterns")
    add("-o", "--output", type=Path, required=True, metavar="BANK.npz")
    parser.set_defaults(run=_bank)


def _bank(arguments: argparse.Namespace) -> int:
    from napari_sr.files.finding import find_stacks
    from napari_sr.methods.bank import write_bank

    if arguments.output.suffix != ".npz":
        raise ValueError(f"A bank ends in .npz, got {arguments.output.name!r}.")
    files = find_stacks(arguments.images)
    n_images = followed(write_bank(files, arguments.output), "file")
    say(f"{arguments.output}: {n_images} images")
    return OK


def _recorded_with(text: str) -> float | str:
    try:
        photons = read_photons(text)
    except ValueError as error:
        raise ArgumentTypeError(
            f"expected a number of photons from 1 to 1e9, clean or nothing, got "
            f"{text!r}; IMAGE goes before --record"
        ) from error
    return "clean" if photons is None else photons


def _compare(arguments: argparse.Namespace) -> int:
    from napari_sr.trust.report.contact_sheet import check_sheet, write_side_by_side

    image: Path = arguments.image
    output = arguments.output or Path(f"{image.name.split('.')[0]}.compared.png")
    check_sheet(output)  # refused before anything is computed
    if arguments.z is not None:
        return _compare_along_z(arguments, output)
    side_by_side = _followed(arguments)
    zoom = None
    if arguments.zoom is not None:
        row, column, side = arguments.zoom
        zoom = (slice(row, row + side), slice(column, column + side))
    written = write_side_by_side(side_by_side, output, zoom)
    say(side_by_side.comparison.as_markdown())
    for path in written:
        say(path)
    return OK


def _followed(arguments: argparse.Namespace) -> SideBySide:
    """Compare behind a progress bar."""
    from napari_sr.evaluation.side_by_side import (
        compare_side_by_side,
        load_methods,
        record_stack,
    )
    from napari_sr.files import open_stack

    _check_record(arguments)
    named = arguments.methods or _usual(arguments.factor)
    upscalers = load_methods(named, arguments.factor)
    factor = next(iter(upscalers.values())).factor
    with ExitStack() as files:
        low, truth = files.enter_context(open_stack(arguments.image)), None
        if arguments.record is not None:
            low, truth = record_stack(low, factor, _photons(arguments))
        elif arguments.reference is not None:
            truth = files.enter_context(open_stack(arguments.reference))
        steps = compare_side_by_side(low, upscalers, truth)
        return followed(steps, "plane")


def _compare_along_z(arguments: argparse.Namespace, output: Path) -> int:
    """Compare volumes by their XZ and YZ planes."""
    from napari_sr.evaluation.side_by_side import load_methods
    from napari_sr.evaluation.volumes import compare_volumes, record_volume
    from napari_sr.files import open_stack
    from napari_sr.trust.report.volume import write_volume_sheet

    _check_record(arguments)
    if arguments.zoom is not None:
        raise ValueError("--zoom is only for planes. Leave it out with --z.")
    z, alone = arguments.z, arguments.factor == 1
    if arguments.record is not None and (z == "isotropic" or z % 1):
        raise ValueError(
            f"--record averages a whole number of planes into one, but --z is {z}. "
            "Give a whole number."
        )
    named = arguments.methods or _usual(None if alone else arguments.factor)
    upscalers = load_methods(named, None if alone else arguments.factor)
    factor = next(iter(upscalers.values())).factor
    with ExitStack() as files:
        low, truth = files.enter_context(open_stack(arguments.image)), None
        if arguments.record is not None:
            low, truth = record_volume(
                low, int(z), _photons(arguments), 1 if alone else factor
            )
        elif arguments.reference is not None:
            truth = files.enter_context(open_stack(arguments.reference))
        steps = compare_volumes(low, upscalers, z, truth, factor=1 if alone else None)
        compared = followed(steps, "method")
    written = write_volume_sheet(compared, output)
    say(compared.as_markdown())
    for path in written:
        say(path)
    return OK


def _check_record(arguments: argparse.Namespace) -> None:
    if arguments.record is not None and arguments.reference is not None:
        raise ValueError(
            "With --record the image itself is the reference. Leave out --reference, "
            "or --record."
        )


def _photons(arguments: argparse.Namespace) -> float | None:
    photons: float | str = arguments.record
    return None if isinstance(photons, str) else photons


def _usual(factor: int | None) -> list[tuple[str, dict[str, float | str]]]:
    from napari_sr.catalogue.lookup import list_cards

    general = f"general-x{factor or 2}"
    models = [card.name for card in list_cards() if card.name == general]
    return [(name, {}) for name in (*USUAL, *models)]

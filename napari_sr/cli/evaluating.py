"""`napari-sr evaluate`: how good models are on a user's own sharp images."""

from __future__ import annotations

import csv
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_sr.cli.arguments import read_along_z
from napari_sr.cli.terminal import OK, say
from napari_sr.files.finding import find_stacks
from napari_sr.metrics.quality import (
    as_csv,
    as_markdown,
    averaged,
    dataset_table,
    flat_tables,
    summary_table,
)

if TYPE_CHECKING:
    import argparse

    from napari_sr.evaluation.side_by_side import Named
    from napari_sr.metrics.quality import Measured
    from napari_sr.models.sr_model import SRModel

BESIDE_ALONG_Z = ("bicubic", "wiener")
"""What is measured along z beside models."""
FLOOR_EACH = 8
"""Every so many images choose the floor of an interval, the others its scale."""


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Describe `evaluate`."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGES",
        help="sharp images: files, folders (each a dataset), patterns")  # fmt: skip
    add("-m", "--model", nargs="+", required=True, metavar="NAME",
        help="names or files of models of one factor")  # fmt: skip
    add("--photons", nargs="+", type=read_photons, default=[None, 200.0, 50.0],
        metavar="N", help="photons at white, or clean (clean 200 50)")  # fmt: skip
    add(
        "--calibrate",
        action="store_true",
        help=(
            "also calibrate the 90%% prediction intervals of your own models on these "
            "images, which must not be training images, and store the calibration in "
            "their cards"
        ),
    )
    add("--z", type=_read_ratio, metavar="RATIO",
        help="measure along z instead, on sharp volumes that are degraded to a step so "
            "many times as long")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="also write all metrics to this file")
    parser.set_defaults(run=_evaluate)


def read_photons(text: str) -> float | None:
    """Read a number of photons, or `clean`."""
    if text == "clean":
        return None
    photons = float(text)
    if not 1 <= photons <= 1e9:
        raise ValueError("photons at white are between 1 and 1e9")
    return photons


def _read_ratio(text: str) -> int:
    ratio = read_along_z(text)
    if isinstance(ratio, str) or ratio % 1:
        raise ArgumentTypeError(f"expected a whole number from 2, got {text!r}")
    return int(ratio)


def _evaluate_along_z(arguments: argparse.Namespace) -> int:
    """Measure what models and interpolation make of volumes along z."""
    from napari_sr.catalogue.lookup import load_trained
    from napari_sr.evaluation.side_by_side import load_methods
    from napari_sr.evaluation.volumes import evaluate_volume
    from napari_sr.files import open_stack

    if arguments.calibrate:
        raise ValueError("--calibrate is only for planes. Leave it out with --z.")
    files = find_stacks(arguments.images)
    for name in arguments.model:
        load_trained(name, "be measured")
    named: list[Named] = [(name, {}) for name in BESIDE_ALONG_Z]
    named += [(name, {"dial": 0.0}) for name in arguments.model]
    upscalers = load_methods(named)
    lines: list[list[str]] = []
    head: list[str] = []
    for file in tqdm(files, unit="file", disable=None, leave=False):
        with open_stack(file) as sharp:
            for level in arguments.photons:
                found = dict(evaluate_volume(sharp, upscalers, arguments.z, level))
                head = ["volume", "photons", *found]
                shown = "clean" if level is None else f"{level:g}"
                lines.append([file.name, shown, *(f"{v:.2f}" for v in found.values())])
    say(
        f"PSNR in dB along z, the step {arguments.z} times as long; of the middle of "
        f"{len(files)} volume{'s' if len(files) > 1 else ''}.\n"
    )
    say(as_markdown(head, lines))
    if arguments.csv is not None:
        rows = [head, *lines]
        with arguments.csv.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
        say(arguments.csv)
    return OK


def _evaluate(arguments: argparse.Namespace) -> int:
    from napari_sr.evaluation.protocol import PROTOCOL, flat_fields_of, ways_of

    if arguments.z is not None:
        return _evaluate_along_z(arguments)
    files = find_stacks(arguments.images)
    from napari_sr.catalogue.lookup import load_trained

    models = [load_trained(name, "be measured") for name in arguments.model]
    places = [_place_of(n) for n in arguments.model] if arguments.calibrate else []
    measured = averaged(_measured(files, models, arguments.photons))
    own = [name for model in models for name in ways_of(model)]
    for text in (PROTOCOL, summary_table(measured), dataset_table(measured, own)):
        say(f"{text}\n")
    for text in flat_tables(flat_fields_of(models, arguments.photons)):
        say(f"{text}\n")
    if arguments.csv is not None:
        arguments.csv.write_text(as_csv(measured), encoding="utf-8")
        say(arguments.csv)
    for model, place in zip(models, places, strict=False):
        _calibrate(model, place, files, arguments.photons)
    return OK


def _place_of(name: str) -> Path:
    """Find the file of a user's own model."""
    from napari_sr.catalogue.lookup import list_entries

    entry = {listed.card.name: listed for listed in list_entries()}.get(name)
    if entry is not None and entry.is_shipped:
        raise ValueError(
            f"{name!r} is shipped with the package, and its calibration is not "
            "changed. Leave out --calibrate, or name a model of your own."
        )
    return Path(name) if entry is None else entry.path


def _calibrate(
    model: SRModel, place: Path, files: list[Path], photons: list[float | None]
) -> None:
    """Find the interval of a model, and store it; a few images are for its floor."""
    from napari_sr.evaluation.protocol import noise_of, recorded, specimens_of
    from napari_sr.models.sr_model import SRModel, save_model
    from napari_sr.training.calibration import Known, find_interval, middle

    groups = _groups(files, model)
    if len(set(groups)) < 2:
        raise ValueError(
            "Calibrating an interval needs several images, and all planes of a file "
            "or volume count as one. Give ten images or more."
        )
    known = [
        Known(
            group,
            recorded(sharp, model.factor, level),
            sharp,
            noise_of(level) if "noise" in model.conditions else "auto",
        )
        for group, file in zip(groups, files, strict=True)
        for sharp in (middle(specimen.sharp) for specimen in specimens_of(file))
        for level in photons
    ]
    for_floor = [each for each in known if each.image % FLOOR_EACH == 0]
    rest = [each for each in known if each.image % FLOOR_EACH]
    interval = find_interval(model, rest, for_floor)
    card = model.card.model_copy(update={"interval": interval})
    say(interval.in_words())
    say(save_model(SRModel(card, model.weights), place))


def _groups(files: list[Path], model: SRModel) -> list[int]:
    """Tell which image each file belongs to: files may be slices of one volume."""
    from napari_sr.datasets import gather_images, groups_of

    planes = gather_images(files, model.intensity_policy)
    of_stack = {
        plane.stack: group
        for plane, group in zip(planes, groups_of(planes), strict=True)
    }
    return list(of_stack.values())


def _measured(
    files: list[Path], models: list[SRModel], photons: list[float | None]
) -> list[Measured]:
    """Measure file by file, behind a progress bar."""
    from napari_sr.evaluation.protocol import (
        evaluate_specimen,
        methods_for,
        specimens_of,
    )

    methods, factor = methods_for(models), models[0].factor
    measured: list[Measured] = []
    for file in tqdm(files, unit="file", disable=None, leave=False):
        for specimen in specimens_of(file):
            measured += evaluate_specimen(specimen, methods, factor, photons)
    return measured

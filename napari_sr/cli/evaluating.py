"""`napari-sr evaluate`: how good models are on a user's own sharp images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_sr.cli.exit_codes import OK
from napari_sr.inputs import find_stacks
from napari_sr.quality import as_csv, averaged, dataset_table, summary_table

if TYPE_CHECKING:
    import argparse

    from napari_sr.model import SRModel
    from napari_sr.quality import Measured


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Describe `evaluate`."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGES",
        help="sharp images: files, folders (each a dataset), patterns")  # fmt: skip
    add("-m", "--model", nargs="+", required=True, metavar="NAME",
        help="names or files of models of one factor")  # fmt: skip
    add("--photons", nargs="+", type=read_photons, default=[None, 200.0, 50.0],
        metavar="N", help="photons at white, or clean (clean 200 50)")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="write every figure there as well")
    parser.set_defaults(run=_evaluate)


def read_photons(text: str) -> float | None:
    """Read a number of photons, or `clean`."""
    if text == "clean":
        return None
    photons = float(text)
    if not 1 <= photons <= 1e9:
        raise ValueError("photons at white are between 1 and 1e9")
    return photons


def _evaluate(arguments: argparse.Namespace) -> int:
    from napari_sr.evaluation import PROTOCOL, ways_of

    files = find_stacks(arguments.images)
    models = [_loaded(name) for name in arguments.model]
    found = averaged(_measured(files, models, arguments.photons))
    own = [name for model in models for name in ways_of(model)]
    for text in (PROTOCOL, summary_table(found), dataset_table(found, own)):
        print(f"{text}\n")
    if arguments.csv is not None:
        arguments.csv.write_text(as_csv(found), encoding="utf-8")
        print(arguments.csv)
    return OK


def _loaded(name: str) -> SRModel:
    from napari_sr.catalogue import load_model
    from napari_sr.methods import METHODS
    from napari_sr.model import SRModel

    if name in METHODS:
        raise ValueError(
            f"{name!r} is a method without weights, not a model to measure. Name a "
            f"trained model, see `napari-sr models`."
        )
    model = load_model(name)
    assert isinstance(model, SRModel)
    return model


def _measured(
    files: list[Path], models: list[SRModel], photons: list[float | None]
) -> list[Measured]:
    """Measure file by file, behind a progress bar."""
    from napari_sr.evaluation import evaluate_specimen, methods_for, specimens_of

    methods, factor = methods_for(models), models[0].factor
    found: list[Measured] = []
    for file in tqdm(files, unit="file", disable=None, leave=False):
        for specimen in specimens_of(file):
            found += evaluate_specimen(specimen, methods, factor, photons)
    return found

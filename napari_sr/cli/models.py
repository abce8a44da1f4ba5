"""`napari-sr models`: which there are, into the model folder, and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.catalogue.summary import describe_model
from napari_sr.cli.terminal import OK, say

if TYPE_CHECKING:
    import argparse


def add_models(models: argparse.ArgumentParser) -> None:
    """Describe `models`, and what is done with them."""
    models.set_defaults(run=_models)
    actions = models.add_subparsers(metavar="ACTION")
    into = actions.add_parser(
        "import", help="import a model file, or a third-party network"
    )
    into.add_argument("file", type=Path,
        help=".safetensors, .pth of another repository, or a package of "
        "bioimage.io")  # fmt: skip
    into.add_argument("--trust", action="store_true",
        help="run the code that comes with a package")  # fmt: skip
    into.set_defaults(run=_import_model)
    _add_export(actions.add_parser("export", help="export a model for other programs"))


def _models(_arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.lookup import list_models

    listed = list_models()
    width = max(len(model.name) for model in listed)
    for model in listed:
        factors = ", ".join(map(str, model.factors))
        asked = " (--factor)" if len(model.factors) > 1 else ""
        kind = f"×{factors}{asked}  {model.domain}"
        say(f"{model.name:{width}}  {kind}: {model.description}")
    return OK


def _import_model(arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.installing import install_foreign, install_model
    from napari_sr.catalogue.lookup import list_entries

    if arguments.file.suffix == ".safetensors":
        path = install_model(arguments.file)
    else:
        path = install_foreign(arguments.file, trust=arguments.trust)
    card = next(entry.card for entry in list_entries() if entry.path == path)
    say(describe_model(card))
    return OK


def _add_export(parser: argparse.ArgumentParser) -> None:
    """Describe `models export`."""
    add = parser.add_argument
    add("model", help="a model name (see `napari-sr models`) or file")
    add("-o", "--output", type=Path, required=True, metavar="OUT",
        help=".onnx, .zip (a package of bioimage.io) or .pth (a state dict, of the "
        "paper's network)")  # fmt: skip
    add("--dial", type=float, help="from 0 (faithful) to 1 (textured)")
    add("--overwrite", action="store_true", help="replace an existing output")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.exporting import export_model

    path = export_model(
        arguments.model,
        arguments.output,
        dial=arguments.dial,
        overwrite=arguments.overwrite,
    )
    say(path)
    return OK

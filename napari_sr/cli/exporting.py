"""`napari-sr models export`: a model for programs that are not this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.cli.exit_codes import OK
from napari_sr.cli.saying import say

if TYPE_CHECKING:
    import argparse


def add_export(parser: argparse.ArgumentParser) -> None:
    """Describe `models export`."""
    add = parser.add_argument
    add("model", help="a name (see `napari-sr models`) or file")
    add("-o", "--output", type=Path, required=True, metavar="OUT",
        help=".onnx, .zip (a package of bioimage.io) or .pth (a state dict, of the "
        "paper's network)")  # fmt: skip
    add("--dial", type=float, help="from 0, faithful, to 1, textured")
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

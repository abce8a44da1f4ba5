"""`napari-sr selfcheck`: whether a device computes what it should, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.cli.terminal import FAILED, OK, say

if TYPE_CHECKING:
    import argparse


def add_selfcheck(parser: argparse.ArgumentParser) -> None:
    """Describe `selfcheck`."""
    add = parser.add_argument
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("-m", "--model", metavar="NAME", default="general-x2", help="name or file")
    parser.set_defaults(run=_selfcheck)


def _selfcheck(arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.lookup import load_trained
    from napari_sr.cli.selfcheck import self_check

    model = load_trained(arguments.model, "be checked")
    is_well = True
    say("| looked at | found | |\n|---|---|---|")  # a table where issues are written
    for finding in self_check(model, arguments.device):
        verdict = "well" if finding.is_well else "WRONG"
        say(f"| {finding.name} | {finding.text} | {verdict} |", flush=True)
        is_well = is_well and finding.is_well
    return OK if is_well else FAILED

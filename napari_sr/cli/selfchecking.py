"""`napari-sr selfcheck`: whether a device computes what it should, and how fast."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from napari_sr.cli.terminal import FAILED, OK, say

if TYPE_CHECKING:
    import argparse

_BINDINGS = ("PyQt5", "PyQt6", "PySide2", "PySide6")


def add_selfcheck(parser: argparse.ArgumentParser) -> None:
    """Describe `selfcheck`."""
    add = parser.add_argument
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("-m", "--model", metavar="NAME", default="general-x2", help="name or file")
    add("--for-issue", action="store_true",
        help="add the versions of all packages in use, as text to paste into an issue; "
        "it holds no names of files or users")  # fmt: skip
    parser.set_defaults(run=_selfcheck)


def _selfcheck(arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.lookup import load_trained
    from napari_sr.cli.selfcheck import self_check

    model = load_trained(arguments.model, "be checked")
    is_well = True
    if arguments.for_issue:
        say("<details><summary>napari-sr selfcheck --for-issue</summary>\n")
    say("| check | result | |\n|---|---|---|")  # a table where issues are written
    for finding in self_check(model, arguments.device):
        verdict = "passed" if finding.is_well else "FAILED"
        say(f"| {finding.name} | {finding.text} | {verdict} |", flush=True)
        is_well = is_well and finding.is_well
    if arguments.for_issue:
        say("\n" + ", ".join(_versions()))
        say("\n</details>")
    return OK if is_well else FAILED


def _versions() -> list[str]:
    """List the packages that napari-sr can use and that are installed."""
    required = metadata.requires("napari-sr") or []
    named = {re.split(r"[^\w.-]", one)[0] for one in required} - {"napari-sr"}
    installed = []
    for name in sorted(named | set(_BINDINGS), key=str.lower):
        try:
            installed.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return installed

"""All commands: their names, their arguments and how each ends.

This module alone turns errors and interrupts into a sentence and an exit code.
"""

from __future__ import annotations

import _thread
import argparse
import signal
import sys
import warnings
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_sr._version import __version__
from napari_sr.cli.comparing import add_bank, add_compare
from napari_sr.cli.completing import PROGRAM, add_completion, add_schema, complete
from napari_sr.cli.evaluating import add_evaluate
from napari_sr.cli.info import add_info
from napari_sr.cli.models import add_models
from napari_sr.cli.reporting import add_report
from napari_sr.cli.selfchecking import add_selfcheck
from napari_sr.cli.storage import add_clean, add_paths
from napari_sr.cli.terminal import FAILED, INTERRUPTED, MISUSED, OK, say
from napari_sr.cli.training import add_finetune, add_train
from napari_sr.cli.upscaling import add_upscale
from napari_sr.settings import explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType


_SOON = 0.05
"""Seconds after which a destructor that was interrupted is over."""
_MAY_HAPPEN = (ValueError, OSError, RuntimeError, MemoryError, ImportError)
"""Errors that say what is wrong; others are faults of ours, and say where."""


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a log in an old encoding lacks ×
            stream.reconfigure(errors="replace")
    arguments = argparse.Namespace()
    with _interrupts_noted() as interrupts:
        try:
            parser = build_parser()
            complete(parser)
            arguments = parser.parse_args(argv)
            with warnings.catch_warnings():
                warnings.showwarning = _warn
                code = int(arguments.run(arguments))
            if not interrupts or code in (OK, INTERRUPTED):
                return code
            raise KeyboardInterrupt  # what came of it was taken for a failure
        except (KeyboardInterrupt, Exception) as error:
            if interrupts or isinstance(error, KeyboardInterrupt):
                _complain(f"Interrupted; {_what_is_left(arguments)}.")
                return INTERRUPTED
            return _failed(error)


def _failed(error: Exception) -> int:
    """Say what went wrong, where it is something that can go wrong."""
    if isinstance(error, ValidationError):
        _complain(explain(error, "--"))
        return MISUSED
    if isinstance(error, _MAY_HAPPEN):
        _complain(str(error) or type(error).__name__)
        return FAILED
    raise error


@contextmanager
def _interrupts_noted() -> Iterator[list[int]]:
    """Note Ctrl-C and SIGTERM: what runs just then may make something else of it.

    A module in C that is interrupted while it is loaded says that it cannot be
    imported. A destructor does not end at all: it is asked again when it is over.
    """
    noted: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        noted.append(number)
        if number == signal.SIGTERM:  # nothing disturbs the cleaning up
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    def ask_again(lost: sys.UnraisableHookArgs) -> None:
        if noted and lost.exc_type is KeyboardInterrupt:
            Timer(_SOON, _thread.interrupt_main).start()
        else:
            on_unraisable(lost)

    on_unraisable, sys.unraisablehook = sys.unraisablehook, ask_again
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = on_unraisable


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Say what a warning says, without the line of code that it comes from."""
    _complain(str(message))


def _what_is_left(arguments: argparse.Namespace) -> str:
    output = getattr(arguments, "output", None)
    if output is not None and output.suffix.lower() == ".zarr":
        return "what is done is kept, and the same command resumes from there"
    return "no incomplete file is left"


def build_parser() -> argparse.ArgumentParser:
    """Describe all commands."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Super-resolve X-ray and microscopy stacks in their own counts.",
    )
    parser.add_argument(
        "--version", action="version", version=f"napari-sr {__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_upscale(commands.add_parser("upscale", help="super-resolve files or folders"))
    add_finetune(
        commands.add_parser("finetune", help="adapt a model to your own images")
    )
    add_train(commands.add_parser("train", help="train a model from a recipe"))
    add_evaluate(
        commands.add_parser("evaluate", help="measure models on your own sharp images")
    )
    add_report(
        commands.add_parser("report", help="report how far a result can be trusted")
    )
    add_compare(
        commands.add_parser("compare", help="compare several methods side by side")
    )
    add_selfcheck(
        commands.add_parser("selfcheck", help="check a device: results, memory, speed")
    )
    add_bank(commands.add_parser("bank", help="index sharp images for retrieval"))
    add_models(commands.add_parser("models", help="list the models that can be used"))
    add_info(commands.add_parser("info", help="describe a stack or a model file"))
    add_paths(
        commands.add_parser(
            "paths", help="list the files that napari-sr keeps on this computer"
        )
    )
    add_clean(commands.add_parser("clean", help="remove some of these files"))
    demo = commands.add_parser(
        "demo", help="super-resolve example images and compare with their ground truth"
    )
    demo.add_argument("-o", "--output", type=Path, default=Path("demo_output"))
    demo.add_argument(
        "--samples", type=Path, help="folder of sample data; generated when not given"
    )
    demo.set_defaults(run=_demo)
    samples = commands.add_parser("samples", help="write the synthetic sample data")
    samples.add_argument("folder", type=Path)
    samples.set_defaults(run=_samples)
    add_schema(commands.add_parser("schema", help="print the JSON Schema of a recipe"))
    add_completion(
        commands.add_parser("completion", help="print a script for Tab in a shell")
    )
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    from napari_sr.cli.demo import HEADING, run_demo

    say(HEADING)
    for line in run_demo(arguments.output, arguments.samples):
        say(line)
    return OK


def _samples(arguments: argparse.Namespace) -> int:
    from napari_sr.phantoms import write_samples

    for path in write_samples(arguments.folder, overwrite=True):
        say(path)
    return OK


def _complain(text: str) -> None:
    say(text, file=sys.stderr)

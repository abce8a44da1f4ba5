"""`napari-sr report`: how far a result can be trusted, as one page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.cli.exit_codes import OK
from napari_sr.cli.progress import followed
from napari_sr.cli.terminal import say
from napari_sr.runs.output_names import find_source

if TYPE_CHECKING:
    import argparse

    from napari_sr.trust.assessment import Assessment


def add_report(parser: argparse.ArgumentParser) -> None:
    """Describe `report`."""
    add = parser.add_argument
    add("result", type=Path, metavar="RESULT", help="a super-resolved stack")
    add("--recording", type=Path, metavar="FILE",
        help="what it was made from; looked for beside the result when not "
        "given")  # fmt: skip
    add("--reference", type=Path, metavar="FILE",
        help="what it should be, in its pixels, if that is known")  # fmt: skip
    add("-m", "--model", metavar="NAME",
        help="name or file; the one that the result names when not given")  # fmt: skip
    add("-o", "--output", type=Path, nargs="+", metavar="OUT",
        help=".html (a page to read and print), .json (every figure), or both; beside "
        "the result when not given")  # fmt: skip
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    from napari_sr.trust.report import check_form, write_report

    result: Path = arguments.result
    recording = arguments.recording or find_source(result)
    outputs = arguments.output or [result.with_name(f"{result.name}.report.html")]
    for output in outputs:  # refused before anything is computed
        check_form(output)
    assessment = _assessed(recording, result, arguments.reference, arguments.model)
    say(assessment.as_markdown())
    for output in outputs:
        say(write_report(assessment, output))
    return OK


def _assessed(
    recording: Path, result: Path, reference: Path | None, model: str | None
) -> Assessment:
    """Assess behind a progress bar."""
    from napari_sr.files import open_stack
    from napari_sr.trust.flow import assess_steps

    with ExitStack() as files:
        low, high = (files.enter_context(open_stack(p)) for p in (recording, result))
        truth = (
            None if reference is None else files.enter_context(open_stack(reference))
        )
        steps = assess_steps(low, high, truth, model)
        return followed(steps, "step")

"""`napari-sr report`: how far a result can be trusted, as one page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.cli.arguments import read_channel
from napari_sr.cli.terminal import OK, followed, say
from napari_sr.image.stack import StackError
from napari_sr.runs.output_names import find_source

if TYPE_CHECKING:
    import argparse

    from napari_sr.files.channel import Pick
    from napari_sr.image.stack import Stack
    from napari_sr.trust.assessment import Assessment
    from napari_sr.trust.volume import VolumeAssessment


def add_report(parser: argparse.ArgumentParser) -> None:
    """Describe `report`."""
    add = parser.add_argument
    add("result", type=Path, metavar="RESULT", help="a super-resolved stack")
    add("--recording", type=Path, metavar="FILE",
        help="the recording that it was made from; searched for in the folder of the "
            "result when not given")  # fmt: skip
    add("--reference", type=Path, metavar="FILE",
        help="ground truth on the pixel grid of the result, if it is "
            "known")  # fmt: skip
    add("--channel", type=read_channel,
        help="channel, by number from 0 or by name, if there are several")  # fmt: skip
    add("-m", "--model", metavar="NAME",
        help="name or file; by default the model that is named in the "
            "result")  # fmt: skip
    add("-o", "--output", type=Path, nargs="+", metavar="OUT",
        help=".html (a page to read and print), .json (all metrics), or both; by "
            "default next to the result")  # fmt: skip
    parser.set_defaults(run=_report)


def _opened(path: Path, channel: Pick | None) -> Stack:
    """Open a file; the choice is of those that hold several channels."""
    from napari_sr.files import SeveralChannelsError, open_stack

    try:
        return open_stack(path)
    except SeveralChannelsError as several:
        if channel is None:
            text = str(several).partition("; pick")[0]
            last = several.n_channels - 1
            raise StackError(
                f"{text}; pick one with --channel 0 to --channel {last}."
            ) from several
    return open_stack(path, channel=channel)


def _report(arguments: argparse.Namespace) -> int:
    from napari_sr.trust.report import check_form, write_report
    from napari_sr.trust.report.volume import write_volume_report
    from napari_sr.trust.volume import VolumeAssessment

    result: Path = arguments.result
    recording = arguments.recording or find_source(result)
    outputs = arguments.output or [result.with_name(f"{result.name}.report.html")]
    for output in outputs:  # refused before anything is computed
        check_form(output)
    places = (recording, result, arguments.reference)
    assessment = _assessed(*places, arguments.model, arguments.channel)
    say(assessment.as_markdown())
    for output in outputs:
        if isinstance(assessment, VolumeAssessment):
            say(write_volume_report(assessment, output))
        else:
            say(write_report(assessment, output))
    return OK


def _assessed(
    recording: Path,
    result: Path,
    reference: Path | None,
    model: str | None,
    channel: Pick | None,
) -> Assessment | VolumeAssessment:
    """Assess behind a progress bar; a result that is finer along z as a volume."""
    from napari_sr.trust.flow import assess_steps
    from napari_sr.trust.volume import assess_volume_steps, axis_made_finer

    with ExitStack() as files:
        low, high, truth = (
            None if path is None else files.enter_context(_opened(path, channel))
            for path in (recording, result, reference)
        )
        assert low is not None
        assert high is not None
        if axis_made_finer(low, high) is not None:
            return followed(assess_volume_steps(low, high, truth), "step")
        steps = assess_steps(low, high, truth, model)
        return followed(steps, "step")

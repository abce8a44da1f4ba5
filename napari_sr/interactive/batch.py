"""Many recordings, one after the other, as a flow for a thread.

This module alone knows how files, folders and layers become jobs, and what is to be
shown of each.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from napari_sr.image.stack import Stack
    from napari_sr.runs.many_files import Outcome
    from napari_sr.runs.one_file import FileJob
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.flow import TileStep


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What the user asked for."""

    patterns: tuple[str, ...]
    """Files and folders; empty when layers are taken."""
    layers: tuple[LayerSource, ...]
    folder: Path
    model: str
    factor: int | None
    settings: UpscaleSettings
    compression: str
    replace: bool


@dataclass(frozen=True, slots=True)
class LayerSource:
    """A layer as it was when the batch was started."""

    stack: Stack
    notes: dict[int, dict[str, object]] = field(default_factory=dict)
    """By factor: what else to say about the result of it."""

    def notes_at(self, factor: int) -> dict[str, object]:
        """Give what to say about a result of that factor."""
        return self.notes.get(factor, {})


@dataclass(frozen=True, slots=True)
class FilesListed:
    """The batch is about to begin with these."""

    names: tuple[str, ...]
    outputs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one of them is."""

    number: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one of them."""

    number: int
    status: str
    """"done", "already done" or "failed"."""
    text: str
    """One line about it."""


def run_batch(
    request: BatchRequest,
) -> Generator[FilesListed | Progress | Ended, None, None]:
    """Do one job after the other; a failure is reported, and the rest goes on.

    Parameters
    ----------
    request
        What the user asked for.

    Yields
    ------
    FilesListed
        Once, at the beginning.
    Progress
        After each tile.
    Ended
        After each job.
    """
    from napari_sr.catalogue.lookup import load_model
    from napari_sr.device import choose_device, release_memory
    from napari_sr.runs.many_files import REPORT, Report, run_jobs
    from napari_sr.upscaling.flow import TileStep, as_upscaler

    device = choose_device(request.settings.device)
    try:
        loaded = load_model(request.model, factor=request.factor)
        upscaler = as_upscaler(loaded, request.settings)
        del loaded
        jobs, skipped = _jobs(request, upscaler.factor)
        yield FilesListed(
            tuple(job.name for job in jobs), tuple(job.output for job in jobs)
        )
        with ExitStack() as stack:
            report = None
            if len(jobs) > 1 or skipped:
                path = request.folder / f"{REPORT}.csv"
                report = stack.enter_context(Report(path))
                for left_out, reason in skipped.items():
                    report.skip(left_out, reason)
            for number, event in run_jobs(jobs, upscaler, request.settings):
                if report is not None and not isinstance(event, TileStep):
                    report.add(jobs[number], event)
                yield _told(number, event)
    finally:
        upscaler = None  # type: ignore[assignment]
        release_memory(device)


def _jobs(
    request: BatchRequest, factor: int
) -> tuple[list[FileJob], Mapping[Path, str]]:
    """Say what is to be done, and why files of a folder are left out."""
    from napari_sr.files.finding import each_image_of, look_for
    from napari_sr.runs.one_file import FileJob
    from napari_sr.runs.output_names import name_outputs

    rest = (request.replace, request.compression)
    if not request.patterns:
        stacks = [layer.stack for layer in request.layers]
        outputs = name_outputs(stacks, request.folder, factor)
        return [
            FileJob(layer.stack, output, *rest, notes=layer.notes_at(factor))
            for layer, output in zip(request.layers, outputs, strict=True)
        ], {}
    finding = look_for(request.patterns, leave_out=request.folder)
    sources = each_image_of(finding.stacks)
    outputs = name_outputs(sources, request.folder, factor)
    jobs = [
        FileJob(source, output, *rest)
        for source, output in zip(sources, outputs, strict=True)
    ]
    return jobs, finding.skipped


def _told(number: int, event: TileStep | Outcome) -> Progress | Ended:
    """Tell how a job goes."""
    from napari_sr.runs.many_files import status_of
    from napari_sr.runs.one_file import FileFailure, FileResult
    from napari_sr.runs.summary import describe_failure
    from napari_sr.upscaling.flow import TileStep

    if isinstance(event, TileStep):
        return Progress(number, event.tiles_done, event.n_tiles)
    if isinstance(event, FileResult):
        shape = " × ".join(map(str, event.shape))
        clipped = f", {event.share_clipped:.2%} clipped" if event.share_clipped else ""
        note = f", {event.plan.dtype_note}" if event.plan.dtype_note else ""
        text = f"{event.path}: {shape}{clipped}{note}"
    elif isinstance(event, FileFailure):
        text = describe_failure(event)
    else:
        text = f"{event.path} was already done."
    return Ended(number, status_of(event), text)

"""Many files, one after the other or on workers; running again does what is missing.

This module alone knows when a result that is there is the one asked for, and what is
written about a run of many: a failure is reported, and the rest goes on.
"""

from __future__ import annotations

import csv
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_sr.files import open_stack
from napari_sr.image.stack import StackError
from napari_sr.runs.one_file import (
    FileFailure,
    FileResult,
    FileShared,
    asked_of,
    run_job_safely,
)
from napari_sr.runs.output_names import collision, files_of, name_of
from napari_sr.runs.summary import describe_failure
from napari_sr.upscaling.provenance import differing

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path
    from typing import Self, TextIO

    from napari_sr.models.upscaler import Upscaler
    from napari_sr.runs.one_file import FileJob
    from napari_sr.runs.output_names import Source
    from napari_sr.runs.workers import Workers
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.flow import TileStep


REPORT = "napari-sr-report"
SKIPPED = "skipped"
"""Status of a file of a folder that is none to work on."""
_COLUMNS = ("recording", "result", "status", "seconds", "text")


@dataclass(frozen=True, slots=True)
class FileSkipped:
    """One file whose result exists already, made with the same settings."""

    source: Source
    path: Path
    """The output."""


Outcome: TypeAlias = FileResult | FileShared | FileFailure | FileSkipped
"""What became of a file."""


def run_jobs(
    jobs: Sequence[FileJob],
    upscaler: Upscaler,
    settings: UpscaleSettings,
    workers: Workers | None = None,
) -> Generator[tuple[int, TileStep | Outcome], None, None]:
    """Do many files; of each tell by its number how it goes and what became of it.

    Parameters
    ----------
    jobs
        What to do.
    upscaler
        Already on its device.
    settings
        The same for all.
    workers
        Who does it, file by file; this process when not given.

    Yields
    ------
    int
        Which job, from 0. Workers end them in any order.
    Step or FileResult or FileShared or FileFailure or FileSkipped
        Steps as it goes, where it is done here, and one outcome. What exists and is as
        it is asked for is skipped, so that a run which was stopped goes on.
    """
    first: dict[Path, FileJob] = {}
    to_do = []
    for number, job in enumerate(jobs):
        if first.setdefault(job.output, job) is job:
            to_do.append((number, job))
        else:
            error = collision(first[job.output].name, job.name, job.output)
            yield number, FileFailure(job.source, error)
    if workers is None:
        for number, job in to_do:
            for event in resume_job(job, upscaler, settings):
                yield number, event
    else:
        # Workers have the upscalers; with every file they would be sent again.
        bare = [(number, replace(job, of_channels={})) for number, job in to_do]
        tasks = [(*numbered, settings) for numbered in bare]
        yield from workers.results(_at_worker, tasks)


def resume_job(
    job: FileJob, upscaler: Upscaler, settings: UpscaleSettings
) -> Generator[TileStep | Outcome, None, None]:
    """Do one file of many as `run_job_safely`, unless its result is already done."""
    if not job.output.exists() or job.overwrite:
        yield from run_job_safely(job, upscaler, settings)
        return
    try:
        _refuse_another(job, upscaler, settings)
    except (StackError, OSError) as error:
        yield FileFailure(job.source, error)
    else:
        yield FileSkipped(job.source, job.output)


def _at_worker(
    station: Any,  # noqa: ANN401 - what holds the upscaler, see `workers`
    number: int,
    job: FileJob,
    settings: UpscaleSettings,
) -> tuple[int, TileStep | Outcome]:
    """Do a file where the upscaler is; only the outcome is reported."""
    upscaler = station.on(settings.device)
    job = replace(job, of_channels=station.of_channels)
    *_, outcome = resume_job(job, upscaler, settings)
    return number, outcome


def _refuse_another(
    job: FileJob, upscaler: Upscaler, settings: UpscaleSettings
) -> None:
    """Refuse to take a result for the one that is asked for where it is not."""
    with open_stack(job.output, channel=0) as result:
        others = differing(result.provenance, asked_of(job, upscaler, settings))
    advice = "choose another folder, or ask to overwrite it"
    if others is None:
        raise StackError(
            f"{job.output} exists and does not state how it was made; {advice}."
        )
    if others:
        names = " and ".join(others)
        raise StackError(f"{job.output} exists, made with another {names}; {advice}.")
    made = job.output.stat().st_mtime_ns
    if any(file.stat().st_mtime_ns > made for file in files_of(job.source)):
        raise StackError(
            f"{job.output} is older than its recording {name_of(job.source)}; {advice}."
        )


class Report:
    """A table of a run of many files, a line as each ends; a context manager.

    Parameters
    ----------
    path
        The CSV file; one of an earlier run is replaced. Where that cannot be, since a
        spreadsheet holds it, say, the file gets a number.

    Raises
    ------
    StackError
        If no file can be written in the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._file = _opened_anew(path)
        self._table = csv.writer(self._file)
        self._table.writerow(_COLUMNS)
        self._last = monotonic()
        self.error = ""
        """Why it lacks lines, if it does: a disk may fill while a run goes on."""

    def add(self, job: FileJob, outcome: TileStep | Outcome) -> None:
        """Write what became of a file; it is on its way to the disk afterwards."""
        now = monotonic()
        seconds, self._last = round(now - self._last, 2), now
        text = describe_failure(outcome) if isinstance(outcome, FileFailure) else ""
        first = next(iter(files_of(job.source)), job.name)
        self._write(first, job.output, status_of(outcome), seconds, text)

    def skip(self, path: Path, reason: str) -> None:
        """Write why a file of a folder is left out."""
        self._write(path, "", SKIPPED, 0, f"{path.name} {reason}")

    def _write(
        self, source: object, output: object, status: str, seconds: float, text: str
    ) -> None:
        source, output, text = (_as_text(str(cell)) for cell in (source, output, text))
        try:
            self._table.writerow((source, output, status, seconds, text))
            self._file.flush()
        except OSError as error:
            self.error = str(error.strerror or error)

    def __enter__(self) -> Self:
        """Give the report itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()


def _opened_anew(path: Path) -> tuple[Path, TextIO]:
    """Open a table to write it; under another name where the first cannot be had."""
    numbered = (path.with_stem(f"{path.stem}-{n}") for n in range(2, 10))
    for place in (path, *numbered):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            return place, place.open(
                "w", encoding="utf-8", newline="", errors="backslashreplace"
            )
        except OSError as error:
            reason = error.strerror or error
    raise StackError(
        f"{path.parent} cannot be written ({reason}); choose another folder for the "
        "results."
    )


def _as_text(cell: str) -> str:
    """Mark as text what a spreadsheet would take for a formula and compute."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def status_of(outcome: TileStep | Outcome) -> str:
    """Name what became of a file: done, already done, failed or shared."""
    names = {FileResult: "done", FileSkipped: "already done", FileFailure: "failed"}
    return names.get(type(outcome), "shared")

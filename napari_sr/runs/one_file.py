"""Files in, files out: flow A from disk to disk, for one file or thousands.

This module alone decides what is written about an output. An output is complete or
absent; in a batch, a file that fails is reported and the rest goes on.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.files import create_stack, open_stack
from napari_sr.files.url import as_path, as_place
from napari_sr.image.stack import Stack, StackError
from napari_sr.runs.forecast import refuse_what_cannot_fit
from napari_sr.runs.output_names import Source, files_of, name_of, name_outputs
from napari_sr.runs.resume import Target
from napari_sr.runs.volume import Share, ShareDone, upscale_volume
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import TileStep, as_upscaler, make_plan, upscale_steps
from napari_sr.upscaling.provenance import ASKED, asked_for, provenance_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from distributed import Client

    from napari_sr.models.upscaler import Upscaler
    from napari_sr.runs.workers import Workers
    from napari_sr.upscaling.flow import ModelLike, PathLike
    from napari_sr.upscaling.plan import Plan


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file done."""

    source: Source
    path: Path
    """The output."""
    shape: tuple[int, ...]
    """Of the output."""
    plan: Plan
    share_clipped: float
    """Share of the output's pixels beyond the limits of its pixel type."""
    n_repeated: int = 0
    """Tiles that half precision could not hold, computed again in float32."""


@dataclass(frozen=True, slots=True)
class FileFailure:
    """One file that could not be done; nothing was written for it."""

    source: Source
    error: Exception

    @property
    def name(self) -> str:
        """Name of the file, or of the first of several."""
        return name_of(self.source)


@dataclass(frozen=True, slots=True)
class FileShared:
    """One share of a file done; the result waits for the others."""

    source: Source
    path: Path
    """Where the output will be."""
    n_missing: int
    """Regions that the others still have to do."""


def upscale_file(
    source: PathLike | Sequence[PathLike],
    output: PathLike,
    model: ModelLike,
    *,
    overwrite: bool = False,
    compression: str | None = "zlib",
    channel: int | None = None,
    client: Client | None = None,
    patience: float = 60.0,
    **options: object,
) -> FileResult:
    """Super-resolve a file plane by plane, with one plane in memory.

    Parameters
    ----------
    source
        Anything `open_stack` reads: a file, files whose planes are one stack, a URL.
    output
        OME-TIFF (`.ome.tif`), OME-Zarr (`.ome.zarr`) or, of a DICOM, DICOM (`.dcm`).
        Complete or absent.
    model
        A model, or the name or path of one.
    overwrite
        Replace an existing output, once the new one is complete.
    compression
        `zlib`, or `None` for larger files that are written faster.
    channel
        Which channel to take from a file that has several, from 0.
    client
        Of dask.distributed: its workers share an OME-Zarr, and read the source.
    patience
        Seconds without any worker of the client after which it ends with a
        `StackError`. What is done is kept, and the same call goes on with that.
    **options
        Fields of `UpscaleSettings`.

    Returns
    -------
    FileResult
        What was written, and how.

    Raises
    ------
    StackError
        If the source is not usable or the output cannot be written, in one sentence.
    ValueError
        If the options do not fit the model or the machine.
    """
    settings = UpscaleSettings.model_validate(options)
    upscaler = as_upscaler(model, settings)
    files: Source = (
        as_place(source)
        if isinstance(source, str | os.PathLike)
        else tuple(Path(one) for one in source)
    )
    workers = None
    if client is not None:
        from napari_sr.runs.workers import Workers

        workers = Workers(client, upscaler, patience)
    rest = (overwrite, compression, channel)
    job = FileJob(files, as_path(output), *rest, workers=workers)
    for event in run_job(job, upscaler, settings):
        if isinstance(event, FileResult):
            return event
    raise AssertionError("a job ends with its result")


def upscale_files(
    sources: Iterable[PathLike],
    folder: PathLike,
    model: ModelLike,
    *,
    overwrite: bool = False,
    compression: str | None = "zlib",
    channel: int | None = None,
    **options: object,
) -> Iterator[FileResult | FileFailure]:
    """Super-resolve many files with one model.

    Parameters
    ----------
    sources
        Files that `open_stack` reads.
    folder
        Where outputs go, named after their sources (`a.tif` → `a_x2.ome.tif`); the
        folders below the sources' common one are kept.
    model, overwrite, compression, channel, **options
        As for `upscale_file`.

    Yields
    ------
    FileResult or FileFailure
        One for each source, in order. A failure does not stop the others.
    """
    settings = UpscaleSettings.model_validate(options)
    upscaler = as_upscaler(model, settings)
    paths = [as_place(source) for source in sources]
    outputs = name_outputs(paths, as_path(folder), upscaler.factor)
    for source, output in zip(paths, outputs, strict=True):
        job = FileJob(source, output, overwrite, compression, channel)
        for event in run_job_safely(job, upscaler, settings):
            if isinstance(event, FileResult | FileFailure):
                yield event


@dataclass(frozen=True, slots=True)
class FileJob:
    """What to do with one file; see `upscale_file`."""

    source: Source
    output: Path
    overwrite: bool = False
    compression: str | None = "zlib"
    channel: int | None = None
    notes: Mapping[str, object] = field(default_factory=dict)
    """What else to say about the output, beside how it came about."""
    share: Share | None = None
    """Which part of an OME-Zarr to do; all when not given."""
    workers: Workers | None = None
    """Who does its regions; this process when not given."""

    @property
    def name(self) -> str:
        """Name of the file, of the first of several, or of the stack."""
        return name_of(self.source)

    @property
    def has_begun(self) -> bool:
        """Whether some of an OME-Zarr is done, to go on with."""
        return Target(self.output).folder.exists()


def run_job(
    job: FileJob, upscaler: Upscaler, settings: UpscaleSettings
) -> Generator[TileStep | FileResult | FileShared, None, None]:
    """Do one file: a step for each tile, and the result at the end.

    Closing the generator early leaves nothing behind; of an OME-Zarr it leaves what is
    done, hidden beside its place, and the same job goes on with that.
    """
    _refuse_own_source(job)
    with opened(job) as stack:
        if not job.has_begun:
            rest = (settings, job.output, job.compression)
            refuse_what_cannot_fit(stack, upscaler, *rest)
        if job.output.suffix.lower() == ".zarr":
            yield from _run_regions(job, stack, upscaler, settings)
        else:
            yield from _run_planes(job, stack, upscaler, settings)


def _run_regions(
    job: FileJob, stack: Stack, upscaler: Upscaler, settings: UpscaleSettings
) -> Generator[TileStep | FileResult | FileShared, None, None]:
    """Write an OME-Zarr, region by region."""
    notes = {**job.notes, ASKED: asked_for(upscaler, settings)}
    target = Target(job.output, job.overwrite, job.compression or "none", notes)
    outcome = yield from upscale_volume(
        target,
        stack,
        upscaler,
        settings,
        files=files_of(job.source),
        share=job.share,
        crew=job.workers.crew(job.source, job.channel) if job.workers else None,
    )
    if isinstance(outcome, ShareDone):
        yield FileShared(job.source, job.output, outcome.n_missing)
        return
    plan = outcome.plan
    shape = stack.upscaled_shape(plan.factor)
    counted = (outcome.share_clipped, outcome.n_repeated)
    yield FileResult(job.source, job.output, shape, plan, *counted)


def _run_planes(
    job: FileJob, stack: Stack, upscaler: Upscaler, settings: UpscaleSettings
) -> Generator[TileStep | FileResult, None, None]:
    """Write a file plane by plane, which is complete or absent."""
    if job.share is not None or job.workers is not None:
        raise StackError(
            f"{job.output} can only be written by one process. Write .ome.zarr to "
            f"share the work."
        )
    plan = make_plan(stack, upscaler, settings)
    shape = stack.upscaled_shape(plan.factor)
    files = files_of(job.source)
    n_clipped = n_repeated = 0
    with create_stack(
        job.output,
        shape=shape,
        dtype=plan.dtype,
        axes=stack.upscaled_axes(plan.factor),
        provenance={
            **provenance_of(stack, plan),
            **job.notes,
            ASKED: asked_for(upscaler, settings),
        },
        compression=job.compression,
        overwrite=job.overwrite,
        made_from=files[0] if len(files) == 1 else None,
    ) as writer:
        for step in upscale_steps(stack, upscaler, plan):
            if step.plane is not None:
                writer.write(step.index, step.plane)
                n_clipped += step.n_clipped
                n_repeated += step.n_repeated
            yield step
    share_clipped = n_clipped / prod(shape)
    yield FileResult(job.source, job.output, shape, plan, share_clipped, n_repeated)


def run_job_safely(
    job: FileJob, upscaler: Upscaler, settings: UpscaleSettings
) -> Generator[TileStep | FileResult | FileShared | FileFailure, None, None]:
    """Do one file of many: what goes wrong with it is an event, not an end."""
    try:
        yield from run_job(job, upscaler, settings)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        yield FileFailure(job.source, error)


def opened(job: FileJob) -> AbstractContextManager[Stack]:
    """Open the source of a job; a stack that is open already stays open."""
    if isinstance(job.source, Stack):
        return nullcontext(job.source)
    return open_stack(job.source, channel=job.channel)


def _refuse_own_source(job: FileJob) -> None:
    """Never replace a measurement by what was computed from it."""
    for source in files_of(job.source):
        if source.exists() and job.output.exists() and job.output.samefile(source):
            raise StackError(f"{job.output} is its own source. Choose another output.")

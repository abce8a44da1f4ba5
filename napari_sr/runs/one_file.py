"""Files in, files out: flow A from disk to disk, for one file or thousands.

This module alone decides what is written about an output. An output is complete or
absent; in a batch, a file that fails is reported and the rest goes on.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.files import create_stack, open_channels
from napari_sr.files.channel import picks_of
from napari_sr.files.formats import needs_source
from napari_sr.files.url import as_path, as_place
from napari_sr.image.info import Channel
from napari_sr.image.stack import Stack, StackError
from napari_sr.runs.channels import (
    as_upscalers,
    asked_of_channels,
    described,
    plans_for,
    upscalers_for,
)
from napari_sr.runs.forecast import refuse_what_cannot_fit
from napari_sr.runs.output_names import (
    Source,
    collision,
    files_of,
    name_of,
    name_outputs,
)
from napari_sr.runs.resume import Target
from napari_sr.runs.volume import Share, ShareDone, upscale_volume
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import (
    TileStep,
    upscale_steps,
    warn_of_plan,
)
from napari_sr.upscaling.provenance import ASKED, asked_for

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from distributed import Client

    from napari_sr.files.channel import Pick
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
    """Of the first channel, where there are several."""
    share_clipped: float
    """Share of the output's pixels beyond the limits of its pixel type."""
    n_repeated: int = 0
    """Tiles that half precision could not hold, computed again in float32."""
    channels: tuple[tuple[Channel, Plan], ...] = ()
    """Each channel of several, and its plan."""

    def __str__(self) -> str:
        """Say it in a line."""
        size = " × ".join(map(str, self.shape))
        dial = "" if self.plan.dial is None else f", dial {self.plan.dial:g}"
        clipped = (
            f", {self.share_clipped:.2%} of the pixels clipped"
            if self.share_clipped
            else ""
        )
        return (
            f"{name_of(self.source)} → {self.path}: {size} {self.plan.dtype}, "
            f"{self.plan.model}{dial}{clipped}"
        )


@dataclass(frozen=True, slots=True)
class FileFailure:
    """One file that could not be done; nothing was written for it."""

    source: Source
    error: Exception

    @property
    def name(self) -> str:
        """Name of the file, or of the first of several."""
        return name_of(self.source)

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.name} failed: {self.error}"


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
    model: ModelLike | Mapping[Pick, ModelLike],
    *,
    overwrite: bool = False,
    compression: str | None = "zlib",
    channel: Pick | Sequence[Pick] | None = None,
    pixel_size: str | None = None,
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
        A model, or the name or path of one. Or several of one factor, by the number or
        name of the channel: `{"DAPI": "mine", "": "general-x2"}`, where ""
        stands for all others.
    overwrite
        Replace an existing output, once the new one is complete.
    compression
        `zlib`, or `None` for larger files that are written faster.
    channel
        Which channels to take from a file that has several, by number from 0 or by
        name; all when not given. Each is done by itself, and the output has them all.
    pixel_size
        As "0.65um" or "0.5x0.65mm" (y, x), if that of the source is missing or wrong.
    client
        Of dask.distributed: its workers share an OME-Zarr, and read the source.
    patience
        Seconds without any worker of the client after which it ends with a
        `StackError`. What is done is kept, and the same call resumes it.
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
    settings = UpscaleSettings.of(options)
    upscaler, of_channels = as_upscalers(model, settings)
    files: Source = (
        as_place(source)
        if isinstance(source, str | os.PathLike)
        else tuple(Path(path) for path in source)
    )
    workers = None
    if client is not None:
        from napari_sr.runs.workers import Workers

        workers = Workers(client, upscaler, patience, of_channels)
    rest = (overwrite, compression, picks_of(channel), of_channels)
    more = {"pixel_size": pixel_size, "workers": workers}
    job = FileJob(files, as_path(output), *rest, **more)  # type: ignore[arg-type]
    for event in run_job(job, upscaler, settings):
        if isinstance(event, FileResult):
            warn_of_plan(event.plan, settings, event.share_clipped)
            return event
    raise AssertionError("a job ends with its result")


def upscale_files(
    sources: Iterable[PathLike],
    folder: PathLike,
    model: ModelLike | Mapping[Pick, ModelLike],
    *,
    overwrite: bool = False,
    compression: str | None = "zlib",
    channel: Pick | Sequence[Pick] | None = None,
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
        One for each source, in order. A failure does not stop the rest.
    """
    settings = UpscaleSettings.of(options)
    upscaler, of_channels = as_upscalers(model, settings)
    paths = [as_place(source) for source in sources]
    outputs = name_outputs(paths, as_path(folder), upscaler.factor)
    for number, (source, output) in enumerate(zip(paths, outputs, strict=True)):
        if output in outputs[:number]:
            twin = name_of(paths[outputs.index(output)])
            yield FileFailure(source, collision(twin, name_of(source), output))
            continue
        rest = (overwrite, compression, picks_of(channel), of_channels)
        job = FileJob(source, output, *rest)
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
    channel: tuple[Pick, ...] | None = None
    """Which channels, by number or name; all when not given."""
    of_channels: Mapping[Pick, Upscaler] = field(default_factory=dict)
    """Upscalers of some channels, by number or name, in place of that of all."""
    pixel_size: str | None = None
    """As `0.65um`, if that of the source is missing or wrong."""
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
    if job.pixel_size is not None and needs_source(job.output):
        raise StackError(
            f"{job.output} gets the pixel size of its source. Choose .ome.tif to set "
            "another one."
        )
    with opened(job) as stacks:
        upscalers = upscalers_for(stacks, upscaler, job.of_channels)
        if not job.has_begun:
            rest = (settings, job.output, job.compression)
            refuse_what_cannot_fit(stacks, upscaler, *rest)
        run = _run_regions if job.output.suffix.lower() == ".zarr" else _run_planes
        notes = {**job.notes, ASKED: asked_of(job, upscaler, settings)}
        yield from run(replace(job, notes=notes), stacks, upscalers, settings)


def asked_of(
    job: FileJob, upscaler: Upscaler, settings: UpscaleSettings
) -> dict[str, object]:
    """Say what a job asks for, by name, as far as pixels depend on it."""
    channels = asked_of_channels(job.channel, job.of_channels)
    sized = {} if job.pixel_size is None else {"pixel size": job.pixel_size}
    return {**asked_for(upscaler, settings), **channels, **sized}


def _run_regions(
    job: FileJob,
    stacks: Sequence[Stack],
    upscalers: Sequence[Upscaler],
    settings: UpscaleSettings,
) -> Generator[TileStep | FileResult | FileShared, None, None]:
    """Write an OME-Zarr, region by region."""
    crew = None
    if job.workers is not None:
        crew = job.workers.crew(job.source, job.channel, job.of_channels)
    target = Target(job.output, job.overwrite, job.compression or "none", job.notes)
    outcome = yield from upscale_volume(
        target,
        stacks,
        upscalers,
        settings,
        files=files_of(job.source),
        share=job.share,
        crew=crew,
    )
    if isinstance(outcome, ShareDone):
        yield FileShared(job.source, job.output, outcome.n_missing)
        return
    counted = (outcome.share_clipped, outcome.n_repeated)
    yield _result_of(job, stacks, outcome.plans, *counted)


def _run_planes(
    job: FileJob,
    stacks: Sequence[Stack],
    upscalers: Sequence[Upscaler],
    settings: UpscaleSettings,
) -> Generator[TileStep | FileResult, None, None]:
    """Write a file plane by plane, channel after channel; complete or absent."""
    if job.share is not None or job.workers is not None:
        raise StackError(
            f"{job.output} can only be written by one process. Write .ome.zarr to "
            f"share the work."
        )
    plans = plans_for(stacks, upscalers, settings)
    if settings.dtype == "same" and needs_source(job.output):
        plans = tuple(_as_integers(plan, stacks[0].dtype.name) for plan in plans)
    files = files_of(job.source)
    n_clipped = n_repeated = n_pixels = 0
    with create_stack(
        job.output,
        **described(stacks, plans, job.notes),
        compression=job.compression,
        overwrite=job.overwrite,
        made_from=files[0] if len(files) == 1 else None,
    ) as writer:
        for number, parts in enumerate(zip(stacks, upscalers, plans, strict=True)):
            channel = (number,) if len(stacks) > 1 else ()
            for step in upscale_steps(*parts):
                if step.plane is not None:
                    writer.write((*channel, *step.index), step.plane)
                    n_pixels += step.plane.size
                    n_clipped += step.n_clipped
                    n_repeated += step.n_repeated
                n_tiles = step.n_tiles * len(stacks)
                n_done = step.n_tiles * number + step.tiles_done
                yield replace(step, tiles_done=n_done, n_tiles=n_tiles)
    yield _result_of(job, stacks, plans, n_clipped / n_pixels, n_repeated)


def _as_integers(plan: Plan, dtype: str) -> Plan:
    """Plan for a DICOM, which holds integers, whatever that takes from the mean."""
    if not plan.dtype_note:
        return plan
    note = f"whole counts, as in all DICOM files; .ome.tif would be {plan.dtype_note}"
    return plan.model_copy(update={"dtype": dtype, "dtype_note": note})


def _result_of(
    job: FileJob,
    stacks: Sequence[Stack],
    plans: Sequence[Plan],
    share_clipped: float,
    n_repeated: int,
) -> FileResult:
    """Tell what was written."""
    shape = plans[0].shape_of(stacks[0])
    channels: tuple[tuple[Channel, Plan], ...] = ()
    if len(stacks) > 1:
        shape = (len(stacks), *shape)
        names = [(*stack.info.channels, Channel())[0] for stack in stacks]
        channels = tuple(zip(names, plans, strict=True))
    counted = (share_clipped, n_repeated)
    return FileResult(job.source, job.output, shape, plans[0], *counted, channels)


def run_job_safely(
    job: FileJob, upscaler: Upscaler, settings: UpscaleSettings
) -> Generator[TileStep | FileResult | FileShared | FileFailure, None, None]:
    """Do one file of many: what goes wrong with it is an event, not an end."""
    try:
        yield from run_job(job, upscaler, settings)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        yield FileFailure(job.source, error)


@contextmanager
def opened(job: FileJob) -> Iterator[Sequence[Stack]]:
    """Open the channels of a job's source; a stack that is open already stays open."""
    if isinstance(job.source, Stack):
        yield [job.source]
        return
    with ExitStack() as closing:
        stacks = open_channels(job.source, job.channel)
        for stack in stacks:
            closing.enter_context(stack)
            if job.pixel_size is not None:
                stack.with_pixel_size(job.pixel_size)
        yield stacks


def _refuse_own_source(job: FileJob) -> None:
    """Never replace a measurement by what was computed from it."""
    for source in files_of(job.source):
        if source.exists() and job.output.exists() and job.output.samefile(source):
            raise StackError(f"{job.output} is its own source. Choose another output.")

"""`napari-sr upscale`: here, in shares or on workers; one file or many."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_sr.cli.arguments import (
    models_of,
    read_channels,
    read_count,
    read_options,
    read_output,
    read_seconds,
    read_share,
    read_size,
)
from napari_sr.cli.flags import add_flags, typed_in
from napari_sr.cli.terminal import FAILED, OK, printable, say
from napari_sr.files.finding import (
    NoImagesError,
    each_image_of,
    find_stacks,
    look_for,
)
from napari_sr.files.formats import COMPRESSIONS, has_writable_suffix
from napari_sr.files.url import as_path
from napari_sr.image.stack import StackError
from napari_sr.runs.output_names import OUTPUT_SUFFIXES
from napari_sr.runs.summary import (
    describe_failure,
    describe_forecast,
    describe_many,
    describe_result,
    describe_share,
)
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Mapping

    from napari_sr.files.channel import Pick
    from napari_sr.files.finding import Finding
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.runs.many_files import Outcome
    from napari_sr.runs.one_file import FileJob
    from napari_sr.runs.output_names import Source
    from napari_sr.runs.workers import Workers
    from napari_sr.upscaling.flow import TileStep

    Events = Generator[tuple[int, TileStep | Outcome], None, None]


_FROM_RECIPE = (
    *("inputs", "output", "model", "factor", "options", "channel", "stack"),
    "pixel_size",
    *("format", "compression", "workers", "scheduler", "slurm", "patience"),
)


def add_upscale(parser: argparse.ArgumentParser) -> None:
    """Describe `upscale`."""
    add = parser.add_argument
    add("inputs", nargs="*", metavar="IN",
        help="files, folders, quoted patterns, or URLs of OME-Zarr")  # fmt: skip
    add("-o", "--output", type=read_output, metavar="OUT",
        help="a file for one input (.ome.tif or .ome.zarr), otherwise a folder; "
            "required unless the recipe states it, as is the model")  # fmt: skip
    add("-m", "--model", action="append",
        help="a name (see `napari-sr models`) or file; repeat for channels with a "
            "model of their own, such as DAPI=general-x2")  # fmt: skip
    add("--recipe", type=Path, metavar="FILE",
        help="a TOML file with the options that are not given here")  # fmt: skip
    add("--factor", type=int,
        help="for methods of any factor (bicubic); 1 keeps the pixel size in the "
            "plane, with --z")  # fmt: skip
    add("--set", nargs=2, action="append", metavar=("NAME", "VALUE"), dest="options",
        help="an option of a classical method, such as psf_sigma 1.5")  # fmt: skip
    add("--channel", type=read_channels, action="extend",
        help="channels to process, such as 0 or DAPI,GFP; all when not "
            "given")  # fmt: skip
    add("--pixel-size", type=read_size, metavar="SIZE",
        help="such as 0.65um or 0.5x0.65mm (y, x), if that of the file is missing or "
            "wrong")  # fmt: skip
    add("--series", metavar="IMAGE",
        help="the image to take from files with several, by number from 0 or name; "
            "same as FILE/IMAGE")  # fmt: skip
    add("--stack", action="store_true", help="treat all inputs as planes of one stack")
    add("--overwrite", action="store_true", help="replace existing outputs")
    add("--compression", choices=COMPRESSIONS,
        help="all are lossless; zlib is read everywhere, zstd is faster")  # fmt: skip
    add_flags(parser, UpscaleSettings, described=["factor"])
    _add_running(parser)
    parser.set_defaults(run=_upscale, misuse=parser.error)


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Describe what shares the work, and what a folder of results holds."""
    add = parser.add_argument
    add("--format", choices=[suffix.lstrip(".") for suffix in OUTPUT_SUFFIXES],
        help="file format of the results in a folder (ome.tif)")  # fmt: skip
    add("--plan", action="store_true",
        help="run a small part, report the disk space, memory and time that the whole "
            "run will take, and stop")  # fmt: skip
    add("--shard", type=read_share, metavar="K/N",
        help="compute the K-th of N parts of an .ome.zarr, or of the files, as one of "
            "N jobs")  # fmt: skip
    add("--workers", type=read_count, metavar="N",
        help="processes, or jobs of SLURM, that share an .ome.zarr, or the files; "
        "needs napari-sr[dask]")  # fmt: skip
    add("--scheduler", metavar="ADDRESS",
        help="use the workers of this dask.distributed scheduler: "
            "tcp://node:8786")  # fmt: skip
    add("--slurm", type=Path, metavar="FILE",
        help="TOML file with the arguments of dask_jobqueue.SLURMCluster")  # fmt: skip
    add("--patience", type=read_seconds, metavar="SECONDS",
        help="time without any worker after which a run ends; what is done is kept "
            "(60; a day for SLURM jobs)")  # fmt: skip


def _upscale(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if arguments.stack:
        files = find_stacks(arguments.inputs, leave_out=arguments.output)
        sources: list[Source] = [tuple(files)]
        arguments.skipped = {}
    else:
        finding = _look_for(arguments)
        sources, arguments.skipped = [*finding.stacks], finding.skipped
        if arguments.series is None and not has_writable_suffix(arguments.output):
            sources = [*each_image_of(finding.stacks)]
    if arguments.series is not None:
        sources = [_of_series(source, arguments.series) for source in sources]

    from napari_sr.catalogue.lookup import load_with_options
    from napari_sr.runs.channels import as_upscalers

    options = arguments.options or {}
    models = {
        channel: load_with_options(model, _factor(arguments, model), options)
        for channel, model in models_of(arguments.model).items()
    }
    upscaler, upscalers = as_upscalers(models, settings)
    jobs = jobs_for(arguments, sources, upscaler.factor, upscalers)
    if arguments.plan:
        return plan_jobs(jobs, upscaler, settings)
    return run_jobs(arguments, jobs, upscaler, settings)


def _look_for(arguments: argparse.Namespace) -> Finding:
    """Find what there is to do; where there is nothing, the report still says why."""
    from napari_sr.runs import many_files as folders

    try:
        return look_for(arguments.inputs, leave_out=arguments.output)
    except NoImagesError as error:
        if error.skipped and not has_writable_suffix(arguments.output):
            path = arguments.output / f"{folders.REPORT}.csv"
            with folders.Report(path) as report:
                for skipped, reason in error.skipped.items():
                    report.skip(skipped, reason)
            raise StackError(f"{error} All of them: {report.path}") from None
        raise


def _factor(arguments: argparse.Namespace, model: str) -> int | None:
    """Give the factor of a model in the plane; 1 is asked of the run, not of it."""
    from napari_sr.methods.names import METHODS

    if arguments.factor == 1:  # along z alone: by twos, as often as needed
        return 2 if model in METHODS else None
    factor: int | None = arguments.factor
    return factor


def _of_series(source: Source, name: str) -> Source:
    """Take one image of a file, or of each of several."""
    if isinstance(source, Path):
        return source / name
    return (
        tuple(path / name for path in source) if isinstance(source, tuple) else source
    )


def _settings(arguments: argparse.Namespace) -> UpscaleSettings:
    """Gather the settings; what is not typed is taken from the recipe, if there is one.

    The other arguments are completed in place.
    """
    options: dict[str, object] = {}
    if arguments.options is not None:
        arguments.options = read_options(arguments.options)
    if arguments.recipe is not None:
        from napari_sr.recipes import read_upscale_recipe

        recipe = read_upscale_recipe(arguments.recipe)
        options = dict(recipe.settings)
        for name in _FROM_RECIPE:
            typed = getattr(arguments, name)
            if typed is None or typed is False or typed == []:
                setattr(arguments, name, getattr(recipe, name))
        if isinstance(arguments.output, str):
            arguments.output = as_path(arguments.output)
    if arguments.compression is None:
        arguments.compression = COMPRESSIONS[0]
    required = {"IN": "inputs", "-o/--output": "output", "-m/--model": "model"}
    missing = [name for name, kept in required.items() if not getattr(arguments, kept)]
    if missing:
        arguments.misuse(f"the following arguments are required: {', '.join(missing)}")
    options |= typed_in(arguments, UpscaleSettings)
    if options.get("factor") != 1:
        options.pop("factor", None)
    return UpscaleSettings.model_validate(options)


def plan_jobs(
    jobs: list[FileJob], upscaler: Upscaler, settings: UpscaleSettings
) -> int:
    """Print what the jobs will take, from a trial on the first."""
    from napari_sr.runs.forecast import forecast, suffix_of, trial_run
    from napari_sr.runs.one_file import opened

    trial, shapes, n_read = None, [], 0
    for job in jobs:
        try:
            with opened(job) as stacks:
                if trial is None:
                    written = (suffix_of(job.output), job.compression)
                    trial = trial_run(stacks[0], upscaler, settings, *written)
                shapes += [stack.shape for stack in stacks]
            n_read += 1
        except (OSError, ValueError) as error:
            if len(jobs) == 1:
                raise
            say(error, file=sys.stderr)
    if trial is None:  # nothing could be read
        return FAILED
    estimate = forecast(trial, shapes, jobs[0].output)
    say(describe_forecast(estimate))
    return OK if estimate.fits and n_read == len(jobs) else FAILED


def jobs_for(
    arguments: argparse.Namespace,
    sources: list[Source],
    factor: int,
    of_channels: Mapping[Pick, Upscaler],
) -> list[FileJob]:
    """Say what is to be done with each source."""
    from napari_sr.files.channel import picks_of
    from napari_sr.runs.one_file import FileJob
    from napari_sr.runs.output_names import choose_outputs

    output = arguments.output
    outputs = choose_outputs(sources, output, factor, arguments.format)
    picks = picks_of(arguments.channel)
    rest = (
        *(arguments.overwrite, arguments.compression),
        *(picks, of_channels, arguments.pixel_size),
    )
    return [
        FileJob(source, output, *rest)
        for source, output in zip(sources, outputs, strict=True)
    ]


def run_jobs(
    arguments: argparse.Namespace,
    jobs: list[FileJob],
    upscaler: Upscaler,
    settings: UpscaleSettings,
) -> int:
    """Do them all, with progress and time left on a terminal."""
    from napari_sr.runs.volume import Share

    with ExitStack() as stack:
        workers = _workers(arguments, upscaler, jobs[0].of_channels, stack)
        if has_writable_suffix(arguments.output):
            share = Share(*arguments.shard) if arguments.shard else None
            job = replace(jobs[0], share=share, workers=workers)
            return _run_one(job, upscaler, settings)
        return _run_many(arguments, jobs, upscaler, settings, workers)


def _workers(
    arguments: argparse.Namespace,
    upscaler: Upscaler,
    of_channels: Mapping[Pick, Upscaler],
    stack: ExitStack,
) -> Workers | None:
    """Connect to workers, if any are asked for, until the stack is closed."""
    wanted = (arguments.workers, arguments.scheduler, arguments.slurm)
    if not any(wanted):
        return None
    if arguments.shard or (arguments.scheduler and any((wanted[0], wanted[2]))):
        arguments.misuse(
            "--shard cannot be combined with workers, nor --scheduler with --workers "
            "or --slurm: leave one out"
        )
    from napari_sr.runs.workers import PATIENCE, PATIENCE_IN_A_QUEUE, Workers, connected

    patience = arguments.patience
    if patience is None:
        patience = PATIENCE_IN_A_QUEUE if arguments.slurm else PATIENCE
    client = stack.enter_context(connected(*wanted))
    workers = Workers(client, upscaler, patience, of_channels)
    say(f"Workers can be watched at {workers.dashboard}", flush=True)
    return workers


def _run_one(job: FileJob, upscaler: Upscaler, settings: UpscaleSettings) -> int:
    from napari_sr.runs.one_file import run_job_safely

    events = ((0, event) for event in run_job_safely(job, upscaler, settings))
    statuses = [_told(outcome) for _, outcome in _followed(events, [job])]
    return FAILED if "failed" in statuses else OK


def _run_many(
    arguments: argparse.Namespace,
    jobs: list[FileJob],
    upscaler: Upscaler,
    settings: UpscaleSettings,
    workers: Workers | None,
) -> int:
    from napari_sr.runs import many_files as folders

    name = folders.REPORT
    if arguments.shard:
        number, n = arguments.shard
        jobs, name = jobs[number - 1 :: n], f"{name}-{number}-of-{n}"
    statuses = []
    with ExitStack() as stack:
        report = None
        if len(jobs) > 1 or arguments.skipped:
            path = arguments.output / f"{name}.csv"
            report = stack.enter_context(folders.Report(path))
            for skipped, reason in arguments.skipped.items():
                report.skip(skipped, reason)
        events = folders.run_jobs(jobs, upscaler, settings, workers)
        for number, outcome in _followed(events, jobs):
            statuses.append(_told(outcome))
            if report is not None:
                report.add(jobs[number], outcome)
    if report is not None:
        n_skipped = len(arguments.skipped)
        say(describe_many(statuses, len(jobs), report.path, n_skipped))
        if report.error:
            say(f"{report.path} is incomplete: {report.error}.", file=sys.stderr)
    elif statuses == ["already done"]:
        say(f"{printable(str(jobs[0].output))} is already done with the same settings.")
    return FAILED if "failed" in statuses else OK


def _followed(events: Events, jobs: list[FileJob]) -> Events:
    """Show a progress bar for each job; pass the outcomes on."""
    from napari_sr.upscaling.flow import TileStep

    bar = None
    with closing(events):
        for number, event in events:
            if not isinstance(event, TileStep):
                bar = bar and bar.close()  # which wipes it out
                yield number, event
                continue
            if bar is None:
                name = printable(jobs[number].name)
                label = name if len(jobs) == 1 else f"{number + 1}/{len(jobs)} {name}"
                bar = tqdm(
                    desc=printable(label), unit="tile", disable=None, leave=False
                )
            bar.total = event.n_tiles
            bar.update(event.tiles_done - bar.n)


def _told(outcome: TileStep | Outcome) -> str:
    """Print what became of a file, and name it."""
    from napari_sr.runs import many_files as folders
    from napari_sr.runs.one_file import FileFailure, FileResult, FileShared

    if isinstance(outcome, FileFailure):
        say(describe_failure(outcome), file=sys.stderr)
    elif isinstance(outcome, FileShared):
        say(describe_share(outcome), flush=True)
    elif isinstance(outcome, FileResult):
        say(describe_result(outcome), flush=True)
    return folders.status_of(outcome)

"""Flow D: a stack of any size → an OME-Zarr, region by region, by one or by many.

This module alone knows the order: begin or go on, do what is missing of the finest
level, then each coarser level, then put the result in its place. Who does the regions
is a `Executor`: this process, or the workers of a cluster.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from napari_sr._version import __version__
from napari_sr.device import choose_device
from napari_sr.image.sampling import spread_indices
from napari_sr.runs.channels import plans_for
from napari_sr.runs.resume import RunFolder, Target, begin_or_go_on
from napari_sr.upscaling.flow import TileStep, result_steps
from napari_sr.upscaling.provenance import identity_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_sr.image.stack import Stack
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.plan import Plan

_NEWER = ("z", "factor")
"""Settings that runs of earlier versions do not name."""
_GLANCES, _GLANCE = 16, 256
"""Planes, and side of the part of each, by which a recording is known again."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of several runs of the same command, each of which does its part."""

    number: int
    """From 1."""
    n: int

    def of(self, slabs: Mapping[int, Sequence[int]]) -> list[int]:
        """Take what falls to this one: every n-th slab, whoever else is there."""
        return [
            number
            for slab, numbers in slabs.items()
            if slab % self.n == self.number - 1
            for number in numbers
        ]


@dataclass(frozen=True, slots=True)
class VolumeDone:
    """A result is in its place."""

    plans: tuple[Plan, ...]
    """Of each channel."""
    share_clipped: float
    """Share of its pixels beyond the limits of its pixel type."""
    n_repeated: int
    """Tiles that half precision could not hold, computed again in float32."""


@dataclass(frozen=True, slots=True)
class ShareDone:
    """A share is done, and the result waits for others."""

    n_missing: int
    """Regions that others still have to do; 0 where another one is finishing."""


class Executor(Protocol):
    """Who decides on the plan of a run and does its regions."""

    def plans(self, settings: UpscaleSettings) -> Sequence[Plan]:
        """Decide what is the same for all regions of a channel."""

    def do(
        self, run: RunFolder, level: int, numbers: Sequence[int]
    ) -> Iterator[TileStep]:
        """Do regions of a level, by number, and write them; the order is free."""


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """One process, which does one region after the other."""

    stacks: Sequence[Stack]
    """The channels of the recording."""
    upscalers: Sequence[Upscaler]
    """Of each channel, already on their devices."""

    def plans(self, settings: UpscaleSettings) -> Sequence[Plan]:
        """Decide what is the same for all regions of a channel."""
        return plans_for(self.stacks, self.upscalers, settings)

    def do(
        self, run: RunFolder, level: int, numbers: Sequence[int]
    ) -> Iterator[TileStep]:
        """Do regions of a level; the one before is complete."""
        if level == 0:
            yield from self._finest(run, numbers)
            return
        for done, number in enumerate(numbers, start=1):
            run.coarsen(level, number)
            yield TileStep(run.levels[level][number].index, done, len(numbers))

    def _finest(self, run: RunFolder, numbers: Sequence[int]) -> Iterator[TileStep]:
        """Super-resolve regions, channel by channel."""
        n_done = 0
        for channel, stack in enumerate(self.stacks):
            plan = run.record.plans[channel]
            own = [n for n in numbers if run.channel_of(0, n)[0] == channel]
            own.sort(key=run.slab_of)
            regions = [run.channel_of(0, n)[1] for n in own]
            if not own:
                continue
            on_device = self.upscalers[channel].to(choose_device(plan.device))
            waiting = iter(own)
            for step in result_steps(
                stack, on_device, plan, regions, is_one_at_a_time=True
            ):
                if step.plane is not None:
                    counted = (step.n_clipped, step.n_repeated)
                    run.put(0, next(waiting), step.plane, *counted)
                n_all = step.n_tiles * len(numbers) // len(own)
                yield replace(step, tiles_done=n_done + step.tiles_done, n_tiles=n_all)
            n_done += step.n_tiles


def upscale_volume(
    target: Target,
    stacks: Sequence[Stack],
    upscalers: Sequence[Upscaler],
    settings: UpscaleSettings,
    *,
    files: Sequence[Path] = (),
    share: Share | None = None,
    crew: Executor | None = None,
) -> Generator[TileStep, None, VolumeDone | ShareDone]:
    """Super-resolve a stack into an OME-Zarr, or go on with it.

    Parameters
    ----------
    target
        Where the result goes.
    stacks
        The recording: its channels, of one shape.
    upscalers
        Of each channel, already on their devices.
    settings
        What the user asked for.
    files
        From which the recording is read, so that a change of them is noticed.
    share
        Which part to do; all when not given.
    crew
        Who does it; this process when not given.

    Yields
    ------
    TileStep
        After each tile or region. To stop iterating is to stop; nothing is lost.

    Returns
    -------
    VolumeDone or ShareDone
        What has come of it.

    Raises
    ------
    StackError
        See `begin_or_go_on`; or if the disk refuses, or the recording is damaged.
    """
    identity = _identity(stacks, upscalers, settings, files, target.compression)
    crew = crew or LocalExecutor(stacks, upscalers)
    run = begin_or_go_on(target, stacks, identity, lambda: crew.plans(settings))
    missing = run.missing(0)
    yield from crew.do(run, 0, share.of(run.slabs(missing)) if share else missing)
    plans = run.record.plans
    if share is not None:
        left = len(run.missing(0)) if run.folder.exists() else 0
        if left or not run.claim_the_end():
            return ShareDone(left)
    for level in range(1, len(run.levels)):
        yield from crew.do(run, level, run.missing(level))
    return VolumeDone(plans, *run.finish(target))


def _identity(
    stacks: Sequence[Stack],
    upscalers: Sequence[Upscaler],
    settings: UpscaleSettings,
    files: Sequence[Path],
    compression: str,
) -> dict[str, object]:
    """Tell by what a run is known again; what is the same in JSON is the same.

    What a channel after the first has of its own is listed, where there is one.
    """
    known = [path.stat() for path in files if path.is_file()]
    stack, *others = stacks
    recording: dict[str, object] = {
        "shape": list(stack.shape),
        "dtype": stack.dtype.name,
        "axes": [[a.name, a.spacing, a.unit, a.origin] for a in stack.axes],
        "files": [[stat.st_size, stat.st_mtime_ns] for stat in known],
        "glance": _glance(stack),
    }
    models = [identity_of(upscaler) for upscaler in upscalers]
    if others:
        recording["other channels"] = [_glance(stat) for stat in others]
    return {
        "recording": recording,
        "model": models if others else models[0],
        "setting": {
            name: value
            for name, value in settings.model_dump(mode="json").items()
            if name != "share_of_memory" and (value is not None or name not in _NEWER)
        },
        "compression": compression,
        "version of napari-sr": __version__,
    }


def _glance(stack: Stack) -> str:
    """Condense the middles of some planes to a number."""
    starts = [max(0, (side - _GLANCE) // 2) for side in stack.plane_shape]
    part = tuple(
        slice(start, min(start + _GLANCE, side))
        for start, side in zip(starts, stack.plane_shape, strict=True)
    )
    digest = hashlib.sha256()
    for index in spread_indices(stack, _GLANCES):
        digest.update(stack.window(index, (part[0], part[1])).tobytes())
    return digest.hexdigest()

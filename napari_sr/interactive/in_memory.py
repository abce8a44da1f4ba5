"""From a recording to its super-resolved pixels in memory, whole or in part.

This module alone knows how a result is begun, stopped and completed later. It loads
torch when the flow begins, which is in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from math import prod
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_sr.image.pyramid import empty_levels, write_plane
from napari_sr.image.regions import Region
from napari_sr.interactive.prepared import StoppedError

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_sr.interactive.prepared import Preparer
    from napari_sr.interactive.request import UpscaleRequest
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.upscaling.flow import Plan, TileStep

SHOWN_AFTER_S = 0.5
"""A run waits at most so long for its first plane to be shown."""


@dataclass(eq=False, slots=True)
class Result:
    """What has come of a request so far."""

    request: UpscaleRequest
    plan: Plan
    """How it is made, decided before the first plane."""
    provenance: dict[str, Any]
    """What is said about it, as in an output file."""
    levels: list[NDArray]
    """`(..., factor·y, factor·x)` in counts, of the part that is asked for, and coarser
    copies of a very large one."""
    done: list[tuple[int, ...]] = field(default_factory=list)
    """Planes that hold the result; the others are still black."""
    n_clipped: int = 0
    """Pixels beyond the limits of the pixel type."""
    is_shown: Event = field(default_factory=Event)
    """To be set by whoever shows it, once it is shown."""

    @property
    def n_planes(self) -> int:
        """Number of its planes."""
        return prod(self.levels[0].shape[:-2])

    @property
    def is_complete(self) -> bool:
        """Whether every plane is done."""
        return len(self.done) == self.n_planes

    @property
    def finer(self) -> list[float]:
        """How many times as many pixels it has along each axis."""
        z, factor = self.plan.z, self.plan.factor
        leading = [1.0] * (len(self.levels[0].shape) - 2)
        if z is not None:
            leading[z.axis] = z.ratio
        return [*leading, factor, factor]

    def plane_of(self, recorded: tuple[int, ...]) -> tuple[int, ...]:
        """Give the plane in which the middle of a recorded one is."""
        pairs = zip(recorded, self.finer, strict=False)
        return tuple(int((i + 0.5) * finer) for i, finer in pairs)

    def part(self, index: tuple[int, ...]) -> Region:
        """Give what is to be computed of a plane, in pixels of the result."""
        part = self.request.part
        if part is None:
            return Region.whole(index, self.levels[0].shape[-2:])
        return Region(index, *part).times(self.plan.factor)

    @property
    def share_clipped(self) -> float:
        """Share of the planes done that is beyond the limits of the pixel type."""
        height, width = self.levels[0].shape[-2:]
        share: float = self.n_clipped / max(1, len(self.done) * height * width)
        return share

    def missing(self, first: tuple[int, ...]) -> list[tuple[int, ...]]:
        """List the planes still to do, from `first` on and then around."""
        planes = [*product(*map(range, self.levels[0].shape[:-2]))]
        start = planes.index(first) if first in planes else 0
        done = set(self.done)
        return [i for i in planes[start:] + planes[:start] if i not in done]

    def take(self, step: TileStep) -> None:
        """Keep the plane of a step."""
        if step.plane is not None:
            write_plane(self.levels, step.index, step.plane)
            self.n_clipped += step.n_clipped
            self.done.append(step.index)


def run(
    request: UpscaleRequest,
    preparer: Preparer,
    unfinished: Result | None = None,
    first: tuple[int, ...] = (),
    is_only: bool = False,
    stop: Event | None = None,
) -> Generator[tuple[Result, TileStep] | None, None, Result | None]:
    """Super-resolve a recording in memory, and give the device's memory back.

    Parameters
    ----------
    request
        What the user asked for.
    preparer
        Loads the model and decides on the plan.
    unfinished
        An earlier result of the same request, to be completed by the same plan.
    first
        Recorded plane to begin with.
    is_only
        Whether it is the only plane to do.
    stop
        To be set when the run is to end while the stack is measured.

    Yields
    ------
    tuple of Result and Step, or None
        After each tile. A plane is in the result before its step is yielded. None is
        the last where the run was stopped before the first.

    Returns
    -------
    Result
        With all planes.
    """
    from napari_sr.device import choose_device, release_memory

    device = choose_device(request.settings.device)
    try:
        upscaler, plan = preparer.prepare(request, stop)
        result = unfinished or _begin(request, plan)
        yield from _collect(result, upscaler, first, is_only)
        return result
    except StoppedError:
        yield None
        return None
    finally:
        release_memory(device)


def _collect(
    result: Result, upscaler: Upscaler, first: tuple[int, ...], is_only: bool
) -> Generator[tuple[Result, TileStep], None, None]:
    """Do the missing planes one by one."""
    from napari_sr.upscaling.flow import result_steps

    request, plan = result.request, result.plan
    # A volume is done slab by slab, and so from its first plane on.
    begin = result.plane_of(first) if is_only or plan.z is None else ()
    missing = [i for i in result.missing(begin) if i == begin or not is_only]
    parts = [result.part(index) for index in missing]
    for step in result_steps(request.stack, upscaler, plan, parts):
        result.take(step)
        yield result, step
        if len(result.done) == 1:
            # A new layer keeps the viewer busy, and longer if there is no core for it.
            result.is_shown.wait(SHOWN_AFTER_S)


def _begin(request: UpscaleRequest, plan: Plan) -> Result:
    """Make room for all planes."""
    import torch

    from napari_sr.device import free_memory
    from napari_sr.upscaling.provenance import provenance_of

    stack = request.stack
    shape, provenance = plan.shape_of(stack), provenance_of(stack, plan)
    if request.part is not None:
        part = Region((), *request.part)
        shape = (*shape[:-2], *part.times(plan.factor).shape)
        ends = [[cut.start, cut.stop] for cut in request.part]
        provenance["part"] = dict(zip(("rows", "columns"), ends, strict=True))
    levels = empty_levels(shape, plan.dtype)
    needed, free = levels[0].nbytes, free_memory(torch.device("cpu"))
    if needed > free:
        raise MemoryError(
            f"The result takes {needed / 2**30:.1f} GB and {free / 2**30:.1f} GB of "
            f"memory are free. Save a recipe here and run it from file to file: "
            f"napari-sr upscale --recipe FILE."
        )
    return Result(request, plan, provenance, levels)

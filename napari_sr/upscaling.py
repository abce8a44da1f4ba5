"""Flow A: recorded planes → super-resolved planes, in the recording's own counts.

This module alone knows the order of the steps: measure the range, prepare the upscaler,
decide on a plan; then for each plane normalise, tile, compute, put together, make it
agree with the recording and go back to counts. Everything that could differ between
planes is decided before the first one and kept in the `Plan`. A flow is a generator:
each tile is progress, and to stop iterating is to cancel.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sr import consistency
from napari_sr.catalogue import load_model
from napari_sr.consistency import make_consistent, with_mean_of
from napari_sr.device import (
    choose_device,
    is_out_of_memory,
    release_memory,
    smallest_tile,
)
from napari_sr.files import open_stack
from napari_sr.intensity import fill_gaps, restore_gaps
from napari_sr.model import SRModel
from napari_sr.noise import SIGNAL_RADIUS
from napari_sr.planning import Plan, Upscaler, make_plan
from napari_sr.regions import Region
from napari_sr.settings import UpscaleSettings
from napari_sr.stack import Stack
from napari_sr.tiling import Mosaic, pad_plane, plan_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.stack import PlaneSource

    PathLike = str | os.PathLike[str]
    StackLike = Stack | PlaneSource | PathLike | Sequence[PathLike]
    ModelLike = Upscaler | PathLike

__all__ = [
    "Plan",
    "Step",
    "Upscaler",
    "as_upscaler",
    "make_plan",
    "reach_of",
    "region_steps",
    "upscale",
    "upscale_plane",
    "upscale_planes",
    "upscale_steps",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One tile done."""

    index: tuple[int, ...]
    """Which plane, over the leading axes."""
    tiles_done: int
    """In all planes that are asked for."""
    n_tiles: int
    """In all planes that are asked for."""
    plane: NDArray | None = None
    """`(factor·y, factor·x)` counts, with the last tile of each plane or region."""
    n_clipped: int = 0
    """Pixels of it beyond the limits of the pixel type."""
    tile: int | None = None
    """Largest side of a tile from now on: the plan's, or less where memory ran out."""


@contextmanager
def opened(source: StackLike) -> Iterator[Stack]:
    """Look at files, an array or a stack as a stack; close what was opened here."""
    if isinstance(source, Stack):
        yield source
    elif isinstance(source, str | os.PathLike | Sequence):
        with open_stack(source) as stack:
            yield stack
    else:
        yield Stack.from_array(source)


def as_upscaler(model: ModelLike, settings: UpscaleSettings) -> Upscaler:
    """Load an upscaler by name where needed, and set its dial and device."""
    upscaler: Upscaler = (
        load_model(model) if isinstance(model, str | os.PathLike) else model
    )
    if settings.dial is not None:
        if not isinstance(upscaler, SRModel):
            raise ValueError(
                f"{upscaler.name!r} has no dial, got {settings.dial}. Leave it out."
            )
        upscaler = upscaler.at_dial(settings.dial)
    return upscaler.to(choose_device(settings.device))


def upscale_steps(
    stack: Stack,
    upscaler: Upscaler,
    plan: Plan,
    indices: Sequence[tuple[int, ...]] | None = None,
) -> Iterator[Step]:
    """Super-resolve a stack tile by tile.

    Parameters
    ----------
    stack
        The recording; one plane is in memory at a time.
    upscaler
        Already on its device.
    plan
        From `make_plan`.
    indices
        Which planes, in which order; all when not given.

    Yields
    ------
    Step
        After each tile; with the last tile of a plane comes the plane.
    """
    wanted = stack.indices() if indices is None else indices
    regions = [Region.whole(index, stack.plane_shape) for index in wanted]
    yield from region_steps(stack, upscaler, plan, regions)


def region_steps(
    stack: Stack, upscaler: Upscaler, plan: Plan, regions: Sequence[Region]
) -> Iterator[Step]:
    """Super-resolve parts of planes, each as it is in the whole plane.

    Parameters
    ----------
    stack
        The recording; what a region depends on is in memory at a time.
    upscaler, plan
        As for `upscale_steps`.
    regions
        Which, in which order.

    Yields
    ------
    Step
        After each tile; with the last tile of a region come its pixels, as `plane`.
    """
    network, margin = _Tiled(upscaler, plan), reach_of(plan)
    windows = [region.window(stack.plane_shape, margin) for region in regions]
    tilings = {
        window.shape: plan_tiles(window.shape, plan.tile, plan.halo, upscaler.overlap)
        for window in windows
    }
    n_tiles = sum(len(tilings[window.shape]) for window in windows)
    done = 0
    for region, window in zip(regions, windows, strict=True):
        recorded, gaps = fill_gaps(stack.window(region.index, window.seen))
        padded = network.inputs(recorded)
        mosaic = Mosaic(window.shape, plan.factor, upscaler.overlap)
        tiles = tilings[window.shape]
        for tile in tiles:
            mosaic.add(tile, network.pixels_of(padded[..., *tile.outer]))
            done += 1
            if tile is not tiles[-1]:
                yield Step(region.index, done, n_tiles, tile=network.largest)
        high = _agreeing(mosaic.finish(), recorded, plan)[window.kept_of(plan.factor)]
        counts, n_clipped = plan.intensity.denormalize(high, plan.dtype)
        kept = None if gaps is None else gaps[window.kept_of(1)]
        pixels = restore_gaps(counts, kept, plan.factor, plan.intensity)
        yield Step(region.index, done, n_tiles, pixels, n_clipped, network.largest)


def reach_of(plan: Plan) -> int:
    """Tell how far from a pixel the recording takes part in its result, in pixels."""
    agreeing = consistency.reach_of(plan.consistency, plan.factor, plan.psf_sigma)
    return plan.halo + SIGNAL_RADIUS + agreeing


def upscale_plane(recorded: NDArray, upscaler: Upscaler, plan: Plan) -> NDArray:
    """Super-resolve one plane by the plan of its stack.

    Parameters
    ----------
    recorded
        `(y, x)` counts.
    upscaler, plan
        As for `upscale_steps`.

    Returns
    -------
    ndarray
        `(factor·y, factor·x)` counts.
    """
    *_, last = upscale_steps(Stack.from_array(recorded), upscaler, plan)
    assert last.plane is not None  # it comes with the last tile
    return last.plane


def _agreeing(high: NDArray, recorded: NDArray, plan: Plan) -> NDArray:
    """Make a plane in network range agree with its recording, as planned."""
    if plan.consistency == "off":
        return high
    low = plan.intensity.normalize(recorded)
    if plan.consistency == "mean":
        return with_mean_of(low, high, plan.factor)
    if plan.consistency == "exact" or plan.noise is None:
        return make_consistent(high, low, None, plan.factor)
    noise = plan.intensity.noise_to_network(plan.noise)
    variance = noise.gain * np.maximum(low - noise.offset, 0) + noise.read**2
    return make_consistent(high, low, variance, plan.factor, plan.psf_sigma)


class _Tiled:
    """Runs an upscaler on tiles, and on smaller ones when memory runs out."""

    def __init__(self, upscaler: Upscaler, plan: Plan) -> None:
        self._upscaler, self._plan = upscaler, plan
        self._device = torch.device(plan.device)
        self._precision = getattr(torch, plan.precision)
        self.largest = plan.tile
        """Side of a tile in recorded pixels; halved each time memory runs out."""

    def inputs(self, recorded: NDArray) -> Tensor:
        """Give a plane in network range and what is told about it, padded by the halo.

        Parameters
        ----------
        recorded
            `(y, x)` counts without gaps.

        Returns
        -------
        Tensor
            `(1, c, y + 2·halo, x + 2·halo)` float32 on the CPU.
        """
        plane = torch.from_numpy(self._plan.intensity.normalize(recorded))[None, None]
        told = self._upscaler.inputs(plane, self._plan.intensity, self._plan.noise)
        channels = [pad_plane(channel, self._plan.halo) for channel in told[0].numpy()]
        return torch.from_numpy(np.stack(channels))[None]

    def pixels_of(self, outer: Tensor) -> NDArray[np.float32]:
        """Super-resolve one tile `(1, c, h, w)` to `(factor·h, factor·w)`."""
        side = max(outer.shape[-2:])
        if side <= self.largest:
            try:
                return self._compute(outer)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(side, error)
            # Only now has the error let go of what the failed run still held.
            release_memory(self._device)
        return self._in_smaller_tiles(outer)

    def _compute(self, outer: Tensor) -> NDArray[np.float32]:
        batch = outer.to(self._device)
        half = self._precision != torch.float32
        with (
            torch.autocast(self._device.type, self._precision, enabled=half),
            _without_tf32(),
        ):
            high = self._upscaler(batch)
        return high[0, 0].float().cpu().numpy()

    def _shrink(self, side: int, error: Exception) -> None:
        """Halve the tile for this and all following ones; never a tile set by hand."""
        smaller = max(smallest_tile(self._plan.halo), side // 2)
        if not self._plan.tile_is_auto or smaller >= side:
            advice = (
                "Free some of its memory, or use another device"
                if self._plan.tile_is_auto
                else "Use a smaller tile, or tile='auto'"
            )
            raise MemoryError(
                f"Out of memory on {self._device} with tiles of {side} px. {advice}."
            ) from error
        logger.warning(
            "Out of memory with tiles of %d px, going on with %d px.", side, smaller
        )
        self.largest = smaller

    def _in_smaller_tiles(self, outer: Tensor) -> NDArray[np.float32]:
        """Super-resolve a tile that is too large piece by piece, without its halo."""
        halo, factor = self._plan.halo, self._plan.factor
        shape = (outer.shape[-2] - 2 * halo, outer.shape[-1] - 2 * halo)
        mosaic = Mosaic(shape, factor)
        for piece in plan_tiles(shape, self.largest, halo):
            mosaic.add(piece, self.pixels_of(outer[..., *piece.outer]))
        return np.pad(mosaic.finish(), halo * factor)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Keep cuDNN from rounding to 10 bits where float32 was promised.

    `torch.backends.cudnn.flags` would also switch cuDNN off.
    """
    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def upscale_planes(
    stack: StackLike, model: ModelLike, **options: object
) -> Iterator[tuple[tuple[int, ...], NDArray]]:
    """Super-resolve a stack plane by plane.

    Parameters
    ----------
    stack
        A `Stack`, a path, paths whose planes are one stack, or an array `(…, y, x)` of
        numpy, dask or zarr.
    model
        A model, or the name or path of one.
    **options
        Fields of `UpscaleSettings`: device, tile, precision, intensity_range, noise,
        dtype, dial, consistency.

    Yields
    ------
    index : tuple of int
        Over the leading axes; `()` when there are none.
    plane : ndarray
        `(factor·y, factor·x)` in the recording's counts and pixel type.
    """
    settings = UpscaleSettings.model_validate(options)
    upscaler = as_upscaler(model, settings)
    with opened(stack) as recording:
        plan = make_plan(recording, upscaler, settings)
        for step in upscale_steps(recording, upscaler, plan):
            if step.plane is not None:
                yield step.index, step.plane


def upscale(stack: StackLike, model: ModelLike, **options: object) -> NDArray:
    """Super-resolve a stack in memory.

    Parameters
    ----------
    stack, model, **options
        As for `upscale_planes`.

    Returns
    -------
    ndarray
        `(…, factor·y, factor·x)` of the recording's pixel type, unless asked otherwise.
    """
    result: NDArray | None = None
    with opened(stack) as recording:
        for index, plane in upscale_planes(recording, model, **options):
            if result is None:
                result = np.empty((*recording.leading_shape, *plane.shape), plane.dtype)
            result[index] = plane
    if result is None:
        raise AssertionError("a stack has at least one plane")
    return result

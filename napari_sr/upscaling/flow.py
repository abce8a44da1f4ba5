"""Flow A: recorded planes → super-resolved planes, in the recording's own counts.

This module alone knows the order of the steps: measure the range, prepare the upscaler,
decide on a plan; then for each plane normalise, tile, compute, put together, make it
agree with the recording and go back to counts. Everything that could differ between
planes is decided before the first one and kept in the `Plan`. A flow is a generator:
each tile is progress, and to stop iterating is to cancel.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch

from napari_sr.catalogue.lookup import load_model
from napari_sr.device import choose_device
from napari_sr.files import open_stack
from napari_sr.image.intensity import restore_gaps
from napari_sr.image.regions import Region
from napari_sr.image.stack import Stack
from napari_sr.image.tiling import plan_tiles
from napari_sr.instrument import data_consistency as consistency
from napari_sr.instrument.data_consistency import make_consistent, with_mean_of
from napari_sr.models.upscaler import Upscaler
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.forking import survive_forks
from napari_sr.upscaling.plan import Plan, make_plan
from napari_sr.upscaling.prefetch import prefetched
from napari_sr.upscaling.tiled import Part, Tiled, compute_parts, read_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.image.stack import PlaneSource

    PathLike = str | os.PathLike[str]
    StackLike = Stack | PlaneSource | PathLike | Sequence[PathLike]
    ModelLike = Upscaler | PathLike

__all__ = [
    "Plan",
    "TileStep",
    "Upscaler",
    "as_upscaler",
    "make_plan",
    "margin_of",
    "region_steps",
    "upscale",
    "upscale_plane",
    "upscale_planes",
    "upscale_steps",
]

survive_forks()


class PixelTypeWarning(UserWarning):
    """A result has other pixels than its recording lets one expect."""


EVERYWHERE = 2**31
"""Reach beyond the border of any plane."""


@dataclass(frozen=True, slots=True)
class TileStep:
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
    n_repeated: int = 0
    """Tiles that half precision could not hold, computed again in float32."""
    tile: int | None = None
    """Largest side of a tile from now on: the plan's, or less where memory ran out."""


@contextmanager
def opened(source: StackLike) -> Iterator[Stack]:
    """Look at files, an array or a stack as a stack; close what was opened here."""
    if isinstance(source, Stack):
        yield source
    elif isinstance(source, str | os.PathLike) or _are_paths(source):
        with open_stack(source) as stack:
            yield stack
    else:
        array: Any = source
        yield Stack.from_array(array)


def _are_paths(source: object) -> TypeGuard[Sequence[PathLike]]:
    """Tell files whose planes are one stack from nested lists of numbers."""
    return isinstance(source, Sequence) and all(
        isinstance(path, str | os.PathLike) for path in source
    )


def as_upscaler(model: ModelLike, settings: UpscaleSettings) -> Upscaler:
    """Load an upscaler by name where needed, and set its dial and device."""
    upscaler: Upscaler = (
        load_model(model) if isinstance(model, str | os.PathLike) else model
    )
    if settings.dial is not None:
        upscaler = upscaler.at_dial(settings.dial)
    return upscaler.to(choose_device(settings.device))


def upscale_steps(
    stack: Stack,
    upscaler: Upscaler,
    plan: Plan,
    indices: Sequence[tuple[int, ...]] | None = None,
) -> Iterator[TileStep]:
    """Super-resolve a stack tile by tile.

    Parameters
    ----------
    stack
        The recording; three planes are in memory at a time.
    upscaler
        Already on its device.
    plan
        From `make_plan`.
    indices
        Which planes, in which order; all when not given.

    Yields
    ------
    TileStep
        After each tile; with the last tile of a plane comes the plane.
    """
    wanted = stack.indices() if indices is None else indices
    regions = [Region.whole(index, stack.plane_shape) for index in wanted]
    yield from region_steps(stack, upscaler, plan, regions)


def region_steps(
    stack: Stack,
    upscaler: Upscaler,
    plan: Plan,
    regions: Sequence[Region],
    *,
    is_one_at_a_time: bool = False,
) -> Iterator[TileStep]:
    """Super-resolve parts of planes, each as it is in the whole plane.

    One thread reads and normalises, a region ahead. On a GPU another one computes,
    while the caller's makes results agree, goes back to counts and writes; on a CPU
    that would only take cores from the network.

    Parameters
    ----------
    stack
        The recording; what three regions depend on is in memory at a time.
    upscaler, plan
        As for `upscale_steps`.
    regions
        Which, in which order.
    is_one_at_a_time
        Begin a region only when the one before has been taken, and written perhaps: if
        it all ends at once, one region is lost, not three.

    Yields
    ------
    TileStep
        After each tile; with the last tile of a region come its pixels, as `plane`.
    """
    network, margin = Tiled(upscaler, plan), margin_of(plan)
    windows = [region.window(stack.plane_shape, margin) for region in regions]
    tilings = {
        window.shape: plan_tiles(window.shape, plan.tile, plan.halo, upscaler.overlap)
        for window in windows
    }
    n_tiles = sum(len(tilings[window.shape]) for window in windows)
    read = prefetched(read_parts(stack, regions, windows, network))
    # So many tiles ahead that finishing and writing never hold up the next region.
    most = max((len(tiles) for tiles in tilings.values()), default=1)
    computed = compute_parts(read, tilings, network, is_one_at_a_time=is_one_at_a_time)
    overlaps = torch.device(plan.device).type != "cpu" and not is_one_at_a_time
    with closing(prefetched(computed, most) if overlaps else computed) as computed:
        for done, part in enumerate(computed, start=1):
            index = part.region.index
            if part.high is None:
                yield TileStep(index, done, n_tiles, tile=network.largest)
                continue
            pixels, n_clipped = _in_counts(part, part.high, plan)
            counted = (n_clipped, part.n_repeated)
            yield TileStep(index, done, n_tiles, pixels, *counted, network.largest)


def _in_counts(
    part: Part, high: NDArray[np.float32], plan: Plan
) -> tuple[NDArray, int]:
    """Make a window agree with its recording; give its region, and how much clipped."""
    agreeing = _agreeing(high, part.recorded, plan)[part.window.kept_of(plan.factor)]
    counts, n_clipped = plan.intensity.denormalize(agreeing, plan.dtype)
    gaps = None if part.gaps is None else part.gaps[part.window.kept_of(1)]
    return restore_gaps(counts, gaps, plan.factor, plan.intensity), n_clipped


def margin_of(plan: Plan) -> int:
    """Tell how far from a pixel the recording takes part in its result, in pixels."""
    if plan.reach is None:
        return EVERYWHERE
    agreeing = consistency.reach_of(plan.consistency, plan.factor, plan.psf_sigma)
    return plan.reach + agreeing


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
    return make_consistent(
        high, low, variance, plan.factor, plan.psf_sigma, noise.correlation
    )


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
    n_pixels = n_clipped = 0
    with opened(stack) as recording:
        plan = make_plan(recording, upscaler, settings)
        for step in upscale_steps(recording, upscaler, plan):
            if step.plane is not None:
                n_pixels += step.plane.size
                n_clipped += step.n_clipped
                yield step.index, step.plane
    warn_of_pixel_type(plan, settings, n_clipped / max(1, n_pixels))


def warn_of_pixel_type(
    plan: Plan, settings: UpscaleSettings, share_clipped: float
) -> None:
    """Warn whoever calls from Python where a result is not of the pixels expected.

    Parameters
    ----------
    plan
        Of the result.
    settings
        What was asked for.
    share_clipped
        Share of its pixels beyond the limits of its pixel type.

    Warns
    -----
    PixelTypeWarning
        Of float32 where integers were recorded, and of values that the pixel type which
        was asked for cannot hold.
    """
    if plan.dtype_note:
        warnings.warn(f"The result is {plan.dtype_note}.", PixelTypeWarning, 3)
    elif share_clipped and settings.dtype != "same":
        warnings.warn(
            f"{share_clipped:.2%} of the pixels are beyond the limits of {plan.dtype} "
            f"and are clipped; dtype='float32' holds them.",
            PixelTypeWarning,
            stacklevel=3,
        )


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

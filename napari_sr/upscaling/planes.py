"""Parts of planes → the same parts of their results, in the recording's own counts.

This module alone knows the order of the steps for each: read what the part depends on,
normalise, tile, compute, put together, make it agree with the recording, and go back to
counts. Everything that could differ between planes is in the `Plan`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sr.image.intensity import restore_gaps
from napari_sr.image.tiling import plan_tiles
from napari_sr.instrument import data_consistency as consistency
from napari_sr.instrument.data_consistency import make_consistent, with_mean_of
from napari_sr.upscaling.prefetch import prefetched
from napari_sr.upscaling.tiled import Part, Tiled, compute_parts, read_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sr.image.regions import Region
    from napari_sr.image.stack import Stack
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.upscaling.plan import Plan

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
    agreed = agreeing(high, part.recorded, plan)[part.window.kept_of(plan.factor)]
    counts, n_clipped = plan.intensity.denormalize(agreed, plan.dtype)
    gaps = None if part.gaps is None else part.gaps[part.window.kept_of(1)]
    return restore_gaps(counts, gaps, plan.factor, plan.intensity), n_clipped


def margin_of(plan: Plan) -> int:
    """Tell how far from a pixel the recording takes part in its result, in pixels."""
    if plan.reach is None:
        return EVERYWHERE
    agreed = consistency.reach_of(plan.consistency, plan.factor, plan.psf_sigma)
    return plan.reach + agreed


def agreeing(high: NDArray, recorded: NDArray, plan: Plan) -> NDArray:
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

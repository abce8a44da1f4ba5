"""A dask array → its super-resolved dask array, of which nothing is computed yet.

This module alone knows how the regions of a run become the chunks of an array.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.device import choose_device
from napari_sr.image.regions import SIDE, Region
from napari_sr.image.stack import Stack
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling import flow as upscaling
from napari_sr.upscaling.flow import (
    as_upscaler,
    margin_of,
    region_steps,
    warn_of_plan,
)
from napari_sr.upscaling.labelled import is_labelled, upscale_labelled
from napari_sr.upscaling.plan import make_plan

if TYPE_CHECKING:
    from dask.array import Array
    from numpy.typing import NDArray

    from napari_sr.models.upscaler import Upscaler
    from napari_sr.upscaling.flow import ModelLike, StackLike
    from napari_sr.upscaling.plan import Plan


def upscale(
    stack: StackLike | Array, model: ModelLike, **options: object
) -> NDArray | Array:
    """Super-resolve a stack, in memory or lazily.

    Parameters
    ----------
    stack
        A `Stack`, a path, paths whose planes are one stack, or an array `(…, y, x)` of
        numpy, zarr or dask, a tensor or nested lists. An xarray keeps its axes and
        coordinates, and each entry along one called c or channel is done by itself.
    model
        A model, or the name or path of one.
    **options
        As for `upscale_planes`.

    Returns
    -------
    ndarray or dask array
        `(…, factor·y, factor·x)` of the recording's pixel type, unless asked otherwise.
        Lazy for a dask array: range, noise and tile are found now, for which some
        planes are computed, and pixels when they are asked for, as they would be in
        memory. A plane is one chunk, or several of up to 6144 pixels a side.
    """
    pixels = getattr(stack, "data", None) if is_labelled(stack) else stack
    if options.get("z") is not None and hasattr(pixels, "__dask_graph__"):
        raise ValueError(
            "A dask array cannot become finer along z lazily. Compute it first (with "
            "xarray, array.compute()), or let upscale_file write an .ome.zarr."
        )
    if is_labelled(stack):
        labelled: Array = upscale_labelled(
            stack,
            lambda pixels: upscale(pixels, model, **options),
            UpscaleSettings.of(options),
        )
        return labelled
    if not hasattr(stack, "__dask_graph__"):
        return upscaling.upscale(stack, model, **options)
    settings = UpscaleSettings.of(options)
    upscaler = as_upscaler(model, settings)
    array: Any = stack
    plan = make_plan(Stack.from_array(array), upscaler, settings)
    warn_of_plan(plan, settings, 0.0)
    return _as_chunks(array, upscaler, plan)


def _as_chunks(array: Any, upscaler: Upscaler, plan: Plan) -> Array:  # noqa: ANN401
    """Let each chunk be computed from its part of a plane, and what is around it."""
    from dask.array.overlap import overlap
    from dask.delayed import delayed

    n_leading, factor, margin = array.ndim - 2, plan.factor, margin_of(plan)
    within = [
        (side,) if plan.reach is None else _parts(side, factor)
        for side in array.shape[-2:]
    ]
    cut = array.rechunk((*[1] * n_leading, *within))
    depth = {
        n_leading + axis: margin if len(sides) > 1 else 0
        for axis, sides in enumerate(within)
    }
    seen = overlap(cut, depth, boundary="none", allow_rechunk=False)  # type: ignore[no-untyped-call]
    larger = (tuple(side * factor for side in sides) for sides in within)
    result: Array = seen.map_blocks(
        _pixels_of,
        delayed(upscaler.to(choose_device("cpu")), pure=True),
        plan,
        [_edges(sides) for sides in within],
        dtype=plan.dtype,
        chunks=(*cut.chunks[:n_leading], *larger),
        meta=np.empty((0,) * array.ndim, plan.dtype),
    )
    return result


def _pixels_of(
    block: NDArray,
    upscaler: Upscaler,
    plan: Plan,
    edges: list[list[int]],
    block_id: tuple[int, ...] = (),
) -> NDArray:
    """Super-resolve a part of a plane that is seen with a margin, where there is one.

    `edges` are those of all parts, along y and x.
    """
    plane = block.reshape(block.shape[-2:])
    margin = margin_of(plan)
    kept = []
    for side, part in zip(edges, block_id[-2:], strict=True):
        start = min(margin, side[part])
        kept.append(slice(start, start + side[part + 1] - side[part]))
    on_device = upscaler.to(choose_device(plan.device))
    region = Region((), kept[0], kept[1])
    *_, last = region_steps(Stack.from_array(plane), on_device, plan, [region])
    assert last.plane is not None  # it comes with the last tile
    return last.plane[(None,) * (block.ndim - 2)]


def _parts(length: int, factor: int) -> tuple[int, ...]:
    """Divide an axis into equal parts of at most a region's side."""
    n_parts = -(-length * factor // SIDE)
    edges = [length * part // n_parts for part in range(n_parts + 1)]
    return tuple(stop - start for start, stop in pairwise(edges))


def _edges(sides: tuple[int, ...]) -> list[int]:
    return [0, *np.cumsum(sides).tolist()]

"""Flow A: recorded planes → super-resolved planes, in the recording's own counts.

The way in: open what is given, load the upscaler, decide on a plan, then do part by
part (`planes`), or slab by slab where there are to be more planes along z (`along_z`).
Everything that could differ between planes is decided before the first one and kept in
the `Plan`. A flow is a generator: each tile is progress, and to stop iterating is to
cancel.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from napari_sr.catalogue.lookup import load_model
from napari_sr.device import choose_device
from napari_sr.files import open_stack
from napari_sr.image.regions import Region
from napari_sr.image.stack import Stack
from napari_sr.models.upscaler import Upscaler
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.along_z import slab_number, volume_steps
from napari_sr.upscaling.forking import survive_forks
from napari_sr.upscaling.plan import Plan, make_plan
from napari_sr.upscaling.planes import TileStep, margin_of, region_steps

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
    "result_steps",
    "slab_number",
    "upscale",
    "upscale_plane",
    "upscale_planes",
    "upscale_steps",
]

survive_forks()


class PixelTypeWarning(UserWarning):
    """A result has another pixel type than expected from its recording."""


class BlurAlongZWarning(UserWarning):
    """More planes along z show no more detail."""


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
    """Super-resolve a stack tile by tile, or a volume slab by slab.

    Parameters
    ----------
    stack
        The recording; three planes are in memory at a time.
    upscaler
        Already on its device.
    plan
        From `make_plan`.
    indices
        Which planes of the result, in which order; all when not given.

    Yields
    ------
    TileStep
        After each tile; with the last tile of a plane comes the plane.
    """
    *leading, height, width = plan.shape_of(stack)
    wanted = np.ndindex(*leading) if indices is None else indices
    regions = [Region.whole(index, (height, width)) for index in wanted]
    yield from result_steps(stack, upscaler, plan, regions)


def result_steps(
    stack: Stack,
    upscaler: Upscaler,
    plan: Plan,
    regions: Sequence[Region],
    *,
    is_one_at_a_time: bool = False,
) -> Iterator[TileStep]:
    """Compute parts of a result, each as it is in the whole.

    Parameters
    ----------
    stack, upscaler, plan, is_one_at_a_time
        As for `region_steps`.
    regions
        Which, in pixels of the result and in which order.
    """
    if plan.z is not None:
        yield from volume_steps(stack, upscaler, plan, regions)
        return
    recorded = [region.recorded(plan.factor) for region in regions]
    yield from region_steps(
        stack, upscaler, plan, recorded, is_one_at_a_time=is_one_at_a_time
    )


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
        dtype, dial, consistency, z, factor.

    Yields
    ------
    index : tuple of int
        Over the leading axes; `()` when there are none.
    plane : ndarray
        `(factor·y, factor·x)` in the recording's counts and pixel type.
    """
    with opened(stack) as recording:
        for index, plane, _ in _planes_of(recording, model, options):
            yield index, plane


def _planes_of(
    recording: Stack, model: ModelLike, options: Mapping[str, object]
) -> Iterator[tuple[tuple[int, ...], NDArray, tuple[int, ...]]]:
    """Give each plane of a result with its index, and the shape of all."""
    settings = UpscaleSettings.of(options)
    upscaler = as_upscaler(model, settings)
    n_pixels = n_clipped = 0
    plan = make_plan(recording, upscaler, settings)
    for step in upscale_steps(recording, upscaler, plan):
        if step.plane is not None:
            n_pixels += step.plane.size
            n_clipped += step.n_clipped
            yield step.index, step.plane, plan.shape_of(recording)
    warn_of_plan(plan, settings, n_clipped / max(1, n_pixels), 4)


def warn_of_plan(
    plan: Plan, settings: UpscaleSettings, share_clipped: float, level: int = 3
) -> None:
    """Warn whoever calls from Python where a result is not what is expected of it.

    Parameters
    ----------
    plan
        Of the result.
    settings
        What was asked for.
    share_clipped
        Share of its pixels beyond the limits of its pixel type.
    level
        Whose line the warning names, counted from here.

    Warns
    -----
    PixelTypeWarning
        Of float32 where integers were recorded, and of values that the pixel type which
        was asked for cannot hold.
    BlurAlongZWarning
        Of planes along z that show no more detail than there was.
    """
    said = [f"The result is {plan.dtype_note}."] if plan.dtype_note else []
    if share_clipped and settings.dtype != "same":
        said.append(
            f"{share_clipped:.2%} of the pixels are outside the range of {plan.dtype} "
            "and are clipped; dtype='float32' keeps them."
        )
    if said:
        warnings.warn(" ".join(said), PixelTypeWarning, level)
    if plan.z is not None and plan.z.note:
        warnings.warn(f"{plan.z.note.capitalize()}.", BlurAlongZWarning, level)


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
        for index, plane, shape in _planes_of(recording, model, options):
            if result is None:
                result = np.empty(shape, plane.dtype)
            result[index] = plane
    if result is None:
        raise AssertionError("a stack has at least one plane")
    return result

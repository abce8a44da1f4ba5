"""An array with named axes (xarray's) → its super-resolved array, channels included.

This module alone knows how names and coordinates are carried over; it needs no xarray,
since who has such an array has it.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.image.axis import Axis, is_even
from napari_sr.image.stack import Stack
from napari_sr.upscaling.plan import planes_along_z

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from numpy.typing import NDArray

    from napari_sr.settings import UpscaleSettings

_CHANNELS = ("c", "ch", "channel", "channels", "band")
"""Names of an axis whose entries are done one by one."""
_TIMES = ("t", "time")


def is_labelled(array: object) -> bool:
    """Tell an array whose axes have names."""
    return all(hasattr(array, name) for name in ("dims", "coords", "isel", "values"))


def upscale_labelled(
    array: Any,  # noqa: ANN401
    upscale: Callable[[Any], Any],
    settings: UpscaleSettings,
) -> Any:  # noqa: ANN401
    """Super-resolve along the last two axes, or those called y and x.

    Parameters
    ----------
    array
        Any axes may lead. One called c or channel is that of channels, each of which is
        done by itself.
    upscale
        Does one channel `(…, y, x)`.
    settings
        What is asked for: with `z` a channel is given as a `Stack` that knows its axes.

    Returns
    -------
    DataArray
        Of the same axes in the same order, with their coordinates: those of y and x,
        and of z where that is finer, in the middles of the finer pixels. What says
        where pixels are along several of them at once is left out.
    """
    order = array.dims
    last = ("y", "x") if {"y", "x"} <= set(order) else order[-2:]
    leading = [name for name in order if name not in last]
    named = [name for name in leading if str(name).lower() in _CHANNELS]
    laid = array.transpose(*named, *(n for n in leading if n not in named), *last)
    parts: list[Any] = (
        [laid.isel({named[0]: i}) for i in range(laid.sizes[named[0]])]
        if named
        else [laid]
    )
    ratios: dict[Hashable, float] = {}
    if settings.z is None:
        done = [upscale(part.data) for part in parts]
    else:
        stacks = [as_stack(part) for part in parts]
        done = [upscale(stack) for stack in stacks]
        factor = done[0].shape[-1] // laid.shape[-1]
        names = [axis.name for axis in stacks[0].axes]
        if "z" in names:
            z = parts[0].dims[names.index("z")]
            ratios[z] = planes_along_z(stacks[0], factor, settings)
    pixels = np.stack(done) if named else done[0]
    ratios |= dict.fromkeys(last, pixels.shape[-1] // laid.shape[-1])
    made = type(array)(
        pixels,
        dims=laid.dims,
        coords=_finer_coordinates(laid, ratios),
        attrs=array.attrs,
        name=array.name,
    )
    return made.transpose(*order)


def as_stack(array: Any) -> Stack:  # noqa: ANN401
    """Look at one channel as a stack whose axes are where its coordinates say.

    An axis called z is that, or else the only one that leads and is not one of time.
    """
    leading = [str(name).lower() for name in array.dims[:-2]]
    if "z" not in leading and len(leading) == 1 and leading[0] not in _TIMES:
        leading = ["z"]
    spare = iter("uvwopq")
    named = ["t" if n in _TIMES else "z" if n == "z" else next(spare) for n in leading]
    axes, is_uneven = [], False
    for name, dim in zip([*named, "y", "x"], array.dims, strict=True):
        coordinate = array.coords.get(dim)
        axis = Axis(name)
        if _is_scale(coordinate, dim) and coordinate.size > 1:
            places = coordinate.values.astype(np.float64)
            is_uneven |= name == "z" and not is_even(places)
            step = abs(places[-1] - places[0]) / (len(places) - 1)
            unit = coordinate.attrs.get("units")
            if step > 0:
                axis = Axis(name, step, unit if isinstance(unit, str) else None)
        axes.append(axis)
    stack = Stack.from_array(array.data, axes=axes, name=str(array.name or "array"))
    stack.info = replace(stack.info, is_uneven_along_z=is_uneven)
    return stack


def _is_scale(coordinate: Any, dim: Hashable) -> bool:  # noqa: ANN401
    """Tell numbers along one axis from names, and from places along several."""
    return (
        coordinate is not None
        and coordinate.dims == (dim,)
        and coordinate.dtype.kind in "iuf"
    )


def _finer_coordinates(
    array: Any,  # noqa: ANN401
    ratios: Mapping[Hashable, float],
) -> dict[Hashable, Any]:
    """Carry coordinates over: as they are, or to the middles of finer pixels."""
    kept: dict[Hashable, Any] = {}
    for name, coordinate in array.coords.items():
        if not any(dim in ratios for dim in coordinate.dims):
            kept[name] = coordinate
        elif _is_scale(coordinate, name):
            finer = _middles(coordinate.values.astype(np.float64), ratios[name])
            kept[name] = (name, finer, coordinate.attrs)
    return kept


def _middles(places: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Interpolate between the middles of pixels, and beyond the outermost ones."""
    at = (np.arange(ceil(len(places) * ratio - 1e-9)) + 0.5) / ratio - 0.5
    before = np.clip(np.floor(at).astype(int), 0, max(0, len(places) - 2))
    behind = np.minimum(before + 1, len(places) - 1)
    shares = at - before
    finer: NDArray[np.float64] = (1 - shares) * places[before] + shares * places[behind]
    return finer

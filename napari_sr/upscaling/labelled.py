"""An array with named axes (xarray's) → its super-resolved array, channels included.

This module alone knows how names and coordinates are carried over; it needs no xarray,
since who has such an array has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

_CHANNELS = ("c", "ch", "channel", "channels", "band")
"""Names of an axis whose entries are done one by one."""


def is_labelled(array: object) -> bool:
    """Tell an array whose axes have names."""
    return all(hasattr(array, name) for name in ("dims", "coords", "isel", "values"))


def upscale_labelled(array: Any, upscale: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """Super-resolve along the last two axes, or those called y and x.

    Parameters
    ----------
    array
        Any axes may lead. One called c or channel is that of channels, each of which is
        done by itself.
    upscale
        Does one channel `(…, y, x)`.

    Returns
    -------
    DataArray
        Of the same axes in the same order, with their coordinates: those of y and x in
        the middles of the finer pixels. What says where pixels are along both at once
        is left out.
    """
    order = array.dims
    last = ("y", "x") if {"y", "x"} <= set(order) else order[-2:]
    leading = [name for name in order if name not in last]
    named = [name for name in leading if str(name).lower() in _CHANNELS]
    laid = array.transpose(*named, *(n for n in leading if n not in named), *last)
    parts = (
        [laid.isel({named[0]: i}) for i in range(laid.sizes[named[0]])]
        if named
        else [laid]
    )
    done = [upscale(part.data) for part in parts]
    pixels = np.stack(done) if named else done[0]
    factor = pixels.shape[-1] // laid.shape[-1]
    made = type(array)(
        pixels,
        dims=laid.dims,
        coords=_finer_coordinates(laid, last, factor),
        attrs=array.attrs,
        name=array.name,
    )
    return made.transpose(*order)


def _finer_coordinates(
    array: Any,  # noqa: ANN401
    last: tuple[Hashable, ...],
    factor: int,
) -> dict[Hashable, Any]:
    """Carry coordinates over: as they are, or to the middles of finer pixels."""
    kept: dict[Hashable, Any] = {}
    for name, coordinate in array.coords.items():
        along = [dim for dim in coordinate.dims if dim in last]
        if not along:
            kept[name] = coordinate
        elif coordinate.dims == (name,) and coordinate.dtype.kind in "iuf":
            finer = _middles(coordinate.values.astype(np.float64), factor)
            kept[name] = (name, finer, coordinate.attrs)
    return kept


def _middles(places: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Interpolate between the middles of pixels, and beyond the outermost ones."""
    at = (np.arange(len(places) * factor) + 0.5) / factor - 0.5
    before = np.clip(np.floor(at).astype(int), 0, max(0, len(places) - 2))
    behind = np.minimum(before + 1, len(places) - 1)
    shares = at - before
    finer: NDArray[np.float64] = (1 - shares) * places[before] + shares * places[behind]
    return finer

"""What of a layer is meant: the plane in view, what is on the screen, or a rectangle.

This module alone knows how napari says where the viewer looks and what was drawn on it,
and how much of a view a preview takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes

from napari_sr.interactive.preview_pixels import View

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

MOST_PIXELS = 320**2
"""Recorded pixels of a preview, at most; a larger view is previewed in its middle."""

_ON_EDGE = 1e-6
"""Of a pixel: a rectangle that ends where a pixel begins does not touch it."""


class NotInViewError(ValueError):
    """Nothing is in view or drawn, in one sentence that says what to do."""


def changes_of_view(viewer: ViewerModel) -> list[Any]:
    """List the events that say that something else may be in view now."""
    camera = getattr(viewer, "scene", viewer).camera  # moved in napari 0.9
    dims = viewer.dims.events
    return [camera.events.zoom, camera.events.center, dims.current_step, dims.ndisplay]


def plane_in_view(layer: Image, viewer: ViewerModel) -> tuple[int, ...]:
    """Find the plane of a layer that the viewer shows.

    Parameters
    ----------
    layer
        Of the viewer.
    viewer
        With or without a window.

    Returns
    -------
    tuple of int
        Over the leading axes; the nearest plane where the viewer is beyond the layer.
    """
    shape = _finest(layer)
    point = np.array(viewer.dims.point)[-layer.ndim :]
    place = np.rint(layer.world_to_data(point)).astype(int)
    return tuple(int(i) for i in np.clip(place, 0, np.array(shape) - 1)[:-2])


def part_in_view(layer: Image, viewer: ViewerModel, most: float | None = None) -> View:
    """Find what of a layer is on the screen.

    Parameters
    ----------
    layer
        Of the viewer.
    viewer
        With a window; without one everything is in view.
    most
        Pixels, at most; `MOST_PIXELS` when not given.

    Returns
    -------
    View
        Of so many pixels, around the middle of what is on the screen.

    Raises
    ------
    NotInViewError
        If the viewer shows the layer in 3D, from the side, or not at all.
    """
    offset = viewer.dims.ndim - layer.ndim
    shown = {axis - offset for axis in viewer.dims.displayed}
    if shown != {layer.ndim - 2, layer.ndim - 1}:
        raise NotInViewError(
            "This needs a plane of y and x in view: switch the viewer to 2D and to "
            "its first axis order (buttons below the layer list)."
        )
    corners = np.array(layer.corner_pixels, dtype=float)
    if layer.multiscale:
        corners *= layer.downsample_factors[layer.data_level]
    sides = [
        (max(0, int(low)), min(n, int(high) + 1))
        for low, high, n in zip(*corners[:, -2:], _finest(layer)[-2:], strict=True)
    ]
    if min(stop - start for start, stop in sides) < 2:
        raise NotInViewError(
            f"Layer {layer.name!r} is not in view: move the view back to it (Home key)."
        )
    lengths = [stop - start for start, stop in sides]
    most = MOST_PIXELS if most is None else most
    shrink = min(1.0, float(most / (lengths[0] * lengths[1])) ** 0.5)
    rows, columns = (_middle(*side, shrink) for side in sides)
    return View(plane_in_view(layer, viewer), rows, columns, shrink < 1)


def rectangle_on(layer: Image, viewer: ViewerModel) -> View:
    """Find what of a layer lies in the rectangle that is drawn over it.

    Parameters
    ----------
    layer
        Of the viewer.
    viewer
        With a Shapes layer: the active one, else the uppermost. What counts in it is
        the rectangle that is selected, or the only one.

    Returns
    -------
    View
        All pixels that the rectangle touches; of a turned one the upright part around
        it.

    Raises
    ------
    NotInViewError
        If there is none, or it is beside the layer.
    """
    drawn = [one for one in viewer.layers if isinstance(one, Shapes)]
    active = [one for one in drawn if one == viewer.layers.selection.active]
    corners = [c for shapes in (active or drawn)[-1:] for c in _rectangles(shapes)]
    if len(corners) != 1:
        raise NotInViewError(
            "Which rectangle? Draw one in a Shapes layer (button above the layer list, "
            "then R), and select it where there are several."
        )
    world = np.array(viewer.dims.point)
    places = []
    for corner in corners[0]:
        world[-len(corner) :] = corner
        places.append(layer.world_to_data(world[-layer.ndim :])[-2:])
    shape = np.array(_finest(layer)[-2:])
    low = np.floor(np.min(places, axis=0) + 0.5 + _ON_EDGE).clip(0, shape)
    high = np.ceil(np.max(places, axis=0) + 0.5 - _ON_EDGE).clip(0, shape)
    if (high - low).min() < 2:
        raise NotInViewError(
            f"The rectangle covers less than two pixels of layer {layer.name!r}: draw "
            "it larger, or over the layer."
        )
    rows, columns = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return View(plane_in_view(layer, viewer), rows, columns)


def _rectangles(shapes: Shapes) -> list[NDArray]:
    """Give the corners of the rectangles that are selected, or of all, in the world."""
    kinds = list(shapes.shape_type)
    numbers = [n for n, kind in enumerate(kinds) if kind == "rectangle"]
    chosen = [n for n in numbers if n in shapes.selected_data] or numbers
    return [
        np.array([shapes.data_to_world(corner) for corner in shapes.data[n]])
        for n in chosen
    ]


def _middle(start: int, stop: int, share: float) -> slice:
    """Keep the middle share of a side, at least two pixels of it."""
    length = max(2, int((stop - start) * share))
    start += (stop - start - length) // 2
    return slice(start, start + length)


def _finest(layer: Image) -> tuple[int, ...]:
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    return tuple(shape)

"""A layer's place as the axes of a stack, and back.

What axes cannot say (`interactive/layer_axes.py`) is kept as metadata, which only this
package reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_sr._napari.layers.geometry import NOT_CALIBRATED, placement_of
from napari_sr.image.stack import Stack, StackError
from napari_sr.interactive.layer_axes import axes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sr.image.axis import Axis
    from napari_sr.image.stack import PlaneSource

    Pixels = PlaneSource | Sequence[PlaneSource]

KEPT = "napari"
"""Where in the provenance it is kept."""
_CHANNELS = {"c", "ch", "channel", "channels"}


def stack_of(data: Pixels, place: Mapping[str, Any]) -> Stack:
    """Look at the pixels of an image layer as a stack in its place.

    Parameters
    ----------
    data
        Of the layer; of several levels the finest is taken.
    place
        Keywords of a napari image layer.

    Raises
    ------
    StackError
        If the layer is RGB or its pixels are not usable, in one sentence.
    """
    name = str(place.get("name", "image"))
    if place.get("rgb"):
        raise StackError(
            f"Layer {name!r} is RGB, and one channel is expected; split it "
            "(right-click on the layer, Split RGB) and take one."
        )
    finest: Any = data[0] if place.get("multiscale") else data  # type: ignore[index]
    axes = axes_of(place, len(finest.shape))
    return Stack.from_array(finest, axes=axes, name=name)


def as_stack(layer: Image) -> Stack:
    """Look at a layer as a stack in its place; nothing is computed or copied.

    Parameters
    ----------
    layer
        One channel; of a multiscale layer the finest level is taken.

    Raises
    ------
    StackError
        If the layer has several channels or its pixels are not usable, in one sentence.
    """
    if {str(label).lower() for label in layer.axis_labels} & _CHANNELS:
        raise StackError(
            f"Layer {layer.name!r} has a channel axis, and one channel is expected; "
            f"split it (right-click on the layer, Split Stack) and choose one."
        )
    data, place, _ = layer.as_layer_data_tuple()
    return stack_of(data, place)


def size_of(layer: Image) -> list[tuple[float, str]]:
    """Give spacing and unit along each axis, by which a stack of it may be kept."""
    return [*zip(map(float, layer.scale), map(str, layer.units), strict=True)]


def placed(axes: Sequence[Axis], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Say where a stack lies, with what was kept of the layer it was.

    Parameters
    ----------
    axes
        One per dimension.
    provenance
        As a file of this package has it. What is kept there counts only while the
        pixel sizes are those that it was kept with.

    Returns
    -------
    dict
        Keywords of a napari image layer.
    """
    place = placement_of(axes)
    place["units"] = [_known(unit) for unit in place["units"]]
    kept = provenance.get(KEPT)
    if not isinstance(kept, dict):
        return place
    spacing: NDArray = np.asarray(place["scale"])
    if not np.allclose(np.abs(kept.get("scale", spacing)), spacing, rtol=1e-6, atol=0):
        return place
    names = ("rotate", "shear", "affine", "scale", "translate", "axis_labels")
    return place | {name: kept[name] for name in names if name in kept}


def _known(unit: str) -> str:
    """Give a unit that napari knows; any other is left out."""
    try:
        Image(np.zeros((2, 2)), units=(unit, unit))
    except Exception:  # whatever its registry of units raises
        return NOT_CALIBRATED
    return unit

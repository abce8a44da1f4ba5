"""Layers as stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.image.stack import Axis, Stack, StackError

if TYPE_CHECKING:
    from napari.layers import Image


_AXIS_NAMES = "uvwptzyx"


_CHANNELS = ("c", "ch", "channel", "channels")


def as_stack(layer: Image) -> Stack:
    """Look at a layer as a stack; nothing is computed or copied.

    Parameters
    ----------
    layer
        One channel; of a multiscale layer the finest level is taken.

    Raises
    ------
    StackError
        If the layer has several channels or its pixels are not usable, in one sentence.
    """
    if layer.rgb:
        raise StackError(
            f"Layer {layer.name!r} is RGB, and super-resolution takes one channel at a "
            f"time; split it (right-click on the layer, Split RGB) and choose one."
        )
    labels = [str(label).lower() for label in layer.axis_labels]
    if any(label in _CHANNELS for label in labels):
        raise StackError(
            f"Layer {layer.name!r} has a channel axis, and super-resolution takes one "
            f"channel at a time; split it (right-click on the layer, Split Stack) and "
            f"choose one."
        )
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim > len(_AXIS_NAMES):
        raise StackError(
            f"Layer {layer.name!r} has {layer.ndim} dimensions; expected at most "
            f"{len(_AXIS_NAMES)}. Take a part of it."
        )
    # Where the pixels lie is the layer's business, see `geometry`.
    axes = [Axis(letter) for letter in _AXIS_NAMES[-layer.ndim :]]
    return Stack.from_array(data, axes=axes, name=layer.name)

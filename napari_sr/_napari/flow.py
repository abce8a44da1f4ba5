"""From a layer to its super-resolved pixels.

This module alone knows which layers the upscaling flow can take, and collects the
flow's planes in memory. It loads torch when the flow begins, which is in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.stack import Axis, Stack, StackError

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling import Plan, Step

_AXIS_NAMES = "uvwptzyx"


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for."""

    stack: Stack
    """The recording, from `as_stack`."""
    model: str
    """A name that the catalogue knows."""
    factor: int | None
    """For interpolations; None for a trained model, which has its own."""
    settings: UpscaleSettings
    """The same as those of Python and the command line."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    pixels: NDArray
    """`(..., factor·y, factor·x)` in the recording's counts and pixel type."""
    plan: Plan
    """How it was made."""
    share_clipped: float
    """Share of pixels beyond the limits of the pixel type."""


def as_stack(layer: Image) -> Stack:
    """Look at a layer as a stack; nothing is computed or copied.

    Parameters
    ----------
    layer
        One channel; of a multiscale layer the finest level is taken.

    Raises
    ------
    StackError
        If the layer is RGB or its pixels are not usable, in one sentence.
    """
    if layer.rgb:
        raise StackError(
            f"Layer {layer.name!r} is RGB, and super-resolution takes one channel at a "
            f"time; split it (right-click on the layer, Split RGB) and choose one."
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


def run(request: Request) -> Generator[Step, None, Result]:
    """Super-resolve a recording in memory, and give the device's memory back.

    Parameters
    ----------
    request
        What the user asked for.

    Yields
    ------
    Step
        After each tile.

    Returns
    -------
    Result
        All planes.
    """
    from napari_sr.device import choose_device, release_memory

    device = choose_device(request.settings.device)
    try:
        return (yield from _collect(request))
    finally:
        release_memory(device)  # after _collect has let go of the model


def _collect(request: Request) -> Generator[Step, None, Result]:
    """Run the flow from its beginning and put the planes together."""
    from napari_sr.catalogue import load_model
    from napari_sr.upscaling import as_upscaler, make_plan, upscale_steps

    stack, settings = request.stack, request.settings
    upscaler = as_upscaler(load_model(request.model, factor=request.factor), settings)
    plan = make_plan(stack, upscaler, settings)
    height, width = stack.plane_shape
    shape = (*stack.leading_shape, height * plan.factor, width * plan.factor)
    pixels = np.empty(shape, plan.dtype)
    n_clipped = 0
    for step in upscale_steps(stack, upscaler, plan):
        if step.plane is not None:
            pixels[step.index] = step.plane
            n_clipped += step.n_clipped
        yield step
    return Result(pixels, plan, n_clipped / pixels.size)

"""How large pixels are: by their file, as text, and after a run.

This module alone knows which axis of an array is which of the file it is from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.files import open_channels
from napari_sr.image.stack import Axis, StackError
from napari_sr.image.units import find_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sr.image.stack import Stack
    from napari_sr.settings import UpscaleSettings

_SPACE = "\u00a0"
"""At which no line is broken."""
_TIMES = f"{_SPACE}×{_SPACE}"
_NOT_AT_ALL = 1.01
"""Planes for each recorded one below which a voxel is as good as isotropic."""


def channels_in(path: str) -> list[Stack]:
    """Look at the channels of a file, closed again; none where it is not an image."""
    try:
        stacks = open_channels(path)
    except (StackError, OSError):
        return []
    for stack in stacks:
        stack.close()
    return stacks


def axes_in_file(path: str, shape: Sequence[int]) -> tuple[Axis, ...]:
    """Read the pixel size of a file, for a layer that was made of it.

    Parameters
    ----------
    path
        A file that this package can read, or any other.
    shape
        Of the layer, which may have the channels along an axis of its own.

    Returns
    -------
    tuple of Axis
        One per dimension of the layer; empty where the file does not say how large its
        pixels are, or the layer is not what is in the file.
    """
    stacks = channels_in(path)
    if not stacks:
        return ()
    axes, wanted = stacks[0].axes, tuple(shape)
    lengths = stacks[0].shape
    if any(axis.unit is None for axis in axes[-2:]):
        return ()
    if lengths == wanted:
        return axes
    for place in range(len(wanted) - 2 if len(stacks) > 1 else 0):
        if (*lengths[:place], len(stacks), *lengths[place:]) == wanted:
            return (*axes[:place], Axis("c"), *axes[place:])
    return ()


def lengths_of(axes: Sequence[Axis]) -> list[Axis]:
    """Keep the axes along which something has a length: time has none."""
    return [axis for axis in axes if find_unit(axis.unit, "length")]


def size_in_words(axes: Sequence[Axis]) -> str:
    """Say how large pixels or voxels are, the last axis first.

    Parameters
    ----------
    axes
        One or more; z, y and x for a voxel.

    Returns
    -------
    str
        Such as "0.2 µm" or "0.2 × 0.2 × 0.7 µm".
    """
    units = [find_unit(axis.unit, "length") for axis in axes[::-1]]
    sizes = [f"{axis.spacing:.3g}" for axis in axes[::-1]]
    names = [unit.ome if unit else "px" for unit in units]
    if len(set(names)) > 1:
        return _TIMES.join(map(_SPACE.join, zip(sizes, names, strict=True)))
    shown = sizes[:1] if len(axes) == 2 and len(set(sizes)) == 1 else sizes
    return f"{_TIMES.join(shown)}{_SPACE}{names[0]}"


def voxel_in_words(stack: Stack, factor: int, settings: UpscaleSettings) -> str:
    """Say how large a voxel is before and after; or what z would do where it is off.

    It loads torch, and is to be called in a thread.

    Parameters
    ----------
    stack
        The recording.
    factor
        Of the model, in the plane.
    settings
        What is asked for.
    """
    from napari_sr.upscaling.plan import planes_along_z

    names = [axis.name for axis in stack.axes[:-2]]
    if not names:
        return ""
    place = names.index("z") if "z" in names else len(names) - 1
    asked = settings.z is not None
    wanted = settings if asked else settings.model_copy(update={"z": "isotropic"})
    try:
        ratio = planes_along_z(stack, factor, wanted)
    except StackError as error:
        return str(error) if asked else ""
    before = [stack.axes[place], *stack.axes[-2:]]
    if not asked:
        return (
            f"If only the plane becomes finer, voxels of {size_in_words(before)} "
            f"become {ratio:.3g} times as long as wide."
            if ratio > _NOT_AT_ALL
            else ""
        )
    fine = settings.factor or factor
    after = [
        axis.upscaled(by) for axis, by in zip(before, (ratio, fine, fine), strict=True)
    ]
    return f"{size_in_words(before)} → {size_in_words(after)}"

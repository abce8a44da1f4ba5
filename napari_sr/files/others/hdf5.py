"""Images in HDF5 and NeXus files to stacks.

This module alone knows which of the arrays of such a file is the image: the one that
its path names, the one that NeXus marks, or the only one there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_sr.files.arrays import stack_of
from napari_sr.files.formats import within_file
from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sr.files.channel import Pick
    from napari_sr.image.stack import Stack

_LETTERS = "vwutzyx"


def open_file(path: Path, channel: Pick | None) -> Stack:
    """Open an array of an HDF5 file, see `files.open_stack`.

    Parameters
    ----------
    path
        The file, or `file.h5/entry/data` for what is called so in it.
    channel
        Which channel, where an axis is marked as such.
    """
    location, name = within_file(path)
    try:
        file = h5py.File(location, "r")
    except OSError as error:
        reason = " ".join(str(error).split())
        raise StackError(
            f"{location} is not a readable HDF5 file ({reason}); copy it again from "
            "its source."
        ) from error
    try:
        array = _find_array(name, location, file)
        return stack_of(path, array, _axes_of(array), channel, close=file.close)
    except StackError:
        file.close()
        raise
    except Exception as error:  # a damaged file can raise anything
        file.close()
        raise StackError(
            f"{path} is damaged and cannot be read as HDF5 ({error}); copy it again "
            "from its source."
        ) from error


def _find_array(name: str, location: Path, file: h5py.File) -> h5py.Dataset:
    """Find the image that is meant, or list those there are."""
    if name:
        named = file.get(name)
        if isinstance(named, h5py.Group):
            named = _marked_in(named)
        if isinstance(named, h5py.Dataset):
            return named
        raise StackError(f"{location} holds no array called {name}.{_examples(file)}")
    marked = _marked_in(file)
    if marked is not None:
        return marked
    images = _images_in(file)
    if len(images) == 1:
        return images[0]
    held = f"{len(images)} arrays" if images else "no array"
    raise StackError(
        f"{location} holds {held} that can be an image.{_examples(file, location)}"
    )


def _examples(file: h5py.File, location: Path | None = None) -> str:
    """Tell what may be named, as it would be."""
    names = [f"{location or ''}{array.name}" for array in _images_in(file)[:4]]
    return f" Name one, such as {', '.join(names)}." if names else ""


def _images_in(file: h5py.File) -> list[h5py.Dataset]:
    """List the arrays of numbers of two dimensions or more, links left out."""
    images: list[h5py.Dataset] = []

    def look(_name: str, member: object) -> None:
        if (
            isinstance(member, h5py.Dataset)
            and member.dtype.kind in "iuf"
            and sum(length > 1 for length in member.shape) >= 2
        ):
            images.append(member)

    file.visititems(look)
    return images


def _marked_in(group: h5py.Group) -> h5py.Dataset | None:
    """Follow what NeXus says is to be shown: default, default, signal."""
    seen = 0
    while isinstance(group, h5py.Group) and seen < 10:
        signal = group.get(_text(group.attrs.get("signal")) or "")
        if isinstance(signal, h5py.Dataset):
            return signal
        group = group.get(_text(group.attrs.get("default")) or "")
        seen += 1
    return None


def _axes_of(array: h5py.Dataset) -> list[Axis]:
    """Read names, spacings and units, from whoever wrote them."""
    names = list(_LETTERS[-array.ndim :])
    axes = [Axis(name) for name in names]
    sizes = np.atleast_1d(array.attrs.get("element_size_um", ()))  # of z, y, x
    for place, size in zip(range(-1, -1 - len(sizes), -1), sizes[::-1], strict=True):
        if -place <= len(axes) and size > 0:
            axes[place] = Axis(names[place], float(size), "um")
    listed = np.atleast_1d(array.parent.attrs.get("axes", ()))
    if len(listed) == array.ndim:  # NeXus: an array of places for each axis
        for place, entry in enumerate(listed):
            axes[place] = _nexus_axis(array, _text(entry), axes[place], place)
    return axes


def _nexus_axis(array: h5py.Dataset, name: str, otherwise: Axis, place: int) -> Axis:
    places = array.parent.get(name) if name else None
    letter = name if len(name) == 1 and name in "tzyx" else otherwise.name
    if place >= array.ndim - 2 or letter in "yx":
        letter = otherwise.name
    if not isinstance(places, h5py.Dataset) or places.ndim != 1 or len(places) < 2:
        return Axis(letter, otherwise.spacing, otherwise.unit)
    ends = np.asarray(places[:: len(places) - 1], dtype=float)
    step = abs(float(ends[-1] - ends[0])) / (len(places) - 1)
    unit = _text(places.attrs.get("units"))
    is_usable = bool(np.isfinite(step) and step > 0 and np.isfinite(ends[0]))
    return Axis(letter, step, unit, float(ends[0])) if is_usable else otherwise


def _text(value: Any) -> str:  # noqa: ANN401 - attributes may be anything
    """Read a text of an attribute; empty where it is none."""
    if isinstance(value, bytes | np.bytes_):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else ""

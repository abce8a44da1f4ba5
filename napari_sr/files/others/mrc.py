"""MRC files of electron microscopes to stacks.

This module alone knows how MRC says how large a voxel is: the cell, in ångström.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import mrcfile

from napari_sr.files.arrays import stack_of
from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sr.files.channel import Pick
    from napari_sr.image.stack import Stack


def open_file(path: Path, channel: Pick | None) -> Stack:
    """Open an MRC file, mapped into memory; see `files.open_stack`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what is wrong with it is said once, by us
            file: Any = mrcfile.mmap(path, mode="r")
    except Exception as error:
        reason = " ".join(str(error).split())
        raise StackError(
            f"{path} is not a readable MRC file ({reason}); copy it again from its "
            "source."
        ) from error
    size, array = file.voxel_size, file.data
    names = "zyx" if file.is_volume() else "pyx"
    if file.is_volume_stack():
        names = "tzyx"
    # A cell of nothing says that the size is not known; slices of images have none.
    axes = [
        Axis(name, float(size[name]), "angstrom")
        if name in "zyx" and float(size[name]) > 0
        else Axis(name)
        for name in names[-array.ndim :]
    ]
    return stack_of(path, array, axes, channel, close=file.close)

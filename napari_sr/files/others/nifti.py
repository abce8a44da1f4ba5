"""NIfTI files to stacks.

This module alone knows that NIfTI counts its axes from x on, and what its units are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from nibabel.imageglobals import logger

from napari_sr.files.arrays import stack_of
from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.files.channel import Pick
    from napari_sr.image.stack import Stack

_NAMES = "xyztuvw"
_UNIT = {
    "mm": "mm",
    "micron": "um",
    "meter": "m",
    "sec": "s",
    "msec": "ms",
    "usec": "us",
}


def open_file(path: Path, channel: Pick | None) -> Stack:
    """Open a NIfTI file, planes after `scl_slope`; see `files.open_stack`."""
    was_quiet, logger.disabled = logger.disabled, True  # it says what it mends
    try:
        image: Any = nibabel.load(path)
        proxy, header = image.dataobj, image.header
        sizes = [float(size) for size in header.get_zooms()]
        length, time = header.get_xyzt_units()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise StackError(
            f"{path} is not a readable NIfTI file ({reason}); copy it again from its "
            "source."
        ) from error
    finally:
        logger.disabled = was_quiet
    axes = []
    for name, size in zip(_NAMES, sizes, strict=False):
        unit = _UNIT.get(length if name in "xyz" else time if name == "t" else "")
        axes.append(Axis(name, size if size > 0 else 1.0, unit if size > 0 else None))
    return stack_of(path, _Reversed(proxy), axes[::-1], channel)


class _Reversed:
    """The array with x last, of which parts are read."""

    def __init__(self, proxy: Any) -> None:  # noqa: ANN401 - without types
        self._proxy = proxy
        self.shape: tuple[int, ...] = tuple(proxy.shape[::-1])
        scaled = (proxy.slope, proxy.inter) != (1, 0)
        self.dtype = np.dtype("float64") if scaled else proxy.dtype.newbyteorder("=")

    def __getitem__(self, place: tuple[int | slice, ...]) -> NDArray:
        full = (*place, *[slice(None)] * (len(self.shape) - len(place)))
        part: NDArray = np.asarray(self._proxy[full[::-1]]).T
        return part.astype(self.dtype)

"""What the numbers of a TIFF stand for, and how they are meant to be shown.

This module alone knows lookup tables, labels, and the functions by which ImageJ turns
stored numbers into values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.files.formats import stem_of
from napari_sr.image.info import Channel, ImageInfo
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffPage

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE = 0, 1, 3
"""TIFF photometric; all others but these three are colour."""
_STRAIGHT_LINE = 0
"""Of the functions of ImageJ, the one that can be undone in every result."""
_FILE = re.compile(r"\.(tiff?|png|gif|jpe?g|bmp|lsm|czi|nd2|lif|oib|stk)\b", re.I)
"""What the name of an image file ends in."""


@dataclass(frozen=True, slots=True)
class Values:
    """A straight line from stored numbers to values."""

    slope: float
    intercept: float
    dtype: np.dtype
    """Of the values."""

    def of(self, stored: NDArray) -> NDArray:
        """Give the values of stored numbers."""
        values = stored.astype(np.float64) * self.slope + self.intercept
        return values.astype(self.dtype)


def read_values(tif: TiffFile, stored: np.dtype) -> Values | None:
    """Read what stored numbers stand for; None where they are the values.

    ImageJ keeps signed pixels (of a CT, say) as unsigned ones, with a function.

    Parameters
    ----------
    tif
        The file.
    stored
        Type of the stored numbers.
    """
    metadata = tif.imagej_metadata or {} if tif.is_imagej else {}
    if metadata.get("cf") != _STRAIGHT_LINE or stored.kind not in "iu":
        return None
    intercept, slope = float(metadata.get("c0", 0)), float(metadata.get("c1", 1))
    if (intercept, slope) == (0, 1) or slope == 0:
        return None
    ends = [slope * end + intercept for end in _limits(stored)]
    whole = slope.is_integer() and intercept.is_integer()
    lowest, highest = _limits(np.dtype("int16"))
    fits = whole and lowest <= min(ends) and max(ends) <= highest
    return Values(slope, intercept, np.dtype("int16" if fits else "float32"))


def read_shown(path: str, tif: TiffFile, page: TiffPage) -> ImageInfo:
    """Read how pixels are meant to be shown; refuse anything but gray values.

    Parameters
    ----------
    path
        The file, as errors call it.
    tif, page
        The file, and its first page.

    Raises
    ------
    StackError
        If the pixels are colours, or of a type that cannot be read.
    """
    photometric = int(page.photometric)
    tables: Sequence[NDArray] = []
    if tif.is_imagej:
        tables = (tif.imagej_metadata or {}).get("LUTs") or []
    if photometric == _PALETTE:
        table = np.asarray(page.colormap)
        if not (tif.is_imagej or _is_ramp(table)):
            raise StackError(
                f"{path} has palette colours, not a ramp of one colour; choose a gray "
                "lookup table in the program that wrote it and save it again."
            )
        tables = tables or [table]
    elif (
        photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) or page.samplesperpixel > 1
    ):
        raise StackError(
            f"{path} is a colour (RGB) image with {page.samplesperpixel} samples per "
            "pixel; save one channel of it as a gray image."
        )
    if page.dtype is None:
        raise StackError(
            f"{path} holds pixels of {page.bitspersample} bits that cannot be read; "
            "convert it to uint16 or float32."
        )
    colours, names = [_colour_of(table) for table in tables], _names(tif, path)
    return ImageInfo(
        channels=tuple(
            Channel(name, colour)
            for name, colour in zip_longest(names, colours, fillvalue="")
        ),
        is_inverted=photometric == _WHITE_IS_ZERO or any(map(_is_falling, tables)),
        values=_function(tif),
    )


def _names(tif: TiffFile, path: str) -> list[str]:
    """Read what channels are called: the label of ImageJ that all planes of one share.

    ImageJ labels planes, and by itself with the name of the file that they came from.
    """
    metadata = tif.imagej_metadata or {} if tif.is_imagej else {}
    n_channels = int(metadata.get("channels", 1))
    labels = [str(label).strip() for label in metadata.get("Labels") or ()]
    names = []
    for number in range(n_channels):
        shared = {label.partition("\n")[0] for label in labels[number::n_channels]}
        name = shared.pop() if len(shared) == 1 else ""
        is_of_file = _FILE.search(name) or name == stem_of(Path(path).name)
        names.append("" if is_of_file else name)
    return names if any(names) else []


def _function(tif: TiffFile) -> str:
    """Tell by which function ImageJ shows values that are kept as they are stored."""
    metadata = tif.imagej_metadata or {} if tif.is_imagej else {}
    if metadata.get("cf", _STRAIGHT_LINE) == _STRAIGHT_LINE:
        return ""
    terms = [f"c{i}={metadata[f'c{i}']}" for i in range(5) if f"c{i}" in metadata]
    unit = metadata.get("vunit")
    return f"ImageJ function cf={metadata['cf']} {' '.join(terms)} in {unit}"


def _is_ramp(table: NDArray) -> bool:
    """Tell a table that only rises or only falls: its indices are the counts."""
    steps = np.diff(table.astype(np.int64), axis=1)
    return bool(steps.any() and ((steps >= 0).all() or (steps <= 0).all()))


def _is_falling(table: NDArray) -> bool:
    """Tell a table that shows the lowest count as the brightest."""
    brightness = table.astype(np.float64).sum(axis=0)
    return bool(_is_ramp(table) and brightness[0] > brightness[-1])


def _colour_of(table: NDArray) -> str:
    """Give the colour of the brightest count; none for gray."""
    at = 0 if _is_falling(table) else -1
    top = table[:, at].astype(np.float64) / (257 if table.dtype.itemsize > 1 else 1)
    red, green, blue = (round(value) for value in top)
    return "" if red == green == blue else f"#{red:02x}{green:02x}{blue:02x}"


def _limits(dtype: np.dtype) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)

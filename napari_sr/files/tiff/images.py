"""TIFF files to stacks and back: plain, BigTIFF, ImageJ and OME.

This module alone knows how a TIFF's dimensions become the axes of a stack, and how
ours are compressed.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_sr.files.channel import pick_channel
from napari_sr.files.tiff.axes import read_imagej_axes, read_plain_axes
from napari_sr.files.tiff.ome_xml import OmeImage, read_ome_xml, write_ome_xml
from napari_sr.files.tiff.pages import TiffPages, choose_series
from napari_sr.files.writing import AtomicWriter
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack, StackError, check_pixels
from napari_sr.image.units import convert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# What is wrong with a file is said by us in a sentence, and not before that too. Who
# listens to logs still hears it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_GRAY = (0, 1)
"""TIFF photometric: 0 and 1 are gray; 2 is RGB, 3 a palette, others are colour too."""
_PALETTE = 3

_SPARE_LETTERS = "qpiuvwabdefghjklmnor"
"""For dimensions that a file names alike."""

_TILE = 256
_LARGEST_CLASSIC = 2**32 - 2**27
"""Bytes of pixels above which a file is a BigTIFF; headers take the rest of 4 GB."""

# Measured on upscaled X-ray and fluorescence planes: higher levels gain 1 to 2 % of the
# size at half to a quarter of the speed (100 MB/s); the predictor gains 4 to 25 % for
# integers and for floats, at no cost in writing.
_LEVELS = {"zlib": 1, "zstd": 1}


def open_file(path: Path, channel: int | None) -> Stack:
    """Open a TIFF; no pixels are read yet.

    Parameters
    ----------
    path
        The file. The other files of an OME-TIFF set are found beside it.
    channel
        Which channel, from 0; None where there is only one.

    Raises
    ------
    StackError
        If it is not a TIFF, not complete, or not gray pixels of a usable type.
    """
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:  # a damaged header can raise anything
        raise StackError(
            f"{path} is not a readable TIFF ({error}); check what program wrote it."
        ) from error
    try:
        return _read_stack(path, tif, channel)
    except StackError:
        tif.close()
        raise
    except Exception as error:
        tif.close()
        raise StackError(
            f"{path} is damaged and cannot be read as TIFF ({error}); copy it again "
            "from its source."
        ) from error


def create_file(
    path: Path,
    *,
    shape: Sequence[int],
    dtype: np.dtype,
    axes: Sequence[Axis],
    provenance: Mapping[str, object],
    compression: str,
    overwrite: bool,
) -> AtomicWriter:
    """Create an OME-TIFF that is filled plane by plane, see `files.create_stack`."""
    description = write_ome_xml(shape, dtype, axes, provenance)

    def open_sink(temporary: Path) -> TiffSink:
        return TiffSink(temporary, shape, dtype, axes, description, compression)

    return AtomicWriter(
        path,
        open_sink,
        shape=shape,
        dtype=dtype,
        overwrite=overwrite,
        may_replace=Path.is_file,
    )


class TiffSink:
    """An OME-TIFF that takes one page after the other.

    Parameters
    ----------
    path
        The file to make.
    shape
        Length of each axis, y and x last.
    dtype
        Type of the pixels.
    axes
        One per dimension; y and x also go into the resolution tags.
    description
        OME-XML of the whole file.
    compression
        "zlib", "zstd" or "none".
    """

    in_order = True

    def __init__(
        self,
        path: Path,
        shape: Sequence[int],
        dtype: np.dtype,
        axes: Sequence[Axis],
        description: str,
        compression: str,
    ) -> None:
        sides = list(shape[-2:])
        self._options: dict[str, Any] = _resolution(axes)
        if compression != "none":
            self._options |= {
                "compression": compression,
                "compressionargs": {"level": _LEVELS[compression]},
                "predictor": True,
            }
            if max(sides) > _TILE:
                self._options["tile"] = (_TILE, _TILE)
                sides = [-(-side // _TILE) * _TILE for side in sides]
        n_bytes = math.prod([*shape[:-2], *sides]) * dtype.itemsize
        self._writer = tifffile.TiffWriter(
            path, bigtiff=n_bytes > _LARGEST_CLASSIC, ome=False
        )
        self._description: bytes | None = description.encode()

    def put(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Write one page; the first one carries the description."""
        self._writer.write(
            plane,
            description=self._description,
            metadata=None,
            photometric="minisblack",
            software="napari-sr",
            **self._options,
        )
        self._description = None

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def _read_stack(path: Path, tif: tifffile.TiffFile, channel: int | None) -> Stack:
    """Make a stack of an open TIFF."""
    label = str(path)
    series = choose_series(label, tif)
    _refuse_colour(label, series[0].keyframe)
    names, lengths = _leading_axes(label, series)
    check_pixels(label, (*lengths, *series[0].keyframe.shape), series[0].dtype)
    pages = TiffPages(label, series)
    numbers = np.arange(len(pages)).reshape(lengths)  # page number of each plane
    n_channels = lengths[names.index("C")] if "C" in names else 1
    chosen = pick_channel(label, n_channels, channel)
    if "C" in names:
        numbers = np.take(numbers, [chosen], axis=names.index("C"))
        numbers = numbers.squeeze(names.index("C"))
        names = names.replace("C", "")
    described = _read_description(tif)
    axes: tuple[Axis, ...] = described.own_axes
    if math.prod(described.own_leading_shape) == len(pages) and axes:
        numbers = numbers.reshape(described.own_leading_shape)
    else:
        axes = tuple(
            described.axes.get(name, Axis(name)) for name in f"{_letters(names)}yx"
        )
    return Stack(
        lambda index: pages.read(int(numbers[index])),
        axes=axes,
        shape=(*numbers.shape, *series[0].keyframe.shape),
        dtype=series[0].dtype,
        name=path.name.removesuffix(path.suffix).removesuffix(".ome"),
        provenance=described.provenance,
        close=tif.close,
    )


def _refuse_colour(label: str, page: tifffile.TiffPage) -> None:
    """Refuse pages that are not one gray sample per pixel of a known type."""
    photometric = int(page.photometric)
    if photometric == _PALETTE:
        raise StackError(
            f"{label} has palette colours; choose a gray lookup table in the program "
            "that wrote it and save it again."
        )
    if photometric not in _GRAY or page.samplesperpixel > 1:
        raise StackError(
            f"{label} is a colour (RGB) image with {page.samplesperpixel} samples per "
            "pixel; save one channel of it as a gray image."
        )
    if page.dtype is None:
        raise StackError(
            f"{label} holds pixels of {page.bitspersample} bits that cannot be read; "
            "convert it to uint16 or float32."
        )


def _leading_axes(
    label: str, series: Sequence[tifffile.TiffPageSeries]
) -> tuple[str, tuple[int, ...]]:
    """Give letters and lengths of the axes before y and x that are longer than 1."""
    letters, lengths = series[0].get_axes(False), series[0].get_shape(False)
    kept = [
        (letter, length)
        for letter, length in zip(letters, lengths, strict=True)
        if length != 1 or letter in "YX"
    ]
    names = "".join(letter for letter, _ in kept)
    if not names.endswith("YX") or len(series[0].keyframe.shape) != 2:
        raise StackError(
            f"{label} has the axes {names}; expected pages with y and x axes."
        )
    leading = [length for _, length in kept[:-2]]
    names = names[:-2]
    if len(series) > 1:
        names, leading = f"I{names}", [len(series), *leading]
    return names, tuple(leading)


def _letters(names: str) -> str:
    """Give each leading axis a lower-case letter of its own."""
    letters = ""
    for name in names.lower():
        taken = f"{letters}cyx"
        spare = (letter for letter in _SPARE_LETTERS if letter not in taken)
        letters += name if name.isalpha() and name not in taken else next(spare)
    return letters


def _read_description(tif: tifffile.TiffFile) -> OmeImage:
    """Read where the pixels are, from the best description the file has."""
    page = tif.pages.first
    if tif.ome_metadata and tif.series[0].kind == "ome":
        return read_ome_xml(tif.ome_metadata)
    if tif.is_imagej:
        return OmeImage(read_imagej_axes(page, tif.imagej_metadata or {}))
    return OmeImage(read_plain_axes(page))


def _resolution(axes: Sequence[Axis]) -> dict[str, Any]:
    """Give the resolution tags, for programs that do not read OME-XML."""
    y, x = (convert(axis.spacing, axis.unit, "um") for axis in axes[-2:])
    if x is None or y is None or not all(1e-5 < spacing < 1e7 for spacing in (y, x)):
        return {}
    return {"resolution": (1e4 / x, 1e4 / y), "resolutionunit": "CENTIMETER"}

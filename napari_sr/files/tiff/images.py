"""TIFF files to stacks and back: plain, BigTIFF, ImageJ and OME.

This module alone knows how a TIFF's dimensions become the axes of a stack, and how
ours are compressed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_sr.files.channel import of_channel, pick_channel
from napari_sr.files.formats import stem_of, within_file
from napari_sr.files.tiff.axes import read_imagej_axes, read_plain_axes
from napari_sr.files.tiff.instruments import read_instrument_axes
from napari_sr.files.tiff.ome_xml import OmeImage, read_ome_xml, write_ome_xml
from napari_sr.files.tiff.pages import TiffPages, choose_series, whole_axes
from napari_sr.files.tiff.values import read_shown, read_values
from napari_sr.files.writing import AtomicWriter
from napari_sr.image.axis import Axis
from napari_sr.image.regions import pyramid_shapes
from napari_sr.image.sampling import halved
from napari_sr.image.stack import Stack, StackError, check_pixels
from napari_sr.image.units import convert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.files.channel import Pick
    from napari_sr.files.writing import Content
    from napari_sr.image.info import ImageInfo

_SPARE_LETTERS = "qpiuvwabdefghjklmnor"
"""For dimensions that a file names alike."""

_TILE = 256
_COARSE_ENOUGH = 1024
"""Side of the coarsest level, at most; what is no larger has one level."""
_LARGEST_CLASSIC = 2**32 - 2**27
"""Bytes of pixels above which a file is a BigTIFF; headers take the rest of 4 GB."""

# Measured on upscaled X-ray and fluorescence planes: higher levels gain 1 to 2 % of the
# size at half to a quarter of the speed (100 MB/s); the predictor gains 4 to 25 % for
# integers and for floats, at no cost in writing.
_LEVELS = {"zlib": 1, "zstd": 1}


def open_file(path: Path, channel: Pick | None) -> Stack:
    """Open a TIFF; no pixels are read yet.

    Parameters
    ----------
    path
        The file, or `file.tif/1` for one of its images. The other files of an OME-TIFF
        set are found beside it.
    channel
        Which channel, from 0; None where there is only one.

    Raises
    ------
    StackError
        If it is not a TIFF, not complete, or not gray pixels of a usable type.
    """
    location, name = within_file(path)
    try:
        tif = tifffile.TiffFile(location)
    except Exception as error:  # a damaged header can raise anything
        raise StackError(
            f"{path} is not a readable TIFF ({error}); check what program wrote it."
        ) from error
    try:
        return _read_stack(location, tif, channel, name)
    except StackError:
        tif.close()
        raise
    except Exception as error:
        tif.close()
        raise StackError(
            f"{path} is damaged and cannot be read as TIFF ({error}); copy it again "
            "from its source."
        ) from error


def create_file(path: Path, content: Content, *, overwrite: bool) -> AtomicWriter:
    """Create an OME-TIFF that is filled plane by plane, see `files.create_stack`."""
    description = write_ome_xml(content).encode()

    def open_sink(temporary: Path) -> TiffSink:
        return TiffSink(temporary, content, description)

    return AtomicWriter(
        path, open_sink, content, overwrite=overwrite, may_replace=Path.is_file
    )


class TiffSink:
    """An OME-TIFF that takes one page after the other.

    Parameters
    ----------
    path
        The file to make.
    content
        Of the file; the sizes of y and x also go into the resolution tags.
    description
        OME-XML of the whole file.
    """

    in_order = True

    def __init__(self, path: Path, content: Content, description: bytes) -> None:
        sides = list(content.shape[-2:])
        self._options: dict[str, Any] = _resolution(content.axes)
        is_inverted = content.info.is_inverted
        self._options["photometric"] = "miniswhite" if is_inverted else "minisblack"
        if content.compression != "none":
            self._options |= {
                "compression": content.compression,
                "compressionargs": {"level": _LEVELS[content.compression]},
                "predictor": True,
            }
            if max(sides) > _TILE:
                self._options["tile"] = (_TILE, _TILE)
                sides = [-(-side // _TILE) * _TILE for side in sides]
        levels = pyramid_shapes(content.shape[-2:], _COARSE_ENOUGH)
        self._n_coarser = len(levels) - 1
        n_pixels = math.prod([*content.leading_shape, *sides])
        if self._n_coarser:  # a quarter, a sixteenth, …
            n_pixels = n_pixels * 4 // 3
        self._writer = tifffile.TiffWriter(
            path,
            bigtiff=n_pixels * content.dtype.itemsize > _LARGEST_CLASSIC,
            ome=False,
        )
        self._description: bytes | None = description

    def put(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Write one page and its coarser levels; the first carries the description."""
        options = {"metadata": None, "software": "napari-sr", **self._options}
        self._writer.write(
            plane, description=self._description, subifds=self._n_coarser, **options
        )
        self._description = None
        del options["software"]
        for tag in ("resolution", "resolutionunit"):
            options.pop(tag, None)
        for _ in range(self._n_coarser):
            plane = halved(plane)
            self._writer.write(plane, subfiletype=1, **options)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def _read_stack(
    path: Path, tif: tifffile.TiffFile, channel: Pick | None, name: str
) -> Stack:
    """Make a stack of an open TIFF, or of the image in it that is named."""
    label = str(path)
    series = choose_series(label, tif, name)
    keyframe = series[0].keyframe
    described = _read_description(tif, series[0], read_shown(label, tif, keyframe))
    names, lengths = _leading_axes(label, series)
    pages = TiffPages(label, series)
    values = read_values(tif, series[0].dtype)
    dtype = series[0].dtype if values is None else values.dtype
    check_pixels(label, (*lengths, *keyframe.shape), dtype)
    numbers = np.arange(len(pages)).reshape(lengths)  # page number of each plane
    n_channels = lengths[names.index("C")] if "C" in names else 1
    chosen = pick_channel(label, n_channels, channel, described.info)
    if "C" in names:
        numbers = np.take(numbers, chosen, axis=names.index("C"))
        names = names.replace("C", "")
    axes: tuple[Axis, ...] = described.own_axes
    if axes and math.prod(described.own_leading_shape) == numbers.size:
        numbers = numbers.reshape(described.own_leading_shape)
    else:
        axes = tuple(
            described.axes.get(name, Axis(name)) for name in f"{_letters(names)}yx"
        )

    def read(index: tuple[int, ...]) -> NDArray:
        stored = pages.read(int(numbers[index]))
        return stored if values is None else values.of(stored)

    return Stack(
        read,
        axes=axes,
        shape=(*numbers.shape, *keyframe.shape),
        dtype=dtype,
        name="_".join(filter(None, (stem_of(path.name), name))),
        provenance=of_channel(described.provenance, chosen),
        info=described.info.of_channel(chosen) if n_channels > 1 else described.info,
        close=tif.close,
    )


def _leading_axes(
    label: str, series: Sequence[tifffile.TiffPageSeries]
) -> tuple[str, tuple[int, ...]]:
    """Give letters and lengths of the axes before y and x that are longer than 1."""
    letters, lengths = whole_axes(series[0])
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
    if len(series) > 1 and series[0].kind == "shaped":
        names, leading = f"I{names}", [len(series), *leading]
    elif len(series) > 1:
        names, leading = "I", [sum(len(part) for part in series)]
    return names, tuple(leading)


def _letters(names: str) -> str:
    """Give each leading axis a lower-case letter of its own."""
    letters = ""
    for name in names.lower():
        taken = f"{letters}cyx"
        spare = (letter for letter in _SPARE_LETTERS if letter not in taken)
        letters += name if name.isalpha() and name not in taken else next(spare)
    return letters


def _read_description(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, shown: ImageInfo
) -> OmeImage:
    """Read where the pixels are and what they show, from all descriptions there are."""
    page = series.keyframe
    if tif.ome_metadata and series.kind == "ome":
        described = read_ome_xml(tif.ome_metadata, tif.series.index(series))
    elif tif.is_imagej:
        described = OmeImage(read_imagej_axes(page, tif.imagej_metadata or {}))
    else:
        described = OmeImage({})
    axes = dict(described.axes)
    for calibrated in (read_instrument_axes(tif), read_plain_axes(page)):
        known = {name: axis for name, axis in axes.items() if axis.unit is not None}
        if not {"y", "x"} & known.keys():
            axes = {**axes, **calibrated, **known}
    info = replace(
        described.info,
        channels=described.info.channels or shown.channels,
        is_inverted=shown.is_inverted,
        values=described.info.values or shown.values,
    )
    return replace(described, axes=axes, info=info)


def _resolution(axes: Sequence[Axis]) -> dict[str, Any]:
    """Give the resolution tags, for programs that do not read OME-XML."""
    y, x = (convert(axis.spacing, axis.unit, "um") for axis in axes[-2:])
    if x is None or y is None or not all(1e-5 < spacing < 1e7 for spacing in (y, x)):
        return {}
    return {"resolution": (1e4 / x, 1e4 / y), "resolutionunit": "CENTIMETER"}

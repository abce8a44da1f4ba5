"""Paths to stacks and stacks to paths.

This package alone touches image files. `formats` knows which formats there are; what
reads them is imported when it is needed.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.files.channel import SeveralChannelsError, picks_of
from napari_sr.files.dicom.sniff import holds_dicom, is_dicom
from napari_sr.files.formats import (
    COMPRESSIONS,
    FORMATS,
    Format,
    expected_suffixes,
    find_format,
    has_readable_suffix,
    has_writable_suffix,
    holding_file,
    module_of,
    why_unreadable,
)
from napari_sr.files.stamp import unchanged
from napari_sr.files.url import Url, as_path, as_place
from napari_sr.files.writing import Content, StackWriter
from napari_sr.image.axis import check_axes
from napari_sr.image.info import NOTHING_SAID, ImageInfo
from napari_sr.image.stack import DTYPES, Stack, StackError, check_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike

    from napari_sr.files.channel import Pick
    from napari_sr.image.axis import Axis

__all__ = [
    "COMPRESSIONS",
    "FORMATS",
    "Format",
    "SeveralChannelsError",
    "StackWriter",
    "create_stack",
    "has_readable_suffix",
    "has_writable_suffix",
    "holds_dicom",
    "is_dicom",
    "open_channels",
    "open_stack",
]


_TIFF, _ZARR, _DICOM, *_OTHERS = FORMATS


def open_stack(
    source: str | PathLike[str] | Url | Sequence[str | PathLike[str]],
    *,
    channel: Pick | None = None,
) -> Stack:
    """Open an image file, or several as one stack; planes are read on demand.

    Parameters
    ----------
    source
        A TIFF (plain, BigTIFF, ImageJ, OME), the folder or URL of an OME-Zarr, a DICOM
        file or the folder of a DICOM series, or a file of another format in `FORMATS`;
        of an HDF5 file, `file.h5/entry/data` names what is inside. Or a sequence of
        files, all of one shape and dtype, which become one stack along a new leading
        axis, in the order given.
    channel
        Which channel to read, by number from 0 or by name; may be None where there is
        only one.

    Returns
    -------
    Stack
        A context manager; closing it closes the file.

    Raises
    ------
    SeveralChannelsError
        If there are several channels and none is chosen; it knows how many.
    StackError
        If the source is missing, damaged, cut off, or of an unsupported kind.
    """
    if not isinstance(source, (str, PathLike, Url)):
        from napari_sr.files.sequence import open_sequence

        try:
            paths = [Path(path) for path in source]
        except TypeError as error:
            raise StackError(
                f"A {type(source).__name__} was given; expected the path of a file, or "
                "paths. Join planes that are in memory with numpy.stack."
            ) from error
        return open_sequence(paths, channel, open_stack)
    place = source if isinstance(source, Url) else as_place(source)
    if isinstance(place, Url):
        return module_of(_ZARR).open_file(place, channel)
    known = _recognize(place)
    refuse_change = unchanged(holding_file(place) or place)
    return module_of(known).open_file(place, channel).checked_by(refuse_change)


def open_channels(
    source: str | PathLike[str] | Url | Sequence[str | PathLike[str]],
    channel: Pick | Sequence[Pick] | None = None,
) -> list[Stack]:
    """Open channels of an image, each as a stack of its own.

    Parameters
    ----------
    source
        As for `open_stack`.
    channel
        Which, by number from 0 or by name, in this order; all when not given.

    Raises
    ------
    StackError
        As `open_stack`, but for several channels.
    """
    picks = picks_of(channel)
    if picks is None:
        try:
            return [open_stack(source)]
        except SeveralChannelsError as several:
            picks = tuple(range(several.n_channels))
    stacks: list[Stack] = []
    try:
        for pick in picks:
            stacks.append(open_stack(source, channel=pick))
    except BaseException:
        for stack in stacks:
            stack.close()
        raise
    return stacks


def create_stack(
    path: str | PathLike[str],
    *,
    shape: Sequence[int],
    dtype: DTypeLike,
    axes: Sequence[Axis],
    provenance: Mapping[str, object],
    info: ImageInfo = NOTHING_SAID,
    compression: str | None = "zlib",
    overwrite: bool = False,
    made_from: Path | None = None,
) -> StackWriter:
    """Create an image file that is filled plane by plane.

    It grows under a hidden name and is put in its place by `commit`; until then, what
    was there stays. Use it as a context manager.

    Parameters
    ----------
    path
        Where to write; the suffix chooses the format. A missing folder is made.
    shape, dtype, axes
        As those of the stack to write, see `Stack`; of several channels, of each.
    info
        What else is said of the image. Where it has several channels, so has the file,
        and they are written one after the other.
    provenance
        How the pixels were made: anything JSON can hold. Kept in the file.
    compression
        "zlib", "zstd" or "none" (or None), all lossless. A DICOM is not compressed.
    overwrite
        Replace an existing image of the same format.
    made_from
        The DICOM file or series of which this is a result. A DICOM is written of
        nothing else: patient and study are read again there, and a series becomes a
        folder.

    Raises
    ------
    StackError
        If the place cannot be written, or the pixels or axes are not usable.
    """
    path, pixel, compression = as_path(path), np.dtype(dtype), compression or "none"
    known = find_format(path)
    if known is None or not known.is_written:
        expected = expected_suffixes(written=True)
        raise StackError(f"{path} cannot be written; expected {expected}.")
    if compression not in COMPRESSIONS:
        raise StackError(
            f"Compression {compression!r} is not known; use {', '.join(COMPRESSIONS)}."
        )
    if pixel not in DTYPES:
        known_types = ", ".join(map(str, DTYPES))
        raise StackError(f"{path} cannot hold {pixel} pixels; expected {known_types}.")
    check_pixels(str(path), shape, pixel)
    check_axes(str(path), axes, shape)
    content = Content(
        shape=tuple(int(n) for n in shape),
        dtype=pixel.newbyteorder("="),
        axes=tuple(axes),
        provenance=provenance,
        info=info,
        compression=compression,
    )
    source: dict[str, Any] = {"made_from": made_from} if known.needs_source else {}
    return module_of(known).create_file(path, content, overwrite=overwrite, **source)


def _recognize(path: Path) -> Format:
    """Find the format of what is at a path; refuse what cannot be an image."""
    if not path.exists():
        file = holding_file(path)
        if file is None:
            raise StackError(f"{path} does not exist; check the name.")
        return _recognize(file)
    return _of_folder(path) if path.is_dir() else _of_file(path)


def _of_folder(path: Path) -> Format:
    for known in FORMATS:
        if any((path / marker).exists() for marker in known.markers):
            return known
    if holds_dicom(path):
        return _DICOM
    raise StackError(
        f"{path} is a folder, but neither an OME-Zarr nor a DICOM series; give the "
        "image files in it."
    )


def _of_file(path: Path) -> Format:
    if not path.is_file():
        raise StackError(
            f"{path} is a pipe, a socket or a device, which is not read; give a file."
        )
    known = find_format(path) or (_DICOM if is_dicom(path) else None)
    if known is None:
        raise StackError(
            f"{path} cannot be read: it {why_unreadable(path)}. Expected is one of "
            f"{', '.join(known.name for known in FORMATS)}."
        )
    if known.markers:
        raise StackError(f"{path} is a file, but an image of {known.name} is a folder.")
    if path.stat().st_size == 0:
        raise StackError(f"{path} is an empty file; copy it again from its source.")
    return known

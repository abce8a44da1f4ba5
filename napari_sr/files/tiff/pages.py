"""Read the planes of a TIFF one by one, and only if they are really there.

This module alone knows the ways in which a TIFF can be incomplete. The library below
fills what a truncated file lacks with zeros, or shortens the stack; a measurement must
not be made up, so everything is checked when the file is opened.
"""

from __future__ import annotations

import math
import re
import struct
import threading
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from napari_sr.files.formats import pick_image
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

_DESCRIBING = {270, 282, 283, 296}
"""ImageDescription and the three resolution tags: without them the pixels have lost
their place in the world."""

_EXTRA = 4
"""A page this many times smaller than the image is a thumbnail, not a part of it."""

_MOST_PLANES = 10_000_000
"""Of one image; a set of files that large would take weeks to record."""
_PARTS = re.compile(r'\bFileName\s*=\s*["\']([^"\']+)["\']')
_COUNTS = re.compile(r'\b(SizeZ|SizeC|SizeT|PlaneCount)\s*=\s*["\'](\d{1,30})["\']')


class TiffPages:
    """The planes of a TIFF, in file order; each is read when it is asked for.

    Uncompressed planes that follow each other are read straight from their place;
    others are decoded page by page. May be used from any thread.

    Parameters
    ----------
    path
        The file, as errors call it.
    series
        What the file holds; every plane of every one counts.

    Raises
    ------
    StackError
        If a plane is not completely in the file.
    """

    def __init__(self, path: str, series: Sequence[TiffPageSeries]) -> None:
        self._path = path
        # That of the planes, which may be another one of a set; the working directory
        # may change.
        self._file = Path(series[0].keyframe.parent.filehandle.path).absolute()
        self._lock = threading.Lock()
        self._transform = series[0].transform
        keyframe = series[0].keyframe
        self._shape: tuple[int, ...] = keyframe.shape
        self._stored_dtype = series[0].dtype.newbyteorder(keyframe.parent.byteorder)
        self._sources = _locate_all(path, series)

    def __len__(self) -> int:
        """Give the number of planes."""
        return len(self._sources)

    def read(self, number: int) -> NDArray:
        """Read one plane, `(y, x)`.

        Raises
        ------
        StackError
            If it cannot be read or decoded.
        """
        source = self._sources[number]
        self._refuse_what_no_memory_holds()
        try:
            if isinstance(source, int):
                plane = self._read_raw(source)
            else:
                with self._lock:
                    plane = _read_page(source)
        except Exception as error:  # decoders raise anything
            raise StackError(
                f"{self._path} is damaged: plane {number} cannot be read "
                f"({str(error) or type(error).__name__}); "
                "copy it again from its source."
            ) from error
        return plane if self._transform is None else self._transform(plane)

    def _refuse_what_no_memory_holds(self) -> None:
        n_bytes = math.prod(self._shape) * self._stored_dtype.itemsize
        total = psutil.virtual_memory().total
        if n_bytes > total:
            raise StackError(
                f"{self._path} has planes of {' x '.join(map(str, self._shape))} px, "
                f"{n_bytes / 1e9:.3g} GB, and a plane of a TIFF is read in one; this "
                f"machine has {total / 1e9:.3g} GB of memory. Convert it to OME-Zarr."
            )

    def _read_raw(self, offset: int) -> NDArray:
        """Read an uncompressed plane from its place in the file."""
        count = math.prod(self._shape)
        plane = np.fromfile(
            self._file, dtype=self._stored_dtype, count=count, offset=offset
        )
        return plane.reshape(self._shape)  # raises where the file has become shorter


def check_headers(path: str, tif: TiffFile) -> None:
    """Refuse a file that lost its description, or whose list of pages breaks off.

    Raises
    ------
    StackError
        If the first page names a tag that cannot be read, or the last page that can be
        found says that another one follows.
    """
    first, last = tif.pages.first, tif.pages[len(tif.pages) - 1]
    codes, _ = _read_header(tif, first.offset)
    if codes & _DESCRIBING - {tag.code for tag in first.tags}:
        raise _incomplete(path, "its description is missing")
    if not last.offset:
        return  # a page without a header of its own
    _, following = _read_header(tif, last.offset)
    if following:
        raise _incomplete(path, f"page {len(tif.pages)} is missing")


def _read_header(tif: TiffFile, offset: int) -> tuple[set[int], int]:
    """Read which tags a page has, and where the next page is; 0 after the last one."""
    tiff, handle = tif.tiff, tif.filehandle
    handle.seek(offset)
    (n_tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    held = handle.read(n_tags * tiff.tagsize + tiff.offsetsize)
    starts = range(0, n_tags * tiff.tagsize, tiff.tagsize)
    codes = {struct.unpack_from(f"{tiff.byteorder}H", held, at)[0] for at in starts}
    (following,) = struct.unpack_from(tiff.offsetformat, held, n_tags * tiff.tagsize)
    return codes, following


def choose_series(path: str, tif: TiffFile, name: str = "") -> list[TiffPageSeries]:
    """Choose what to read of a file; thumbnails and smaller levels are left out.

    Parameters
    ----------
    path
        The file, as errors call it.
    tif
        The same, open.
    name
        Of one of several images, or its number from 0.

    Returns
    -------
    list
        One series, or several of the same shape that were written one after the other.

    Raises
    ------
    StackError
        If the file is incomplete, or holds several images that do not form a stack.
    """
    check_headers(path, tif)
    if tif.is_ome:
        _refuse_absurd_counts(path, tif.ome_metadata or "")
        _refuse_what_is_no_file(path, tif.ome_metadata or "")
    if not tif.series:
        raise StackError(f"{path} holds no image.")
    main = tif.series[0]
    declares = tif.is_imagej or tif.is_shaped or tif.is_ome
    part_of_a_set = tif.is_ome and "BinaryOnly" in (tif.ome_metadata or "")
    if main.kind == "generic" and declares and not part_of_a_set:
        raise _incomplete(path, "its pixels do not fit its description")
    images = [series for series in tif.series if _is_image(series, main)]
    _refuse_lost_pages(path, tif, images)
    if (
        tif.is_ome and len(images) > 1 and not name
    ):  # of several positions, that of this file
        images = [series for series in images if _lies_in(series, tif)] or images
    if not name and (len(images) == 1 or _are_one_stack(images)):
        return images
    names = [series.name or " x ".join(map(str, series.shape)) for series in images]
    return [images[pick_image(Path(path), name, names)]]


def _are_one_stack(images: Sequence[TiffPageSeries]) -> bool:
    """Tell series that were written one after the other, or differ in encoding only."""
    kinds = {image.kind for image in images}
    if kinds == {"shaped"}:
        return len({(image.shape, image.axes, image.dtype) for image in images}) == 1
    looks = {
        (image.keyframe.shape, image.dtype, image.keyframe.photometric)
        for image in images
    }
    return kinds <= {"generic", "uniform"} and len(looks) == 1


def _lies_in(series: TiffPageSeries, tif: TiffFile) -> bool:
    """Tell whether some plane of a series is in this very file of a set."""
    return any(page is not None and page.parent is tif for page in series.pages)


def _refuse_lost_pages(
    path: str, tif: TiffFile, images: Sequence[TiffPageSeries]
) -> None:
    """Refuse pages that a damaged header makes look like another kind of image.

    They would be left out of the middle of a stack.
    """
    apart = [image for image in tif.series if image not in images or len(images) > 1]
    if tif.is_ome or not apart:
        return
    for page in (page for image in apart for page in image.pages if page is not None):
        codes, _ = _read_header(tif, page.offset) if page.offset else (set(), 0)
        known = {tag.code for tag in page.aspage().tags}
        if codes - known or 0 in page.shape:
            raise _incomplete(path, f"the header of page {page.index} cannot be read")


def _refuse_absurd_counts(path: str, xml: str) -> None:
    """Refuse a description that claims more planes than any file has.

    The library below lists them before it looks for them.
    """
    largest = dict.fromkeys(("SizeZ", "SizeC", "SizeT", "PlaneCount"), 1)
    for name, n in _COUNTS.findall(xml):
        largest[name] = max(largest[name], int(n))
    n_listed = largest.pop("PlaneCount")
    most = max(n_listed, math.prod(largest.values()))
    if most > _MOST_PLANES:
        raise StackError(
            f"{path} claims to hold {most} planes; its description is damaged. Copy it "
            "again from its source."
        )


def _refuse_what_is_no_file(path: str, xml: str) -> None:
    """Refuse a set of which a part is a pipe: to open it is to wait for ever."""
    for quoted in _PARTS.findall(xml):
        part = Path(path).with_name(Path(unescape(quoted)).name)
        if part.exists() and not part.is_file():
            raise StackError(
                f"{path} names {part.name} as one of its files, which is a pipe, a "
                "socket or a device and is not read; put the file there."
            )


def _is_image(series: TiffPageSeries, main: TiffPageSeries) -> bool:
    """Say whether a series is an image of its own beside the main one."""
    page = series.keyframe
    return series is main or (
        not page.is_reduced and page.size * _EXTRA > main.keyframe.size
    )


def _locate_all(
    path: str, series: Sequence[TiffPageSeries]
) -> list[int | TiffPage | TiffFrame]:
    """Find every plane of one or several series, in the order of the file."""
    if len(series) == 1 or series[0].kind == "shaped":
        return [place for part in series for place in _locate(path, part)]
    pages = [page for part in series for page in part.pages if page is not None]
    pages.sort(key=lambda page: page.index)
    for number, page in enumerate(pages):
        _check_page(path, number, page)
    return [*pages]


def whole_axes(series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Give letters and lengths of all axes, those of length 1 included."""
    if hasattr(series, "get_axes"):  # tifffile before November 2026
        return series.get_axes(False), series.get_shape(False)
    return series.axes, series.shape


def _locate(path: str, series: TiffPageSeries) -> list[int | TiffPage | TiffFrame]:
    """Find every plane of a series: its offset in the file, or its page."""
    keyframe = series.keyframe
    n_planes = math.prod(whole_axes(series)[1]) // math.prod(keyframe.shape)
    offset = None if series.is_multifile else series.dataoffset
    if offset is not None:
        size = keyframe.parent.filehandle.size
        if offset + n_planes * keyframe.nbytes > size:
            raise _incomplete(path, f"it ends at byte {size}, inside the pixels")
        return [offset + i * keyframe.nbytes for i in range(n_planes)]
    pages = list(series)
    if len(pages) != n_planes or None in pages:
        there = len(pages) - pages.count(None)
        raise _incomplete(path, f"{n_planes} planes are declared and {there} are there")
    complete = [page for page in pages if page is not None]
    for number, page in enumerate(complete):
        _check_page(path, number, page)
    return [*complete]


def _check_page(path: str, number: int, page: TiffPage | TiffFrame) -> None:
    """Refuse a page of which a strip or tile is not in its file."""
    size = page.parent.filehandle.size
    offsets, counts = page.dataoffsets, page.databytecounts
    n_segments = math.prod(page.chunked)
    if page.is_contiguous:
        n_segments, counts = 1, (page.nbytes,)
    pairs = list(zip(offsets, counts, strict=False))[:n_segments]
    if len(pairs) < n_segments or not all(o > 0 and n > 0 for o, n in pairs):
        raise _incomplete(path, f"plane {number} lacks a part")
    if max(o + n for o, n in pairs) > size:
        raise _incomplete(path, f"it ends at byte {size}, inside plane {number}")


def _read_page(page: TiffPage | TiffFrame) -> NDArray:
    """Decode a page; the other files of a set are opened only as long as it takes."""
    handle = page.parent.filehandle
    if not handle.closed:
        return page.asarray()
    handle.open()
    try:
        return page.asarray()
    finally:
        handle.close()


def _incomplete(path: str, what: str) -> StackError:
    """Say that a file is cut off or damaged."""
    return StackError(
        f"{path} is cut off or damaged: {what}; copy it again from its source."
    )

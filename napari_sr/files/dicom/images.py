"""DICOM files and folders of a series to stacks, and results back to DICOM.

This module alone knows how stored values become counts and how frames become planes.
Counts are the values after rescale; what was not recorded (pixel padding) is a gap. A
stack holds no patient data. Results are computed, not measured, and not for diagnosis;
the files that are written say so.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.files.channel import pick_channel
from napari_sr.files.dicom.derived import Finer, FramesSink, SeriesSink, read_provenance
from napari_sr.files.dicom.header import (
    DicomImage,
    holds_image,
    read_image,
    read_stored,
)
from napari_sr.files.dicom.series import place_of, read_series, step_of
from napari_sr.files.dicom.sniff import is_dicom
from napari_sr.files.stamp import unchanged
from napari_sr.files.writing import AtomicWriter
from napari_sr.image.axis import Axis, is_even
from napari_sr.image.info import ImageInfo
from napari_sr.image.stack import Stack, StackError, check_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.files.channel import Pick
    from napari_sr.files.writing import Content, Sink

_INTEGERS = ("uint8", "uint16", "int16")


def open_file(path: Path, channel: Pick | None) -> Stack:
    """Open a DICOM file or the folder of a series; no pixels are read yet.

    Parameters
    ----------
    path
        A file of one or several frames, or a folder whose DICOM files are the slices
        of one series.
    channel
        None or 0: there is only one.

    Raises
    ------
    StackError
        If it cannot be used, in one sentence without a word of the header.
    """
    images = _images_at(path)
    pick_channel(str(path), 1, channel)
    dtype = _choose_dtype(images)
    frames = [(image, i) for image in images for i in range(image.n_frames)]
    leading = _leading_axis(images)
    shape: tuple[int, ...] = images[0].plane_shape
    if leading is not None:
        shape = (len(frames), *shape)
    check_pixels(str(path), shape, dtype)
    _, y, x = place_of(images[0])
    spacing = images[0].spacing
    unit = None if spacing is None else "mm"
    rows, columns = spacing or (1.0, 1.0)
    axes = (Axis("y", rows, unit, y), Axis("x", columns, unit, x))
    checks = {image.path: unchanged(image.path) for image in images}

    def read(index: tuple[int, ...]) -> NDArray:
        image, frame = frames[index[0] if index else 0]
        counts = _counts(image, frame, dtype)
        checks[image.path]()
        return counts

    return Stack(
        read,
        axes=axes if leading is None else (leading, *axes),
        shape=shape,
        dtype=dtype,
        name=path.name if path.is_dir() else path.stem,
        provenance=read_provenance(images[0].path),
        info=ImageInfo(
            is_inverted=images[0].is_inverted,
            is_uneven_along_z=not is_even(_places(images)),
        ),
    )


def create_file(
    path: Path, content: Content, *, overwrite: bool, made_from: Path | None
) -> AtomicWriter:
    """Create a derived image that is filled plane by plane, see `files.create_stack`.

    Of a file of one or several frames it is a file, of a series a folder of files.
    It is not compressed. Its place follows from its source, not from the axes.
    """
    if made_from is None or not (made_from.is_dir() or is_dicom(made_from)):
        raise StackError(
            f"{path} cannot be written: a DICOM file can be written only from one "
            "DICOM file or series, which holds the patient data. Choose .ome.tif."
        )
    images = _images_at(made_from)
    finer = _finer(path, images, content)
    is_series = len(images) > 1

    def open_sink(temporary: Path) -> Sink:
        if is_series:
            return SeriesSink(temporary, images, finer, content)
        return FramesSink(temporary, images[0], finer, content.provenance)

    return AtomicWriter(
        path,
        open_sink,
        content,
        overwrite=overwrite,
        may_replace=_is_series if is_series else Path.is_file,
    )


def _images_at(path: Path) -> list[DicomImage]:
    """Read the headers at a path, in the order of their planes."""
    if not path.is_dir():
        return [read_image(path)]
    files = sorted(file for file in path.iterdir() if file.is_file() and is_dicom(file))
    files = [file for file in files if holds_image(file)]
    if not files:
        raise StackError(f"{path} holds no DICOM image; give the folder of a series.")
    return read_series(str(path), files)


def _is_series(path: Path) -> bool:
    """Say whether a folder holds DICOM files and nothing else."""
    return path.is_dir() and all(map(is_dicom, path.iterdir()))


def _choose_dtype(images: Sequence[DicomImage]) -> np.dtype:
    """Choose integers where all values after rescale are some, and fit."""
    slopes = {slope for image in images for slope in image.slopes}
    intercepts = {intercept for image in images for intercept in image.intercepts}
    (first, *_) = images
    is_whole = all(intercept.is_integer() for intercept in slopes | intercepts)
    if first.padding is None and is_whole and len(slopes) == len(intercepts) == 1:
        ends = [min(slopes) * end for end in first.stored_limits]
        lowest, highest = (fit(ends) + min(intercepts) for fit in (min, max))
        for name in _INTEGERS:
            limits = np.iinfo(name)
            if limits.min <= lowest and highest <= limits.max:
                return np.dtype(name)
    return np.dtype("float32")


def _counts(image: DicomImage, frame: int, dtype: np.dtype) -> NDArray:
    """Read a frame as counts: rescaled, with NaN where nothing was recorded."""
    stored = read_stored(image, frame)
    counts = stored * image.slopes[frame] + image.intercepts[frame]  # float64
    if image.padding is not None:
        lowest, highest = image.padding
        counts[(stored >= lowest) & (stored <= highest)] = np.nan
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        if counts.min() < limits.min or counts.max() > limits.max:
            raise StackError(
                f"{image.path} holds values beyond the {image.bits_stored} bits that "
                "its header states; check what program wrote it."
            )
    return counts.astype(dtype)


def _leading_axis(images: Sequence[DicomImage]) -> Axis | None:
    """Find what the planes of a stack are apart in; None for one plane."""
    first = images[0]
    if len(images) == first.n_frames == 1:
        return None
    places = _places(images)
    for sense in (1, -1):  # frames may run either way along the normal
        along = [sense * place for place in places]
        if (step := step_of(along)) is not None:
            return Axis("z", step, "mm", along[0])
    if first.slice_spacing:
        return Axis("z", first.slice_spacing, "mm")
    if first.frame_time:
        return Axis("t", first.frame_time, "ms")
    return Axis("p")


def _places(images: Sequence[DicomImage]) -> list[float]:
    """Give where the planes lie along their normal, in mm; 0 where that is unknown."""
    return [place_of(image, i)[0] for image in images for i in range(image.n_frames)]


def _finer(path: Path, images: Sequence[DicomImage], content: Content) -> Finer:
    """Find by how much a result is finer than its source."""
    *leading, height, width = content.shape
    rows, columns = images[0].plane_shape
    n_planes = sum(image.n_frames for image in images)
    factor, between = height // rows, _leading_axis(images)
    expected, z = [] if between is None else [n_planes], 1.0
    if between is not None and leading and leading != expected:
        z = between.spacing / content.axes[0].spacing
        expected = [ceil(n_planes * z - 1e-9)]
    if factor < 1 or (height, width) != (rows * factor, columns * factor):
        expected = [-1]
    if leading != expected:
        raise StackError(
            f"{path} cannot be written: {' x '.join(map(str, content.shape))} pixels "
            f"are not a result of {n_planes} x {rows} x {columns} recorded ones."
        )
    if z != 1 and len(images) == 1:
        raise StackError(
            f"{path} cannot be finer along z: {images[0].path.name} has its frames in "
            "one file, whose table of frames would have to be rewritten. Choose "
            ".ome.tif or .ome.zarr, or split it into a series."
        )
    return Finer(factor, z)

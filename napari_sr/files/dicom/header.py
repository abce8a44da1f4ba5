"""What the header of a DICOM image says about its pixels, and where they are.

This module alone reads DICOM headers, classic and enhanced (multi-frame functional
groups). Patient data are never kept: a header is read, looked at and forgotten, and
nothing of its words goes into an error, a warning or a log.
"""

from __future__ import annotations

import logging
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
"""Distance between rows and columns in mm; the first that is there counts."""
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_PIXELS = 0x7FE00010
_DEFER = 2**16
"""Bytes from which an element stays on the disk."""
_ROUNDING = 1e-4
"""By which pixel sizes (as a share) and directions differ in headers that agree."""
_UNDEFINED = 0xFFFFFFFF
"""Length of what is compressed."""

_lock = RLock()

Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DicomImage:
    """One file: single-channel frames of stored values, and what these mean."""

    path: Path
    plane_shape: tuple[int, int]
    n_frames: int
    bits_stored: int
    is_signed: bool
    is_inverted: bool
    """Whether the lowest value is meant to be shown white (MONOCHROME1)."""
    slopes: Vector
    """Of each frame: value = slope x stored + intercept."""
    intercepts: Vector
    padding: tuple[int, int] | None
    """Stored values from and to which a pixel was not recorded."""
    spacing: tuple[float, float] | None
    """Between rows and between columns, in mm."""
    slice_spacing: float | None
    """Between frames or slices, in mm, as the header has it."""
    frame_time: float | None
    """Between frames, in ms."""
    orientation: Vector | None
    """Directions along a row and along a column, in the patient's coordinates."""
    positions: tuple[Vector | None, ...]
    """Centre of the first pixel of each frame, in mm."""
    series: str
    """By which images of one series know each other."""
    instance: int | None
    """Number within the series."""

    @property
    def stored_limits(self) -> tuple[int, int]:
        """Lowest and highest value that its bits can hold."""
        if self.is_signed:
            return -(2 ** (self.bits_stored - 1)), 2 ** (self.bits_stored - 1) - 1
        return 0, 2**self.bits_stored - 1


@contextmanager
def quietly() -> Iterator[None]:
    """Let pydicom say nothing: its warnings and logs quote values of headers."""
    logger = logging.getLogger("pydicom")
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = before


def read_image(path: Path) -> DicomImage:
    """Read what is needed to use the pixels of a file; they stay on the disk.

    Raises
    ------
    StackError
        If it is not a DICOM image, is cut off, or its pixels are of no usable kind.
    """
    with quietly():
        header = _read_header(path)
        try:
            _refuse_unusable(path, header)
            image = _looked_at(path, header)
            _refuse_cut_off(path, header, image)
        except StackError:
            raise
        except Exception as error:  # a value of any kind can be anywhere
            raise StackError(
                f"{path} has a header that contradicts DICOM "
                f"({type(error).__name__}); check what program wrote it."
            ) from None  # what was raised quotes the header
    return image


def read_stored(image: DicomImage, frame: int) -> NDArray:
    """Decode one frame.

    Returns
    -------
    ndarray
        `(y, x)` stored values, signed or unsigned, of 8 or 16 bits.

    Raises
    ------
    StackError
        If it is damaged, or compressed in a way that no installed decoder knows.
    """
    with quietly():
        try:
            source: Any = image.path
            with read_dataset(image.path, stop_before_pixels=True) as header:
                syntax = header.file_meta.TransferSyntaxUID
            # Must be unpacked as a whole; a bare data set does not say what it is.
            if syntax == DeflatedExplicitVRLittleEndian or header.preamble is None:
                source = read_dataset(image.path)
            stored: NDArray = pixel_array(
                source, index=frame if image.n_frames > 1 else None
            )
        except Exception as error:  # decoders raise anything
            raise StackError(
                f"{image.path} has pixels that cannot be decoded "
                f"({type(error).__name__}); if the file opens elsewhere, convert it "
                "there to an uncompressed DICOM."
            ) from None
    if stored.shape != image.plane_shape:
        raise StackError(
            f"{image.path} holds a frame of {stored.shape} pixels; its header says "
            f"{image.plane_shape}. Copy it again from its source."
        )
    return stored


def groups_of(header: Dataset, frame: int) -> Iterator[Dataset]:
    """Iterate over the places where an attribute of a frame may stand, nearest first.

    Parameters
    ----------
    header
        Of the file.
    frame
        Its number, from 0.

    Yields
    ------
    Dataset
        The macros of the frame, those shared by all frames, the header itself.
    """
    own = header.get(PER_FRAME) or []
    for group in [*own[frame : frame + 1], *(header.get(SHARED) or [])[:1]]:
        for element in group:
            if element.VR == "SQ" and element.value:
                yield element.value[0]
    yield header


def value_of(header: Dataset, frame: int, *keywords: str) -> Any:  # noqa: ANN401
    """Give the first attribute of a frame that is there and not empty, or None."""
    for keyword in keywords:
        for group in groups_of(header, frame):
            value = group.get(keyword)
            if value is not None and value != "":
                return value
    return None


def read_dataset(path: Path, **options: Any) -> Dataset:  # noqa: ANN401
    """Read a file; one without the preamble of DICOM gets a default encoding.

    Parameters
    ----------
    path
        The file. Only the suffix of the format lets a bare data set be read.
    **options
        Of `pydicom.dcmread`.
    """
    try:
        header = dcmread(path, **options)
    except InvalidDicomError:
        header = dcmread(path, force=True, **options)
        if "Rows" not in header and "SOPClassUID" not in header:
            raise
    if header.preamble is not None or header.file_meta.get("TransferSyntaxUID"):
        return header
    is_implicit, is_little_endian = header.original_encoding
    syntax = ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian if is_implicit else syntax
    )
    return header


def holds_image(path: Path) -> bool:
    """Tell an image from a report, or what else is beside the slices of a series.

    An image whose pixels are missing is one: who reads it says so.
    """
    with quietly():
        try:
            header = read_dataset(path, defer_size=_DEFER)
        except Exception:  # who reads it says what is wrong
            return True
        kind = getattr(header.get("SOPClassUID"), "name", "Image")
        return _PIXELS in header or "Image" in kind


def _read_header(path: Path) -> Dataset:
    try:
        header = read_dataset(path, defer_size=_DEFER)
    except OSError as error:
        raise StackError(
            f"{path} cannot be read ({error.strerror or error}); check its permissions."
        ) from error
    except Exception as error:
        raise StackError(
            f"{path} is not a readable DICOM file ({type(error).__name__}); check what "
            "program wrote it."
        ) from None
    if _PIXELS not in header or "PhotometricInterpretation" not in header:
        raise StackError(
            f"{path} is DICOM, but holds no image of integers; give the image files."
        )
    return header


def _refuse_unusable(path: Path, header: Dataset) -> None:
    """Refuse pixels that are not one gray value of 8 to 16 bits."""
    kind = str(header.PhotometricInterpretation)
    if kind not in ("MONOCHROME1", "MONOCHROME2") or header.SamplesPerPixel != 1:
        raise StackError(
            f"{path} is a colour image; expected one gray channel (MONOCHROME). Save "
            "one channel of it as a gray image."
        )
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    if not 8 <= stored <= allocated <= 16 or allocated not in (8, 16):
        raise StackError(
            f"{path} stores {stored} of {allocated} bits per pixel; expected 8 to 16. "
            "Convert it to 16 bits."
        )
    if int(header.HighBit) != stored - 1:
        raise StackError(
            f"{path} keeps its values in the upper bits (high bit "
            f"{int(header.HighBit)} of {stored}); convert it to a current DICOM "
            "format."
        )
    if header.get("ModalityLUTSequence"):
        raise StackError(
            f"{path} maps its stored values by a table (Modality LUT), which cannot "
            "be inverted for a result; export it with rescale slope and intercept."
        )
    if not header.file_meta.get("TransferSyntaxUID"):
        raise StackError(
            f"{path} does not say how it is encoded (no transfer syntax); save it "
            "again with the program that wrote it."
        )


def _looked_at(path: Path, header: Dataset) -> DicomImage:
    n_frames = int(header.get("NumberOfFrames") or 1)
    if not 1 <= n_frames <= max(1, path.stat().st_size):  # a byte each, at the least
        raise StackError(
            f"{path} claims to hold {n_frames} frames, which its size does not allow. "
            "Copy it again from its source."
        )
    frames = range(n_frames)
    slopes = tuple(float(value_of(header, i, "RescaleSlope") or 1) for i in frames)
    intercepts = tuple(
        float(value_of(header, i, "RescaleIntercept") or 0) for i in frames
    )
    if not all(map(math.isfinite, (*slopes, *intercepts))):
        raise StackError(
            f"{path} has a rescale that is not a number; correct its header."
        )
    spacings = [_numbers(value_of(header, i, *SPACINGS), 2) for i in frames]
    orientations = [
        _numbers(value_of(header, i, "ImageOrientationPatient"), 6) for i in frames
    ]
    if not (
        all(is_alike(value, spacings[0]) for value in spacings)
        and all(is_alike(value, orientations[0]) for value in orientations)
    ):
        raise StackError(
            f"{path} has frames of several pixel sizes or orientations; split it."
        )
    spacing, orientation = spacings[0], orientations[0]
    if spacing is not None and min(spacing) <= 0:
        spacing = None  # of what was captured from a screen, say
    slice_spacing = value_of(header, 0, "SpacingBetweenSlices")
    frame_time, instance = header.get("FrameTime"), header.get("InstanceNumber")
    return DicomImage(
        path=path,
        plane_shape=(int(header.Rows), int(header.Columns)),
        n_frames=n_frames,
        bits_stored=int(header.BitsStored),
        is_signed=bool(header.PixelRepresentation),
        is_inverted=header.PhotometricInterpretation == "MONOCHROME1",
        slopes=slopes,
        intercepts=intercepts,
        padding=_padding(header),
        spacing=None if spacing is None else (spacing[0], spacing[1]),
        slice_spacing=None if slice_spacing is None else abs(float(slice_spacing)),
        frame_time=None if frame_time is None else float(frame_time),
        orientation=_unit_vectors(orientation),
        positions=tuple(
            _numbers(value_of(header, i, "ImagePositionPatient"), 3) for i in frames
        ),
        series=str(header.get("SeriesInstanceUID", "")),
        instance=None if instance is None else int(instance),
    )


def is_alike(first: Vector | None, other: Vector | None) -> bool:
    """Tell numbers that differ by no more than the rounding of headers."""
    if first is None or other is None:
        return first is other
    return bool(np.allclose(first, other, rtol=_ROUNDING, atol=_ROUNDING))


def _numbers(value: Any, n: int) -> Vector | None:  # noqa: ANN401
    """Give a value of several numbers, if there is one."""
    if value is None:
        return None
    numbers = tuple(map(float, value))
    if len(numbers) != n or not all(map(math.isfinite, numbers)):
        raise ValueError(f"expected {n} numbers")
    return numbers


def _unit_vectors(orientation: Vector | None) -> Vector | None:
    """Make both directions of length 1: headers round them."""
    if orientation is None:
        return None
    pair = np.reshape(orientation, (2, 3))
    lengths = np.linalg.norm(pair, axis=1, keepdims=True)
    if np.any(lengths < 0.5):
        raise ValueError("expected directions")
    return tuple((pair / lengths).ravel().tolist())


def _padding(header: Dataset) -> tuple[int, int] | None:
    """Give the range of stored values that stand for "not recorded"."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = [int(value), int(value if limit is None else limit)]
    if header.PixelRepresentation:  # some programs write −2000 as 63536
        size = int(header.BitsAllocated)
        ends = [end - 2**size if end >= 2 ** (size - 1) else end for end in ends]
    return min(ends), max(ends)


def _refuse_cut_off(path: Path, header: Dataset, image: DicomImage) -> None:
    """Refuse uncompressed pixels that are not all there."""
    syntax = header.file_meta.TransferSyntaxUID
    pixels: Any = header.get_item(_PIXELS, keep_deferred=True)
    if syntax.is_encapsulated or pixels.length == _UNDEFINED:
        return
    expected = math.prod(image.plane_shape) * image.n_frames
    expected *= int(header.BitsAllocated) // 8
    held = pixels.length
    if pixels.value is not None:
        held = len(pixels.value)
    elif not syntax.is_deflated:
        held = min(held, path.stat().st_size - pixels.value_tell)
    if held < expected:
        raise StackError(
            f"{path} is cut off: {held} of {expected} bytes of pixels are there; copy "
            "it again from its source."
        )


def normal_of(orientation: Vector) -> NDArray[np.float64]:
    """Give the direction across the planes, by which slices are ordered."""
    return np.cross(orientation[:3], orientation[3:])

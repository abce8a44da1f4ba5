"""A result as a derived DICOM image: its source's header, changed where it must be.

This module alone writes DICOM. Patient, study and equipment are those of the source,
read again from its files at this moment; identifiers, pixel sizes, positions and the
derivation are new. What would no longer hold (overlays, private attributes, edges in
pixels) is left out. Slices that are finer along z lie on the line through the recorded
ones, each with the header of the slice of which it is a part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import numpy as np
from pydicom import dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from napari_sr.files.dicom.header import SPACINGS, groups_of, quietly, read_dataset
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.files.dicom.header import DicomImage
    from napari_sr.files.writing import Content

_GROUP, _CREATOR = 0x0099, "napari-sr"
"""Where the provenance stands, as private attributes must."""
_LARGEST = 2**32 - 2
"""Bytes of pixels that one file can hold uncompressed."""
_PIXELS = 0x7FE00010
_LABEL, _TEXT = 64, 900
"""Characters kept, of 64 and 1024."""
_ALONG_Z = ("SliceThickness", "SpacingBetweenSlices")
"""What becomes finer along z."""
_OVERLAYS = (*range(0x5000, 0x5100), *range(0x6000, 0x6100))
_NO_LONGER_TRUE = (
    *("SmallestImagePixelValue", "LargestImagePixelValue", "IconImageSequence"),
    *("SmallestPixelValueInSeries", "LargestPixelValueInSeries"),
    *("SequenceOfUltrasoundRegions", "PixelDataProviderURL"),
    *("ShutterShape", "ShutterLeftVerticalEdge", "ShutterRightVerticalEdge"),
    *("ShutterUpperHorizontalEdge", "ShutterLowerHorizontalEdge"),
    *("CenterOfCircularShutter", "RadiusOfCircularShutter"),
    *("VerticesOfThePolygonalShutter", "ShutterOverlayGroup"),
    *("CollimatorShape", "CollimatorLeftVerticalEdge", "CollimatorRightVerticalEdge"),
    *("CollimatorUpperHorizontalEdge", "CollimatorLowerHorizontalEdge"),
    *("CenterOfCircularCollimator", "RadiusOfCircularCollimator"),
    *("VerticesOfThePolygonalCollimator", "ImagePosition", "ImageOrientation"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "InstanceCreatorUID"),
    *("DigitalSignaturesSequence", "MACParametersSequence"),
)  # fmt: skip
"""Of the source's pixels, counted in its pixels, or signed."""
_OF_RECORDED_SLICES = ("SliceLocation", "ImagesInAcquisition")
"""No longer true where there are more slices."""


@dataclass(frozen=True, slots=True)
class Finer:
    """By how much a result is finer than its source."""

    factor: int
    """In the plane."""
    z: float = 1.0
    """Slices of the result for each recorded one."""

    def __str__(self) -> str:
        """Describe the result in DICOM's basic characters."""
        words = [f"x{self.factor}"] if self.factor > 1 or self.z == 1 else []
        return ", ".join([*words, f"z x{self.z:.4g}"] if self.z != 1 else words)


@dataclass(frozen=True, slots=True)
class _Slice:
    """Where a slice of a result lies that is finer along z."""

    instance: int
    position: Sequence[float] | None
    """Of its first pixel, were it as large as in the source, in mm."""


class FramesSink:
    """A DICOM file that takes its frames one after the other.

    Parameters
    ----------
    path
        The file to make.
    image
        What it is made from.
    finer
        By how much it is finer, in the plane alone.
    provenance
        How the pixels were made.
    """

    in_order = True

    def __init__(
        self,
        path: Path,
        image: DicomImage,
        finer: Finer,
        provenance: Mapping[str, object],
    ) -> None:
        self._path, self._image = path, image
        self._result = _derive(image, finer, provenance, generate_uid(None))
        n_bytes = int(self._result.Rows) * int(self._result.Columns) * image.n_frames
        n_bytes *= int(self._result.BitsAllocated) // 8
        if n_bytes > _LARGEST:
            raise StackError(
                f"The result of {image.path.name} has {n_bytes} bytes of pixels; a "
                f"DICOM file holds at most {_LARGEST}. Choose .ome.zarr."
            )
        self._frames = TemporaryFile(dir=path.parent)
        self._n_put = 0

    def put(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Write one frame."""
        stored = _stored(plane, self._image, self._n_put, self._result)
        self._frames.write(stored.tobytes())
        self._n_put += 1

    def close(self) -> None:
        """Finish the file, if all frames are there."""
        with self._frames:
            if self._n_put == self._image.n_frames:
                if self._frames.tell() % 2:
                    self._frames.write(b"\0")
                self._frames.seek(0)
                _write(self._path, self._result, self._frames)


class SeriesSink:
    """A folder of DICOM files that takes slices in any order, one for each.

    Parameters
    ----------
    path
        The folder to make.
    images
        What they are made from, in the order of the planes.
    finer
        By how much it is finer.
    content
        Of all slices.
    """

    in_order = False

    def __init__(
        self,
        path: Path,
        images: Sequence[DicomImage],
        finer: Finer,
        content: Content,
    ) -> None:
        self._path, self._images = path, images
        self._finer, self._content = finer, content
        self._series = generate_uid(None)
        path.mkdir()

    def put(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Write the file of one slice."""
        (number,) = index
        place = (number + 0.5) / self._finer.z
        image = self._images[min(int(place), len(self._images) - 1)]
        own = self._slice_at(number, place - 0.5) if self._finer.z != 1 else None
        provenance = self._content.provenance
        result = _derive(image, self._finer, provenance, self._series, own)
        stored = _stored(plane, image, 0, result).tobytes()
        pixels = stored + b"\0" * (len(stored) % 2)
        _write(self._path / f"{number + 1:05}.dcm", result, pixels)

    def _slice_at(self, number: int, place: float) -> _Slice:
        """Place a slice of the result, `place` slices behind the first recorded one."""
        first, last = self._images[0], self._images[-1]
        ends = [np.array(end.positions[0] or ()) for end in (first, last)]
        position = ends[0] + place * (ends[1] - ends[0]) / (len(self._images) - 1)
        falls = (first.instance or 0) > (last.instance or 0)
        instance = self._content.shape[0] - number if falls else number + 1
        return _Slice(instance, position.tolist() or None)

    def close(self) -> None:
        """Do nothing: every slice is on disk already."""


def read_provenance(path: Path) -> dict[str, object]:
    """Read how the pixels of a file of ours were made; empty for others."""
    with quietly():
        try:
            header = read_dataset(path, stop_before_pixels=True)
            provenance = json.loads(header.private_block(_GROUP, _CREATOR)[1].value)
        except (KeyError, ValueError, TypeError):
            return {}
    return provenance if isinstance(provenance, dict) else {}


def _derive(
    image: DicomImage,
    finer: Finer,
    provenance: Mapping[str, object],
    series: str,
    own: _Slice | None = None,
) -> Dataset:
    """Read the header of a source again and make that of its result, without pixels."""
    with quietly():
        try:
            result = read_dataset(image.path, stop_before_pixels=True)
            _leave_out(result)
            groups = (groups_of(result, i) for i in range(image.n_frames))
            for group in {
                id(value): value for each in groups for value in each
            }.values():
                if own is not None:
                    _place_along_z(group, own, finer.z)
                _place(group, image, finer.factor)
                _mark(group, "FrameType")
            _mark(result, "ImageType", ["DERIVED", "SECONDARY"])
            _tell(result, finer, provenance)
            if own is not None:
                result.InstanceNumber = own.instance
        except Exception as error:  # a value of any kind can be anywhere
            raise StackError(
                f"{image.path} has a header that cannot be carried over "
                f"({type(error).__name__}); choose .ome.tif for the result."
            ) from None
        result.Rows, result.Columns = (
            side * finer.factor for side in image.plane_shape
        )
        result.SeriesInstanceUID, result.SOPInstanceUID = series, generate_uid(None)
    return result


def _leave_out(result: Dataset) -> None:
    """Leave out what does not hold of other pixels, and what is private."""
    is_little_endian = result.original_encoding[1]
    result.remove_private_tags()
    for element in list(result):
        if element.tag.group in _OVERLAYS or element.keyword in _NO_LONGER_TRUE:
            del result[element.tag]
    if not is_little_endian:  # the bytes of its tables would have to be swapped
        result.pop("VOILUTSequence", None)


def _place(group: Dataset, image: DicomImage, factor: int) -> None:
    """Divide pixel sizes, and move the first pixel by half a pixel less half a new one.

    The outer border stays where it is.
    """
    for keyword in SPACINGS:
        if group.get(keyword):
            finer = [float(value) / factor for value in group[keyword].value]
            setattr(group, keyword, list(map(format_number_as_ds, finer)))
    if not group.get("ImagePositionPatient") or None in (
        image.orientation,
        image.spacing,
    ):
        return
    assert image.orientation is not None
    assert image.spacing is not None
    rows, columns = (value * (1 / factor - 1) / 2 for value in image.spacing)
    along_row, along_column = np.reshape(image.orientation, (2, 3))
    position = np.array(group.ImagePositionPatient, dtype=float)
    position += columns * along_row + rows * along_column
    group.ImagePositionPatient = list(map(format_number_as_ds, position.tolist()))


def _place_along_z(group: Dataset, own: _Slice, z: float) -> None:
    """Divide the thickness, and move the slice to its place between the recorded."""
    for keyword in _ALONG_Z:
        if group.get(keyword):
            thinner = float(group[keyword].value) / z
            setattr(group, keyword, format_number_as_ds(thinner))
    for keyword in _OF_RECORDED_SLICES:
        group.pop(keyword, None)
    if group.get("ImagePositionPatient") and own.position is not None:
        group.ImagePositionPatient = list(map(format_number_as_ds, own.position))


def _mark(group: Dataset, keyword: str, otherwise: Sequence[str] | None = None) -> None:
    """Say of an image or a frame that it is derived."""
    kind = list(group.get(keyword) or otherwise or ())
    if kind:
        setattr(group, keyword, ["DERIVED", *kind[1:]])


def _tell(result: Dataset, finer: Finer, provenance: Mapping[str, object]) -> None:
    """Say how the pixels were made, of what, and that they are not for diagnosis."""
    source = Dataset()
    source.ReferencedSOPClassUID = result.SOPClassUID
    source.ReferencedSOPInstanceUID = result.SOPInstanceUID
    result.SourceImageSequence = [source]
    result.DerivationDescription = _in_words(finer, provenance)
    added = f" {finer}, not for diagnosis"
    described = str(result.get("SeriesDescription", ""))[: _LABEL - len(added)]
    result.SeriesDescription = f"{described}{added}".strip()
    now = datetime.now()
    result.InstanceCreationDate = result.ContentDate = f"{now:%Y%m%d}"
    result.InstanceCreationTime = result.ContentTime = f"{now:%H%M%S}"
    block = result.private_block(_GROUP, _CREATOR, create=True)
    block.add_new(1, "UT", json.dumps(dict(provenance), sort_keys=True))


def _in_words(finer: Finer, provenance: Mapping[str, object]) -> str:
    """Tell model and settings in the text that every viewer can show."""
    plan = provenance.get("plan")
    entries = plan if isinstance(plan, dict) else {}
    names = ("model", "model_sha256", "dial", "noise", "intensity", "consistency")
    words = [
        f"{name} {entries[name]}" for name in names if entries.get(name) is not None
    ]
    software = provenance.get("software", "napari-sr")
    text = f"Super-resolved {finer} by {software}; {'; '.join(words)}"
    text = text.encode("ascii", "replace").decode().replace("\\", "/")
    return f"{text[:_TEXT]}; computed, not measured; not for diagnosis"


def _stored(
    plane: NDArray, image: DicomImage, frame: int, result: Dataset
) -> NDArray[np.integer]:
    """Turn counts into stored values: scaled back, rounded, clipped to the bits."""
    lowest, highest = image.stored_limits
    values = plane.astype(np.float64) - image.intercepts[frame]
    values = np.rint(values / image.slopes[frame])
    gaps = ~np.isfinite(values)
    np.clip(values, lowest, highest, out=values)
    if image.padding is not None:
        first, last = image.padding
        # What was computed must not read as "not recorded".
        beside = last + 1 if last < highest else first - 1
        values[(values >= first) & (values <= last)] = beside
        values[gaps] = min(max(first, lowest), highest)
    kind = "i" if image.is_signed else "u"
    return values.astype(f"<{kind}{int(result.BitsAllocated) // 8}")


def _write(path: Path, result: Dataset, pixels: bytes | IO[bytes]) -> None:
    """Write a file of uncompressed pixels, which every reader knows."""
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kind = "OB" if result.BitsAllocated == 8 else "OW"
    result[_PIXELS] = DataElement(_PIXELS, kind, pixels)
    with quietly():
        try:
            dcmwrite(path, result, enforce_file_format=True)
        except OSError:
            raise
        except Exception as error:
            raise StackError(
                f"The header of the source cannot be written again "
                f"({type(error).__name__}); choose .ome.tif for the result."
            ) from None

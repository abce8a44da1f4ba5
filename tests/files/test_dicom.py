"""DICOM: pydicom's own values, spacing and places; whom it shows stays in DICOM."""

from __future__ import annotations

import logging
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="napari-sr[dicom] is not installed")

import pydicom
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from stacks_on_disk import names_in

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.files import create_stack, open_stack
from napari_sr.files.finding import find_stacks
from napari_sr.image.stack import StackError
from napari_sr.methods.interpolation import Interpolation

NEAREST = Interpolation("nearest", 2)
FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CANARY = "CANARY"
PERSONAL = ("PatientName", "PatientID", "InstitutionName", "StudyDescription")


def is_monochrome(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = dcmread(path, stop_before_pixels=True)
        except Exception:
            return False
        return header.get("PhotometricInterpretation", "").startswith("MONO")


MONOCHROME = [path for path in sorted(FILES.rglob("*")) if path.is_file()]
MONOCHROME = [path for path in MONOCHROME if is_monochrome(path)]
REFUSED = {
    "32 of 32 bits": "badVR rtdose rtdose_1frame rtdose_expb rtdose_expb_1frame "
    "rtdose_rle rtdose_rle_1frame",
    "1 of 1 bits": "liver_1frame liver_expb_1frame",
    "cut off": "MR_truncated",
    # 12-bit JPEG and a damaged file, with which pydicom and GDCM fail, too
    "cannot be decoded": "JPEG-lossy JPGExtended JPEG2000-embedded-sequence-delimiter",
}
WORDS = {name: said for said, names in REFUSED.items() for name in names.split()}


def their_values(path):
    """pydicom's own, after rescale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = dcmread(path)
        return header, apply_modality_lut(header.pixel_array, header)


def values(path):
    with open_stack(path) as stack:
        planes = [stack.plane(index) for index in stack.indices()]
        return np.reshape(planes, stack.shape)


def finer(number):
    return Decimal(str(number)) / 2


@pytest.mark.filterwarnings("ignore:The result is whole counts")  # few are there
@pytest.mark.parametrize("path", MONOCHROME, ids=lambda path: path.name)
def test_every_monochrome_file_of_pydicom(path, tmp_path):
    if path.stem in WORDS:
        with pytest.raises(StackError, match=WORDS[path.stem]) as refusal:
            values(path)
        assert "\n" not in str(refusal.value)
        return
    header, expected = their_values(path)
    came = values(path)
    gaps = np.isnan(came.astype(float))
    if "PixelPaddingValue" in header:
        assert np.array_equal(gaps, header.pixel_array == header.PixelPaddingValue)
    np.testing.assert_allclose(came[~gaps], expected[~gaps], rtol=1e-6)
    _check_result(path, header, came, tmp_path / "out.dcm")


def _check_result(path, header, came, target):
    """A result opens elsewhere, with the same values, finer, of the same patient."""
    sr.upscale_file(path, target, NEAREST)
    result, written = their_values(target)
    blocks = came.repeat(2, -2).repeat(2, -1)
    gaps = np.isnan(blocks.astype(float))
    step = abs(float(header.get("RescaleSlope", 1)))
    np.testing.assert_allclose(written[~gaps], blocks[~gaps], atol=step * 1e-3)
    assert np.all(result.pixel_array[gaps] == header.get("PixelPaddingValue"))
    assert np.array_equal(values(target), blocks, equal_nan=True)
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if keyword in header:
            expected = [finer(one) for one in header[keyword].value]
            np.testing.assert_allclose(
                [float(one) for one in result[keyword].value],
                [float(one) for one in expected],
                rtol=1e-13,
            )
    kept = [*PERSONAL, "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate"]
    kept += ["Modality", "SOPClassUID", "BitsStored", "PhotometricInterpretation"]
    kept += ["RescaleSlope", "RescaleIntercept", "WindowCenter"]
    for keyword in kept:
        assert result.get(keyword) == header.get(keyword), keyword
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert result[keyword].value != header.get(keyword)
    assert result.ImageType[0] == "DERIVED"
    assert "not for diagnosis" in result.DerivationDescription
    assert "nearest" in result.DerivationDescription
    assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == (
        header.SOPInstanceUID
    )
    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert not any(0x6000 <= element.tag.group < 0x6100 for element in result)
    _check_place(path, target)
    _check_by_gdcm(target, result.pixel_array)


def _check_place(path, target):
    """Law 5 from what is written, for what DICOM can hold: spacing is in mm or not
    known, and images by projection have no position.
    """
    with open_stack(path) as low, open_stack(target) as high:
        assert high.provenance["plan"]["model"] == "nearest"
        has_position = any(axis.origin for axis in low.axes)
        places = zip(low.upscaled_axes(2), high.axes, high.shape, strict=True)
        for expected, axis, length in places:
            assert axis.unit == expected.unit
            if axis.unit is not None:
                assert axis.spacing == pytest.approx(expected.spacing, rel=1e-12)
            if has_position:
                extent = length * axis.spacing
                assert axis.origin == pytest.approx(expected.origin, abs=1e-9 * extent)


def _check_by_gdcm(target, expected):
    """Another reader sees the same stored values."""
    gdcm = pytest.importorskip("gdcm", reason="python-gdcm is not installed")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(target))
    assert reader.Read()
    raw = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    came = np.frombuffer(raw, expected.dtype)
    assert np.array_equal(came.reshape(expected.shape), expected)


# -- series --------------------------------------------------------------------------


def slice_of(number, **changes):
    """One slice of a series, 2.5 mm behind the one before."""
    header = dcmread(get_testdata_file("CT_small.dcm"))
    header.PatientName = header.PatientID = header.InstitutionName = CANARY
    header.StudyDescription = CANARY
    header.SOPInstanceUID = generate_uid(None)
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.InstanceNumber = number + 1
    header.ImagePositionPatient = [-158.1, -179.0, 10 + 2.5 * number]
    pixels = header.pixel_array[:32, :48] + number
    header.Rows, header.Columns = pixels.shape
    header.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        setattr(header, keyword, value)
    return header


@pytest.fixture
def series(tmp_path):
    """Five slices, called so that their names are in another order."""
    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(5):
        slice_of(number).save_as(folder / f"{'dacbe'[number]}.dcm")
    return folder


def test_a_series_is_ordered_by_position(series):
    with open_stack(series) as stack:
        assert stack.shape == (5, 32, 48)
        assert [axis.name for axis in stack.axes] == ["z", "y", "x"]
        assert stack.axes[0].spacing == pytest.approx(2.5)
        assert stack.axes[0].origin == 10
        first = [stack.plane((number,))[0, 0] for number in range(5)]
    assert np.array_equal(np.diff(first), [1, 1, 1, 1])


def test_files_without_a_suffix_are_known_by_what_they_begin_with(series):
    for path in list(series.iterdir()):
        path.rename(path.with_suffix(""))
    (series / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (series / "notes.txt").write_text("of the day")
    assert values(series).shape == (5, 32, 48)
    assert find_stacks([str(series.parent)]) == [series]
    assert values(series / "a").shape == (32, 48)


def test_a_result_of_a_series_is_a_folder(series, tmp_path):
    target = tmp_path / "finer.dcm"
    sr.upscale_file(series, target, NEAREST)
    low, high = values(series), values(target)
    assert np.array_equal(high, low.repeat(2, 1).repeat(2, 2))
    headers = [dcmread(path) for path in sorted(target.iterdir())]
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == 5
    assert {str(header.PatientName) for header in headers} == {CANARY}
    _check_place(series, target)
    with pytest.raises(StackError, match="exists"):
        sr.upscale_file(series, target, NEAREST)
    sr.upscale_file(series, target, NEAREST, overwrite=True)
    (target / "thesis.txt").write_text("years of work")
    with pytest.raises(StackError, match="not an image of this format"):
        sr.upscale_file(series, target, NEAREST, overwrite=True)


NEW_IN_A_RESULT = {
    *("DerivationDescription", "SourceImageSequence", "SeriesDescription"),
    *("ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"),
}
# Turned about two axes, so that no direction is that of an axis.
OBLIQUE = np.linalg.qr(np.array([[2.0, 1, 0], [-1, 3, 1], [1, 0, 4]]))[0].T


def first_corner(headers):
    """The outer corner of the first voxel, and the step between slices."""
    positions = [np.array(h.ImagePositionPatient, float) for h in headers]
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    along_row, along_column = np.reshape(headers[0].ImageOrientationPatient, (2, 3))
    rows, columns = headers[0].PixelSpacing
    sides = step + rows * np.array(along_column) + columns * np.array(along_row)
    return positions[0] - sides / 2, step


@pytest.mark.parametrize(("z", "factor"), [(2, 1), (3.5, None), (2, None)])
@pytest.mark.parametrize("turned", [np.eye(3), OBLIQUE], ids=["straight", "oblique"])
def test_a_result_finer_along_z_is_a_series_of_more_slices(tmp_path, turned, z, factor):
    folder, target, n = tmp_path / "series", tmp_path / "finer.dcm", 5
    folder.mkdir()
    for number in range(n):  # numbered from the far end
        place = np.array([-158.1, -179.0, 10]) + 2.5 * number * turned[2]
        changes = {
            "ImagePositionPatient": [f"{value:.12g}" for value in place],
            "ImageOrientationPatient": [f"{v:.12g}" for v in turned[:2].ravel()],
            "InstanceNumber": n - number,
            "SliceThickness": "2.5",
            "SpacingBetweenSlices": "2.5",
            "SliceLocation": "7",
        }
        slice_of(number, **changes).save_as(folder / f"{number}.dcm")
    came = sr.upscale_file(folder, target, NEAREST, z=z, factor=factor)
    headers = [dcmread(path) for path in sorted(target.iterdir())]
    recorded = [dcmread(folder / f"{number}.dcm") for number in range(n)]
    n_finer = int(np.ceil(n * z))
    assert came.shape[0] == len(headers) == n_finer

    corner, step = first_corner(headers)
    before, recorded_step = first_corner(recorded)
    extent = np.linalg.norm(recorded_step) * n
    np.testing.assert_allclose(step, recorded_step / z, atol=1e-9 * extent)
    np.testing.assert_allclose(corner, before, atol=1e-9 * extent)
    positions = np.array([h.ImagePositionPatient for h in headers], float)
    np.testing.assert_allclose(
        np.diff(positions, axis=0), [step] * (n_finer - 1), atol=1e-9 * extent
    )

    assert [h.InstanceNumber for h in headers] == [*range(n_finer, 0, -1)]
    assert len({h.SOPInstanceUID for h in headers}) == n_finer
    assert {h.SeriesInstanceUID for h in headers}.isdisjoint(
        {recorded[0].SeriesInstanceUID}
    )
    for header in headers:
        for keyword in ("SliceThickness", "SpacingBetweenSlices"):
            assert float(header[keyword].value) == pytest.approx(2.5 / z, rel=1e-12)
        assert "SliceLocation" not in header
        assert f"z x{z}" in header.SeriesDescription
        assert header.SeriesDescription.endswith(", not for diagnosis")
        kept = set(header.dir()) - set(recorded[0].dir())
        assert kept <= NEW_IN_A_RESULT
    with open_stack(target) as stack:  # in the order of the recorded ones
        expected = sr.upscale(values(folder), NEAREST, z=z, factor=factor)
        np.testing.assert_allclose(values(target), expected, atol=0.51)  # is rounded
        assert stack.axes[0].spacing == pytest.approx(2.5 / z, rel=1e-9)


def test_frames_that_are_apart_unevenly_are_refused_along_z(tmp_path):
    enhanced(tmp_path / "e.dcm", [(z, 0, 0) for z in (0, 2, 5)], [1.0] * 3)
    with pytest.raises(StackError, match="uneven distances along z"):
        sr.upscale(tmp_path / "e.dcm", NEAREST, z=2)


def test_frames_of_one_file_do_not_become_more(tmp_path):
    enhanced(tmp_path / "e.dcm", [(z, 0, 0) for z in (0, 2, 4)], [1.0] * 3)
    with pytest.raises(StackError, match="frames in one file"):
        sr.upscale_file(tmp_path / "e.dcm", tmp_path / "r.dcm", NEAREST, z=2)
    assert names_in(tmp_path) == ["e.dcm"]


MISFITS = {
    "gap": (5, {"ImagePositionPatient": [-158.1, -179.0, 30.0]}, "has a gap: e.dcm"),
    "one place": (5, {"ImagePositionPatient": [-158.1, -179.0, 12.5]}, "at one place"),
    "series": (5, {"SeriesInstanceUID": "1.2.3"}, "differ from a.dcm in their series"),
    "pixel size": (5, {"PixelSpacing": [0.5, 0.5]}, "in their pixel size"),
    "turned": (5, {"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "their orientation"),
    "size": (
        5,
        {"Rows": 8, "PixelData": bytes(2 * 8 * 48)},
        "f.dcm and 0 more differ from a.dcm in their size",
    ),
}


@pytest.mark.parametrize(("number", "changes", "said"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_belong_together_is_refused_by_name(
    series, number, changes, said
):
    slice_of(number, **changes).save_as(series / "f.dcm")
    with pytest.raises(StackError, match=said) as refusal:
        open_stack(series)
    assert CANARY not in str(refusal.value)


def test_without_positions_numbers_count_and_gaps_are_refused(series):
    for path in series.iterdir():
        header = dcmread(path)
        del header.ImagePositionPatient
        header.save_as(path)
    with open_stack(series) as stack:
        assert (stack.axes[0].name, stack.axes[0].spacing) == ("z", 5.0)  # as stated
        first = [stack.plane((number,))[0, 0] for number in range(5)]
    assert np.array_equal(np.diff(first), [1, 1, 1, 1])
    (series / "c.dcm").unlink()
    with pytest.raises(StackError, match=r"gap: a\.dcm is number 2 .* b\.dcm number 4"):
        open_stack(series)


def test_the_command_line_takes_a_folder_as_a_series(series, tmp_path, capsys):
    slice_of(0).save_as(tmp_path / "alone.dcm")
    output = tmp_path / "results"
    nearest = ["-m", "nearest", "--factor", "2"]
    assert main(["upscale", str(tmp_path), "-o", str(output), *nearest]) == 0
    assert names_in(output) == [
        "alone_x2.ome.tif",
        "napari-sr-report.csv",
        "series_x2.ome.tif",
    ]
    assert values(output / "series_x2.ome.tif").shape == (5, 64, 96)
    target = tmp_path / "finer.dcm"
    assert main(["upscale", str(series), "-o", str(target), *nearest]) == 0
    assert main(["info", str(target)]) == 0
    said = capsys.readouterr().out
    assert "not for diagnosis" in said
    assert "z: 5, spacing 2.5 mm" in said


# -- pixels --------------------------------------------------------------------------


def stored_as(path, pixels, **changes):
    """A file of these stored values."""
    header = slice_of(0)
    del header.PixelPaddingValue
    header.Rows, header.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        header.NumberOfFrames = len(pixels)
    bits = changes.pop("BitsStored", pixels.dtype.itemsize * 8)
    header.BitsAllocated, header.BitsStored = pixels.dtype.itemsize * 8, bits
    header.HighBit = bits - 1
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in changes.items():
        if value is None:
            delattr(header, keyword)
        else:
            setattr(header, keyword, value)
    header["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    header.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    header.save_as(path)
    return path


KINDS = [  # stored, bits, slope, intercept, type of the counts
    ("uint8", 8, 1, 0, "uint8"),
    ("uint16", 12, 1, 0, "uint16"),
    ("uint16", 12, 1, -1024, "int16"),
    ("uint16", 16, 1, -1024, "float32"),
    ("int16", 13, 2, 5, "int16"),
    ("int16", 16, 1, 0, "int16"),
    ("uint16", 10, -1, 1023, "uint16"),
    ("uint16", 12, 0.25, 3, "float32"),
]


@pytest.mark.parametrize(("kind", "bits", "slope", "intercept", "counts"), KINDS)
def test_counts_are_those_after_rescale_and_go_back_exactly(
    tmp_path, kind, bits, slope, intercept, counts
):
    signed = kind == "int16"
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    stored = np.random.default_rng(0).integers(*ends, (3, 9, 7)).astype(kind)
    stored[0, 0, :2] = ends[0], ends[1] - 1
    path = stored_as(
        tmp_path / "a.dcm",
        stored,
        BitsStored=bits,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
    )
    with open_stack(path) as stack:
        assert stack.dtype == counts
    assert np.array_equal(values(path), stored * np.float64(slope) + intercept)
    sr.upscale_file(path, tmp_path / "b.dcm", NEAREST)
    again = dcmread(tmp_path / "b.dcm")
    assert np.array_equal(again.pixel_array, stored.repeat(2, 1).repeat(2, 2))
    assert (again.BitsStored, again.HighBit) == (bits, bits - 1)


def test_results_are_clipped_to_the_bits_that_are_stored(tmp_path):
    stored = np.full((4, 5), 4000, np.uint16)
    path = stored_as(tmp_path / "a.dcm", stored, BitsStored=12, RescaleIntercept=0)
    high = np.linspace(0, 9000, 80).reshape(8, 10).astype(np.uint16)
    with create_stack(
        tmp_path / "b.dcm",
        shape=(8, 10),
        dtype="uint16",
        axes=sr.open_stack(path).upscaled_axes(2),
        provenance={},
        made_from=path,
    ) as writer:
        writer.write((), high)
    assert np.array_equal(values(tmp_path / "b.dcm"), high.clip(0, 4095))


def test_few_counts_stay_whole_in_dicom_and_that_is_said(tmp_path, capsys):
    few = np.random.default_rng(0).poisson(0.3, (40, 50)).astype(np.uint16)
    path = stored_as(tmp_path / "a.dcm", few, RescaleIntercept=0)
    typed = ["upscale", str(path), "-m", "bicubic", "--factor", "2", "-o"]
    assert main([*typed, str(tmp_path / "b.dcm")]) == 0
    said = capsys.readouterr().out
    assert "uint16" in said
    assert (
        "whole counts, as in all DICOM files; .ome.tif would be float32, since" in said
    )
    assert np.array_equal(values(tmp_path / "b.dcm"), values(tmp_path / "b.dcm") // 1)
    assert main([*typed, str(tmp_path / "b.ome.tif")]) == 0
    with open_stack(tmp_path / "b.ome.tif") as stack:
        assert stack.dtype == np.float32


def test_what_is_computed_never_reads_as_not_recorded(tmp_path):
    stored = np.array([[0, 0, 5, 9], [0, 1, 2, 3], [0, 4, 5, 6]], np.uint16)
    path = stored_as(tmp_path / "a.dcm", stored, RescaleIntercept=0)
    header = dcmread(path)
    header.add_new("PixelPaddingValue", "US", 0)
    header.save_as(path)
    assert np.array_equal(np.isnan(values(path)), stored == 0)
    high = values(path).repeat(2, 0).repeat(2, 1)
    high[-1, -1] = -7  # would be stored as 0
    with create_stack(
        tmp_path / "b.dcm",
        shape=high.shape,
        dtype="float32",
        axes=sr.open_stack(path).upscaled_axes(2),
        provenance={},
        made_from=path,
    ) as writer:
        writer.write((), high)
    again = values(tmp_path / "b.dcm")
    assert np.array_equal(np.isnan(again), np.isnan(high))
    assert again[-1, -1] == 1


def test_padding_written_as_unsigned_is_understood(tmp_path):
    stored = np.array([[-2000, 5], [6, 7]], np.int16)
    path = stored_as(tmp_path / "a.dcm", stored, RescaleIntercept=0)
    header = dcmread(path)
    header.add_new("PixelPaddingValue", "US", 63536)
    header.save_as(path)
    assert np.array_equal(np.isnan(values(path)), stored == -2000)


def enhanced(path, positions, slopes):
    """A file whose frames have groups of attributes of their own."""
    stored = np.random.default_rng(1).integers(0, 4000, (len(slopes), 6, 8))
    stored_as(path, stored.astype(np.uint16), RescaleSlope=None,
              RescaleIntercept=None, PixelSpacing=None, ImagePositionPatient=None,
              ImageOrientationPatient=None)  # fmt: skip
    header = dcmread(path)

    def item(**values_of):
        one = Dataset()
        for keyword, value in values_of.items():
            setattr(one, keyword, value)
        return one

    header.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=[0.4, 0.3])],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[0, 1, 0, 0, 0, 1])],
        )
    ]
    header.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=list(position))],
            PixelValueTransformationSequence=[
                item(RescaleSlope=slope, RescaleIntercept=1)
            ],
            MRImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY"])],
        )
        for position, slope in zip(positions, slopes, strict=True)
    ]
    header.save_as(path)
    return stored


@pytest.mark.parametrize("step", [2.0, -2.0])
def test_enhanced_files_have_rescale_and_place_by_frame(tmp_path, step):
    path, slopes = tmp_path / "a.dcm", (1.5, 2.0, 0.5)
    stored = enhanced(path, [(7 + step * n, 20, 30) for n in range(3)], slopes)
    expected = stored * np.reshape(slopes, (3, 1, 1)) + 1
    assert np.array_equal(values(path), expected)
    with open_stack(path) as stack:
        z, y, x = stack.axes
    assert (z.name, z.spacing, z.origin) == ("z", 2.0, np.sign(step) * 7)
    assert (y.spacing, y.origin, x.spacing, x.origin) == (0.4, 30, 0.3, 20)
    target = tmp_path / "b.dcm"
    sr.upscale_file(path, target, NEAREST)
    assert np.array_equal(values(target), expected.repeat(2, 1).repeat(2, 2))
    _check_place(path, target)
    groups = dcmread(target).PerFrameFunctionalGroupsSequence
    assert groups[1].MRImageFrameTypeSequence[0].FrameType[0] == "DERIVED"


# -- refusals and secrecy ------------------------------------------------------------


def test_a_dicom_is_written_of_a_dicom_only(tmp_path, series):
    sr.upscale_file(series, tmp_path / "a.ome.tif", NEAREST)
    with pytest.raises(StackError, match="only from one DICOM"):
        sr.upscale_file(tmp_path / "a.ome.tif", tmp_path / "b.dcm", NEAREST)
    assert not (tmp_path / "b.dcm").exists()


def test_an_interrupted_result_leaves_nothing(series, tmp_path):
    target = tmp_path / "finer.dcm"
    for source in (series, series / "a.dcm"):
        with open_stack(source) as stack, pytest.raises(KeyboardInterrupt):
            with create_stack(
                target,
                shape=stack.upscaled_shape(2),
                dtype=stack.dtype,
                axes=stack.upscaled_axes(2),
                provenance={},
                made_from=source,
            ):
                raise KeyboardInterrupt
        assert names_in(tmp_path) == ["series"]


def test_damaged_files_end_in_one_sentence_without_a_word_of_the_header(tmp_path):
    slice_of(0).save_as(tmp_path / "a.dcm")
    whole = (tmp_path / "a.dcm").read_bytes()
    random, refusals = np.random.default_rng(0), []
    for n in range(150):
        damaged = bytearray(whole)
        if n % 3 == 0:
            damaged = damaged[: random.integers(0, len(whole))]
        else:
            for _ in range(6):
                damaged[int(random.integers(0, 2000))] ^= 1 << int(random.integers(8))
        (tmp_path / "a.dcm").write_bytes(damaged)
        try:
            values(tmp_path / "a.dcm")
            sr.upscale_file(
                tmp_path / "a.dcm", tmp_path / "b.dcm", NEAREST, overwrite=True
            )
        except ValueError as refusal:
            refusals.append(str(refusal))
    assert len(refusals) > 50
    assert not any(CANARY in said or "\n" in said for said in refusals)


def test_nobody_is_named_outside_of_dicom(series, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    header = dcmread(series / "a.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header.add_new("PatientBirthDate", "DA", f"no date {CANARY}")  # pydicom warns
        header.add_new("RescaleType", "CS", f"no name {CANARY}")
        header.save_as(series / "a.dcm")
    caplog.clear()
    low, outputs = tmp_path / "low.ome.tif", tmp_path / "out"
    nearest = ["-m", "nearest", "--factor", "2"]
    for name in ("a.ome.tif", "a.ome.zarr"):
        assert main(["upscale", str(series), "-o", str(outputs / name), *nearest]) == 0
    assert main(["info", "--json", str(series)]) == 0
    sr.upscale_file(series, low, NEAREST)
    report = [str(outputs / "a.ome.tif"), "--recording", str(series)]
    assert main(["report", *report, "-o", str(outputs / "report.html")]) == 0
    (series / "c.dcm").unlink()
    assert main(["upscale", str(series), "-o", str(low), *nearest]) == 1
    captured = capfd.readouterr()
    told = [captured.out, captured.err, caplog.text]
    written = [path for path in outputs.rglob("*") if path.is_file()]
    assert len(written) > 4
    told += [path.read_bytes().decode("latin-1") for path in written]
    uid = str(header.StudyInstanceUID)
    assert not any(CANARY in text or uid in text for text in told)


def test_pixel_sizes_and_directions_that_differ_by_rounding_agree(series):
    (first, *_) = sorted(series.iterdir())
    header = dcmread(first)
    header.PixelSpacing = [float(one) * (1 + 1e-7) for one in header.PixelSpacing]
    header.ImageOrientationPatient = [1, 1e-9, 0, 0, 1, 0]
    header.save_as(first)
    with open_stack(series) as stack:
        assert stack.n_planes == len(list(series.iterdir()))


def test_a_report_beside_the_slices_is_none_of_them(series, tmp_path):
    before = values(series)
    (first, *_) = sorted(series.iterdir())
    report = dcmread(first)
    del report.PixelData
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.save_as(series / "report.dcm")
    assert np.array_equal(values(series), before)
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"  # a slice that lost its pixels
    report.save_as(series / "report.dcm")
    with pytest.raises(StackError, match="holds no image of integers"):
        values(series)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_bare_data_set_is_read_by_its_suffix(tmp_path, implicit):
    source = stored_as(tmp_path / "a.dcm", np.arange(80, dtype="uint16").reshape(8, 10))
    expected = values(source)
    header = dcmread(source)
    del header.file_meta, header.preamble
    bare = tmp_path / "bare.ima"
    dcmwrite(
        bare,
        header,
        implicit_vr=implicit,
        little_endian=True,
        enforce_file_format=False,
    )
    assert np.array_equal(values(bare), expected)
    sr.upscale_file(bare, tmp_path / "r.dcm", NEAREST)
    assert np.array_equal(values(tmp_path / "r.dcm")[::2, ::2], expected)


def test_a_pixel_size_of_nothing_is_none(tmp_path):
    pixels = np.arange(80, dtype="uint16").reshape(8, 10)
    source = stored_as(tmp_path / "a.dcm", pixels, PixelSpacing=[0, 0])
    with open_stack(source) as stack:
        assert [axis.unit for axis in stack.axes] == [None, None]

"""The table of formats in the docs, made from small files of each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from sample_files import PLAIN, RAMP, axes_of, read_file, write_zarr

from napari_sr.files import create_stack, open_stack
from napari_sr.files.formats import FORMATS
from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
HEAD = "| format | suffixes | read | written | needs |\n|---|---|---|---|---|"


def row_of(known):
    suffixes = " ".join(f"`{one}`" for one in known.suffixes)
    written = "yes" if known.is_written else "no"
    written = "of a DICOM" if known.needs_source else written
    needs = f"`napari-sr[{known.extra}]`" if known.extra else ""
    return f"| {known.name} | {suffixes} | yes | {written} | {needs} |"


MEANT = "\n".join([HEAD, *map(row_of, FORMATS)])


def write_tiff(path):
    tifffile.imwrite(path, RAMP, **PLAIN)


def write_dicom(path):
    pydicom = pytest.importorskip("pydicom")
    source = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    source.NumberOfFrames = len(RAMP)
    source.Rows, source.Columns = RAMP.shape[1:]
    source.BitsStored, source.HighBit, source.PixelRepresentation = 16, 15, 0
    source.RescaleSlope, source.RescaleIntercept = 1, 0
    source.pop("PixelPaddingValue", None)
    source.PixelData = RAMP.tobytes()
    source.save_as(path)


def write_hdf5(path):
    with pytest.importorskip("h5py").File(path, "w") as file:
        file["data"] = RAMP


def write_mrc(path):
    with pytest.importorskip("mrcfile").new(path) as file:
        file.set_data(RAMP)


def write_nifti(path):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(RAMP.T, np.eye(4)), path)


def write_by_bioio(path):
    pytest.skip("bioio writes none of these; see test_others")


WRITERS = {
    "TIFF": write_tiff,
    "OME-Zarr": lambda path: write_zarr(path, RAMP, "zyx"),
    "DICOM": write_dicom,
    "HDF5 and NeXus": write_hdf5,
    "MRC": write_mrc,
    "NIfTI": write_nifti,
    "CZI, ND2, LIF and others": write_by_bioio,
}


def test_the_table_says_what_the_formats_are():
    made = re.search(
        r"<!-- formats -->\n(.*)\n<!-- end of formats -->",
        PAGE.read_text("utf-8"),
        re.S,
    )
    assert made is not None
    assert made[1] == MEANT, f"Put this into {PAGE.name}:\n{MEANT}"


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_a_small_file_of_each_is_read(tmp_path, known):
    path = tmp_path / f"a{known.suffixes[0]}"
    WRITERS[known.name](path)
    assert np.array_equal(read_file(path), RAMP)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_a_small_file_of_each_is_written_or_refused(tmp_path, known):
    place = (Axis("z", 2.0, "um"), Axis("y", 0.5, "um"), Axis("x", 0.25, "um"))
    path = tmp_path / f"a{known.suffixes[0]}"
    asked = {"shape": RAMP.shape, "dtype": RAMP.dtype, "axes": place}
    if known.needs_source or not known.is_written:
        with pytest.raises(StackError, match="cannot be written"):
            create_stack(path, provenance={}, **asked)
        return
    with create_stack(path, provenance={}, **asked) as writer:
        for index in np.ndindex(len(RAMP)):
            writer.write(index, RAMP[index])
    assert np.array_equal(read_file(path), RAMP)
    assert axes_of(path) == place
    open_stack(path).close()

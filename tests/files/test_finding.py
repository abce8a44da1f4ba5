"""Which files of a folder are recordings, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from sample_files import PLAIN, RAMP, write_zarr

import napari_sr as sr
from napari_sr.files import open_stack
from napari_sr.files.finding import find_stacks, look_for
from napari_sr.image.stack import StackError

NEAREST = sr.load_model("nearest", factor=2)


def write_set(folder, n_files=3, n_planes=3):
    """Write an OME-TIFF over several files, one plane in each."""
    data = "".join(
        f'<TiffData FirstZ="{k}" IFD="0" PlaneCount="1"><UUID '
        f'FileName="s{k}.ome.tif">urn:uuid:{k}</UUID></TiffData>'
        for k in range(n_files)
    )
    for k in range(n_files):
        xml = (
            '<?xml version="1.0"?><OME '
            'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{k}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint16" SizeX="70" SizeY="60" '
            f'SizeZ="{n_planes}" SizeC="1" SizeT="1"><Channel ID="Channel:0" '
            f'SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            folder / f"s{k}.ome.tif", RAMP[k], description=xml.encode(), **PLAIN
        )


def test_the_files_of_a_set_are_one_stack(tmp_path):
    write_set(tmp_path)
    tifffile.imwrite(tmp_path / "z.tif", RAMP, **PLAIN)
    found = look_for([str(tmp_path)])
    assert found.stacks == [tmp_path / "s0.ome.tif", tmp_path / "z.tif"]
    assert found.skipped == {
        tmp_path / f"s{k}.ome.tif": "belongs to s0.ome.tif" for k in (1, 2)
    }


def test_every_other_file_of_a_folder_is_skipped_with_a_reason(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAMP, **PLAIN)
    for name in ("b.png", "notes.txt", "a_mask.tif", "cells_labels.tif", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "napari-sr-report.csv").write_text("")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "1.tif").write_bytes(b"x")
    (tmp_path / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    found = look_for([str(tmp_path)])
    assert found.stacks == [tmp_path / "IM0001", tmp_path / "a.tif"]
    told = {path.name: why for path, why in found.skipped.items()}
    assert told.keys() == {
        *("b.png", "notes.txt", "a_mask.tif", "cells_labels.tif", "1.tif"),
    }
    assert "is a picture" in told["b.png"]
    assert "named like a label image" in told["a_mask.tif"] == told["cells_labels.tif"]
    # What is given by itself is taken.
    assert find_stacks([str(tmp_path / "a_mask.tif")]) == [tmp_path / "a_mask.tif"]


def test_a_folder_without_a_stack_says_why(tmp_path):
    (tmp_path / "b.png").write_bytes(b"x")
    with pytest.raises(StackError, match=r"no image that can be read: b.png is a pic"):
        look_for([str(tmp_path)])


def test_results_are_no_recordings(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a.tif", "d/b.tif"):
        tifffile.imwrite(tmp_path / name, RAMP, **PLAIN)
    before = find_stacks([str(tmp_path)], leave_out=tmp_path)
    for path in before:
        sr.upscale_file(path, path.with_name(f"{path.stem}_x2.ome.tif"), NEAREST)
        sr.upscale_file(path, path.with_name(f"{path.stem}_x2.ome.zarr"), NEAREST)
    found = look_for([str(tmp_path)], leave_out=tmp_path)
    assert found.stacks == before
    assert set(found.skipped.values()) == {"is a result of napari-sr"}
    # Asked for by name, or without writing there, they are what is meant.
    assert len(find_stacks([str(tmp_path)])) == 6
    assert find_stacks([str(tmp_path / "a_x2.ome.tif")], leave_out=tmp_path)


@pytest.mark.parametrize("is_v3", [False, True])
def test_a_plate_is_walked_field_by_field(tmp_path, is_v3):
    def group(path, attributes):
        said = {"ome": attributes} if is_v3 else attributes
        rest = {"zarr_format": 3 if is_v3 else 2, "attributes": said}
        zarr.open_group(path, mode="w", **rest)

    plate = tmp_path / "p.zarr"
    wells = [{"path": "A/1"}, {"path": "B/2"}]
    group(plate, {"plate": {"wells": wells}})
    for well in wells:
        group(
            plate / well["path"], {"well": {"images": [{"path": "0"}, {"path": "1"}]}}
        )
        for field in "01":
            write_zarr(plate / well["path"] / field, RAMP, "zyx")
    expected = [plate / w / f for w in ("A/1", "B/2") for f in "01"]
    assert find_stacks([str(tmp_path)]) == expected
    assert find_stacks([str(plate)]) == expected
    with open_stack(expected[0]) as stack:
        assert stack.shape == RAMP.shape
    results = [*sr.upscale_files(expected, tmp_path / "out", NEAREST)]
    assert len({result.path for result in results}) == 4


def test_an_address_of_a_file_is_its_path(tmp_path):
    path = tmp_path / "a file.tif"
    tifffile.imwrite(path, RAMP, **PLAIN)
    assert find_stacks([path.as_uri()]) == [path]
    with open_stack(path.as_uri()) as stack:
        assert np.array_equal(stack.plane((0,)), RAMP[0])

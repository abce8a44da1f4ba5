"""Small files that claim to be huge are refused before memory or time is spent."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import psutil
import pytest
import tifffile
import zarr

from napari_sr import files
from napari_sr.cli import main
from napari_sr.files import open_stack
from napari_sr.image.stack import StackError
from napari_sr.recipes import RecipeError, read_upscale_recipe


def bomb(path, side):
    """Write a TIFF of one strip that claims to hold `side` × `side` pixels."""
    data = zlib.compress(b"\0" * 1000)
    tags = [
        *((256, 4, side), (257, 4, side), (258, 3, 16), (259, 3, 8), (262, 3, 1)),
        *((273, 4, 134), (277, 3, 1), (278, 4, side), (279, 4, len(data)), (339, 3, 1)),
    ]
    held = b"".join(struct.pack("<HHII", code, kind, 1, n) for code, kind, n in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    path.write_bytes(head + held + struct.pack("<I", 0) + data)
    return path


def ome(path, **said):
    """Write an OME-TIFF of two planes whose description says something else."""
    array = np.ones((2, 32, 32), np.uint16)
    tifffile.imwrite(path, array, ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tif:
        text = tif.ome_metadata
    for name, n in said.items():
        text = text.replace(f'{name}="2"', f'{name}="{n}"')
    tifffile.imwrite(
        path, array, description=text, metadata=None, photometric="minisblack"
    )
    return path


def zarr_of(path, shape, chunks=64):
    """Write an OME-Zarr without pixels that claims to be of a shape."""
    scale = {"type": "scale", "scale": [1.0] * len(shape)}
    axes = [{"name": name, "type": "space"} for name in "zyx"[-len(shape) :]]
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    image = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group = zarr.open_group(path, mode="w", zarr_format=3, attributes={"ome": image})
    group.create_array("0", shape=shape, chunks=(chunks,) * len(shape), dtype="u2")
    return path


@pytest.mark.parametrize("name", ["SizeZ", "PlaneCount"])
def test_a_description_of_countless_planes_is_refused(tmp_path, name):
    path = ome(tmp_path / "a.ome.tif", **{name: 10**9})
    with pytest.raises(StackError, match="claims to hold 1000000000 planes"):
        open_stack(path)


@pytest.mark.parametrize("output", ["o.ome.tif", "o.ome.zarr"])
@pytest.mark.parametrize(
    "shape", [(10**9, 10**9), (10**18, 10**18), (10**9, 10**9, 10**9)], ids=str
)
def test_a_zarr_of_any_shape_is_refused(tmp_path, capsys, shape, output):
    source = zarr_of(tmp_path / "a.ome.zarr", shape)
    typed = ["upscale", str(source), "-o", str(tmp_path / output)]

    assert main([*typed, "-m", "nearest", "--factor", "2"]) == 1

    assert "too few for any compression" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_chunks_that_are_far_larger_than_their_image_are_refused(tmp_path):
    with pytest.raises(StackError, match=r"chunks of 32768 x 32768 px, 2\.15 GB"):
        open_stack(zarr_of(tmp_path / "a.ome.zarr", (64, 64), chunks=2**15))
    with open_stack(zarr_of(tmp_path / "b.ome.zarr", (64, 64), chunks=128)) as stack:
        assert not stack.plane(()).any()


def test_chunks_that_no_folder_holds_are_not_looked_for(tmp_path):
    path = zarr_of(tmp_path / "a.ome.zarr", (10**5, 10**5), chunks=1)
    with (
        open_stack(path) as stack,
        pytest.raises(StackError, match="of which 10000000000 would"),
    ):
        stack.plane(())


@pytest.mark.parametrize("output", ["o.ome.tif", "o.ome.zarr"])
def test_a_plan_of_any_shape_counts_what_it_does_not_list(tmp_path, capsys, output):
    source = zarr_of(tmp_path / "a.ome.zarr", (10**18, 10**18))
    typed = ["upscale", str(source), "-o", str(tmp_path / output), "--plan"]

    assert main([*typed, "-m", "nearest", "--factor", "2"]) == 1

    assert "The disk is too small." in capsys.readouterr().out


def test_the_disk_is_asked_before_a_plane_is_divided(tmp_path, capsys):
    source = bomb(tmp_path / "bomb.tif", 10**8)
    typed = ["upscale", str(source), "-o", str(tmp_path / "o.ome.tif")]

    assert main([*typed, "-m", "nearest", "--factor", "2", "--tile", "768"]) == 1

    assert "too few for any compression" in capsys.readouterr().err


def test_a_plane_that_no_memory_holds_is_not_read(tmp_path):
    side = int(psutil.virtual_memory().total ** 0.5)
    with (
        open_stack(bomb(tmp_path / "bomb.tif", side)) as stack,
        pytest.raises(StackError, match="read in one"),
    ):
        stack.plane(())


def test_frames_that_no_file_has_room_for_are_refused(tmp_path):
    pytest.importorskip("pydicom", reason="pydicom is not installed")
    from pydicom.data import get_testdata_file

    from napari_sr.files.dicom.header import _looked_at

    header = pytest.importorskip("pydicom").dcmread(get_testdata_file("CT_small.dcm"))
    header.NumberOfFrames = 10**9
    with pytest.raises(StackError, match="claims to hold 1000000000 frames"):
        _looked_at(tmp_path, header)


def test_a_recipe_that_is_nested_without_end_is_refused(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("inputs = " + "[" * 50_000 + "]" * 50_000)
    with pytest.raises(RecipeError, match=r"nested too deeply|not TOML"):
        read_upscale_recipe(path)


def test_a_recipe_may_begin_with_the_mark_of_windows_editors(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('model = "nearest"\n', encoding="utf-8-sig")
    assert read_upscale_recipe(path).model == "nearest"


def test_a_writer_of_countless_planes_lists_none(tmp_path):
    from napari_sr.image.axis import Axis

    writer = files.create_stack(
        tmp_path / "a.ome.zarr",
        shape=(10**12, 8, 8),
        dtype=np.uint8,
        axes=[Axis("z"), Axis("y"), Axis("x")],
        provenance={},
    )
    plane = np.zeros((8, 8), np.uint8)
    writer.write((1,), plane)
    writer.write((0,), plane)
    with pytest.raises(StackError, match="lacks 999999999998 planes"):
        writer.commit()
    assert not any(tmp_path.iterdir())

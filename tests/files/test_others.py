"""Formats that are read through other libraries: their own writers' files, by value."""

from __future__ import annotations

import datetime
import importlib
import subprocess
import sys

import numpy as np
import pytest
from sample_files import RAMP, axes_of, read_file
from stacks_on_disk import write_stack

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.files import formats, open_channels, open_stack
from napari_sr.files.finding import each_image_of, look_for
from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError
from napari_sr.runs.output_names import name_outputs

NEAREST = sr.load_model("nearest", factor=2)


def library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed")


# -- HDF5 and NeXus ----------------------------------------------------------------


def write_hdf5(path, **arrays):
    with library("h5py").File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


def test_the_only_image_of_an_hdf5_file_is_read(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", data=RAMP, theta=np.arange(4.0))
    assert np.array_equal(read_file(path), RAMP)
    assert [axis.name for axis in axes_of(path)] == [*"zyx"]
    result = sr.upscale_file(path, tmp_path / "r.ome.tif", NEAREST)
    assert np.array_equal(read_file(result.path)[:, ::2, ::2], RAMP)


def test_of_several_arrays_one_is_named_in_the_path(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", entry__data=RAMP, entry__flat=RAMP[0] + 1)
    with pytest.raises(StackError, match=r"holds 2 arrays .*a\.h5/entry/data") as told:
        open_stack(path)
    assert "a.h5/entry/flat" in str(told.value)
    assert np.array_equal(read_file(path / "entry" / "data"), RAMP)
    assert np.array_equal(read_file(f"{path}/entry/flat"), RAMP[0] + 1)
    with pytest.raises(StackError, match="no array called entry/dark"):
        open_stack(path / "entry" / "dark")
    sr.upscale_file(path / "entry" / "data", tmp_path / "r.ome.tif", NEAREST)


def test_nexus_marks_the_image_and_places_it(tmp_path):
    path = write_hdf5(tmp_path / "a.nxs", e__d__counts=RAMP, e__d__other=RAMP + 1)
    with library("h5py").File(path, "r+") as file:
        file.attrs["default"], file["e"].attrs["default"] = "e", "d"
        group = file["e/d"]
        group.attrs.update(signal="counts", axes=["z", "y", "x"])
        for name, step, start, unit in (
            ("z", 2.0, 10.0, "mm"),
            ("y", 0.5, 0.0, "um"),
            ("x", 0.25, -1.0, "um"),
        ):
            length = RAMP.shape["zyx".index(name)]
            group[name] = start + step * np.arange(length)
            group[name].attrs["units"] = unit
    assert np.array_equal(read_file(path), RAMP)
    assert axes_of(path) == (
        Axis("z", 2.0, "mm", 10.0),
        Axis("y", 0.5, "um"),
        Axis("x", 0.25, "um", -1.0),
    )


def test_the_size_of_an_element_is_that_of_a_pixel(tmp_path):
    path = write_hdf5(tmp_path / "a.hdf5", t0__channel0=RAMP)
    with library("h5py").File(path, "r+") as file:
        file["t0/channel0"].attrs["element_size_um"] = [2.0, 0.5, 0.25]
    assert [(a.spacing, a.unit) for a in axes_of(path)] == [
        (2.0, "um"),
        (0.5, "um"),
        (0.25, "um"),
    ]


# -- MRC ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32", "int8"])
def test_mrc_has_its_voxels_in_angstrom(tmp_path, dtype):
    mrcfile = library("mrcfile")
    values = (RAMP % 100).astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(values)
        file.set_volume()
        file.voxel_size = (1.5, 2.5, 4.0)  # x, y, z
    assert np.array_equal(read_file(tmp_path / "a.mrc"), values)
    assert [(a.name, a.spacing, a.unit) for a in axes_of(tmp_path / "a.mrc")] == [
        ("z", 4.0, "angstrom"),
        ("y", 2.5, "angstrom"),
        ("x", 1.5, "angstrom"),
    ]


def test_an_mrc_without_a_cell_is_not_calibrated(tmp_path):
    with library("mrcfile").new(tmp_path / "a.mrc") as file:
        file.set_data(RAMP[0])
    assert axes_of(tmp_path / "a.mrc") == (Axis("y"), Axis("x"))
    held = (tmp_path / "a.mrc").read_bytes()
    (tmp_path / "a.mrc").write_bytes(held[:-50])
    with pytest.raises(StackError, match="not a readable MRC file"):
        open_stack(tmp_path / "a.mrc")


# -- NIfTI -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_has_x_last_and_its_sizes(tmp_path, suffix):
    nibabel = library("nibabel")
    image = nibabel.Nifti1Image(RAMP.T, np.diag([0.5, 0.25, 2.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / f"a{suffix}")
    with open_stack(tmp_path / f"a{suffix}") as stack:
        assert (stack.name, stack.dtype) == ("a", np.uint16)
    assert np.array_equal(read_file(tmp_path / f"a{suffix}"), RAMP)
    assert axes_of(tmp_path / f"a{suffix}") == (
        Axis("z", 2.0, "mm"),
        Axis("y", 0.25, "mm"),
        Axis("x", 0.5, "mm"),
    )


def test_nifti_gives_values_after_its_slope(tmp_path):
    nibabel = library("nibabel")
    image = nibabel.Nifti1Image(RAMP[0].T, np.eye(4))
    image.header.set_slope_inter(0.5, 3.0)
    nibabel.save(image, tmp_path / "a.nii")
    proxy = nibabel.load(tmp_path / "a.nii").dataobj
    with open_stack(tmp_path / "a.nii") as stack:
        assert stack.dtype == np.float32
        np.testing.assert_allclose(stack.plane(()), np.asarray(proxy).T)


def test_a_damaged_nifti_is_told_by_one_sentence_alone(tmp_path):
    nibabel = library("nibabel")
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(RAMP.T, np.eye(4)), path)
    whole = path.read_bytes()
    path.write_bytes(b"\x57" + whole[1:200])  # its size of a header, and cut off
    code = "import sys; from napari_sr.cli import main; sys.exit(main(sys.argv[1:]))"

    done = subprocess.run(
        [sys.executable, "-c", code, "info", str(path)], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    path.write_bytes(b"\x57" + whole[1:])
    done = subprocess.run(
        [sys.executable, "-c", code, "info", str(path)], capture_output=True, text=True
    )
    assert done.stderr == ""


# -- bioio -------------------------------------------------------------------------


class PretendImage:
    """What bioio says of a file, without the plugins that read it."""

    scenes = ("only",)
    channel_names = ("DAPI", "GFP")
    time_interval = datetime.timedelta(seconds=3)

    def __init__(self, path):
        if not path.exists():
            raise ValueError("no plugin")

    def set_scene(self, number):
        self.scene = number

    @property
    def dask_data(self):
        array = RAMP.reshape(1, 2, 2, 60, 70) + self.scene
        return library("dask.array").from_array(array, chunks=(1, 1, 1, 60, 70))

    @property
    def physical_pixel_sizes(self):
        sizes = {"Z": 2.0, "Y": 0.5, "X": None}
        return type("Sizes", (), sizes)


@pytest.fixture
def bioio(monkeypatch):
    module = type(sys)("bioio")
    module.BioImage = PretendImage
    module.__spec__ = importlib.machinery.ModuleSpec("bioio", None)
    monkeypatch.setitem(sys.modules, "bioio", module)
    monkeypatch.delitem(
        sys.modules, "napari_sr.files.others.bioio_images", raising=False
    )


@pytest.mark.usefixtures("bioio")
def test_what_bioio_reads_has_channels_sizes_and_planes(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"x")
    stacks = open_channels(tmp_path / "a.czi")
    assert [one.info.channels[0].name for one in stacks] == ["DAPI", "GFP"]
    assert stacks[0].axes == (Axis("z", 2.0, "um"), Axis("y", 0.5, "um"), Axis("x"))
    second = RAMP.reshape(2, 2, 60, 70)[1]
    assert np.array_equal(stacks[1].plane((1,)), second[1])


@pytest.mark.usefixtures("bioio")
def test_one_of_several_scenes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(PretendImage, "scenes", ("Series0", "Series1"))
    (tmp_path / "a.lif").write_bytes(b"x")
    with pytest.raises(StackError, match=r"2 images \(0: Series0, 1: Series1\)"):
        open_stack(tmp_path / "a.lif")
    for name in ("1", "Series1"):
        with open_stack(tmp_path / "a.lif" / name, channel=0) as stack:
            assert np.array_equal(stack.plane((0,)), RAMP[0] + 1)


@pytest.mark.usefixtures("bioio")
def test_where_a_plugin_fails_the_file_is_not_called_damaged(tmp_path, monkeypatch):
    def fail(block):
        raise ValueError("axes don't match")

    class Failing(PretendImage):
        @property
        def dask_data(self):
            return super().dask_data.map_blocks(fail, dtype="uint16", meta=RAMP[:0])

    monkeypatch.setattr(sys.modules["bioio"], "BioImage", Failing)
    (tmp_path / "a.lif").write_bytes(b"x")
    with (
        open_stack(tmp_path / "a.lif", channel=0) as stack,
        pytest.raises(StackError, match="another plugin of bioio") as told,
    ):
        stack.plane((0,))
    assert "damaged" not in str(told.value)


@pytest.mark.usefixtures("bioio")
def test_of_a_folder_each_image_of_a_file_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(PretendImage, "scenes", ("left", "a/b", "right", "7"))
    (tmp_path / "a.lif").write_bytes(b"x")
    write_stack(tmp_path / "b.tif", RAMP[0])
    (tmp_path / "c.tif").write_bytes(b"no TIFF")
    found = each_image_of(look_for([str(tmp_path)]).stacks)
    names = [str(path.relative_to(tmp_path)) for path in found]
    images = ["a.lif/left", "a.lif/1", "a.lif/right", "a.lif/3"]
    assert names == [*images, "b.tif", "c.tif"]
    outputs = name_outputs(found, tmp_path / "r", 2)
    assert [path.name for path in outputs][:2] == [
        "a_left_x2.ome.tif",
        "a_1_x2.ome.tif",
    ]
    typed = ["upscale", str(tmp_path), "-o", str(tmp_path / "r"), "-m", "bicubic"]
    assert main([*typed, "--factor", "2"]) == 1  # that of c.tif
    assert sorted(path.name for path in (tmp_path / "r").glob("a_*.tif")) == [
        f"a_{name}_x2.ome.tif" for name in ("1", "3", "left", "right")
    ]


# -- What is not there -------------------------------------------------------------


@pytest.mark.parametrize("known", formats.FORMATS[2:], ids=lambda known: known.extra)
def test_what_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, known):
    path = tmp_path / f"a{known.suffixes[0]}"
    path.write_bytes(b"x" * 200)
    folder = known.module.rpartition(".")[0]  # modules of a format import each other
    for name in [*sys.modules]:
        if name.partition(".")[0] == known.library or name.startswith(f"{folder}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, known.library, None)
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(StackError, match=rf"napari-sr\[{known.extra}\]"):
        open_stack(path)
    (tmp_path / "b.tif").write_bytes(b"x")
    assert f"napari-sr[{known.extra}]" in look_for([str(tmp_path)]).skipped[path]


def test_a_picture_says_what_to_give_instead(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(StackError, match=r"is a picture.*save the recording as TIFF"):
        open_stack(tmp_path / "a.png")

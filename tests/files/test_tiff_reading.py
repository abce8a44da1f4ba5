"""TIFFs of other programs: which planes they hold and where their pixels are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from sample_files import GRAY, LAYOUTS, PLAIN, RAMP, axes_of, read, read_file

import napari_sr as sr
from napari_sr.files import open_stack
from napari_sr.image.stack import Axis, StackError
from napari_sr.methods.interpolation import Interpolation


def write_pages(path, array, **options):
    with tifffile.TiffWriter(path) as writer:
        for plane in array:
            writer.write(plane, **options)


# -- TIFF, in all its kinds --------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_pixels(tmp_path, layout):
    tifffile.imwrite(tmp_path / "a.tif", RAMP, **layout)
    with open_stack(tmp_path / "a.tif") as stack:
        assert stack.name == "a"
        assert stack.plane((1,)).dtype == np.uint16
        assert np.array_equal(read(stack), RAMP)


@pytest.mark.parametrize(
    "options", [{}, {"metadata": None}], ids=["described", "plain"]
)
def test_pages_written_one_by_one_are_one_stack(tmp_path, options):
    write_pages(tmp_path / "a.tif", RAMP, **options)
    assert np.array_equal(read_file(tmp_path / "a.tif"), RAMP)


def test_axes_of_length_one_are_left_out(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", RAMP[None, :1, None], ome=True, metadata={"axes": "TZCYX"}
    )
    with open_stack(tmp_path / "a.tif") as stack:
        assert stack.shape == (60, 70)
        assert list(stack.indices()) == [()]


def test_dimensions_without_a_name_get_letters_of_their_own(tmp_path):
    array = RAMP.reshape(2, 2, 60, 70)
    tifffile.imwrite(tmp_path / "a.tif", array, **GRAY)
    with open_stack(tmp_path / "a.tif") as stack:
        assert "".join(axis.name for axis in stack.axes) == "qpyx"
        assert np.array_equal(read(stack), array)


def test_a_pyramid_is_read_at_its_full_resolution(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        options = {"tile": (16, 16), **GRAY}
        writer.write(RAMP, subifds=1, metadata={"axes": "ZYX"}, **options)
        writer.write(RAMP[:, ::2, ::2], subfiletype=1, **options)
    assert np.array_equal(read_file(tmp_path / "a.ome.tif"), RAMP)


def test_a_thumbnail_is_not_part_of_the_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RAMP[0], metadata=None)
        writer.write(RAMP[0, ::8, ::8].copy(), metadata=None)
    assert np.array_equal(read_file(tmp_path / "a.tif"), RAMP[0])


def write_ome_set(folder):
    """Write one OME-TIFF over two files of two planes."""
    uuids = [f"urn:uuid:0000000{i}-0000-0000-0000-000000000000" for i in range(2)]
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z % 2}" PlaneCount="1">'
        f'<UUID FileName="part{z // 2}.ome.tif">{uuids[z // 2]}</UUID></TiffData>'
        for z in range(4)
    )
    for part, uuid in enumerate(uuids):
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{uuid}"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" '
            'DimensionOrder="XYZCT" SizeX="70" SizeY="60" SizeZ="4" SizeC="1" SizeT="1"'
            ' PhysicalSizeX="0.5" PhysicalSizeY="0.25" PhysicalSizeYUnit="mm" '
            'PhysicalSizeZ="2" PhysicalSizeZUnit="\u00b5m">'
            f'<Channel ID="C:0" SamplesPerPixel="1"/>{data}'
            '<Plane TheZ="1" TheC="0" TheT="0" PositionZ="99"/>'
            '<Plane TheZ="0" TheC="0" TheT="0" PositionX="3" PositionXUnit="mm" '
            'PositionY="7" PositionZ="-4" PositionZUnit="\u00b5m"/>'
            "</Pixels></Image></OME>"
        )
        planes = RAMP[2 * part : 2 * part + 2]
        with tifffile.TiffWriter(folder / f"part{part}.ome.tif", ome=False) as writer:
            for i, plane in enumerate(planes):
                text = xml.encode() if i == 0 else None
                writer.write(plane, description=text, metadata=None, compression="zlib")
    return folder / "part0.ome.tif"


def test_an_ome_tiff_over_several_files_is_one_stack(tmp_path):
    assert np.array_equal(read_file(write_ome_set(tmp_path)), RAMP)


def test_an_ome_tiff_of_which_a_file_is_missing_is_refused(tmp_path):
    path = write_ome_set(tmp_path)
    (tmp_path / "part1.ome.tif").unlink()
    with pytest.raises(StackError, match="4 planes are declared and 2 are there"):
        open_stack(path)


def test_ome_sizes_and_positions_have_units(tmp_path):
    assert axes_of(write_ome_set(tmp_path)) == (
        Axis("z", 2, "um", -4),
        Axis("y", 0.25, "mm"),  # a position in "reference frame" says nothing
        Axis("x", 0.5, "um", 3000),  # sizes without a unit are micrometres
    )


@pytest.mark.parametrize(
    ("positions", "is_uneven"),
    [
        ((0, 0.31, 0.59, 0.9), False),  # as a stage says where it came to
        ((0, 0.3, 0.6, 1.2), True),
        ((0.9, 0.6, 0.3, 0), False),
        (None, False),
    ],
)
def test_planes_that_are_apart_unevenly_are_known(tmp_path, positions, is_uneven):
    told = {"PositionZ": list(positions)} if positions else {}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", RAMP, ome=True, metadata={"axes": "ZYX", "Plane": told}
    )
    with open_stack(tmp_path / "a.ome.tif") as stack:
        assert stack.info.is_uneven_along_z == is_uneven
        if is_uneven:
            with pytest.raises(StackError, match="uneven distances along z"):
                sr.upscale(stack, Interpolation("nearest", 2), z=2)


# -- calibration without OME -------------------------------------------------------

IMAGEJ = {
    "micrometres": (
        {"unit": "\\u00B5m", "spacing": 3.0, "finterval": 0.5},
        (Axis("t", 0.5, "s"), Axis("z", 3, "um"), Axis("y", 0.5, "um")),
    ),
    "own unit for z": (
        {"unit": "micron", "spacing": 0.001, "zunit": "mm", "tunit": "min"},
        (Axis("t"), Axis("z", 0.001, "mm"), Axis("y", 0.5, "um")),
    ),
    "origin in pixels": (
        {"unit": "nm", "spacing": 4.0, "zorigin": -2.0, "yorigin": 10},
        (Axis("t"), Axis("z", 4, "nm", 8), Axis("y", 0.5, "nm", -5)),
    ),
    "pixels": (
        {"unit": "pixel", "spacing": 2.5},
        (Axis("t"), Axis("z", 2.5), Axis("y")),
    ),
    "nothing": ({}, (Axis("t"), Axis("z"), Axis("y"))),
}


@pytest.mark.parametrize(("said", "axes"), IMAGEJ.values(), ids=IMAGEJ)
def test_imagej_calibration(tmp_path, said, axes):
    tifffile.imwrite(
        tmp_path / "a.tif",
        RAMP.reshape(2, 2, 60, 70),
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": "TZYX", **said},
    )
    assert axes_of(tmp_path / "a.tif")[:3] == axes


RESOLUTIONS = {
    "detector in cm": ((1000, 2000), "CENTIMETER", (5, 10)),
    "scanner in inches": ((25400, 25400), "INCH", (1, 1)),
    "one per cm": ((1, 1), "CENTIMETER", None),
    "72 dpi": ((72, 72), "INCH", None),
    "300 dpi": ((300, 300), "INCH", None),
    "72 dpi in cm": ((28.35, 28.35), "CENTIMETER", None),
    "300 dpi in cm": ((118.11, 118.11), "CENTIMETER", None),
    "no unit": ((5000, 5000), "NONE", None),
}


@pytest.mark.parametrize(
    ("per_unit", "unit", "um"), RESOLUTIONS.values(), ids=RESOLUTIONS
)
def test_resolution_tags_count_only_when_they_are_a_calibration(
    tmp_path, per_unit, unit, um
):
    tifffile.imwrite(
        tmp_path / "a.tif", RAMP[0], resolution=per_unit, resolutionunit=unit, **PLAIN
    )
    expected = (Axis("y"), Axis("x"))
    if um is not None:
        expected = (Axis("y", um[0], "um"), Axis("x", um[1], "um"))
    assert axes_of(tmp_path / "a.tif") == expected


# -- several files as one stack ----------------------------------------------------


@pytest.mark.parametrize("each", [1, 2], ids=["planes", "stacks"])
def test_a_sequence_of_files_is_one_stack(tmp_path, each):
    paths = [tmp_path / f"{i}.tif" for i in range(4 // each)]
    parts = RAMP.reshape(-1, each, 60, 70).squeeze()
    for path, part in zip(paths, parts, strict=True):
        tifffile.imwrite(path, part, **PLAIN)
    with open_stack(paths) as stack:
        assert stack.shape == parts.shape
        assert stack.axes[0] == Axis("z")
        assert np.array_equal(read(stack), parts)
    assert np.array_equal(read_file(paths[::-1]), parts[::-1])


def test_files_that_differ_are_no_sequence(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAMP[0], **PLAIN)
    tifffile.imwrite(tmp_path / "b.tif", RAMP[0, :50], **PLAIN)
    with pytest.raises(StackError, match=r"b.tif is \(50, 70\) uint16 but .*a.tif"):
        open_stack([tmp_path / "a.tif", tmp_path / "b.tif"])
    with pytest.raises(StackError, match="no file to open"):
        open_stack([])


# -- reading -----------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["contiguous", "zlib", "zstd tiles", "OME"])
def test_planes_are_read_from_any_thread(tmp_path, layout):
    tifffile.imwrite(tmp_path / "a.tif", RAMP, **LAYOUTS[layout])
    with open_stack(tmp_path / "a.tif") as stack, ThreadPoolExecutor(4) as threads:
        indices = list(stack.indices()) * 20
        for index, plane in zip(
            indices, threads.map(stack.plane, indices), strict=True
        ):
            assert np.array_equal(plane, RAMP[index])


@pytest.mark.parametrize("layout", ["contiguous", "zlib", "tiled"])
def test_opening_reads_no_pixels_and_a_plane_no_other(tmp_path, layout, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", RAMP, **LAYOUTS[layout])
    decoded = []
    asarray, fromfile = tifffile.TiffPage.asarray, np.fromfile
    monkeypatch.setattr(
        tifffile.TiffPage, "asarray", lambda page: decoded.append(1) or asarray(page)
    )
    monkeypatch.setattr(
        np, "fromfile", lambda *a, **k: decoded.append(k["count"]) or fromfile(*a, **k)
    )
    monkeypatch.setattr(tifffile.TiffFile, "asarray", None)
    with open_stack(tmp_path / "a.tif") as stack:
        assert decoded == []
        monkeypatch.setattr(tifffile, "TiffFile", None)  # never parsed again
        stack.plane((3,))
        assert decoded in ([1], [60 * 70])


def test_a_closed_file_can_be_removed_and_not_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAMP, **PLAIN)
    with open_stack(tmp_path / "a.tif") as stack:
        pass
    with pytest.raises(StackError, match="closed"):
        stack.plane((0,))


@pytest.mark.parametrize("layout", ["contiguous", "zlib"])
def test_planes_are_found_after_the_working_directory_has_changed(
    tmp_path, layout, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", RAMP, **LAYOUTS[layout])
    with open_stack("a.tif") as stack, open_stack(["a.tif", "a.tif"]) as twice:
        monkeypatch.chdir("/")
        assert np.array_equal(read(stack), RAMP)
        assert np.array_equal(read(twice), [RAMP, RAMP])

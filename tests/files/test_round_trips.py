"""What is written comes back exactly, and other programs understand it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr

from napari_sr.files import create_stack, open_stack
from napari_sr.files.formats import has_readable_suffix, has_writable_suffix
from napari_sr.files.tiff import images as tiff
from napari_sr.files.writing import Content
from napari_sr.files.zarr import images as ome_zarr
from napari_sr.image.info import NOTHING_SAID
from napari_sr.image.sampling import halved
from napari_sr.image.stack import Axis

PLACE = {
    "p": Axis("p"),
    "t": Axis("t", 0.1, "s", 12.3),
    "z": Axis("z", 2 / 3, "um", -1.7),
    "y": Axis("y", 0.3250000001, "um", 1e3 / 7),
    "x": Axis("x", 0.3250000002, "um", -1e-3 / 7),
}
LENGTH = {"p": 2, "t": 2, "z": 3, "y": 7, "x": 5}
ORDERS = ["yx", "zyx", "tyx", "tzyx", "ztyx", "pyx", "ptzyx"]
SUFFIXES = [".ome.tif", ".zarr"]
DTYPES = ["uint8", "uint16", "int16", "float32"]
PROVENANCE = {"model": "srgan-x4 \u00b5 <&>", "dial": 0.8, "steps": [1, None, True]}

OTHER_PLACES = {
    "not calibrated": [Axis("z", 3), Axis("y"), Axis("x", 2)],
    "one slice": [Axis("z", 1.5, "um"), Axis("y", 0.5, "nm"), Axis("x", 0.5, "nm")],
    "millimetres": [Axis("t", 60), Axis("y", 0.01, "mm", 4), Axis("x", 0.01, "mm")],
    "a unit of its own": [Axis("q", 2, "furlong"), Axis("y", 1, "furlong"), Axis("x")],
    "electronvolts": [
        Axis("e", 0.1, "eV", 500),
        Axis("y", 1, "nm"),
        Axis("x", 1, "nm"),
    ],
}


def pixels(shape, dtype="uint16", seed=0):
    values = np.random.default_rng(seed).uniform(0, 200, shape)
    return values.astype(dtype)


def write(path, array, axes=None, **options):
    axes = axes or [PLACE[name] for name in "ptzyx"[-array.ndim :]]
    with create_stack(
        path,
        shape=array.shape,
        dtype=array.dtype,
        axes=axes,
        provenance=options.pop("provenance", PROVENANCE),
        **options,
    ) as writer:
        for index in np.ndindex(*array.shape[:-2]):
            writer.write(index, array[index])
    return path


def read(stack):
    return np.reshape([stack.plane(index) for index in stack.indices()], stack.shape)


# -- what is written comes back ----------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("order", ORDERS)
def test_round_trip_is_exact(tmp_path, order, suffix):
    array = pixels([LENGTH[name] for name in order])
    axes = tuple(PLACE[name] for name in order)
    path = write(tmp_path / f"cells{suffix}", array, axes)
    with open_stack(path) as stack:
        assert stack.axes == axes
        assert stack.dtype == array.dtype
        assert stack.name == "cells"
        assert stack.provenance == PROVENANCE
        assert np.array_equal(read(stack), array)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compression", ["zlib", "zstd", "none", None])
def test_pixels_are_lossless_when_tiled(tmp_path, dtype, compression, suffix):
    array = pixels((2, 300, 270), dtype)
    path = write(tmp_path / f"a{suffix}", array, compression=compression)
    with open_stack(path) as stack:
        assert stack.dtype == dtype
        assert np.array_equal(read(stack), array)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("axes", OTHER_PLACES.values(), ids=OTHER_PLACES)
def test_places_that_formats_have_no_words_for_come_back_too(tmp_path, axes, suffix):
    path = write(tmp_path / f"a{suffix}", pixels((1, 7, 5)), axes)
    with open_stack(path) as stack:
        assert stack.axes == tuple(axes)
        assert stack.shape == (1, 7, 5)


def test_nan_survives(tmp_path):
    array = pixels((7, 5), "float32")
    array[2, 3] = np.nan
    with open_stack(write(tmp_path / "a.tif", array)) as stack:
        assert np.array_equal(stack.plane(()), array, equal_nan=True)


@pytest.mark.parametrize("order", ["yx", "zyx", "tyx", "tzyx"])
def test_the_ome_xml_says_the_same_without_our_json(tmp_path, order):
    axes = tuple(PLACE[name] for name in order)
    path = write(tmp_path / "a.tif", pixels([LENGTH[name] for name in order]), axes)
    xml = tifffile.tiffcomment(path)
    start, end = xml.index("<Description>"), xml.index("</Description>")
    tifffile.tiffcomment(path, (xml[:start] + "<Description>" + xml[end:]).encode())
    with open_stack(path) as stack:
        assert stack.axes == axes
        assert stack.provenance == {}


def test_a_calibration_changed_by_another_program_counts(tmp_path):
    path = write(tmp_path / "a.tif", pixels((3, 7, 5)))
    xml = tifffile.tiffcomment(path)
    said = f'PhysicalSizeX="{PLACE["x"].spacing}"'
    assert said in xml
    tifffile.tiffcomment(path, xml.replace(said, 'PhysicalSizeX="0.5"').encode())
    with open_stack(path) as stack:
        assert [axis.spacing for axis in stack.axes] == [2 / 3, 0.3250000001, 0.5]
        assert stack.provenance == PROVENANCE


# -- others understand it ----------------------------------------------------------


@pytest.mark.parametrize("order", ["yx", "zyx", "tyx", "tzyx"])
def test_tifffile_reads_shape_pixels_and_pixel_size(tmp_path, order):
    array = pixels([LENGTH[name] for name in order])
    path = write(tmp_path / "a.tif", array, [PLACE[name] for name in order])
    assert np.array_equal(tifffile.imread(path), array)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.series[0].axes == order.upper()
        image = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
        per_cm = tif.pages[0].get_resolution("CENTIMETER")
    assert image["Pixels"]["PhysicalSizeX"] == PLACE["x"].spacing
    assert image["Pixels"]["PhysicalSizeXUnit"] == "\u00b5m"
    assert json.loads(image["Description"])["napari_sr"] == PROVENANCE
    assert per_cm == pytest.approx(
        (1e4 / PLACE["x"].spacing, 1e4 / PLACE["y"].spacing), rel=1e-5
    )


def test_nobody_is_told_micrometres_that_are_not(tmp_path):
    path = write(tmp_path / "a.tif", pixels((7, 5)), [Axis("y", 2), Axis("x", 2)])
    assert 'PhysicalSizeX="2.0" PhysicalSizeXUnit="pixel"' in tifffile.tiffcomment(path)


def test_large_planes_are_tiled_and_small_ones_are_not(tmp_path):
    for side, tiled in ((256, False), (257, True)):
        path = write(tmp_path / "a.tif", pixels((side, 9)), overwrite=True)
        with tifffile.TiffFile(path) as tif:
            assert tif.pages[0].is_tiled == tiled
            assert tif.pages[0].compression.name == "ADOBE_DEFLATE"


def test_more_than_four_gigabytes_make_a_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_LARGEST_CLASSIC", 3 * 7 * 5 * 2)
    for n_planes, big in ((3, False), (4, True)):
        array = pixels((n_planes, 7, 5))
        path = write(tmp_path / "a.tif", array, overwrite=True)
        with tifffile.TiffFile(path) as tif:
            assert tif.is_bigtiff == big
        with open_stack(path) as stack:
            assert np.array_equal(read(stack), array)


@pytest.mark.parametrize(("version", "zarr_format"), [("0.4", 2), ("0.5", 3)])
def test_ome_zarr_of_both_versions(tmp_path, version, zarr_format):
    array = pixels((2, 3, 7, 5))
    axes = tuple(PLACE[name] for name in "tzyx")
    content = Content(
        array.shape, array.dtype, axes, PROVENANCE, NOTHING_SAID, compression="zlib"
    )
    with ome_zarr.create_file(
        tmp_path / "a.zarr", content, overwrite=False, version=version
    ) as writer:
        for index in np.ndindex(2, 3):
            writer.write(index, array[index])
    with open_stack(tmp_path / "a.zarr") as stack:
        assert stack.axes == axes
        assert np.array_equal(read(stack), array)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert group.metadata.zarr_format == zarr_format
    said = group.attrs.get("ome", group.attrs)["multiscales"][0]
    assert said["axes"][-1] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert said["axes"][0] == {"name": "t", "type": "time", "unit": "second"}
    assert np.array_equal(group["0"][:], array)


def test_zarr_chunks_are_parts_of_one_plane(tmp_path):
    write(tmp_path / "a.zarr", pixels((2, 1500, 20), "uint8"))
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["0"].chunks == (1, 1024, 20)


@pytest.mark.parametrize("compression", ["zlib", "none"])
def test_the_same_stack_gives_the_same_bytes(tmp_path, compression):
    array = pixels((3, 300, 20))
    one = write(tmp_path / "one.tif", array, compression=compression)
    two = write(tmp_path / "two.tif", array, compression=compression)
    assert one.read_bytes() == two.read_bytes()
    other = write(tmp_path / "other.tif", array, provenance={"model": "other"})
    uuids = {tifffile.tiffcomment(path).split("UUID=")[1][:47] for path in (one, other)}
    assert len(uuids) == 2


# -- names -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tif", "a.OME.TIFF", "a.btf", "a.ome.zarr"])
def test_known_suffixes(name):
    assert has_readable_suffix(name)
    assert has_writable_suffix(name)


def test_other_suffixes():
    assert not has_readable_suffix("a.png")
    assert not has_writable_suffix("tif")


def test_importing_the_room_loads_no_format():
    heavy = "tifffile", "zarr", "dask", "torch", "imagecodecs"
    code = (
        f"import sys, napari_sr.files; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("compression", ["zlib", "none"])
def test_a_large_ome_tiff_has_coarser_levels(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(tiff, "_COARSE_ENOUGH", 20)
    array = pixels((3, 70, 50))
    path = write(tmp_path / "a.ome.tif", array, compression=compression)
    with tifffile.TiffFile(path) as tif:
        (series,) = tif.series
        shapes = [level.shape for level in series.levels]
        assert shapes == [(3, 70, 50), (3, 35, 25), (3, 18, 13)]
        assert tif.series[0].kind == "ome"
        for plane, coarser in zip(array, series.levels[1].asarray(), strict=True):
            assert np.array_equal(coarser, halved(plane))
    with open_stack(path) as stack:
        assert np.array_equal(read(stack), array)
        assert stack.axes[-1] == PLACE["x"]

"""Law 5 on disk: a layer that is saved and opened again lies where it lay."""

from __future__ import annotations

import gc
import json
from dataclasses import replace

import numpy as np
import pytest
import zarr

pytest.importorskip("napari.layers", reason="napari is not installed")

from napari.components import ViewerModel
from napari.layers import Image, Layer
from places import HELD, KEPT, assert_same_place
from stacks_on_disk import write_stack
from tifffile import TiffWriter, imwrite

from napari_sr._napari.layers import reader
from napari_sr._napari.layers.place import KEPT as KEPT_KEY
from napari_sr._napari.layers.place import placed
from napari_sr._napari.layers.reader import get_reader, read_layers
from napari_sr._napari.layers.writer import write_tiff, write_zarr
from napari_sr._napari.parts.preferences import Preferences
from napari_sr.files import create_stack, open_stack
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack, StackError
from napari_sr.interactive import lazy_pixels
from napari_sr.interactive.layer_axes import axes_of, unheld
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs.one_file import upscale_file

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")

NEAREST = Interpolation("nearest", 2)
WRITERS = {".ome.tif": write_tiff, ".ome.zarr": write_zarr}
formats = pytest.mark.parametrize("suffix", WRITERS)


def counts(shape, dtype=np.uint16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, shape).astype(dtype)


def save(layer, path):
    data, meta, _ = layer.as_layer_data_tuple()
    (written,) = WRITERS["".join(path.suffixes[-2:])](str(path), data, meta)
    return written


def opened(path):
    return [Layer.create(*one) for one in get_reader(str(path))(str(path))]


@formats
@pytest.mark.parametrize("case", HELD | KEPT)
def test_what_is_saved_opens_in_its_place(tmp_path, suffix, case, notified):
    shape, keywords = (HELD | KEPT)[case]
    layer = Image(counts(shape), name="bone", **keywords)

    save(layer, tmp_path / f"a{suffix}")
    (again,) = opened(tmp_path / f"a{suffix}")

    np.testing.assert_array_equal(again.data, layer.data)
    assert again.data.dtype == layer.data.dtype
    assert_same_place(again, layer)
    if "axis_labels" in keywords:
        assert again.axis_labels == layer.axis_labels
    # the user is told of what only this package will give back
    assert len(notified) == (case in KEPT)
    assert all("napari-sr reads" in words for words in notified)


@formats
@pytest.mark.parametrize("case", ["2D, anisotropic", "z stack", "time series"])
def test_every_other_program_finds_pixel_size_origin_and_units(tmp_path, suffix, case):
    shape, keywords = HELD[case]
    layer = Image(counts(shape), **keywords)

    save(layer, tmp_path / f"a{suffix}")

    with open_stack(tmp_path / f"a{suffix}") as stack:
        assert stack.axes == axes_of(keywords, len(shape))
        np.testing.assert_array_equal([one.spacing for one in stack.axes], layer.scale)


def test_a_place_that_another_program_changed_is_not_overruled():
    place = {"rotate": np.eye(2)[::-1], "scale": (2, 2), "translate": (0, 0)}
    provenance = {KEPT_KEY: unheld(place, 2)}
    axes = axes_of(place, 2)

    assert "rotate" in placed(axes, provenance)
    calibrated = [replace(axis, spacing=3) for axis in axes]
    assert placed(calibrated, provenance) == placed(calibrated, {})


@formats
def test_what_a_result_says_of_itself_goes_with_it(tmp_path, suffix):
    said = {"plan": {"model": "bone-x2"}, "notice": "computed"}
    layer = Image(counts((9, 7)), metadata={"napari_sr": said}, rotate=20)

    save(layer, tmp_path / f"a{suffix}")
    (again,) = opened(tmp_path / f"a{suffix}")

    assert again.metadata["napari_sr"] == said


@formats
def test_the_finest_level_is_saved(tmp_path, suffix):
    fine = counts((32, 32))
    layer = Image([fine, fine[::2, ::2]], multiscale=True)

    save(layer, tmp_path / f"a{suffix}")

    np.testing.assert_array_equal(opened(tmp_path / f"a{suffix}")[0].data, fine)


@pytest.mark.parametrize(
    ("data", "keywords", "words"),
    [
        (np.zeros((9, 7, 3), np.uint8), {"rgb": True}, "'photo' is RGB.*split"),
        (np.zeros((9, 7), bool), {}, "photo holds bool.*Convert it to uint8"),
    ],
)
@formats
def test_what_cannot_be_saved_is_refused_in_a_sentence(
    tmp_path, suffix, data, keywords, words
):
    with pytest.raises(RuntimeError, match=words):
        save(Image(data, name="photo", **keywords), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@formats
def test_only_the_name_that_the_user_agreed_to_is_replaced(tmp_path, suffix):
    first, second = Image(counts((9, 7))), Image(counts((5, 6)))
    save(first, tmp_path / f"a{suffix}")
    data, meta, _ = second.as_layer_data_tuple()

    with pytest.raises(RuntimeError, match="exists"):  # the dialog asked about "a" only
        WRITERS[suffix](str(tmp_path / "a"), data, meta)
    assert opened(tmp_path / f"a{suffix}")[0].data.shape == (9, 7)

    save(second, tmp_path / f"a{suffix}")
    assert opened(tmp_path / f"a{suffix}")[0].data.shape == (5, 6)
    assert WRITERS[suffix](str(tmp_path / "b"), data, meta) == [
        str(tmp_path / f"b{suffix}")
    ]


@formats
def test_a_full_disk_is_told_and_no_missing_plugin(tmp_path, suffix, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_sr.files.tiff.images.TiffSink.put", full)
    monkeypatch.setattr("napari_sr.files.zarr.images.ZarrSink.put", full)
    viewer = ViewerModel()
    viewer.add_image(counts((9, 7)))

    with pytest.raises(OSError, match="No space left"):  # a ValueError is not heard
        viewer.layers.save(str(tmp_path / f"a{suffix}"), plugin="napari-sr")
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_leaves_nothing(tmp_path):
    array = pytest.importorskip("dask.array", reason="dask is not installed")

    def broken(block, block_info=None):
        if block_info and block_info[None]["chunk-location"][0] == 1:
            raise OSError("disk gone")
        return block

    planes = array.zeros((2, 9, 7), dtype=np.uint16, chunks=(1, 9, 7))
    layer = Image(planes.map_blocks(broken, dtype=np.uint16), contrast_limits=(0, 1))

    with pytest.raises(OSError, match="disk gone"):
        save(layer, tmp_path / "a.ome.tif")
    assert not list(tmp_path.iterdir())


def test_compression_is_the_preferred_one(tmp_path, monkeypatch):
    sizes = []
    for name in ("none", "zlib"):
        monkeypatch.setattr(
            "napari_sr._napari.layers.writer.preferences",
            lambda name=name: Preferences(compression=name),
        )
        path = tmp_path / f"{name}.ome.tif"
        save(Image(np.zeros((64, 64), np.uint16)), path)
        sizes.append(path.stat().st_size)

    assert sizes[0] > 64 * 64 * 2 > sizes[1]


# ── reading ─────────────────────────────────────────────────────────────────────────


def write_channels(path, planes):
    with TiffWriter(path, ome=True) as tif:
        tif.write(planes, metadata={"axes": "CYX"}, photometric="minisblack")


def test_each_channel_is_a_layer_of_its_own(tmp_path):
    planes = counts((3, 9, 7))
    write_channels(tmp_path / "a.ome.tif", planes)

    layers = opened(tmp_path / "a.ome.tif")

    assert [layer.name for layer in layers] == ["a [0]", "a [1]", "a [2]"]
    assert len({layer.colormap.name for layer in layers}) == 3
    for layer, plane in zip(layers, planes, strict=True):
        np.testing.assert_array_equal(layer.data, plane)


@formats
def test_a_large_stack_is_read_when_it_is_looked_at(tmp_path, suffix, monkeypatch):
    pixels = counts((3, 9, 7))
    save(Image(pixels), tmp_path / f"a{suffix}")
    monkeypatch.setattr(lazy_pixels, "IN_MEMORY", 100)
    closed = []
    real = Stack.close
    monkeypatch.setattr(
        Stack, "close", lambda stack: (closed.append(stack.name), real(stack))[1]
    )

    ((data, keywords, _),) = read_layers(str(tmp_path / f"a{suffix}"))

    assert data.chunks == ((1, 1, 1), (9,), (7,))
    np.testing.assert_array_equal(data[1].compute(), pixels[1])
    np.testing.assert_array_equal(data[:, 2:5, 3].compute(), pixels[:, 2:5, 3])
    layer = Image(data, **keywords)
    del data
    gc.collect()
    assert not closed
    np.testing.assert_array_equal(np.asarray(layer.data[2]), pixels[2])

    del layer
    gc.collect()
    assert closed == ["a"]


def test_a_large_ome_zarr_opens_with_all_its_levels_where_they_lie(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(lazy_pixels, "IN_MEMORY", 100)
    monkeypatch.setattr(reader, "PART", 700)
    source = write_stack(tmp_path / "a.ome.tif", counts((2, 1024, 1280)), "zyx")
    path = upscale_file(source, tmp_path / "r.ome.zarr", NEAREST).path

    ((data, keywords, kind),) = read_layers(str(path))

    layer = Layer.create(data, keywords, kind)
    assert layer.multiscale
    image = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    datasets = image["multiscales"][0]["datasets"]
    assert len(layer.data) == len(datasets) == 3
    for level, dataset in enumerate(datasets):
        stored = np.asarray(zarr.open_array(path / dataset["path"], mode="r"))
        np.testing.assert_array_equal(layer.data[level], stored)
        scale, shift = dataset["coordinateTransformations"]
        for pixel in ((0, 0, 0), (1, *(side - 1 for side in stored.shape[1:]))):
            drawn = layer.data_to_world(pixel * layer.downsample_factors[level])
            said = np.multiply(pixel, scale["scale"]) + shift["translation"]
            extent = np.abs(said) + np.abs(scale["scale"])
            assert (np.abs(drawn - said) <= 1e-9 * extent).all()


def test_files_of_one_stack_open_as_one(tmp_path):
    pixels = counts((2, 9, 7))
    for number, plane in enumerate(pixels):
        save(Image(plane), tmp_path / f"{number}.ome.tif")
    paths = sorted(str(path) for path in tmp_path.iterdir())

    ((data, _, _),) = get_reader(paths)(paths)

    np.testing.assert_array_equal(data, pixels)


def test_a_unit_that_napari_does_not_know_is_no_unit(tmp_path):
    axes = (Axis("y", 2, "smoot"), Axis("x", 3, "smoot"))
    with create_stack(
        tmp_path / "a.ome.zarr", shape=(4, 5), dtype="uint8", axes=axes, provenance={}
    ) as writer:
        writer.write((), np.zeros((4, 5), np.uint8))

    (layer,) = opened(tmp_path / "a.ome.zarr")

    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    np.testing.assert_array_equal(layer.scale, (2, 3))


def test_other_files_and_folders_are_left_to_others(tmp_path):
    assert get_reader("a.tif") is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader(["a.ome.tif", "b.png"]) is None
    assert get_reader("A.OME.TIF") is read_layers


def test_a_tiff_of_imagej_keeps_its_place_and_pictures_are_left_to_others(tmp_path):
    planes, path = counts((3, 20, 24)), tmp_path / "a.tif"
    size = {"resolution": (5.0, 4.0), "metadata": {"axes": "ZYX", "unit": "um"}}
    imwrite(path, planes, imagej=True, **size)
    ((data, keywords, _),) = get_reader(str(path))(str(path))
    assert np.array_equal(data, planes)
    assert keywords["scale"] == pytest.approx((1.0, 0.25, 0.2))
    imwrite(path, np.zeros((20, 24, 3), "uint8"), photometric="rgb")
    assert get_reader(str(path)) is None


def test_channels_are_shown_as_they_are_called(tmp_path):
    names = {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]}
    imwrite(
        tmp_path / "a.ome.tif",
        counts((2, 20, 24)),
        photometric="minisblack",
        metadata={"axes": "CYX", "Channel": names},
    )
    layers = read_layers(str(tmp_path / "a.ome.tif"))
    assert [(k["name"], k["colormap"]) for _, k, _ in layers] == [
        ("a [DAPI]", "#0000ff"),
        ("a [GFP]", "#00ff00"),
    ]
    assert [Layer.create(*one).colormap.name for one in layers]


def test_a_dicom_and_the_folder_of_a_series_open_in_their_place(tmp_path):
    pydicom = pytest.importorskip("pydicom", reason="napari-sr[dicom] is not installed")
    header = pydicom.examples.ct
    pixels = header.pixel_array - 1024.0
    for number in range(3):
        header.ImagePositionPatient = [-158.1, -179.0, 10 + 2.5 * number]
        header.save_as(tmp_path / f"{3 - number}.dcm")

    (single,), (series,) = opened(tmp_path / "1.dcm"), opened(tmp_path)

    np.testing.assert_array_equal(single.data, pixels)
    np.testing.assert_array_equal(series.data, [pixels] * 3)
    np.testing.assert_array_equal(series.scale, [2.5, 0.661468, 0.661468])
    np.testing.assert_allclose(series.translate, [10, -179.0, -158.1])
    assert [str(unit) for unit in series.units] == ["millimeter"] * 3
    assert series.metadata == {"napari_sr": {}}  # and nothing of the patient


def test_a_damaged_file_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "a.ome.tif").write_bytes(b"II*\0 no image")

    with pytest.raises(StackError, match=r"a\.ome\.tif"):
        opened(tmp_path / "a.ome.tif")


OME = {"axes": "ZYX", "Channel": {"Name": "DAPI", "Color": 65535}}
LABELS = {"axes": "ZYX", "Labels": ["DAPI"] * 2}
"""What OME-XML and ImageJ say of the only channel of a file."""


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.ome.tif", {"metadata": OME}, ("a [DAPI]", "#0000ff")),
        ("a.tif", {"metadata": LABELS, "imagej": True}, ("a [DAPI]", None)),
        # An ImageJ label of the file, those of slices, and what is only a number.
        ("a.tif", {"metadata": LABELS | {"Labels": ["a.tif"] * 2}, "imagej": True},
         ("a", None)),
        ("a.tif", {"metadata": LABELS | {"Labels": ["z1", "z2"]}, "imagej": True},
         ("a", None)),
        ("a.ome.tif", {"metadata": {"axes": "ZYX", "Channel": {"Name": "Channel:0:0"}}},
         ("a", None)),
    ],
)  # fmt: skip
def test_the_only_channel_is_called_as_in_its_file(tmp_path, name, options, expected):
    pixels = counts((2, 20, 24))
    imwrite(tmp_path / name, pixels, photometric="minisblack", **options)

    ((data, keywords, _),) = read_layers(str(tmp_path / name))

    assert (keywords["name"], keywords.get("colormap")) == expected
    assert np.array_equal(data, pixels)


def test_the_labels_of_imagej_name_each_of_several_channels(tmp_path):
    metadata = {"axes": "ZCYX", "Labels": ["DAPI", "GFP"] * 3}
    pixels = counts((3, 2, 20, 24))
    imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=metadata)

    layers = read_layers(str(tmp_path / "a.tif"))

    assert [k["name"] for _, k, _ in layers] == ["a [DAPI]", "a [GFP]"]


@formats
def test_the_name_of_the_only_channel_is_saved_with_its_result(tmp_path, suffix):
    path = tmp_path / f"a [DAPI] [nearest]{suffix}"
    save(Image(counts((9, 7)), name="a [DAPI] [nearest]", colormap="blue"), path)

    with open_stack(path) as stack:
        assert [c.name for c in stack.info.channels] == ["DAPI"]
        assert stack.info.channels[0].colour == "#0000ff"
    (again,) = opened(path)
    assert again.name == "a [DAPI] [nearest]"

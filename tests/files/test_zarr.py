"""Channels, and OME-Zarr images of other programs."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from sample_files import RAMP, axes_of, read_file, write_zarr

from napari_sr.files import SeveralChannelsError, open_stack
from napari_sr.image.stack import Axis, StackError


def write_channels(path, array):
    if path.suffix == ".zarr":
        return write_zarr(path, array, "tcyx")
    tifffile.imwrite(path, array, ome=True, metadata={"axes": "TCYX"})
    return path


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_a_channel_is_picked_from_several(tmp_path, suffix):
    array = RAMP.reshape(2, 2, 60, 70)
    path = write_channels(tmp_path / f"a{suffix}", array)
    for channel in range(2):
        assert np.array_equal(read_file(path, channel=channel), array[:, channel])
    with pytest.raises(
        SeveralChannelsError, match="2 channels; pick one with channel=0 to chan"
    ) as several:
        open_stack(path)
    assert several.value.n_channels == 2
    for channel in (-1, 2):
        with pytest.raises(StackError, match=f"has 2 channels.*no channel {channel}"):
            open_stack(path, channel=channel)


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_the_only_channel_needs_no_choice(tmp_path, suffix):
    path = write_channels(tmp_path / f"a{suffix}", RAMP[:, None])
    assert np.array_equal(read_file(path), RAMP)
    assert np.array_equal(read_file(path, channel=0), RAMP)
    with pytest.raises(StackError, match="has 1 channel,"):
        open_stack(path, channel=1)


def test_transformations_of_level_and_image_add_up(tmp_path):
    path = write_zarr(
        tmp_path / "a.zarr",
        RAMP,
        "zyx",
        scale=[2, 0.5, 0.25],
        axes=[{"name": name, "unit": "micrometer"} for name in "zyx"],
        coordinateTransformations=[
            {"type": "translation", "translation": [1, 2, 3]},
            {"type": "scale", "scale": [10, 10, 1]},
        ],
    )
    assert axes_of(path) == (
        Axis("z", 20, "um", 10),
        Axis("y", 5, "um", 20),
        Axis("x", 0.25, "um", 3),
    )
    assert np.array_equal(read_file(path), RAMP)


def test_an_image_inside_a_zarr_needs_no_suffix(tmp_path):
    write_zarr(tmp_path / "plate.zarr" / "B03", RAMP, "zyx")
    assert np.array_equal(read_file(tmp_path / "plate.zarr" / "B03"), RAMP)


def chunk_of(path):
    return sorted((path / "s0").glob("[0-9]*"))[0]


def test_a_missing_chunk_is_background(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", RAMP, "zyx")
    chunk_of(path).unlink()
    assert not read_file(path)[0].any()


@pytest.mark.parametrize("share", [0, 0.5, 1], ids=["empty", "half", "all but a byte"])
def test_a_chunk_that_is_cut_off_is_refused(tmp_path, share):
    path = write_zarr(tmp_path / "a.zarr", RAMP, "zyx")
    held = chunk_of(path).read_bytes()
    chunk_of(path).write_bytes(held[: int(share * (len(held) - 1))])
    with open_stack(path) as stack:
        assert np.array_equal(stack.plane((1,)), RAMP[1])
        with pytest.raises(StackError, match=r"a.zarr is damaged: plane \(0,\)"):
            stack.plane((0,))


BAD_ZARR = {
    "older version": ({"version": "0.3", "axes": ["z", "y", "x"]}, "is OME-Zarr 0.3"),
    "x is not last": ({"axes": [{"name": n} for n in "yxz"]}, "expected y and x last"),
    "too few axes": ({"axes": [{"name": n} for n in "yx"]}, "cannot|not a readable"),
    "no levels": ({"datasets": []}, "not a readable OME-Zarr"),
    "unknown step": ({"coordinateTransformations": [{"type": "affine"}]}, "affine"),
}


@pytest.mark.parametrize(("wrong", "why"), BAD_ZARR.values(), ids=BAD_ZARR)
def test_unusable_zarr_metadata_is_refused(tmp_path, wrong, why):
    path = write_zarr(tmp_path / "a.zarr", RAMP, "zyx", **wrong)
    with pytest.raises(StackError, match=why):
        open_stack(path)


def test_a_zarr_without_an_image_is_refused(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(StackError, match=r"a.zarr has no multiscales"):
        open_stack(tmp_path / "a.zarr")


def test_unusable_zarr_pixels_are_refused(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", RAMP.astype("complex64"), "zyx")
    with pytest.raises(StackError, match=r"a.zarr holds complex64 pixels"):
        open_stack(path)


@pytest.mark.parametrize(
    ("first", "kind", "letter"),
    [("channel", "channel", None), ("time", "time", "t"), ("ch", None, None),
     ("concentration", "other", "q"), ("Z", "space", "z")],
)  # fmt: skip
def test_an_axis_may_have_any_name(tmp_path, first, kind, letter):
    both = np.stack([RAMP[0], RAMP[1]])
    path = write_zarr(tmp_path / "a.zarr", both, "qyx")
    group = zarr.open_group(path, mode="r+")
    (image,) = group.attrs["multiscales"]
    image["axes"][0] = {"name": first} | ({"type": kind} if kind else {})
    group.attrs["multiscales"] = [image]
    if letter is None:
        assert np.array_equal(read_file(path, channel=1), RAMP[1])
    else:
        assert axes_of(path)[0].name == letter


def test_a_step_of_nothing_is_not_calibrated(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", RAMP, "tyx", scale=[0, 0.5, 0.5])
    assert axes_of(path)[0] == Axis("t")


def test_one_image_in_the_layout_of_bioformats2raw_is_opened(tmp_path):
    attributes = {"bioformats2raw.layout": 3}
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w", zarr_format=2, attributes=attributes)
    write_zarr(path / "0", RAMP, "zyx")
    assert np.array_equal(read_file(path), RAMP)
    write_zarr(path / "1", RAMP, "zyx")
    with pytest.raises(StackError, match=r"holds 2 images; open one, such as .*0"):
        read_file(path)


def test_labels_are_no_intensities(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", RAMP, "zyx")
    zarr.open_group(path, mode="r+").attrs["image-label"] = {"version": "0.4"}
    with pytest.raises(StackError, match="is a label image"):
        read_file(path)


def test_each_chunk_is_decoded_once(tmp_path, monkeypatch):
    deep = np.tile(RAMP, (5, 1, 1))
    path = write_zarr(tmp_path / "a.zarr", deep, "zyx")
    group = zarr.open_group(path, mode="r+")
    chunks = (8, 32, 32)
    group.create_array("s1", shape=deep.shape, dtype=deep.dtype, chunks=chunks)[:] = (
        deep
    )
    (image,) = group.attrs["multiscales"]
    image["datasets"][0]["path"] = "s1"
    group.attrs["multiscales"] = [image]
    read_of, got = [], zarr.storage.LocalStore.get

    async def counted(self, key, *more, **options):
        if key.startswith("s1/") and "/.z" not in key:
            read_of.append(key)
        return await got(self, key, *more, **options)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    assert np.array_equal(read_file(path), deep)
    assert len(read_of) == len(set(read_of)) == 3 * 2 * 3
    read_of.clear()
    with open_stack(path) as stack:
        cut = (slice(5, 20), slice(3, 30))
        for index in (9, 10, 15):
            assert np.array_equal(stack.window((index,), cut), deep[index][cut])
    assert len(read_of) == 1


def test_version_0_6_is_read_in_the_coordinates_of_the_image(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", RAMP, "zyx")
    group = zarr.open_group(path, mode="r+")
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    steps = [
        {"type": "scale", "scale": [2.0, 0.5, 0.25]},
        {"type": "translation", "translation": [1.0, 0.0, -3.0]},
    ]
    placed = {"type": "sequence", "input": "s0", "output": "own"}
    onwards = {"type": "scale", "scale": [9, 9, 9], "input": "own", "output": "stage"}
    group.attrs["multiscales"] = [
        {
            "version": "0.6",
            "coordinateSystems": [
                {"name": "stage", "axes": axes[::-1]},
                {"name": "own", "axes": axes},
            ],
            "datasets": [
                {
                    "path": "s0",
                    "coordinateTransformations": [placed | {"transformations": steps}],
                }
            ],
            "coordinateTransformations": [onwards],
        }
    ]
    assert np.array_equal(read_file(path), RAMP)
    assert axes_of(path) == (
        Axis("z", 2.0, "um", 1.0),
        Axis("y", 0.5, "um"),
        Axis("x", 0.25, "um", -3.0),
    )

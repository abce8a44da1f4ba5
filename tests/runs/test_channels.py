"""A recording with several channels: each by itself, and all in one result."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr
from sample_files import write_zarr
from stacks_on_disk import counts, names_in
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.files import open_channels, open_stack
from napari_sr.image.info import Channel
from napari_sr.image.stack import StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs.channels import upscalers_for
from napari_sr.runs.many_files import FileSkipped, resume_job
from napari_sr.runs.one_file import FileFailure, FileJob, FileResult, run_job
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import TileStep

MODEL = tiny_fast()
BICUBIC, NEAREST = Interpolation("bicubic", 2), Interpolation("nearest", 2)
SETTINGS = UpscaleSettings(device="cpu")
DIM, BRIGHT = counts((3, 2, 32, 40), low=100, high=900), counts((3, 2, 32, 40), seed=1)
NAMED = (Channel("DAPI", "#0000ff"), Channel("GFP", "#00ff00"))
SIZE = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}


def write_ome_tiff(path):
    """T, Z, C, Y, X: the channel is neither first nor last."""
    tifffile.imwrite(
        path,
        np.stack([DIM, BRIGHT], axis=2),
        ome=True,
        photometric="minisblack",
        metadata={
            "axes": "TZCYX",
            "Channel": {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]},
            **SIZE,
        },
    )
    return path


def write_imagej(path):
    lut = np.zeros((3, 256), np.uint8)
    lut[2] = np.arange(256)
    tifffile.imwrite(
        path,
        np.stack([DIM, BRIGHT], axis=2),
        imagej=True,
        resolution=(2.0, 4.0),
        metadata={
            "axes": "TZCYX",
            "unit": "um",
            "spacing": 2.0,
            "mode": "composite",
            "LUTs": [lut, lut[[0, 2, 1]]],
        },
    )
    return path


def write_ome_zarr(path):
    write_zarr(path, np.stack([DIM, BRIGHT], 1), "tczyx", scale=[1, 1, 2, 0.25, 0.5])
    group = zarr.open_group(path, mode="r+")
    (image,) = group.attrs["multiscales"]
    for axis in image["axes"]:
        if axis["name"] in "zyx":
            axis.update(type="space", unit="micrometer")
    group.attrs["multiscales"] = [image]
    group.attrs["omero"] = {
        "channels": [
            {"label": "DAPI", "color": "0000FF"},
            {"label": "GFP", "color": "00FF00"},
        ]
    }
    return path


SOURCES = {
    ".ome.tif": write_ome_tiff,
    ".tif": write_imagej,
    ".ome.zarr": write_ome_zarr,
}


def channels_of(path):
    """All pixels of each channel of a file."""
    stacks = open_channels(path)
    try:
        return [
            np.reshape([s.plane(index) for index in s.indices()], s.shape)
            for s in stacks
        ]
    finally:
        for stack in stacks:
            stack.close()


def info_of(path):
    stacks = open_channels(path)
    for stack in stacks:
        stack.close()
    return stacks[0].axes, [stack.info.channels for stack in stacks]


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("kind", SOURCES)
def test_all_channels_come_out_as_they_are_called(tmp_path, kind, suffix):
    source = SOURCES[kind](tmp_path / f"a{kind}")

    result = sr.upscale_file(source, tmp_path / f"r{suffix}", MODEL)

    assert result.shape == (2, 3, 2, 64, 80)
    axes, channels = info_of(result.path)
    named = NAMED
    if kind == ".tif":  # ImageJ keeps colours, not names
        named = tuple(replace(channel, name="") for channel in NAMED)
    assert channels == [named[:1], named[1:]]
    assert "".join(axis.name for axis in axes) == "tzyx"
    assert [axis.spacing for axis in axes[1:]] == [2.0, 0.125, 0.25]
    for own, array in zip(channels_of(result.path), (DIM, BRIGHT), strict=True):
        np.testing.assert_array_equal(own, sr.upscale(array, MODEL))


def test_others_find_all_channels_too(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    sr.upscale_file(source, tmp_path / "r.ome.tif", BICUBIC)
    sr.upscale_file(source, tmp_path / "r.ome.zarr", BICUBIC)
    with tifffile.TiffFile(tmp_path / "r.ome.tif") as tif:
        assert tif.series[0].axes == "CTZYX"
        assert 'Name="DAPI" Color="65535"' in tif.ome_metadata
        pixels = tif.series[0].asarray()
    group = zarr.open_group(tmp_path / "r.ome.zarr", mode="r")
    (image,) = group.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == [*"tczyx"]
    gfp = group.attrs["ome"]["omero"]["channels"][1]
    assert gfp["label"] == "GFP"
    ends = [gfp["window"][name] for name in ("start", "end")]
    assert ends == [*np.percentile(BRIGHT, (0.1, 99.9))]  # else viewers show black
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 1, 0), pixels)
    for channel, array in enumerate((DIM, BRIGHT)):
        np.testing.assert_array_equal(pixels[channel], sr.upscale(array, BICUBIC))


def test_an_ome_zarr_of_our_own_is_as_its_specification_asks(tmp_path):
    yaozarrs = pytest.importorskip("yaozarrs")
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    sr.upscale_file(source, tmp_path / "r.ome.zarr", BICUBIC)
    yaozarrs.validate_zarr_store(str(tmp_path / "r.ome.zarr"))


@pytest.mark.parametrize("channel", [1, "GFP", "gfp", [1], ["GFP"]])
def test_one_may_be_picked_by_number_or_name(tmp_path, channel):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    sr.upscale_file(source, tmp_path / "r.ome.tif", BICUBIC, channel=channel)
    (own,) = channels_of(tmp_path / "r.ome.tif")
    np.testing.assert_array_equal(own, sr.upscale(BRIGHT, BICUBIC))
    assert info_of(tmp_path / "r.ome.tif")[1] == [NAMED[1:]]


def test_the_order_is_that_of_the_choice(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    sr.upscale_file(source, tmp_path / "r.ome.tif", BICUBIC, channel=["GFP", 0])
    assert info_of(tmp_path / "r.ome.tif")[1] == [NAMED[1:], NAMED[:1]]


def test_what_is_not_there_is_refused_by_name(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    with pytest.raises(StackError, match=r"\(0: DAPI, 1: GFP\), so there is no .* RFP"):
        sr.upscale_file(source, tmp_path / "r.ome.tif", BICUBIC, channel="RFP")
    assert names_in(tmp_path) == ["a.ome.tif"]


def test_each_channel_may_have_its_model(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    nearest = Interpolation("nearest", 2)
    for pick, suffix in (("gfp", ".ome.tif"), (1, ".ome.zarr")):
        job = FileJob(source, tmp_path / f"r{suffix}", of_channels={pick: nearest})
        *_, result = run_job(job, BICUBIC, SETTINGS)
        assert [plan.model for _, plan in result.channels] == ["bicubic", "nearest"]
        first, second = channels_of(result.path)
        np.testing.assert_array_equal(first, sr.upscale(DIM, BICUBIC))
        np.testing.assert_array_equal(second, sr.upscale(BRIGHT, nearest))
    job = FileJob(source, tmp_path / "s.ome.tif", of_channels={0: tiny_fast(3)})
    with pytest.raises(StackError, match="would differ in size"):
        list(run_job(job, BICUBIC, SETTINGS))


def test_each_channel_says_how_it_came_about(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    for suffix in (".ome.tif", ".ome.zarr"):
        sr.upscale_file(source, tmp_path / f"r{suffix}", MODEL)
        stacks = open_channels(tmp_path / f"r{suffix}")
        ranges = [stack.provenance["plan"]["intensity"]["high"] for stack in stacks]
        for stack in stacks:
            stack.close()
        assert ranges[0] < 900 < ranges[1]


def test_another_channel_is_another_result(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")

    def outcome(channel):
        job = FileJob(source, tmp_path / "r.ome.tif", channel=channel)
        events = resume_job(job, BICUBIC, SETTINGS)
        return next(event for event in events if not isinstance(event, TileStep))

    assert isinstance(outcome((0,)), FileResult)
    assert isinstance(outcome((0,)), FileSkipped)
    for other in ((1,), (0, 1), None):
        failure = outcome(other)
        assert isinstance(failure, FileFailure)
        assert "made with another channel" in str(failure.error)


def test_few_counts_in_one_channel_are_float32_in_all(tmp_path):
    few = np.random.default_rng(0).poisson(0.5, (32, 40)).astype("uint16")
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.stack([few, BRIGHT[0, 0]]),
        metadata={"axes": "CYX"},
        photometric="minisblack",
    )
    with pytest.warns(UserWarning, match="float32"):
        sr.upscale_file(tmp_path / "a.ome.tif", tmp_path / "r.ome.tif", BICUBIC)
    first, second = channels_of(tmp_path / "r.ome.tif")
    assert first.dtype == second.dtype == np.float32
    assert first.mean() == pytest.approx(few.mean(), rel=1e-3)


def test_the_command_line_takes_channels_and_models_by_name(tmp_path, capsys):
    source = str(write_ome_tiff(tmp_path / "a.ome.tif"))
    more = ["-o", str(tmp_path / "r.ome.tif"), "--factor", "2"]
    models = ["-m", "DAPI=nearest", "-m", "bicubic"]
    assert main(["upscale", source, *more, *models]) == 0
    said = capsys.readouterr().out
    assert "DAPI (model nearest" in said
    assert "GFP (model bicubic" in said
    assert main(["info", str(tmp_path / "r.ome.tif")]) == 0
    assert "channels: 0 DAPI #0000ff, 1 GFP #00ff00" in capsys.readouterr().out
    picked = ["--channel", "gfp", "-m", "bicubic", "--overwrite"]
    assert main(["upscale", source, *more, *picked]) == 0
    (own,) = channels_of(tmp_path / "r.ome.tif")
    np.testing.assert_array_equal(own, sr.upscale(BRIGHT, BICUBIC))


def test_a_channel_of_a_result_is_judged_by_itself(tmp_path, capsys):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    sr.upscale_file(source, tmp_path / "a_x2.ome.tif", BICUBIC)
    report = tmp_path / "r.json"
    typed = ["report", str(tmp_path / "a_x2.ome.tif"), "-o", str(report)]
    assert main(typed) == 1
    assert "pick one with --channel 0 to --channel 1" in capsys.readouterr().err
    assert main([*typed, "--channel", "gfp"]) == 0
    with open_stack(source, channel=1) as low:
        with open_stack(tmp_path / "a_x2.ome.tif", channel=1) as high:
            expected = sr.assess(low, high).as_json()
    told = json.loads(report.read_text("utf-8"))
    for name in ("figures", "data_range", "agreement"):
        assert told[name] == json.loads(json.dumps(expected[name]))


def test_a_run_of_channels_that_was_stopped_goes_on(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    job = FileJob(source, tmp_path / "r.ome.zarr")
    steps = run_job(job, BICUBIC, SETTINGS)
    for _ in range(8):  # of twelve planes: into the second channel
        next(steps)
    steps.close()
    going_on = [*run_job(job, BICUBIC, SETTINGS)]
    assert len(going_on) < 8
    for own, array in zip(channels_of(job.output), (DIM, BRIGHT), strict=True):
        np.testing.assert_array_equal(own, sr.upscale(array, BICUBIC))


def test_python_takes_a_model_for_each_channel(tmp_path):
    source = write_ome_tiff(tmp_path / "a.ome.tif")
    by_channel = {"DAPI": NEAREST, "": BICUBIC}
    sr.upscale_file(source, tmp_path / "r.ome.tif", by_channel)
    dim, bright = channels_of(tmp_path / "r.ome.tif")
    np.testing.assert_array_equal(dim, sr.upscale(DIM, NEAREST))
    np.testing.assert_array_equal(bright, sr.upscale(BRIGHT, BICUBIC))
    (done,) = sr.upscale_files([source], tmp_path / "all", by_channel)
    assert [plan.model for _, plan in done.channels] == ["nearest", "bicubic"]
    with pytest.raises(ValueError, match="at least one, by channel"):
        sr.upscale_file(source, tmp_path / "n.ome.tif", {})


def test_a_model_for_a_channel_that_is_not_there_is_refused():
    stacks = [sr.Stack.from_array(np.full((4, 4), 300, np.uint16))]
    nearest, bicubic = (
        sr.load_model(name, factor=2) for name in ("nearest", "bicubic")
    )

    with pytest.raises(StackError, match="no channel Dapy among"):
        upscalers_for(stacks, nearest, {"Dapy": bicubic})

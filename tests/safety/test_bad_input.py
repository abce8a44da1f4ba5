"""Input that cannot be used: one sentence that helps, and nothing left behind."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
import tifffile
import zarr
from stacks_on_disk import counts, write_stack
from tiny_models import tiny_fast

from napari_sr.cli import main
from napari_sr.models.sr_model import save_model

GRAY = {"photometric": "minisblack", "metadata": None}
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def tiff(dtype="uint16", shape=(20, 24), **options):
    """Make a maker of a TIFF that another program might have written."""

    def make(path):
        tifffile.imwrite(
            path, counts(shape, low=0, high=2).astype(dtype), **GRAY | options
        )

    return make


def truncated(**options):
    def make(path):
        tiff(shape=(8, 64, 64), **options)(path)
        os.truncate(path, path.stat().st_size * 2 // 3)

    return make


def text(path):
    path.write_text("These are my measurements: 1, 2, 3.")


def empty(path):
    path.touch()


def nothing(path):
    pass


def folder(path):
    path.mkdir()
    (path / "notes.txt").touch()


def rgb(path):
    tifffile.imwrite(path, np.zeros((20, 20, 3), "uint8"), photometric="rgb")


def palette(path):
    colours = np.zeros((3, 256), "uint16")
    pixels = np.zeros((20, 20), "uint8")
    tifffile.imwrite(path, pixels, photometric="palette", colormap=colours)


def all_nan(path):
    write_stack(path, np.full((2, 20, 20), np.nan, "float32"))


def secret(path):
    tiff()(path)
    path.chmod(0)


def bare_zarr(path):
    zarr.create_array(path, shape=(20, 20), dtype="uint16")


def zarr_group(path):
    zarr.open_group(path, mode="w")


def broken_zarr(path):
    write_stack(path, counts((2, 20, 20)))
    for chunk in (path / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-9])


def zarr_without_array(path):
    write_stack(path, counts((20, 20)))
    shutil.rmtree(path / "0")


INPUTS = [  # name of the input, how it is made, words of the sentence
    pytest.param("a.tif", nothing, "does not exist", id="missing"),
    pytest.param("a", folder, "holds no image", id="folder-without-images"),
    pytest.param("a.tif", folder, "holds no image", id="folder-named-tif"),
    pytest.param("a.tif", empty, "is an empty file", id="empty"),
    pytest.param("a.tif", text, "not a readable TIFF", id="text"),
    pytest.param("a.tif", truncated(), "is cut off", id="truncated"),
    pytest.param(
        "a.tif", truncated(compression="zlib"), "is cut off", id="truncated-zlib"
    ),
    pytest.param("a.tif", rgb, "is a colour (RGB) image", id="rgb"),
    pytest.param("a.tif", palette, "palette", id="palette"),
    pytest.param("a.tif", tiff("complex64"), "float32 (its magnitude)", id="complex"),
    pytest.param("a.tif", tiff("bool"), "Convert it to uint8", id="bool"),
    pytest.param("a.tif", tiff("int32"), "Convert it to uint16", id="int32"),
    pytest.param("a.tif", tiff("int32"), "uint16 if the values fit", id="int32"),
    pytest.param("a.tif", tiff(shape=(1, 1)), "at least 2 x 2", id="one-pixel"),
    pytest.param("a.tif", tiff(shape=(1, 20)), "at least 2 x 2", id="a-line"),
    pytest.param("a.tif", all_nan, "no finite pixel", id="all-nan"),
    pytest.param(
        "a.tif",
        secret,
        "Permission denied",
        id="unreadable",
        marks=pytest.mark.skipif(IS_ROOT, reason="root may read everything"),
    ),
    pytest.param("a.jpg", text, "cannot be read: it is a picture", id="suffix"),
    pytest.param("a.zarr", bare_zarr, "a.zarr", id="zarr-array"),
    pytest.param("a.zarr", zarr_group, "no multiscales", id="zarr-without-multiscales"),
    pytest.param("a.zarr", zarr_without_array, "a.zarr", id="zarr-without-array"),
    pytest.param("a.zarr", broken_zarr, "is damaged", id="zarr-corrupt-chunk"),
    pytest.param("a.zarr", text, "is a folder", id="zarr-that-is-a-file"),
]


def taken(path):
    write_stack(path, counts((4, 4)))


def in_the_way(path):
    path.parent.write_text("a file where a folder should be")


OUTPUTS = [  # name of the output, what is there already, words of the sentence
    pytest.param("r.ome.tif", taken, "exists", id="exists"),
    pytest.param("r.ome.zarr", taken, "exists", id="zarr-exists"),
    pytest.param("f/r.ome.tif", in_the_way, "f/r.ome.tif cannot be", id="in-the-way"),
    pytest.param("f/r.zarr", in_the_way, "f/r.zarr cannot be", id="in-the-way-of-zarr"),
    pytest.param("r.png", nothing, "r.png cannot be written", id="suffix"),
]


def model_without_end(path):
    save_model(tiny_fast(), path)
    os.truncate(path, path.stat().st_size - 100)


def model_changed(path):
    save_model(tiny_fast(), path)
    held = bytearray(path.read_bytes())
    held[-50] ^= 1
    path.write_bytes(held)


MODELS = [  # name of the model, how it is made, words of the sentence
    pytest.param("m.safetensors", nothing, "There is no model file", id="missing"),
    pytest.param("m.safetensors", text, "not a safetensors file", id="text"),
    pytest.param("m.safetensors", empty, "not a safetensors file", id="empty"),
    pytest.param("m.safetensors", model_without_end, "cut off", id="truncated"),
    pytest.param("m.safetensors", model_changed, "not those that", id="changed"),
    pytest.param("m.onnx", text, "There is no model named 'm.onnx'", id="other-format"),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything_in(place):
    return {path: path.is_file() and path.stat().st_size for path in place.rglob("*")}


def refused(here, capsys, source, output, model=("-m", "nearest", "--factor", "2")):
    """Run a command that must fail without a trace, and give its one sentence."""
    before = everything_in(here)
    code = main(["upscale", source, "-o", output, *model])
    said = capsys.readouterr()
    assert code == 1
    assert said.out == ""
    assert everything_in(here) == before
    assert said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err
    assert len(re.findall(r"[.?!](?=\s)", said.err)) <= 2, said.err
    assert len(said.err) < 300, said.err
    return said.err


@pytest.mark.parametrize(("name", "make", "words"), INPUTS)
@pytest.mark.parametrize("output", ["r.ome.tif", "r.ome.zarr"])
def test_unusable_input_is_refused(here, capsys, name, make, words, output):
    make(here / name)
    sentence = refused(here, capsys, name, output)
    assert words in sentence
    assert name.partition(".")[0] in sentence


@pytest.mark.parametrize(("name", "make", "words"), OUTPUTS)
def test_unusable_output_is_refused(here, capsys, name, make, words):
    write_stack(here / "a.tif", counts((8, 8)))
    make(here / name)
    sentence = refused(here, capsys, "a.tif", name)
    assert words in sentence
    assert name in sentence


@pytest.mark.parametrize(("name", "make", "words"), MODELS)
def test_an_unusable_model_is_refused(here, capsys, name, make, words):
    write_stack(here / "a.tif", counts((20, 20)))
    make(here / name)
    sentence = refused(here, capsys, "a.tif", "r.ome.tif", ("-m", name))
    assert words in sentence
    assert name in sentence


def test_a_bad_file_among_good_ones_is_named(here, capsys):
    (here / "in").mkdir()
    for name in ("1.tif", "3.tif"):
        write_stack(here / "in" / name, counts((8, 8)))
    truncated()(here / "in" / "2.tif")
    assert main(["upscale", "in", "-o", "out", "-m", "nearest", "--factor", "2"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "2.tif is cut off" in said
    done = sorted(path.name for path in (here / "out").iterdir())
    assert done == ["1_x2.ome.tif", "3_x2.ome.tif", "napari-sr-report.csv"]

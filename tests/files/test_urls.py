"""An OME-Zarr by its address: read from far away as from a folder."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import fsspec
import numpy as np
import pytest

from napari_sr import load_model, open_stack, upscale, upscale_file
from napari_sr.cli import main
from napari_sr.files import create_stack
from napari_sr.files.finding import find_sources
from napari_sr.files.url import Url, as_place
from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError
from napari_sr.runs.output_names import name_outputs

numbers = count()


@pytest.fixture
def counts():
    return np.random.default_rng(0).integers(0, 4000, (3, 40, 30), np.uint16)


@pytest.fixture
def address(tmp_path, counts):
    """Of an OME-Zarr in a store that is no folder."""
    axes = [Axis("z", 0.5, "µm"), Axis("y", 0.1, "µm"), Axis("x", 0.1, "µm")]
    local = tmp_path / "local" / "cells.ome.zarr"
    with create_stack(
        local, shape=counts.shape, dtype="u2", axes=axes, provenance={}
    ) as writer:
        for index, plane in enumerate(counts):
            writer.write((index,), plane)
    root = f"/far-{next(numbers)}"
    memory = fsspec.filesystem("memory")
    memory.put(str(local), f"{root}/cells.ome.zarr", recursive=True)
    shutil.rmtree(local)
    return f"memory:/{root}/cells.ome.zarr"


def test_a_url_is_told_from_a_path():
    assert as_place("s3://bucket/a.zarr") == Url("s3://bucket/a.zarr")
    assert as_place("HTTPS://host/a.ome.zarr/?v=1").name == "a.ome.zarr"
    assert as_place(r"C:\a.tif") == Path(r"C:\a.tif")
    assert as_place("a/b.tif") == Path("a/b.tif")


def test_pixels_and_their_size_come_from_far_away(address, counts):
    with open_stack(address) as stack:
        assert [axis.spacing for axis in stack.axes] == [0.5, 0.1, 0.1]
        assert stack.name == "cells"
        np.testing.assert_array_equal(stack.plane((1,)), counts[1])


def test_a_result_is_that_of_an_array(address, counts, tmp_path):
    bicubic = load_model("bicubic", factor=2)
    result = upscale_file(address, tmp_path / "r.ome.zarr", bicubic)
    expected = upscale(counts, bicubic)
    with open_stack(result.path) as found:
        for index in found.indices():
            np.testing.assert_array_equal(found.plane(index), expected[index])


def test_the_command_line_takes_addresses_beside_files(address, tmp_path, capsys):
    arguments = ["upscale", address, "-m", "bicubic", "--factor", "2"]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    assert (tmp_path / "cells_x2.ome.tif").exists()
    assert "cells" in capsys.readouterr().out


def test_an_address_names_its_output(tmp_path):
    sources = find_sources(["s3://bucket/far/a.ome.zarr", "s3://bucket/far/a.ome.zarr"])
    assert sources == [Url("s3://bucket/far/a.ome.zarr")]
    assert name_outputs(sources, tmp_path, 2) == [tmp_path / "a_x2.ome.tif"]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("memory://nothing-here/a.zarr", "not a readable OME-Zarr"),
        ("strange://host/a.zarr", "cannot be opened"),
    ],
)
def test_what_is_not_there_is_one_sentence(address, told):
    with pytest.raises(StackError, match=told):
        open_stack(address)


def test_results_are_not_written_far_away(counts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    far = "s3://bucket/r.ome.zarr"
    with pytest.raises(StackError, match="cannot be written"):
        upscale_file("a.tif", far, load_model("bicubic", factor=2))
    with pytest.raises(SystemExit):
        main(["upscale", "a.tif", "-o", far, "-m", "bicubic", "--factor", "2"])
    assert "cannot be written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

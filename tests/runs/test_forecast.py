"""What a run will take: exact where it can be known, and refused where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stacks_on_disk import counts, names_in, write_stack
from tiny_models import tiny_fast

from napari_sr.cli import main
from napari_sr.image.regions import Regions
from napari_sr.image.stack import Stack, StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs import forecast as forecasting
from napari_sr.runs.forecast import _line, forecast, free_disk, trial_run
from napari_sr.runs.one_file import upscale_file
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling import plan as planning

BICUBIC = Interpolation("bicubic", 2)
NEAREST = Interpolation("nearest", 2)
SETTINGS = UpscaleSettings(device="cpu")


def stored(path):
    files = [path] if path.is_file() else path.rglob("*")
    return sum(one.stat().st_size for one in files if one.is_file())


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("compression", ["zlib", None])
def test_the_disk_that_is_foretold_is_the_disk_that_is_taken(
    tmp_path, suffix, compression
):
    array = counts((3, 560, 540))
    source = write_stack(tmp_path / "a.ome.tif", array)
    output = tmp_path / f"r{suffix}"
    trial = trial_run(Stack.from_array(array), BICUBIC, SETTINGS, suffix, compression)

    found = forecast(trial, [array.shape], output)

    assert found.shapes == ((3, 1120, 1080),)
    assert found.n_regions == 3
    assert found.fits
    upscale_file(source, output, BICUBIC, compression=compression)
    close = 0.15 if compression else 0.01
    assert found.disk == pytest.approx(stored(output), rel=close)
    assert (found.disk == found.n_bytes_raw) is (compression is None)


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("factor", [1, None])
def test_a_volume_that_becomes_finer_along_z_is_foretold(
    tmp_path, monkeypatch, suffix, factor
):
    monkeypatch.setattr(planning, "_MOST", 8)  # recorded planes of a slab
    array = counts((20, 90, 80))
    source = write_stack(tmp_path / "a.ome.tif", array)
    settings = UpscaleSettings(device="cpu", z=3, factor=factor)
    stack = Stack.from_array(array)
    trial = trial_run(stack, BICUBIC, settings, suffix, None)
    output = tmp_path / f"r{suffix}"

    found = forecast(trial, [array.shape] * 3, output)

    given = []
    on_tile = BICUBIC.__class__.__call__
    monkeypatch.setattr(
        BICUBIC.__class__,
        "__call__",
        lambda self, batch: given.append(batch[0, 0].numel()) or on_tile(self, batch),
    )
    upscale_file(source, output, BICUBIC, compression=None, z=3, factor=factor)
    assert found.shapes[0] == (60, 90 * (factor or 2), 80 * (factor or 2))
    one = forecast(trial, [array.shape], output)
    assert one.seconds == pytest.approx(sum(given) * trial.seconds, rel=1e-12)
    assert found.seconds == pytest.approx(3 * one.seconds, rel=1e-12)
    assert one.disk == pytest.approx(stored(output), rel=0.05)
    assert one.n_regions == 60
    with pytest.raises(StackError, match="tried on 3 axes"):
        forecast(trial, [array[0].shape], output)


def of(suffix, *shapes):
    stack = Stack.from_array(counts((90, 90)))
    trial = trial_run(stack, tiny_fast(), SETTINGS, suffix, "zlib")
    trial = replace(trial, seconds=1e-6)  # what it took differs from time to time
    return forecast(trial, list(shapes), Path(f"r{suffix}"))


def test_memory_and_time_grow_with_what_is_done_at_once_and_in_all():
    one = of(".ome.tif", (10, 500, 500))
    two = of(".ome.tif", (10, 500, 500), (10, 500, 500))
    assert two.seconds == of(".ome.tif", (20, 500, 500)).seconds == 2 * one.seconds
    assert two.memory == pytest.approx(one.memory, rel=0.05)

    large = (1, 40_000, 40_000)
    whole, parts = of(".ome.tif", large), of(".ome.zarr", large)
    assert parts.memory < whole.memory / 10
    assert (whole.n_regions, parts.n_regions) == (1, 196)


def test_what_the_disk_cannot_hold_is_refused_before_anything_is_done(
    tmp_path, monkeypatch
):
    array = np.zeros((2, 200, 200), np.uint16) + 7
    source = write_stack(tmp_path / "a.ome.tif", array)
    monkeypatch.setattr(forecasting, "free_disk", lambda _: 100_000)

    upscale_file(source, tmp_path / "r.ome.zarr", NEAREST)  # compressed it fits
    with pytest.raises(StackError, match=r"needs about 0\.00064 GB, but only 0\.0001"):
        upscale_file(source, tmp_path / "s.ome.zarr", NEAREST, compression=None)

    assert names_in(tmp_path) == ["a.ome.tif", "r.ome.zarr"]


@pytest.mark.parametrize("margin", [0, 7, 30, 75])
@pytest.mark.parametrize("length", [1, 29, 30, 31, 95, 330])
def test_what_regions_see_is_counted_as_if_they_were_listed(length, margin):
    regions = Regions((length, 1), 30)
    seen = [region.window((length, 1), margin).shape[0] for region in regions]

    assert _line(length, 30, margin) == (len(seen), sum(seen), max(seen))


def test_free_is_what_is_free_where_nothing_is_yet(tmp_path):
    assert free_disk(tmp_path / "not" / "there.zarr") > 0


def test_a_plan_is_told_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        write_stack(tmp_path / f"{name}.ome.tif", counts((2, 100, 90)))
    nearest = ["-m", "nearest", "--factor", "2", "--plan"]

    assert main(["upscale", "a.ome.tif", "-o", "r.ome.zarr", *nearest]) == 0
    told = capsys.readouterr().out
    assert told.startswith("2 × 200 × 180 uint16 in 2 regions\ndisk: about ")
    assert "144 kB before compression" in told
    assert "time: about a minute or less in one process on " in told
    assert main(["upscale", "*.tif", "-o", "out", *nearest]) == 0
    assert capsys.readouterr().out.startswith("2 results, 4 planes or regions\n")
    monkeypatch.setattr(forecasting, "free_disk", lambda _: 100)
    assert main(["upscale", "a.ome.tif", "-o", "r.ome.zarr", *nearest]) == 1
    assert "The disk is too small" in capsys.readouterr().out
    assert names_in(tmp_path) == ["a.ome.tif", "b.ome.tif"]


def test_a_plan_names_what_cannot_be_read_and_tells_of_the_rest(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"no image")
    write_stack(tmp_path / "b.ome.tif", counts((2, 100, 90)))

    status = main(["upscale", "*.tif", "-o", "r", "-m", "nearest", "--factor", "2",
                   "--plan"])  # fmt: skip

    told = capsys.readouterr()
    assert status == 1
    assert "a.tif is not a readable TIFF" in told.err
    assert told.out.startswith("2 × 200 × 180 uint16 in 2 regions\n")

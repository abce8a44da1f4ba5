"""What version 0.1.0 wrote is read, and what it began is gone on with."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from stacks_on_disk import read_stack

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.files.zarr import regions as zarr_regions
from napari_sr.image import regions
from napari_sr.runs.one_file import FileJob, run_job
from napari_sr.settings import UpscaleSettings
from napari_sr.training.unsaved import unsaved_trainings

FILES = Path(__file__).parents[1] / "fixtures" / "v0.1.0"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Give a copy of what was written, with its model folder in use."""
    copied = shutil.copytree(FILES, tmp_path / "files")
    # Git leaves out its own name and folders that are empty, and keeps no times.
    begun = copied / ".half_done.ome.zarr.partial"
    (copied / "half_done").rename(begun)
    for level in ("1", "2"):  # coarser ones, of which nothing was done
        (begun / "done" / level).mkdir(exist_ok=True)
    ((_, modified),) = json.loads((begun / "run.json").read_text())["identity"][
        "recording"
    ]["files"]
    os.utime(copied / "recording.ome.tif", ns=(modified, modified))
    monkeypatch.setenv("NAPARI_SR_MODELS", str(copied / "models"))
    return copied


@pytest.mark.parametrize("name", ["result.ome.tif", "result.ome.zarr"])
def test_a_result_is_what_its_model_makes_today(files, name):
    before = read_stack(files / name)

    today = sr.upscale(files / "recording.ome.tif", "tiny", device="cpu")

    np.testing.assert_allclose(today.astype(int), before, atol=1)


@pytest.mark.parametrize("name", ["result.ome.tif", "result.ome.zarr"])
def test_a_result_says_how_it_was_made(files, name):
    assessment = sr.assess(files / "recording.ome.tif", files / name)

    assert assessment.as_json()["provenance"]["plan"]["model"] == "tiny"
    assert assessment.level == "agrees"


@pytest.mark.parametrize("suffix", ["ome.tif", "ome.zarr"])
def test_a_result_is_known_to_be_there(files, suffix, capsys):
    (files / "in").mkdir()
    (files / "out").mkdir()
    (files / "recording.ome.tif").rename(files / "in" / "a.ome.tif")
    (files / f"result.{suffix}").rename(files / "out" / f"a_x2.{suffix}")

    folders = [str(files / "in"), "-o", str(files / "out"), "--format", suffix]
    code = main(["upscale", *folders, "--model", "tiny", "--device", "cpu"])

    assert code == 0
    assert "already done" in "".join(capsys.readouterr())


def test_a_stopped_run_is_gone_on_with(files, monkeypatch):
    monkeypatch.setattr(regions, "SIDE", 64)
    monkeypatch.setattr(regions, "CHUNK", 16)
    monkeypatch.setattr(zarr_regions, "CHUNK", 16)
    monkeypatch.setattr(zarr_regions, "COARSE_ENOUGH", 24)
    monkeypatch.setattr(zarr_regions, "COARSE_SIDE", 32)
    written = []
    put = zarr_regions.RegionalZarr.write
    monkeypatch.setattr(
        zarr_regions.RegionalZarr,
        "write",
        lambda self, level, *more: (
            written.append(level),
            put(self, level, *more),
        ),
    )

    job = FileJob(files / "recording.ome.tif", files / "half_done.ome.zarr")
    *_, result = run_job(job, sr.load_model("tiny"), UpscaleSettings(device="cpu"))

    assert written.count(0) == 4  # of eight
    before = read_stack(files / "result.ome.tif")
    np.testing.assert_allclose(read_stack(result.path).astype(int), before, atol=1)


def test_a_stopped_training_is_gone_on_with(files):
    (training,) = unsaved_trainings()
    recipe = training.recipe

    with training.opened() as (sharp, low):
        going_on = sr.Training(
            sharp,
            recipe.settings,
            low_images=low or None,
            base=recipe.base,
            checkpoint=training.checkpoint,
            name=recipe.name,
        )
        positions = [step.iteration for step in going_on if step.stage == "fidelity"]

    assert positions == [4, 5, 6]
    assert going_on.model.name == "mine"


def test_recipes_are_understood(files, capsys):
    codes = [
        main(["upscale", "--recipe", str(files / "upscale.toml")]),
        main(
            [
                *("train", str(files / "train.toml"), "--keep-anyway"),
                *("-o", str(files / "new.safetensors")),
            ]
        ),
    ]

    assert codes == [0, 0], capsys.readouterr().err
    before = read_stack(files / "result.ome.tif")
    np.testing.assert_allclose(
        read_stack(files / "again.ome.tif").astype(int), before, atol=1
    )
    assert sr.load_model(files / "new.safetensors").factor == 2


def test_preferences_are_read(files, monkeypatch):
    pytest.importorskip("napari.layers", reason="napari is not installed")
    from napari import settings
    from npe2 import PluginManager

    from napari_sr._napari.parts.preferences import preferences

    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("napari before 0.9")
    PluginManager.instance().discover()
    settings._clear_plugin_settings_cache()
    path = Path(settings.get_plugin_settings("napari-sr").config_path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files / "preferences.yaml", path)
        settings._clear_plugin_settings_cache()
        preferred = preferences()
    finally:
        path.unlink()
        settings._clear_plugin_settings_cache()

    assert (preferred.device, preferred.compression) == ("cpu", "zstd")
    assert preferred.share_of_memory == 0.3

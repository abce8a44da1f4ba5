"""What a window has computed is computed on an accelerator too."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from stacks_on_disk import read_stack, write_stack
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr.image.stack import Stack
from napari_sr.interactive import fine_tuning
from napari_sr.interactive.batch import BatchRequest, run_batch
from napari_sr.interactive.in_memory import run
from napari_sr.interactive.prepared import Preparer
from napari_sr.interactive.preview_pixels import View, preview_steps
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.progress import run_to_end

PLANES = np.random.default_rng(0).integers(0, 60_000, (2, 64, 64)).astype(np.uint16)


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))
    sr.save_model(tiny_fast(), tmp_path / "tiny.safetensors")


def request(device="auto", model="tiny"):
    card = sr.load_model(model).card
    stack = Stack.from_array(PLANES)
    return UpscaleRequest(stack, card, None, UpscaleSettings(device=device))


def assert_alike(found, expected):
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert expected.std() > 100


def test_super_resolving_a_layer(accelerator):
    *_, (result, _) = run(request(), Preparer())

    assert result.plan.device == "pretend"
    assert accelerator.n_emptied == 1  # others want the memory, too
    assert_alike(result.levels[0], sr.upscale(PLANES, "tiny", device="cpu"))


def test_a_preview(accelerator):
    view = View((1,), slice(8, 40), slice(16, 56))

    *_, sight = preview_steps(request(), Preparer(), view)

    assert accelerator.n_copied_back > 0
    *_, expected = preview_steps(request("cpu"), Preparer(), view)
    assert_alike(sight.after, expected.after)


def test_a_batch(accelerator, tmp_path):
    write_stack(tmp_path / "a.ome.tif", PLANES, "zyx")
    told = run_batch(
        BatchRequest(
            model="tiny",
            factor=None,
            settings=UpscaleSettings(),
            folder=tmp_path / "out",
            patterns=(str(tmp_path / "a.ome.tif"),),
            layers=(),
            compression="zlib",
            replace=False,
        )
    )

    *_, ended = told

    assert ended.status == "done", ended.text
    assert accelerator.n_copied_back > 0
    assert accelerator.n_emptied == 1
    (path,) = (tmp_path / "out").glob("*.tif")
    assert_alike(read_stack(path), sr.upscale(PLANES, "tiny", device="cpu"))


def fine_tuned(device):
    rough = np.random.default_rng(1).integers(0, 60_000, (6, 64, 64)).astype(np.uint16)
    asked = fine_tuning.TrainingRequest(
        name=f"on {device}",
        images=tuple(Stack.from_array(one, name=f"{i}") for i, one in enumerate(rough)),
        base="tiny",
        device=device,
        more={"iterations": 3, "validate_every": 2, "batch": 2, "patch": 16},
    )
    return run_to_end(fine_tuning.train(asked, Event()))


def test_fine_tuning(accelerator):
    outcome = fine_tuned("auto")

    assert accelerator.n_emptied == 1
    assert accelerator.n_copied_to > 0
    assert outcome.verdict == fine_tuned("cpu").verdict
    assert outcome.model.device.type == "cpu"

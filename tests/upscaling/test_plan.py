"""What is decided before the first pixel: where it is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny_blind, tiny_fast
from upscalers import EVERY

import napari_sr as sr
from napari_sr.image.stack import Stack
from napari_sr.settings import TrainingSettings, UpscaleSettings
from napari_sr.training.calibration import Known, find_interval
from napari_sr.trust.uncertainty import spread
from napari_sr.upscaling.plan import make_plan

PLANE = np.arange(32 * 40, dtype=np.uint16).reshape(32, 40) * 20


@pytest.fixture
def a_gpu_nearby(monkeypatch):
    """A machine whose "auto" is a GPU that must not be touched."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    free = (8 * 2**30, 8 * 2**30)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device=None: free)


@pytest.mark.usefixtures("a_gpu_nearby")
@pytest.mark.parametrize("upscaler", EVERY)
def test_a_plan_is_made_for_where_its_upscaler_is(upscaler):
    stack = Stack.from_array(PLANE)

    plan = make_plan(stack, upscaler.to("cpu"), UpscaleSettings())

    has_weights = upscaler.device is not None
    assert plan.device == ("cpu" if has_weights else "cuda")


@pytest.mark.usefixtures("a_gpu_nearby")
@pytest.mark.parametrize("wanted", ["cuda", "cuda:0"])
def test_a_plan_for_where_the_upscaler_is_not_is_refused(wanted):
    stack, settings = Stack.from_array(PLANE), UpscaleSettings(device=wanted)

    with pytest.raises(
        ValueError, match=f"'{wanted}' was asked for, but tiny is on 'cpu'"
    ):
        make_plan(stack, tiny_fast(), settings)


@pytest.mark.usefixtures("a_gpu_nearby")
def test_what_is_on_the_cpu_is_computed_there_beside_a_gpu():
    model, blind = tiny_fast(), tiny_blind()
    known = [Known(n, PLANE, np.kron(PLANE, np.ones((2, 2)))) for n in range(2)]

    interval = find_interval(model, known, known)
    plan = make_plan(Stack.from_array(PLANE), blind, UpscaleSettings())
    result, _ = spread(PLANE, blind, plan)

    assert interval.n_images == 2
    assert np.isfinite(result).all()


@pytest.mark.usefixtures("a_gpu_nearby")
def test_a_training_on_the_cpu_ends_with_a_model_beside_a_gpu():
    random = np.random.default_rng(0)
    images = [random.integers(0, 60_000, (48, 48), np.uint16) for _ in range(6)]
    settings = TrainingSettings(
        iterations=2,
        patch=16,
        batch=2,
        share_held_out=1 / 3,
        architecture="fast",
        arguments=tiny_fast().card.arguments,
        device="cpu",
    )

    model = sr.finetune(images, tiny_fast(), settings=settings)

    assert model.device == torch.device("cpu")
    assert model.card.interval is not None

"""Blind models: kernels and their codes, what is found out, and what becomes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny_blind

from napari_sr.catalogue.lookup import load_model
from napari_sr.image.intensity import IntensityRange, NoiseLevel
from napari_sr.image.stack import Stack
from napari_sr.instrument.psf import gaussian_psf
from napari_sr.models.blind_model import N_CORRECTIONS, BlindModel
from napari_sr.models.sr_model import save_model
from napari_sr.networks import build_generator
from napari_sr.networks.generators.ikc import (
    N_CODE,
    Corrector,
    Predictor,
    as_kernel,
    gaussian_grid,
    gaussian_kernels,
)
from napari_sr.networks.resampling import resample
from napari_sr.phantoms import make_phantom
from napari_sr.settings import TrainingSettings, UpscaleSettings
from napari_sr.training.auxiliary.kernel_predictor import KernelTraining
from napari_sr.upscaling.flow import upscale
from napari_sr.upscaling.plan import Plan, make_plan

BLURRED = TrainingSettings(
    architecture="sftmd",
    arguments={"channels": 4, "n_blocks": 1},
    batch=2,
    patch=16,
    instrument={
        "psf_sigma": (0.2, 2.0),
        "psf_ratio": (0.5, 1.0),
        "share_clean": 1.0,
        "share_read": 0.0,
    },
)


def n_weights(network):
    return sum(one.numel() for one in network.parameters())


def convolutions(network):
    return [
        (c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0])
        for c in network.modules()
        if isinstance(c, torch.nn.Conv2d)
    ]


def recording(n=1, side=40, seed=3):
    low = np.random.default_rng(seed).uniform(500, 9000, (n, side, side))
    return Stack.from_array(low.astype(np.uint16))


# ── the paper, layer by layer ───────────────────────────────────────────────────────


def test_the_generator_is_that_of_the_paper_for_one_channel():
    network = build_generator("sftmd", 4)
    transform = [(74, 32, 3, 1), (32, 64, 3, 1)] * 2
    block = [*transform, (64, 64, 3, 1), *transform, (64, 64, 3, 1)]
    expected = [
        *[(1, 64, 3, 1), (64, 64, 3, 1), (64, 64, 3, 1)],
        *block * 16,
        *transform,
        *[(64, 64, 3, 1), (64, 256, 3, 1), (64, 256, 3, 1), (64, 1, 9, 1)],
    ]
    assert sorted(convolutions(network)) == sorted(expected)
    assert n_weights(network) == 4_223_169


def test_predictor_and_corrector_are_those_of_the_paper_for_one_channel():
    assert convolutions(Predictor()) == [
        (1, 64, 5, 1),
        *[(64, 64, 5, 1)] * 2,
        (64, 64, 5, 2),
        (64, 64, 5, 1),
        (64, 10, 5, 1),
    ]
    assert convolutions(Corrector()) == [
        (1, 64, 5, 1),
        *[(64, 64, 5, stride) for stride in (2, 1, 2, 1, 1, 1)],
        (128, 128, 1, 1),
        (128, 64, 1, 1),
        (64, 10, 1, 1),
    ]
    assert (n_weights(Predictor()), n_weights(Corrector())) == (427_530, 646_730)


# ── codes ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("factor", [2, 4])
def test_ten_numbers_say_which_kernel_it_is(factor):
    network = build_generator("sftmd", factor, {"channels": 2, "n_blocks": 1})
    kernels = gaussian_kernels(factor, 12, 5)  # not those that the basis is from
    again = network.kernel_of(network.code_of(kernels))
    wide = gaussian_grid(factor, 12, 5)[:, 0] > 0.4
    error = (again - kernels).square().sum((1, 2)).sqrt()
    size = kernels.square().sum((1, 2)).sqrt()
    assert (error / size)[wide].max() < 0.2
    torch.testing.assert_close(again.sum((1, 2)), torch.ones(len(kernels)))


def test_an_untrained_generator_is_bicubic_whatever_the_code():
    network = build_generator("sftmd", 2, {"channels": 2, "n_blocks": 1})
    batch = torch.rand(2, 1 + N_CODE, 9, 9)
    assert torch.equal(network(batch), resample(batch[:, :1], 2, "bicubic"))


def test_a_trained_generator_sees_the_code():
    model = tiny_blind()
    batch = torch.rand(1, 1 + N_CODE, 12, 12)
    other = batch.clone()
    other[:, 1:] += 1
    assert not torch.equal(model.network(batch), model.network(other))


# ── what is found out ───────────────────────────────────────────────────────────────


def test_the_blur_is_found_once_and_kept_in_the_plan():
    model, stack = tiny_blind(), recording(3)
    plan = make_plan(stack, model, UpscaleSettings())

    assert len(plan.blur.course) == N_CORRECTIONS + 1
    assert len(plan.blur.code) == N_CODE
    assert plan.psf_sigma == pytest.approx(plan.blur.round_sigma)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    instrument = plan.blur.instrument()
    sigma, ratio, angle = plan.blur.sigma, plan.blur.ratio, plan.blur.angle
    assert instrument.psf_sigma == (sigma, sigma)
    assert instrument.psf_ratio == (ratio, ratio)
    assert instrument.psf_angle == (angle, angle)


def test_each_correction_adds_what_the_corrector_says():
    model = tiny_blind()
    for weights in (model.weights["predictor"], model.weights["corrector"]):
        for name, one in weights.items():
            if name.startswith(("layers.5", "both.2")):
                one.zero_()
    network = model.network
    # One step along a straight line from the middle of all codes.
    target = network.code_of(gaussian_kernels(2))[-30]
    model.weights["corrector"]["both.2.bias"] = target / N_CORRECTIONS
    found = model.blur_of(torch.rand(2, 1, 30, 30))
    np.testing.assert_allclose(found.code, target, atol=1e-5)
    sigma, ratio, _ = gaussian_grid(2)[-30].tolist()
    assert found.sigma == pytest.approx(sigma, abs=0.15)
    assert found.ratio == pytest.approx(ratio, abs=0.2)


@pytest.mark.parametrize("angle", [0.0, 60.0])
def test_the_nearest_gaussian_is_that_of_the_code(angle):
    model = tiny_blind()
    told = (torch.tensor([one]) for one in (1.6, 0.6, angle))
    code = model.network.code_of(as_kernel(gaussian_psf(*told)))
    found = model._described(code)
    assert found.sigma == pytest.approx(1.6, abs=0.1)
    assert found.ratio == pytest.approx(0.6, abs=0.06)
    assert found.angle == pytest.approx(angle, abs=1e-3)


def test_a_file_gives_the_same_blind_model(tmp_path):
    model, path = tiny_blind(), tmp_path / "blind.safetensors"
    save_model(model, path)
    again = load_model(path)
    assert isinstance(again, BlindModel)
    low = recording().plane((0,))
    np.testing.assert_array_equal(upscale(low, again), upscale(low, model))


def test_what_a_blind_model_cannot_do_is_refused():
    model, stack = tiny_blind(), recording()
    whole = IntensityRange(0, 10_000)
    with pytest.raises(ValueError, match="not noise-conditioned"):
        model.prepare(stack, whole, NoiseLevel(read=5))
    del model.weights["corrector"]
    with pytest.raises(ValueError, match="has no corrector"):
        model.prepare(stack, whole, "auto")


# ── training ────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_predictor_learns_the_blur_and_the_corrector_moves():
    truth = make_phantom("filaments", n_planes=1, size=96, seed=1).truth
    image = (truth.reshape(96, 96) / np.percentile(truth, 99.9)).astype("float32")
    network = build_generator("sftmd", 2, BLURRED.arguments)
    settings = BLURRED.model_copy(update={"batch": 16, "patch": 24})
    training = KernelTraining(network, [image], None, settings, channels=8)
    losses = list(training.predictor_steps(200))
    assert np.mean(losses[-40:]) < 0.5 * np.mean(losses[:40])
    low, code = training._examples(5000, 128)
    with torch.no_grad():
        widths = torch.stack([training.predictor(low)[:, 0], code[:, 0]])
    assert torch.corrcoef(widths)[0, 1] > 0.6
    assert np.isfinite(list(training.corrector_steps(2))).all()
    assert training.corrector.both[-1].weight.abs().max() > 0  # where it began
    assert all(not one.requires_grad for one in network.parameters())

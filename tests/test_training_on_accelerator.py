"""Every kind of training runs on an accelerator, and finds what it finds on a CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny_blind, tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.instrument_estimation import estimate_instrument
from napari_sr.model import SRModel
from napari_sr.settings import AdversarialSettings, TrainingSettings
from napari_sr.training_state import TrainingState

DISCRIMINATORS = ("unet", "srgan")
CONTENTS = ("spectrum", "gradient", "ms-ssim", "domain", None)
BASES = {"fast": tiny_fast(), "srresnet": tiny_srresnet(), "sftmd": tiny_blind()}


def images(n=6, side=64, seed=0):
    random = np.random.default_rng(seed)
    rough = random.integers(1_000, 60_000, (n, side // 4, side // 4))
    return [np.kron(one, np.ones((4, 4))).astype(np.uint16) for one in rough]


def settings(base, **more):
    chosen = {
        "factor": 2,
        "architecture": base.card.architecture,
        "arguments": base.card.arguments,
        "iterations": 3,
        "batch": 2,
        "patch": 16,
        "validate_every": 2,
        "share_held_out": 1 / 3,
    }
    return TrainingSettings(**{**chosen, **more})


def texture(**more):
    return AdversarialSettings(
        **{"iterations": 4, "head_start": 1, "ramp": 2, "largest_loss": 50.0, **more}
    )


def trained(base, device, *, side=64, **more):
    """Train to the end; give the training."""
    asked = settings(base, device=device, **more)
    training = sr.train(images(side=side), asked, base=base)
    for _ in training:
        pass
    return training


def assert_same_training(found, expected):
    assert found.state.device.type == "pretend"
    for mine, theirs in (
        (found.state.faithful, expected.state.faithful),
        (found.state.averaged_weights(), expected.state.averaged_weights()),
    ):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert torch.equal(mine[name].cpu(), theirs[name]), name
    for row, other in zip(found.state.history, expected.state.history, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize("architecture", BASES)
def test_the_fidelity_stage(accelerator, architecture):
    base = BASES[architecture]

    found = trained(base, "auto")

    assert accelerator.n_copied_to > 0
    assert_same_training(found, trained(base, "cpu"))


@pytest.mark.parametrize("loss", ["mse", "charbonnier"])
def test_other_losses_of_pixels(accelerator, loss):
    base = BASES["fast"]

    found = trained(base, "auto", fidelity_loss=loss)

    assert accelerator.n_copied_to > 0
    assert_same_training(found, trained(base, "cpu", fidelity_loss=loss))


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_the_adversarial_stage(accelerator, discriminator):
    base, asked = BASES["fast"], texture(discriminator=discriminator)

    found = trained(base, "auto", adversarial=asked)

    assert accelerator.n_copied_to > 0
    assert_same_training(found, trained(base, "cpu", adversarial=asked))


@pytest.mark.parametrize("content", CONTENTS)
def test_the_content_of_images(accelerator, content):
    # MS-SSIM at three scales needs 44 sharp pixels inside of a patch.
    asked = texture(content=content, iterations=2)
    more = {"adversarial": asked, "patch": 40, "iterations": 1, "side": 96}

    found = trained(BASES["fast"], "auto", **more)

    assert accelerator.n_copied_to > 0
    assert_same_training(found, trained(BASES["fast"], "cpu", **more))


def test_pairs_that_were_measured(accelerator):
    sharp = images(6)
    low = [one.reshape(32, 2, 32, 2).mean((1, 3)).astype(np.uint16) for one in sharp]
    models = []
    for device in ("auto", "cpu"):
        base = tiny_fast()
        training = sr.train(
            sharp, settings(base, device=device), base=base, low_images=low
        )
        for _ in training:
            pass
        models.append(training)

    assert accelerator.n_copied_to > 0
    assert_same_training(*models)


@pytest.mark.parametrize("other", ["auto", "cpu"])
def test_a_training_that_is_gone_on_with(accelerator, tmp_path, other):
    """Also one that was begun on the device, from a copy of its checkpoint on a CPU."""
    base, path = tiny_fast(), tmp_path / "training.ckpt"
    asked = settings(base, adversarial=texture(), device="auto")
    begun = iter(sr.train(images(), asked, base=base, checkpoint=path))
    for _ in range(4):
        next(begun)
    begun.close()
    assert path.exists()

    state = TrainingState.load(path)
    if other == "cpu":
        state.settings = state.settings.model_copy(update={"device": "cpu"})
        state.save(path)
        asked = state.settings
    training = sr.train(images(), asked, base=base, checkpoint=path)
    assert training.state.device.type == ("pretend" if other == "auto" else "cpu")
    for _ in training:
        pass

    assert accelerator.n_copied_to > 0
    whole = trained(base, "cpu", adversarial=texture())
    for name, weights in whole.state.averaged_weights().items():
        assert torch.equal(training.state.averaged_weights()[name].cpu(), weights), name


def test_fine_tuning_ends_with_a_calibrated_model(accelerator):
    base = tiny_fast()
    asked = settings(base, adversarial=texture())

    model = sr.finetune(images(), base, settings=asked)

    assert accelerator.n_copied_back > 0
    there = asked.model_copy(update={"device": "cpu"})
    expected = sr.finetune(images(), base, settings=there)
    assert isinstance(model, SRModel)
    assert model.card.verdict == expected.card.verdict
    assert model.card.interval.scale == pytest.approx(
        expected.card.interval.scale, rel=1e-3
    )
    low = images(1, 48, seed=1)[0]
    apart = sr.upscale(low, model).astype(int) - sr.upscale(low, expected, device="cpu")
    assert np.abs(apart).max() <= 1


def test_a_trained_model_leaves_nothing_on_the_device(accelerator):
    model = sr.finetune(images(), tiny_fast(), settings=settings(tiny_fast()))

    for part in model.weights.values():
        assert {tensor.device.type for tensor in part.values()} == {"cpu"}
    assert accelerator.n_copied_to > 0


def test_half_precision(accelerator):
    base = tiny_fast()

    found = trained(base, "auto", precision="float16", adversarial=texture())

    assert accelerator.n_copied_to > 0
    assert all(np.isfinite(row["psnr"]) for row in found.state.history)
    full = trained(base, "cpu", adversarial=texture())
    for row, other in zip(found.state.history, full.state.history, strict=True):
        assert row["psnr"] == pytest.approx(other["psnr"], abs=0.5)


def test_the_instrument_is_estimated(accelerator):
    """On a CPU, whatever is beside it: it is a matter of statistics."""
    sharp = images(3, 128)
    low = [one.reshape(64, 2, 64, 2).mean((1, 3)).astype(np.uint16) for one in sharp]

    found = estimate_instrument(low, sharp, factor=2)

    assert accelerator.n_operations == 0
    assert found.instrument.psf_sigma[0] <= found.instrument.psf_sigma[1]

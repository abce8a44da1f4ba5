"""Every kind of training runs on an accelerator, and finds what it finds on a CPU."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import tiny_blind, tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.instrument.estimation import estimate_instrument
from napari_sr.models.sr_model import SRModel
from napari_sr.settings import AdversarialSettings, TrainingSettings
from napari_sr.training import flow as training
from napari_sr.training.checkpoint import TrainingState

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
    """Without the penalty on gradients, whose parts are added in any order."""
    chosen = {"iterations": 4, "head_start": 1, "ramp": 2, "largest_loss": 50.0}
    return AdversarialSettings(**{**chosen, "gradient_penalty": 0.0, **more})


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


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_the_penalty_on_a_sure_discriminator(accelerator, discriminator):
    asked = texture(discriminator=discriminator, gradient_penalty=0.1)

    found = trained(tiny_fast(), "auto", adversarial=asked).state

    assert accelerator.n_copied_to > 0
    expected = trained(tiny_fast(), "cpu", adversarial=asked).state
    for row, other in zip(found.history, expected.history, strict=True):
        assert row.pop("stage") == other.pop("stage")
        assert {**row, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-3)


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


# ── what it costs ───────────────────────────────────────────────────────────────────


def test_no_step_waits_for_the_device_between_two_readings(accelerator):
    base, asked = tiny_fast(), texture(iterations=60, discriminator="unet")
    more = {"iterations": 60, "validate_every": 1000, "adversarial": asked}
    reads = {"fidelity": [], "adversarial": []}

    for step in sr.train(images(), settings(base, **more), base=base):
        reads[step.stage].append(accelerator.n_reads)

    for stage, seen in reads.items():
        waits = np.diff(seen[1:-1])  # held-out images are looked at first and last
        assert set(waits) == {0, 1}, stage
        assert sum(waits) == len(waits) // training.READ_EVERY, stage


def test_batches_are_made_by_threads_in_pinned_memory(accelerator, monkeypatch):
    base, makers, pinned = tiny_fast(), set(), []
    lesson = sr.train(images(), settings(base, iterations=30), base=base)
    make, teach = lesson.examples.batch, training.FidelityStep.__call__

    def noting_make(position):
        makers.add(threading.current_thread().name)
        return make(position)

    def noting_teach(self, seen):
        pinned.append(seen.low.is_pinned() and seen.sharp.is_pinned())
        return teach(self, seen)

    monkeypatch.setattr(lesson.examples, "batch", noting_make)
    monkeypatch.setattr(training.FidelityStep, "__call__", noting_teach)
    for _ in lesson:
        pass

    assert all(name.startswith("napari-sr") for name in makers)
    assert pinned == [True] * 30
    assert accelerator.n_copied_to > 0


def test_on_a_cpu_no_thread_takes_its_cores():
    base, makers = tiny_fast(), set()
    lesson = sr.train(images(), settings(base, device="cpu"), base=base)
    make = lesson.examples.batch

    def noting_make(position):
        makers.add(threading.current_thread())
        return make(position)

    lesson.examples.batch = noting_make
    for _ in lesson:
        pass

    assert makers == {threading.current_thread()}


def test_the_average_of_weights_is_the_one_of_each_tensor():
    state = TrainingState(settings(tiny_srresnet(), device="cpu"))
    random = torch.Generator().manual_seed(0)
    expected = None

    for n_seen in range(6):
        for weights in state.generator.parameters():
            weights.data.normal_(generator=random)
        now = [weights.detach().clone() for weights in state.generator.parameters()]
        state.average.update_parameters(state.generator)
        decay = min(0.998, (1 + n_seen) / (10 + n_seen))
        expected = (
            [torch.lerp(*pair, decay) for pair in zip(now, expected, strict=True)]
            if expected
            else now
        )

    for found, one in zip(state.average.parameters(), expected, strict=True):
        assert torch.equal(found, one)


# ── what may go wrong ───────────────────────────────────────────────────────────────


def test_a_loss_that_is_no_number_never_reaches_the_best_weights(accelerator):
    base = tiny_fast()
    more = {"iterations": 50, "validate_every": 25}
    lesson = sr.train(images(), settings(base, **more), base=base)
    make = lesson.examples.batch

    def poisoned(position):
        batch = make(position)
        return replace(batch, low=batch.low * math.nan) if position == 47 else batch

    lesson.examples.batch = poisoned
    steps = list(lesson)

    messages = [step.message for step in steps if step.message]
    assert len(messages) == 1
    assert messages[0].startswith("A loss was not a finite number; returned")
    assert all(math.isfinite(row["psnr"]) for row in lesson.state.history)
    for weights in lesson.model.weights["faithful"].values():
        assert weights.isfinite().all()
    assert accelerator.n_copied_to > 0


@pytest.mark.parametrize("second", [None, texture()], ids=["fidelity", "adversarial"])
def test_a_batch_is_taken_in_parts_where_memory_runs_out(accelerator, second):
    base = tiny_fast()
    more = {"batch": 8, "patch": 24, "adversarial": second, "validate_every": 100}
    whole = sr.train(images(), settings(base, **more), base=base)
    before = accelerator.n_allocated
    for _ in whole:
        pass
    needed = accelerator.n_reserved - before
    del whole
    accelerator.empty_cache()

    accelerator.n_bytes = accelerator.n_allocated + int(0.7 * needed)
    divided = sr.train(images(), settings(base, **more), base=base)
    messages = [step.message for step in divided if step.message]

    assert messages[0] == (
        "Memory ran out with 8 patches at a time; returned to the last validation and "
        "takes 4, accumulating gradients."
    )
    assert accelerator.n_emptied > 1
    assert divided.state.n_parts > 1
    assert divided.state.iteration == 0  # of the stage after the last
    assert all(math.isfinite(row["psnr"]) for row in divided.state.history)


@pytest.mark.parametrize("kind", [None, "unet"])
def test_gradients_of_parts_are_those_of_the_whole(kind):
    """But for norms: batch norms (none here) see each part by itself, and spectral ones
    are brought nearer to the truth by each."""
    apart = {"rel": 1e-3} if kind is None else {"rel": 2e-2}
    base = tiny_fast()
    second = None if kind is None else texture(discriminator=kind, content=None)
    more = {"batch": 6, "device": "cpu", "adversarial": second}
    states = []
    for n_parts in (1, 2, 4):
        lesson = sr.train(images(), settings(base, **more), base=base)
        lesson.state.n_parts = n_parts
        steps = list(lesson)
        states.append((lesson.state, steps[-1].losses))

    (state, losses), *others = states
    for other, found in others:
        assert found == pytest.approx(losses, **apart)
        for name, weights in state.averaged_weights().items():
            torch.testing.assert_close(
                other.averaged_weights()[name], weights, rtol=1e-3, atol=1e-5
            )


def test_a_single_patch_that_does_not_fit_is_told(accelerator):
    base = tiny_fast()
    asked = settings(base, validate_every=100, batch=1)
    lesson = sr.train(images(), asked, base=base)
    steps = iter(lesson)
    next(steps)
    accelerator.n_bytes = accelerator.n_allocated

    with pytest.raises(
        MemoryError, match=r"single patch of 16 px\. Train with smaller"
    ):
        list(steps)


# ── what a seed gives ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_a_seed_gives_the_same_weights_bit_for_bit_on_a_cpu(discriminator):
    asked = texture(discriminator=discriminator)

    first, again = (
        trained(tiny_fast(), "cpu", adversarial=asked).state for _ in range(2)
    )

    for name, weights in first.averaged_weights().items():
        assert torch.equal(weights, again.averaged_weights()[name]), name

"""Training: it learns, repeats itself bit for bit, and can stop anywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sr import training
from napari_sr.card import Instrument
from napari_sr.networks import build_generator
from napari_sr.networks.resampling import resample
from napari_sr.noise import noise_map
from napari_sr.settings import TrainingSettings
from napari_sr.training import WARM_UP, TrainingState, simulated, train

CLEAN = Instrument(share_clean=1)
SMALL = TrainingSettings(
    arguments={"channels": 4, "n_blocks": 1}, iterations=8, batch=2, patch=16, seed=3
)
PAPER = SMALL.model_copy(update={"architecture": "srresnet"})
both_architectures = pytest.mark.parametrize(
    "settings", [SMALL, PAPER], ids=lambda settings: settings.architecture
)


def specimens(n=2, side=64, seed=0):
    noise = np.random.default_rng(seed).normal(size=(n, side, side))
    smooth = ndimage.gaussian_filter(noise, (0, 1.2, 1.2), mode="wrap")
    low, high = smooth.min(), smooth.max()
    return list(((smooth - low) / (high - low)).astype(np.float32))


def run(state, n_steps=None):
    """Train for so many steps, or to the end; give what was said."""
    return list(itertools.islice(train(state, specimens()), n_steps))


def weights_of(state):
    """All that a training has learnt, the moving average included."""
    return {
        **{f"now.{k}": v for k, v in state.generator.state_dict().items()},
        **{f"mean.{k}": v for k, v in state.trained_generator.state_dict().items()},
    }


def assert_same_weights(first, second):
    first, second = weights_of(first), weights_of(second)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def losses(steps):
    return [step.loss for step in steps]


# ── it learns ───────────────────────────────────────────────────────────────────────


def test_training_on_one_patch_lowers_the_loss(monkeypatch):
    monkeypatch.setattr(training, "WARM_UP", 1)  # a training of few steps has no time
    settings = TrainingSettings(
        arguments={"channels": 16, "n_blocks": 2},
        instrument=Instrument(share_clean=1, psf_sigma=(1.5, 1.5)),
        iterations=100,
        batch=4,
        patch=16,
        learning_rate=0.01,
        share_flat=0,
    )
    one_patch = specimens(1, side=32)

    found = losses(train(TrainingState(settings), one_patch))

    assert np.mean(found[-10:]) < 0.8 * np.mean(found[:10])


@both_architectures
def test_each_step_says_where_it_stands(settings):
    steps = run(TrainingState(settings))

    assert [step.iteration for step in steps] == list(range(1, 9))
    assert all(step.loss > 0 for step in steps)
    assert steps[0].seconds_left > 0
    assert steps[-1].seconds_left == 0


def test_the_first_loss_is_that_of_bicubic():
    # an untrained fast network is bicubic; the border that sees zeros does not count
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.0})
    flat = [np.full((32, 32), 0.5, np.float32)]

    first = next(train(TrainingState(settings), flat))

    assert first.loss == pytest.approx(0, abs=1e-6)


def test_the_learning_rate_is_warmed_up_and_then_lowered():
    state = TrainingState(SMALL)
    rates = [state.optimizer.param_groups[0]["lr"] for _ in train(state, specimens())]

    cosine = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * np.arange(8) / 8))
    assert rates == pytest.approx(1e-3 * np.arange(1, 9) / WARM_UP * cosine)


def test_the_trained_generator_is_the_moving_average():
    state = TrainingState(SMALL.model_copy(update={"averaging": 0.5}))
    seen = []
    for _ in train(state, specimens()):
        seen.append(state.generator.tail.bias.detach().clone())

    average = seen[0]  # the first step is copied
    for one in seen[1:]:
        average = 0.5 * average + 0.5 * one

    torch.testing.assert_close(state.trained_generator.tail.bias, average)
    assert not state.trained_generator.training


def test_another_generator_can_be_trained():
    network = build_generator("fast", 2, {"channels": 6, "n_blocks": 2})
    before = network.tail.weight.clone()

    run(TrainingState(SMALL, network), 2)

    assert not torch.equal(network.tail.weight, before)


# ── it repeats itself ───────────────────────────────────────────────────────────────


@both_architectures
def test_the_same_seed_gives_the_same_steps_and_weights(settings):
    first, second = TrainingState(settings), TrainingState(settings)

    assert losses(run(first)) == losses(run(second))
    assert_same_weights(first, second)


def test_another_seed_gives_other_steps():
    other = SMALL.model_copy(update={"seed": 4})

    assert losses(run(TrainingState(SMALL))) != losses(run(TrainingState(other)))


def test_the_random_numbers_of_others_do_not_matter():
    disturbed = TrainingState(SMALL)
    steps = []
    for step in train(disturbed, specimens()):
        steps.append(step)
        torch.rand(7)
        np.random.default_rng().random()

    assert losses(steps) == losses(run(TrainingState(SMALL)))


# ── it can stop anywhere ────────────────────────────────────────────────────────────


@both_architectures
@pytest.mark.parametrize("n_before", [1, 5])
def test_stopping_saving_and_going_on_is_an_uninterrupted_run(
    settings, n_before, tmp_path
):
    uninterrupted = TrainingState(settings)
    expected = losses(run(uninterrupted))

    stopped = TrainingState(settings)
    before = losses(run(stopped, n_before))
    stopped.save(tmp_path / "run.pt")
    resumed = TrainingState.load(tmp_path / "run.pt")

    assert resumed.settings == settings
    assert resumed.iteration == n_before
    assert before + losses(run(resumed)) == expected
    assert_same_weights(resumed, uninterrupted)


def test_a_finished_training_does_nothing_more():
    state = TrainingState(SMALL)
    run(state)

    assert run(state) == []
    assert state.iteration == SMALL.iterations


def test_a_checkpoint_is_written_aside_and_renamed(tmp_path, monkeypatch):
    state, path = TrainingState(SMALL), tmp_path / "run.pt"
    state.save(path)
    whole = path.read_bytes()

    def half_written(_content, file):
        file.write_bytes(whole[: len(whole) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(KeyboardInterrupt):
        state.save(path)

    assert path.read_bytes() == whole


def test_a_checkpoint_leaves_nothing_beside_it(tmp_path):
    TrainingState(SMALL).save(tmp_path / "run.pt")

    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="patch of 32 × 32"):
        next(train(TrainingState(SMALL), specimens(1, side=31)))


# ── recordings as a user might have ─────────────────────────────────────────────────


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sharp_batch(n=64, side=16):
    return torch.rand(n, 1, side, side, generator=seeded())


def test_recordings_are_scaled_and_shifted_together_with_their_truth():
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.0})

    seen = simulated(sharp_batch(), settings, seeded())

    binned = torch.nn.functional.avg_pool2d(seen.sharp, 2)
    torch.testing.assert_close(seen.low, binned, rtol=0, atol=1e-6)
    span = (seen.sharp - seen.offset).amax((1, 2, 3)) / sharp_batch().amax((1, 2, 3))
    assert span.min() >= np.exp(-0.5) * 0.999
    assert span.max() <= np.exp(0.1) * 1.001
    assert seen.offset.min() >= -0.02
    assert seen.offset.max() <= 0.08
    assert not seen.noise_map().any()


def test_the_noise_that_is_told_is_the_noise_that_was_drawn():
    n, side = 40, 128
    flat = torch.rand(n, 1, 1, 1, generator=seeded()).expand(n, 1, side, side)
    settings = SMALL.model_copy(update={"share_flat": 0.0})

    seen = simulated(flat, settings, seeded())

    truth = seen.sharp[:, :, ::2, ::2]
    drawn = (seen.low - truth).std(dim=(1, 2, 3))
    told = noise_map(truth, seen.gain, seen.read, seen.offset).mean((1, 2, 3))
    torch.testing.assert_close(drawn, told, rtol=0.08, atol=1e-6)


def test_a_share_of_the_patches_are_flat_fields():
    n = 2000
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.2})

    sharp = simulated(sharp_batch(n, 4), settings, seeded()).sharp
    is_flat = sharp.amax((1, 2, 3)) - sharp.amin((1, 2, 3)) < 1e-6

    assert is_flat.float().mean().item() == pytest.approx(0.2, abs=5 * 0.4 / n**0.5)
    assert sharp[is_flat].std() > 0.1  # of different brightness


@pytest.mark.parametrize(("share", "n_flat"), [(0.0, 0), (1.0, 64)])
def test_no_patch_or_every_patch_can_be_flat(share, n_flat):
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": share})

    sharp = simulated(sharp_batch(), settings, seeded()).sharp

    assert (sharp.std(dim=(1, 2, 3)) < 1e-6).sum() == n_flat


def test_a_recording_is_at_the_pixel_grid_of_the_result():
    # bicubic, on the same grid, is nearly right for a smooth specimen
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.0})

    seen = simulated(ramp, settings, seeded())

    error = resample(seen.low, 2, "bicubic") - seen.sharp
    assert error[..., 8:-8, 8:-8].abs().max() < 1e-5

"""Fine-tuning: images and a base in, a model with a verdict out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage
from stacks_on_disk import write_stack
from tiny_models import tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.cards.model_card import Instrument
from napari_sr.catalogue.summary import describe_model
from napari_sr.cli import main
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack, StackError
from napari_sr.models.sr_model import SRModel
from napari_sr.settings import AdversarialSettings, ForZ, UpscaleSettings
from napari_sr.training.checkpoint import CheckpointError
from napari_sr.training.presets import (
    FINETUNING_MINUTES,
    finetune,
    for_z_of,
    settings_for,
)
from napari_sr.training.session import Training
from napari_sr.upscaling.plan import make_plan

BLURRED = Instrument(share_clean=1, psf_sigma=(1.2, 1.2))
TEXTURE = AdversarialSettings(
    iterations=6, head_start=2, ramp=2, content=None, largest_loss=50.0
)


def texture(shape=(96, 96), seed=0, sigma=1.0):
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return ((smooth - smooth.min()) / np.ptp(smooth) * 20_000 + 1_000).astype(np.uint16)


def images(n=4):
    return [texture(seed=seed) for seed in range(n)]


def quick(base, **more):
    chosen = {"iterations": 8, "batch": 2, "patch": 16, "validate_every": 4}
    chosen |= {"device": "cpu", "instrument": BLURRED, **more}
    return settings_for(base, **chosen)


def weights_equal(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


# ── what comes out ──────────────────────────────────────────────────────────────────


def test_fine_tuning_gives_a_model_that_can_be_used_saved_and_loaded(tmp_path):
    base = tiny_fast()

    model = finetune(images(), base, settings=quick(base), name="mine", domain="cells")

    again = sr.load_model(sr.save_model(model, tmp_path / "mine.safetensors"))
    low = texture((40, 44), seed=7)
    assert np.array_equal(sr.upscale(low, model), sr.upscale(low, again))
    assert again.name == "mine"
    assert again.domain == "cells"
    assert again.card.base.startswith("tiny ")
    assert again.card.instrument == BLURRED
    # Of four images one is held out.
    assert len(again.card.training_images) == 3
    assert "trained on 3 images (not stated)" in describe_model(again.card)


def test_planes_of_a_volume_are_one_training_image():
    base = tiny_fast()
    volume = np.stack([texture(seed=seed) for seed in range(6)])

    card = finetune(volume, base, settings=quick(base)).card

    assert len(card.training_images) == 1
    assert "trained on 1 image (" in describe_model(card)


def test_files_that_are_slices_of_a_volume_are_one_specimen():
    base = tiny_fast()
    whole = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=(8, 96, 96)), (3, 1, 1), mode="wrap"
    )
    slices = list(((whole - whole.min()) / np.ptp(whole) * 20_000).astype(np.uint16))

    card = finetune(slices, base, settings=quick(base)).card

    assert "of 1 specimen (" in describe_model(card)
    assert 4 <= len(card.training_images) < 8  # less what is held out


def test_fine_tuning_learns_the_blur_of_the_instrument():
    base = tiny_fast(tail=0.0)  # bicubic
    settings = quick(base, iterations=150, learning_rate=0.01, validate_every=50)

    model = finetune(images(6), base, settings=settings)

    assert model.card.is_better
    assert model.card.verdict.startswith("Better than the base by")
    assert "held-out image" in model.card.verdict


def test_a_model_that_is_no_gain_is_marked_so():
    base = tiny_fast(tail=0.0)
    settings = quick(base, learning_rate=1e-9)

    model = finetune(images(), base, settings=settings)

    assert model.card.is_better is False
    assert model.card.verdict.startswith("Not better: equal to the base")


def test_what_the_base_knows_of_noise_is_kept():
    base = tiny_fast()

    model = finetune(images(), base, settings=quick(base))

    assert weights_equal(
        dict(model.weights["noise_estimator"]), dict(base.weights["noise_estimator"])
    )


def test_without_a_base_the_noise_estimator_is_trained(monkeypatch):
    monkeypatch.setattr("napari_sr.training.session.N_RECORDINGS", 40)
    settings = quick(None, arguments={"channels": 4, "n_blocks": 1})

    training = Training(images(), settings)
    for _ in training:
        pass
    model = training.model

    assert model.card.base == ""
    level = model.noise_estimator.estimate([torch.rand(64, 64)])
    assert np.isfinite([level.gain, level.read]).all()


def test_the_base_can_be_one_that_is_not_told_the_noise():
    base = tiny_srresnet()
    settings = quick(base, patch=20)

    model = finetune(images(), base, settings=settings)

    assert set(model.weights) == {"faithful"}
    assert sr.upscale(texture((20, 22)), model).shape == (40, 44)


def test_both_ends_of_the_dial_and_the_discriminator_are_kept():
    base = tiny_fast()
    settings = quick(base, adversarial=TEXTURE)
    training = Training(images(), settings, base=base)
    for _ in training:
        pass

    model = training.model

    assert training.state.textured is not None
    assert set(model.weights) == {
        "faithful",
        "textured",
        "discriminator",
        "noise_estimator",
    }
    assert 0 <= model.card.recommended_dial <= 1
    ends = [sr.upscale(texture((24, 24)), model.at_dial(d)) for d in (0.0, 1.0)]
    assert not np.array_equal(*ends)


def test_the_dial_that_a_recipe_recommends_is_the_cards():
    texture_at_half = TEXTURE.model_copy(update={"recommended_dial": 0.5})
    base = tiny_fast()
    training = Training(images(), quick(base, adversarial=texture_at_half), base=base)
    for _ in training:
        pass

    assert training.model.card.recommended_dial == 0.5


def test_training_goes_on_from_the_discriminator_of_the_base():
    first = Training(
        images(), quick(tiny_fast(), adversarial=TEXTURE), base=tiny_fast()
    )
    for _ in first:
        pass
    base = first.model

    second = Training(images(), quick(base, adversarial=TEXTURE), base=base)

    assert weights_equal(
        second.state.discriminator.state_dict(), dict(base.weights["discriminator"])
    )


def test_the_model_can_be_asked_for_in_the_middle():
    base = tiny_fast()
    training = Training(images(), quick(base, adversarial=TEXTURE), base=base)
    found = {}
    for step in training:
        if step.iteration == 5:
            found[step.stage] = training.model

    assert set(found) == {"fidelity", "adversarial"}
    for model in found.values():
        assert sr.upscale(texture((20, 20)), model).shape == (40, 40)


# ── what goes in ────────────────────────────────────────────────────────────────────


def test_what_is_held_out_is_not_learnt_from():
    base = tiny_fast()
    training = Training(images(5), quick(base), base=base)

    assert len(training._learnt) == 4
    assert training.held_out.n_images == 1
    assert any(
        "held" in note.lower() or "kept" in note.lower() for note in training.notes
    )


def test_images_to_judge_by_can_be_given():
    base = tiny_fast()
    training = Training(images(3), quick(base), base=base, judged_by=images(2))

    assert len(training._learnt) == 3
    assert (training.held_out.n_images, training.judging.n_images) == (1, 1)


def seen_in(*judges):
    return [seen.sharp.numpy().tobytes() for held in judges for seen in held.recordings]


@pytest.mark.parametrize("n", [1, 7, 20])
def test_what_chooses_the_weights_does_not_give_the_verdict(n):
    base = tiny_fast()
    sharp = images(n) if n > 1 else [texture((1200, 96))]
    settings = quick(base).model_copy(update={"share_held_out": 1 / 3})

    training = Training(sharp, settings, base=base)

    choosing, judging = map(seen_in, (training.held_out, training.judging))
    assert choosing
    assert judging
    assert not set(choosing) & set(judging)
    assert "also selected" not in training.model.card.verdict
    assert any("(validation)" in note for note in training.notes)


def test_an_image_that_is_too_small_to_be_divided_says_that_it_did_both():
    base = tiny_fast()
    training = Training([texture()], quick(base), base=base)

    assert seen_in(training.held_out) == seen_in(training.judging)
    assert "1 held-out image, which also selected the weights" in (
        training.model.card.verdict
    )


def test_the_same_seed_gives_the_same_model():
    base = tiny_fast()
    first, second = (finetune(images(), base, settings=quick(base)) for _ in range(2))

    assert weights_equal(
        dict(first.weights["faithful"]), dict(second.weights["faithful"])
    )
    assert first.digest == second.digest


def binned(array):
    y, x = array.shape
    return array.reshape(y // 2, 2, x // 2, 2).mean((1, 3)).round().astype(array.dtype)


def test_measured_pairs_are_learnt_from():
    base = tiny_fast(tail=0.0)
    sharp = [texture((96, 96), seed=seed, sigma=1.5) for seed in range(4)]
    low = [binned(ndimage.gaussian_filter(one, 1.2)) for one in sharp]
    settings = quick(base, iterations=150, learning_rate=0.01, validate_every=50)

    model = finetune(sharp, base, low_images=low, settings=settings)

    assert model.card.is_better


def test_what_was_learnt_from_pairs_is_not_undone_by_data_consistency(tmp_path):
    base = tiny_fast(tail=0.0)
    sharp = [texture((96, 96), seed=seed, sigma=1.5) for seed in range(4)]
    low = [binned(ndimage.gaussian_filter(one, 1.2)) for one in sharp]
    settings = quick(base, iterations=150, learning_rate=0.01, validate_every=50)
    model = finetune(sharp, base, low_images=low, settings=settings)
    again = sr.load_model(sr.save_model(model, tmp_path / "mine.safetensors"))

    def error(upscaler, **options):
        result = sr.upscale(low[0], upscaler, dtype="float32", noise=0, **options)
        return float(np.sqrt(np.mean((result - sharp[0])[8:-8, 8:-8] ** 2)))

    # A blur may be fitted that happens to suit; between two instruments it need not.
    stack = Stack.from_array(low[0])
    settings = UpscaleSettings(noise=0, device="cpu")
    assert make_plan(stack, base, settings).consistency == "auto"
    assert make_plan(stack, again, settings).consistency == "mean"
    as_used, without = error(again), error(again, consistency="off")
    assert as_used < 1.05 * without < error(base)
    assert error(again, consistency="exact") > 1.1 * without


# ── going on later ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adversarial", [None, TEXTURE], ids=["fidelity", "both"])
def test_a_training_that_was_stopped_goes_on_to_the_same_model(adversarial, tmp_path):
    base = tiny_fast()
    settings = quick(base, adversarial=adversarial)
    whole = Training(images(), settings, base=base)
    for _ in whole:
        pass

    path = tmp_path / "run.checkpoint"
    for _ in itertools.islice(
        Training(images(), settings, base=base, checkpoint=path), 6
    ):
        pass
    resumed = Training(images(), settings, base=base, checkpoint=path)
    assert resumed.state.position == 4
    for _ in resumed:
        pass

    assert resumed.model.digest == whole.model.digest


@pytest.mark.parametrize("what", ["settings", "images", "base"])
def test_a_checkpoint_of_another_training_is_refused(what, tmp_path):
    base, path = tiny_fast(), tmp_path / "run.checkpoint"
    settings = quick(base)
    for _ in itertools.islice(
        Training(images(), settings, base=base, checkpoint=path), 4
    ):
        pass
    other = {
        "settings": (images(), quick(base, seed=1), base),
        "images": (images(3), settings, base),
        "base": (images(), settings, tiny_fast(seed=1)),
    }[what]

    said = "seed 0 instead of 1" if what == "settings" else "other images or another"
    with pytest.raises(CheckpointError, match=said):
        Training(other[0], other[1], base=other[2], checkpoint=path)


# ── what is refused ─────────────────────────────────────────────────────────────────


def test_a_method_cannot_be_fine_tuned():
    with pytest.raises(ValueError, match="only those can be fine-tuned"):
        finetune(images(), "bicubic", minutes=1)


def test_settings_of_another_network_are_refused():
    base = tiny_fast()

    with pytest.raises(ValueError, match="settings_for"):
        Training(images(), quick(None), base=base)


def test_only_a_discriminator_of_the_base_can_keep_what_it_sees():
    base = tiny_fast()
    adversarial = AdversarialSettings(discriminator_learns="end")

    with pytest.raises(ValueError, match="that comes with a U-Net"):
        Training(images(), quick(base, adversarial=adversarial), base=base)


def test_settings_suit_the_base():
    base = tiny_fast()

    found = settings_for(base, minutes=2, adversarial=True)

    assert found.factor == 2
    assert found.arguments == base.card.arguments
    assert found.minutes == 2
    assert found.adversarial == AdversarialSettings()


def test_a_base_with_a_discriminator_gives_it_no_head_start():
    base = tiny_fast()
    knowing = SRModel(base.card, {**base.weights, "discriminator": {}})

    found = settings_for(knowing, adversarial=True)

    assert found.adversarial == AdversarialSettings(
        head_start=0, discriminator_learns="end"
    )


def test_without_a_time_and_steps_fine_tuning_takes_minutes():
    assert settings_for(tiny_fast()).minutes == FINETUNING_MINUTES
    assert settings_for(tiny_fast(), iterations=0).minutes is None
    assert settings_for(tiny_fast(), iterations=0).iterations == 0
    assert settings_for(None).minutes is None


def test_pairs_are_not_judged_by_other_images():
    base = tiny_fast()

    with pytest.raises(ValueError, match="Leave out judged_by"):
        Training(images(), quick(base), base=base, low_images=[1], judged_by=images())


# ── for z ───────────────────────────────────────────────────────────────────────────


def volume(ratio=2, blur=0.0, n=48):
    """A specimen alike in all directions, coarse along z, with the size of a voxel."""
    noise = np.random.default_rng(0).normal(size=(n * ratio, 48, 56))
    alike = ndimage.gaussian_filter(noise, 1.0, mode="wrap")
    if blur:
        alike = ndimage.gaussian_filter1d(alike, blur, axis=0, mode="wrap")
    thick = alike.reshape(n, ratio, 48, 56).mean(axis=1)
    counts = (5000 + 1000 * thick / thick.std()).astype("uint16")
    axes = (Axis("z", 0.3 * ratio, "um"), Axis("y", 0.3, "um"), Axis("x", 0.3, "um"))
    return Stack.from_array(counts, axes=axes, name="cells")


def test_how_a_volume_is_recorded_along_z_is_found_out():
    assert for_z_of(volume()) == ForZ(ratio=2, blur=0)
    assert for_z_of(volume(blur=2.5)).blur == 0  # nobody said that it is alike
    found = for_z_of(volume(blur=2.5), blur="auto")
    assert found.ratio == pytest.approx(2)
    assert found.blur == pytest.approx(2.5, rel=0.15)
    assert for_z_of(volume(), 3.5, 1.0) == ForZ(ratio=3.5, blur=1)


def test_what_has_no_coarse_z_is_refused():
    with pytest.raises(StackError, match="as close as its pixels"):
        for_z_of(volume(ratio=1))
    with pytest.raises(StackError, match="Give a number"):
        for_z_of(np.asarray(volume().plane((0,)))[None].repeat(20, axis=0))
    with pytest.raises(StackError, match="no z axis"):
        for_z_of(texture())
    with pytest.raises(ValueError, match="no adversarial stage"):
        quick(tiny_fast(), for_z=ForZ(ratio=2), adversarial=True)
    settings = quick(tiny_fast(), for_z=ForZ(ratio=2))
    with pytest.raises(ValueError, match="not from measured pairs"):
        Training(images(), settings, low_images=images())


def test_a_model_that_learnt_for_z_is_judged_and_used_along_z(tmp_path):
    base, recording = tiny_fast(tail=0), volume()  # which is bicubic
    planes = np.stack([recording.plane(index) for index in recording.indices()])
    for_z, clean = for_z_of(recording), Instrument(share_clean=1)
    settings = quick(base, for_z=for_z, iterations=60, instrument=clean)
    model = finetune(planes, base, settings=settings, name="mine")
    assert model.card.verdict.startswith("Better than the base")
    assert model.card.description == f"Fine-tuned for z from {base.name}."
    assert model.card.interval is None
    again = sr.load_model(sr.save_model(model, tmp_path / "mine.safetensors"))
    assert not again.undoes_blur_along_z

    truth = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=(96, 48, 56)), 1.0, mode="wrap"
    )
    errors = [
        np.corrcoef(sr.upscale(planes, one, z=2, factor=1).ravel(), truth.ravel())[0, 1]
        for one in (again, base)
    ]
    assert errors[0] > errors[1]


def test_what_undoes_a_blur_along_z_need_not_agree_with_the_recording():
    base = tiny_fast()
    for blur, agreement in ((0.0, base), (2.0, "off")):
        card = base.card.model_copy(
            update={"training_settings": {"for_z": {"ratio": 2.0, "blur": blur}}}
        )
        model = SRModel(card, base.weights)
        settings = UpscaleSettings(z=2, factor=1, device="cpu")
        plan = make_plan(volume(), model, settings)
        expected = make_plan(volume(), base, settings).z.consistency
        assert plan.z.consistency == ("off" if agreement == "off" else expected)
        thin = make_plan(volume(blur=12), model, settings).z.note
        assert bool(thin) == (blur == 0)  # it undoes that
        exact = settings.model_copy(update={"consistency": "exact"})
        assert make_plan(volume(), model, exact).z.consistency == "exact"


def test_the_command_line_learns_for_z(tmp_path, capsys):
    recording = volume()
    planes = np.stack([recording.plane(index) for index in recording.indices()])
    source = str(write_stack(tmp_path / "a.ome.tif", planes, "zyx"))
    base = str(sr.save_model(tiny_fast(), tmp_path / "base.safetensors"))
    typed = ["finetune", source, "--base", base, "-o", str(tmp_path / "m.safetensors")]
    typed += ["--iterations", "2", "--device", "cpu", "--keep-anyway"]
    assert main([*typed, "--for-z", "3", "--blur-along-z", "1.5"]) == 0
    assert "a step of 3 pixels, blur 1.5 pixels" in capsys.readouterr().out
    card = sr.load_model(tmp_path / "m.safetensors").card
    assert card.training_settings["for_z"] == {"ratio": 3.0, "blur": 1.5}
    assert main([*typed, "--overwrite", "--blur-along-z", "1.5"]) == 1
    assert "--blur-along-z needs --for-z" in capsys.readouterr().err
    assert main([typed[0], source, *typed[1:], "--overwrite", "--for-z"]) == 1
    assert "learns from one volume" in capsys.readouterr().err

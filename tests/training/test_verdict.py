"""The verdict: what is better, and how much texture is recommended."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sr.image.intensity import NoiseLevel
from napari_sr.networks import build_generator
from napari_sr.settings import TrainingSettings
from napari_sr.training.validation import SIDE, HeldOut, held_out, held_out_pairs
from napari_sr.training.verdict import (
    DIAL_LOSS,
    Texture,
    Verdict,
    judge,
    recommended_dial,
)

SETTINGS = TrainingSettings(arguments={"channels": 4, "n_blocks": 1}, device="cpu")

SENTENCES = [
    pytest.param(
        Verdict(1.25, 0.8, 3),
        True,
        "Better than the base by 0.80 dB and better than bicubic by 1.25 dB on 3 "
        "held-out images.",
        id="better",
    ),
    pytest.param(
        Verdict(1.25, -0.2, 1),
        False,
        "Not better: worse than the base by 0.20 dB and better than bicubic by 1.25 dB "
        "on 1 held-out image.",
        id="worse than the base",
    ),
    pytest.param(
        Verdict(1.25, 0.01, 2),
        False,
        "Not better: equal to the base (+0.01 dB) and better than bicubic by 1.25 dB "
        "on 2 held-out images.",
        id="equal",
    ),
    pytest.param(
        Verdict(1.25, 0.5, 2, is_texture_missed=True),
        True,
        "Better than the base by 0.50 dB and better than bicubic by 1.25 dB on 2 "
        "held-out images. No textured end was found that is worth having, so the dial "
        "stays at 0: give the adversarial stage more time.",
        id="texture sought in vain",
    ),
    pytest.param(
        Verdict(0.5, None, 2),
        True,
        "Better than bicubic by 0.50 dB on 2 held-out images.",
        id="no base",
    ),
    pytest.param(
        Verdict(1.25, 0.0, 2, Texture(-0.25, (0.762, 0.638))),
        True,
        "Equal to the base (+0.00 dB) and better than bicubic by 1.25 dB on 2 held-out "
        "images. The textured end brings the spectrum error from 0.76 to 0.64, at "
        "-0.25 dB.",
        id="new texture alone",
    ),
    pytest.param(
        Verdict(1.25, -0.4, 2, Texture(-0.25, (0.762, 0.638))),
        False,
        "Not better: worse than the base by 0.40 dB and better than bicubic by 1.25 dB "
        "on 2 held-out images. The textured end brings the spectrum error from 0.76 to "
        "0.64, at -0.25 dB.",
        id="texture for pixels",
    ),
]


def textures(n=2, shape=(48, 52), seed=0):
    random = np.random.default_rng(seed)
    return [random.random(shape, np.float32) for _ in range(n)]


def generator(tail=0.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = build_generator("fast", 2, SETTINGS.arguments)
        torch.nn.init.normal_(network.tail.weight, std=tail)
    return network.eval()


@pytest.mark.parametrize(("verdict", "is_better", "sentence"), SENTENCES)
def test_the_verdict_is_a_sentence(verdict, is_better, sentence):
    assert verdict.is_better is is_better
    assert str(verdict) == sentence


def verdict_on(network, judged_by, base=None, textured=None):
    return judge(network, network.state_dict(), textured, judged_by, base)


def test_an_untrained_fast_network_is_bicubic():
    found = verdict_on(generator(), held_out(textures(), SETTINGS))

    assert found.over_bicubic == pytest.approx(0, abs=1e-3)
    assert found.over_base is None
    assert found.texture is None
    assert found.n_images == 2


def test_the_gain_over_the_base_is_the_difference_of_gains():
    judged_by = held_out(textures(), SETTINGS)
    good, bad = generator(), generator(0.3)

    found = verdict_on(good, judged_by, bad)

    over_bicubic = verdict_on(bad, judged_by).over_bicubic
    assert over_bicubic < -0.1
    assert found.over_base == pytest.approx(found.over_bicubic - over_bicubic)


def test_texture_is_measured_against_the_faithful_end():
    judged_by = held_out(textures(), SETTINGS)
    textured = generator(0.2)

    found = judge(
        generator(), generator().state_dict(), textured.state_dict(), judged_by, None
    )

    before, after = judged_by.judge(generator()), judged_by.judge(textured)
    errors = (before.spectrum_error, after.spectrum_error)
    assert found.over_bicubic == pytest.approx(0, abs=1e-3)
    assert found.texture.gain == pytest.approx(after.psnr - before.psnr)
    assert found.texture.spectrum_errors == pytest.approx(errors)


def test_the_recommended_dial_is_the_last_that_costs_little():
    judged_by = held_out(textures(), SETTINGS)
    faithful, textured = generator().state_dict(), generator(0.2).state_dict()
    network = generator()

    dial = recommended_dial(network, faithful, textured, judged_by)

    def is_too_much(place):
        mixed = {k: torch.lerp(faithful[k], textured[k], place) for k in faithful}
        network.load_state_dict(mixed)
        found = judged_by.judge(network)
        has_lattice = found.lattice > 2 * found.true_lattice + 10
        return found.psnr < start - DIAL_LOSS or has_lattice

    start = judged_by.judge(generator()).psnr
    assert 0 < dial < 1
    assert not is_too_much(dial)
    assert is_too_much(dial + 0.1)


def test_texture_that_is_a_lattice_is_not_recommended():
    """It costs hardly any PSNR: two thousandths of the range are 54 dB."""
    rows = np.linspace(0, 3, 96, dtype=np.float32)
    smooth = 0.5 + 0.3 * np.sin(rows)[:, None] * np.cos(rows)
    judged_by = held_out([smooth], SETTINGS)
    network = generator()
    faithful = network.state_dict()
    lattice = torch.tensor([2e-3, -2e-3, -2e-3, 2e-3])  # 40 counts of 20,000
    painted = {**faithful, "tail.bias": faithful["tail.bias"] + 10 * lattice}

    assert recommended_dial(network, faithful, painted, judged_by) == 0

    network.load_state_dict({**faithful, "tail.bias": lattice})
    at_a_tenth, without = judged_by.judge(network), judged_by.judge(generator())
    assert at_a_tenth.lattice == pytest.approx(40, abs=4)
    assert at_a_tenth.psnr > without.psnr - DIAL_LOSS


# ── what is looked at ───────────────────────────────────────────────────────────────


def test_the_recordings_to_judge_by_are_always_the_same():
    first, second = (held_out(textures(), SETTINGS) for _ in range(2))

    for one, other in zip(first.recordings, second.recordings, strict=True):
        assert torch.equal(one.low, other.low)


def test_of_a_large_image_the_middle_is_looked_at():
    image = np.zeros((2 * SIDE + 101, 60), np.float32)
    image[50 : 50 + 2 * SIDE] = 1

    (seen, *_) = held_out([image], SETTINGS).recordings

    assert seen.sharp.shape == (1, 1, 2 * SIDE, 60)
    assert seen.low.shape == (1, 1, SIDE, 30)
    assert seen.sharp.std() < 1e-6


def test_judging_leaves_the_network_in_training():
    network = generator().train()

    held_out(textures(), SETTINGS).judge(network)

    assert network.training


def test_the_preview_shows_the_first_recording():
    judged_by = held_out(textures(), SETTINGS)

    preview = judged_by.preview(generator())

    assert preview.low.shape == (24, 26)
    assert preview.now.shape == preview.truth.shape == (48, 52)
    assert np.array_equal(preview.truth, judged_by.recordings[0].sharp[0, 0].numpy())


class Pair:
    def __init__(self, low, high):
        self.low, self.high = low, high


def test_measured_pairs_are_judged_as_they_are():
    (high,) = textures(1, (40, 44))
    low = high.reshape(20, 2, 22, 2).mean((1, 3))

    judged_by = held_out_pairs([Pair(low, high)], [NoiseLevel(0.02, 0.1, 0.3)], 2)

    (seen,) = judged_by.recordings
    assert isinstance(judged_by, HeldOut)
    assert np.array_equal(seen.low[0, 0].numpy(), low)
    assert np.array_equal(seen.sharp[0, 0].numpy(), high)
    told = [float(v) for v in (seen.gain, seen.read, seen.offset)]
    assert told == pytest.approx([0.02, 0.1, 0.3])


def test_the_figures_are_those_of_the_images_by_hand():
    judged_by = held_out(textures(1), SETTINGS)
    network = generator()

    found = judged_by.judge(network)

    errors = []
    for seen in judged_by.recordings:
        now = HeldOut([seen], 1).preview(network).now
        inner = (slice(4, -4), slice(4, -4))
        difference = (now - seen.sharp[0, 0].numpy())[inner].astype(float)
        errors.append(-10 * np.log10((difference**2).mean()))
    assert found.psnr == pytest.approx(np.mean(errors), abs=1e-4)

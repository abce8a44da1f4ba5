"""The verdict: what is better, and how much texture is recommended."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sr.image.intensity import NoiseLevel
from napari_sr.metrics.paired import Gain
from napari_sr.networks import build_generator
from napari_sr.settings import TrainingSettings
from napari_sr.training.validation import SIDE, HeldOut, held_out, held_out_pairs
from napari_sr.training.verdict import (
    DIAL_LOSS,
    NO_TEXTURE,
    Texture,
    Verdict,
    judge,
    recommended_dial,
)

SETTINGS = TrainingSettings(arguments={"channels": 4, "n_blocks": 1}, device="cpu")

TO_BICUBIC = Gain(1.25, 1.0, 1.5)
OVER_BICUBIC = "better than bicubic by 1.25 dB (+1.00 to +1.50)"
BETTER, WORSE = Gain(0.8, 0.6, 1.0), Gain(-0.4, -0.5, -0.3)
EQUAL, UNSURE = Gain(0.01, -0.2, 0.22), Gain(0.8, -0.1, 1.7)
NO_TRUTH = (
    "Evaluated without ground truth, on downsampled recordings; on the recordings "
    "themselves, the results predict a copy with independent noise"
)
NEW_TEXTURE = Texture(-0.25, (0.762, 0.638))
OF_TEXTURE = (
    "The textured end brings the spectrum error from 0.76 to 0.64, at -0.25 dB."
)
SENTENCES = [
    pytest.param(
        Verdict(TO_BICUBIC, BETTER, 3),
        True,
        "Better than the base by 0.80 dB (+0.60 to +1.00) and "
        f"{OVER_BICUBIC} on 3 held-out images.",
        id="better",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, UNSURE, 2),
        False,
        "Not better: not significantly different from the base (+0.80 dB, -0.10 to "
        f"+1.70) and {OVER_BICUBIC} on 2 held-out images.",
        id="not sure",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, WORSE, 1),
        False,
        "Not better: worse than the base by 0.40 dB (-0.50 to -0.30) and "
        f"{OVER_BICUBIC} on 1 held-out image (the interval is over its parts, not "
        "over other images).",
        id="worse than the base",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, EQUAL, 1, has_chosen=True),
        False,
        "Not better: equal to the base (+0.01 dB, -0.20 to +0.22) and "
        f"{OVER_BICUBIC} on 1 held-out image, which also selected the weights (the "
        "interval is over its parts, not over other images).",
        id="equal",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, BETTER, 2, is_texture_missed=True),
        True,
        "Better than the base by 0.80 dB (+0.60 to +1.00) and "
        f"{OVER_BICUBIC} on 2 held-out images. {NO_TEXTURE}",
        id="texture sought in vain",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, None, 2),
        True,
        f"B{OVER_BICUBIC[1:]} on 2 held-out images.",
        id="no base",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, EQUAL, 2, texture=NEW_TEXTURE),
        True,
        "Equal to the base (+0.01 dB, -0.20 to +0.22) and "
        f"{OVER_BICUBIC} on 2 held-out images. {OF_TEXTURE}",
        id="new texture alone",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, WORSE, 2, texture=NEW_TEXTURE),
        False,
        "Not better: worse than the base by 0.40 dB (-0.50 to -0.30) and "
        f"{OVER_BICUBIC} on 2 held-out images. {OF_TEXTURE}",
        id="texture for pixels",
    ),
    pytest.param(
        Verdict(UNSURE, BETTER, 2),
        True,
        "Better than the base by 0.80 dB (+0.60 to +1.00) and not significantly "
        "different from bicubic (+0.80 dB, -0.10 to +1.70) on 2 held-out images.",
        id="images on which bicubic is unlike",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, BETTER, 2, agreement=Gain(0.01, -0.002, 0.022)),
        True,
        "Better than the base by 0.80 dB (+0.60 to +1.00) and "
        f"{OVER_BICUBIC} on 2 held-out images. "
        f"{NO_TRUTH} as well as "
        "those of the base (+0.010 dB, -0.002 to +0.022).",
        id="without truth",
    ),
    pytest.param(
        Verdict(
            TO_BICUBIC, BETTER, 2, agreement=Gain(0.01, -0.002, 0.022), doubt="Why not."
        ),
        False,
        "Not reliable: Why not. In numbers: better than the base by 0.80 dB (+0.60 to "
        f"+1.00) and {OVER_BICUBIC} on 2 held-out images. "
        f"{NO_TRUTH} as well as "
        "those of the base (+0.010 dB, -0.002 to +0.022).",
        id="without truth, and in doubt",
    ),
    pytest.param(
        Verdict(TO_BICUBIC, BETTER, 2, agreement=Gain(-0.02, -0.08, 0.04)),
        False,
        "Not better: better than the base by 0.80 dB (+0.60 to +1.00) and "
        f"{OVER_BICUBIC} on 2 held-out images. "
        f"{NO_TRUTH} less well than "
        "those of the base (-0.020 dB, -0.080 to +0.040).",
        id="without truth, and against the recordings",
    ),
    pytest.param(
        Verdict(UNSURE, None, 2),
        False,
        "Not better: not significantly different from bicubic (+0.80 dB, -0.10 to "
        "+1.70) on 2 held-out images.",
        id="not sure, no base",
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


def judging(images):
    """Each image by itself."""
    return held_out(images, SETTINGS, range(len(images)))


def verdict_on(network, judged_by, base=None, textured=None):
    return judge(network, network.state_dict(), textured, judged_by, base)


def test_an_untrained_fast_network_is_bicubic():
    found = verdict_on(generator(), judging(textures()))

    assert found.over_bicubic.mean == pytest.approx(0, abs=1e-3)
    assert found.over_base is None
    assert found.texture is None
    assert found.n_images == 2


def test_the_gain_over_the_base_is_the_difference_of_gains():
    judged_by = judging(textures())
    good, bad = generator(), generator(0.3)

    found = verdict_on(good, judged_by, bad)

    over_bicubic = verdict_on(bad, judged_by).over_bicubic.mean
    assert over_bicubic < -0.1
    assert found.over_base.mean == pytest.approx(found.over_bicubic.mean - over_bicubic)


def test_the_interval_is_of_images_and_not_of_their_planes():
    planes = [*textures(4, seed=0), *textures(4, seed=1)]
    bad = generator(0.3)
    of_two = judge(generator(), generator().state_dict(), None,
                   held_out(planes, SETTINGS, [0] * 4 + [1] * 4), bad)  # fmt: skip
    of_eight = judge(generator(), generator().state_dict(), None,
                     judging(planes), bad)  # fmt: skip

    assert (of_two.n_images, of_eight.n_images) == (2, 8)
    assert of_two.over_base.mean == pytest.approx(of_eight.over_base.mean)
    judged = held_out(planes, SETTINGS, [0] * 4 + [1] * 4)
    gains = np.subtract(judged.by_image(generator()), judged.by_image(bad))
    half = 6.3138 * abs(gains[0] - gains[1]) / 2  # Student's, of one degree
    assert of_two.over_base.high - of_two.over_base.mean == pytest.approx(half, 1e-4)


def test_of_a_single_image_the_parts_are_looked_at():
    random = np.random.default_rng(0)
    image = random.random((96, 96), np.float32)
    image[:, 48:] = 0.5  # where there is nothing to gain
    judged = judging([image])

    of_parts = judged.by_image(None)

    assert len(of_parts) == 9
    (low, sharp) = (
        [getattr(seen, name)[0, 0].double() for seen in judged.recordings]
        for name in ("low", "sharp")
    )
    assert len(low) == 2
    results = [
        torch.nn.functional.interpolate(
            one[None, None], scale_factor=2, mode="bicubic", align_corners=False
        )[0, 0]
        for one in low
    ]
    errors = [
        ((result - truth)[4:-4, 4:-4] ** 2)[:30, :30].mean()
        for result, truth in zip(results, sharp, strict=True)
    ]
    by_hand = float(np.mean([-10 * np.log10(float(error)) for error in errors]))
    assert of_parts[0] == pytest.approx(by_hand, abs=0.5)


def test_texture_is_measured_against_the_faithful_end():
    judged_by = judging(textures())
    textured = generator(0.2)

    found = judge(
        generator(), generator().state_dict(), textured.state_dict(), judged_by, None
    )

    before, after = judged_by.judge(generator()), judged_by.judge(textured)
    errors = (before.spectrum_error, after.spectrum_error)
    assert found.over_bicubic.mean == pytest.approx(0, abs=1e-3)
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


def test_the_preview_shows_a_recording_its_truth_and_the_result():
    judged_by = held_out(textures(), SETTINGS)

    preview = judged_by.preview(generator())

    assert preview.low.shape == (24, 26)
    assert preview.now.shape == preview.truth.shape == (48, 52)
    truths = [one.sharp[0, 0].numpy() for one in judged_by.recordings]
    assert any(np.array_equal(preview.truth, truth) for truth in truths)


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

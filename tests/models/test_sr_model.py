"""A model: a network, its dial, and what it is told about the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny_fast, tiny_srresnet

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.image.intensity import IntensityRange, NoiseLevel
from napari_sr.image.stack import Stack
from napari_sr.instrument.noise import noise_map
from napari_sr.models import sr_model as model_room
from napari_sr.models.sr_model import SRModel
from napari_sr.models.upscaler import Prepared

SCALE = IntensityRange(100, 1100)
MAKERS = {"fast": tiny_fast, "srresnet": tiny_srresnet}


def random_batch(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def batch_for(model, side=32):
    return random_batch(2, model.network.in_channels, side, side + 3)


def with_two_ends(**card):
    """A model whose textured end is another network than its faithful one."""
    faithful, textured = tiny_fast(seed=1), tiny_fast(seed=2)
    parts = {**faithful.weights, "textured": textured.weights["faithful"]}
    return SRModel(faithful.card.model_copy(update=card), parts)


def with_card(model, **changes):
    return SRModel(model.card.model_copy(update=changes), model.weights)


# ── what it computes ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_model_computes_what_its_network_does(kind, factor):
    model = MAKERS[kind](factor)
    batch = batch_for(model)

    fine = model(batch)

    ring = slice(model.halo * factor, -model.halo * factor)
    expected = model.network(batch)[..., ring, ring]
    assert fine.shape == (2, 1, 32 * factor, 35 * factor)
    torch.testing.assert_close(fine[..., ring, ring], expected, rtol=0, atol=2e-6)
    assert not fine.requires_grad


def test_nothing_but_halo_gives_nothing():
    model = tiny_fast()
    assert torch.equal(model(torch.ones(1, 2, 12, 40)), torch.zeros(1, 1, 24, 80))


def test_the_step_from_the_papers_range_to_ours():
    # the paper's network gives [-1, 1]; ours is [0, 1]
    model = with_card(tiny_srresnet(), output_scale=1.0, output_offset=0.0)
    stepped = with_card(model, output_scale=0.5, output_offset=0.5)
    batch, ring = batch_for(model), slice(model.halo * 2, -model.halo * 2)

    found, expected = (one(batch)[..., ring, ring] for one in (stepped, model))
    torch.testing.assert_close(found, (expected + 1) / 2)


def test_a_model_says_what_its_card_says():
    model = tiny_fast(3)

    assert (model.name, model.factor, model.domain) == ("tiny", 3, "test")
    assert model.description == "Untrained, for tests."
    assert model.halo == model.network.halo == 6
    assert model.overlap == 0
    assert model.intensity_policy == model.card.intensity
    assert model.bytes_per_pixel > 0
    assert repr(model) == "<SRModel tiny: ×3, test>"


def test_a_card_must_not_promise_a_smaller_halo_than_the_network_sees():
    with pytest.raises(ModelFormatError, match=r"a halo of 5 px.* sees 6 px"):
        _ = with_card(tiny_fast(), halo=5).network

    assert with_card(tiny_fast(), halo=7).network.halo == 6


def test_the_network_is_ready_for_inference():
    network = tiny_srresnet().network

    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any("norm" in type(m).__name__.lower() for m in network.modules())


def test_a_model_moves_to_a_device_as_it_is():
    model = with_two_ends().at_dial(0.5)
    moved = model.to("cpu")

    assert (moved.dial, moved.device) == (0.5, torch.device("cpu"))
    assert torch.equal(moved(batch_for(model)), model(batch_for(model)))


PARTS_REFUSED = [
    pytest.param({}, "Missing or unknown: faithful", id="nothing"),
    pytest.param({"faithful": {}, "beautiful": {}}, "unknown: beautiful", id="unknown"),
]


@pytest.mark.parametrize(("parts", "why"), PARTS_REFUSED)
def test_other_parts_are_refused(parts, why):
    with pytest.raises(ValueError, match=why):
        SRModel(tiny_fast().card, parts)


# ── the dial ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dial", [0, 0.25, 0.5, 1])
def test_the_dial_interpolates_the_weights(dial):
    model = with_two_ends()
    faithful, textured = (model.weights[end] for end in ("faithful", "textured"))

    found = model.at_dial(dial).network.state_dict()

    for name, weight in found.items():
        expected = (1 - dial) * faithful[name] + dial * textured[name]
        torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-6)


def test_at_its_ends_the_dial_gives_the_ends_bit_for_bit():
    model = with_two_ends()
    batch = batch_for(model)

    assert torch.equal(model.at_dial(0)(batch), tiny_fast(seed=1)(batch))
    assert torch.equal(model.at_dial(1)(batch), tiny_fast(seed=2)(batch))
    assert not torch.equal(model.at_dial(0.5)(batch), model.at_dial(0)(batch))


def test_norms_are_interpolated_before_they_are_folded():
    ends = tiny_srresnet(seed=1), tiny_srresnet(seed=2)
    parts = [dict(end.weights["faithful"]) for end in ends]
    for part, scale in zip(parts, (1.0, 3.0), strict=True):
        part["middle.1.weight"] = torch.full((8,), scale)
    model = SRModel(
        ends[0].card, {"faithful": parts[0], "textured": parts[1]}, dial=0.5
    )

    weight = (parts[0]["middle.0.weight"] + parts[1]["middle.0.weight"]) / 2
    expected = 2.0 * weight / (1 + 1e-5) ** 0.5  # fresh running variance: 1
    torch.testing.assert_close(model.network.middle[0].weight, expected)


def test_the_card_recommends_the_dial():
    model = with_two_ends(recommended_dial=0.75)

    assert model.dial == 0.75
    assert model.at_dial(0).dial == 0


def test_without_a_textured_end_the_dial_stays_at_0():
    assert tiny_fast().at_dial(0).dial == 0
    why = "'tiny' has no textured end.*got 0.5.*Leave the dial out"
    with pytest.raises(ValueError, match=why):
        tiny_fast().at_dial(0.5)


@pytest.mark.parametrize("dial", [-0.1, 1.1, float("nan")])
def test_a_dial_beyond_its_ends_is_refused(dial):
    with pytest.raises(ValueError, match="from 0 to 1, got"):
        with_two_ends().at_dial(dial)


def test_a_textured_end_of_another_network_is_refused():
    model = tiny_fast()
    other = {**model.weights["faithful"], "head.bias": torch.zeros(1)}
    parts = {**model.weights, "textured": other}

    with pytest.raises(ModelFormatError, match=r"do not fit its card.*head.bias"):
        _ = SRModel(model.card, parts, dial=0.5).network


# ── what it is told about the noise ─────────────────────────────────────────────────


def stack_of(*levels):
    return Stack.from_array(
        np.stack([np.full((24, 24), level, np.uint16) for level in levels])
    )


def test_a_level_is_taken_as_given():
    level = NoiseLevel(1, 2, 3)

    assert tiny_fast().prepare(stack_of(300), SCALE, level) == Prepared(noise=level)


def test_auto_asks_the_estimator_and_answers_in_counts():
    model = tiny_fast()
    plane = np.random.default_rng(0).integers(100, 1100, (20, 30)).astype(np.uint16)

    found = model.prepare(Stack.from_array(plane), SCALE, "auto").noise

    normalized = torch.from_numpy((plane.astype(np.float32) - 100) / 1000)
    in_network = model.noise_estimator.estimate([normalized])
    assert found.gain == pytest.approx(in_network.gain * 1000, rel=1e-4)
    assert found.read == pytest.approx(in_network.read * 1000, rel=1e-4)
    assert found.offset == 100  # the estimator's dark level is that of the range


@pytest.mark.parametrize("n_planes", [1, 8, 100])
def test_auto_looks_at_a_bounded_number_of_planes(n_planes, monkeypatch):
    model, looked_at = tiny_fast(), []
    monkeypatch.setattr(
        type(model.noise_estimator),
        "estimate",
        lambda _self, planes: looked_at.extend(planes) or NoiseLevel(),
    )

    model.prepare(stack_of(*range(n_planes)), SCALE, "auto")

    assert len(looked_at) == min(n_planes, model_room.N_PLANES_FOR_NOISE)
    assert looked_at[-1][0, 0] == pytest.approx((n_planes - 1 - 100) / 1000)


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (5, 7), (8, 40)], ids=str)
def test_auto_copes_with_planes_that_hardly_say_anything(shape):
    plane = np.random.default_rng(0).random(shape).astype(np.float32)
    plane[0, 0] = np.nan

    prepared = tiny_fast().prepare(
        Stack.from_array(plane), IntensityRange(0, 1), "auto"
    )
    level = prepared.noise

    assert np.isfinite([level.gain, level.read, level.offset]).all()


def test_inputs_are_the_plane_and_the_map_in_network_units():
    plane = random_batch(1, 1, 10, 12)
    level = NoiseLevel(gain=4, read=20, offset=300)

    told = tiny_fast().inputs(plane, SCALE, Prepared(noise=level))

    assert told.shape == (1, 2, 10, 12)
    assert torch.equal(told[:, :1], plane)
    # 1000 counts are 1: gain / 1000, read / 1000, offset (300 - 100) / 1000
    torch.testing.assert_close(told[:, 1:], noise_map(plane, 0.004, 0.02, 0.2))


def test_noise_0_is_a_map_of_zeros():
    told = tiny_fast().inputs(
        random_batch(1, 1, 10, 12), SCALE, Prepared(noise=NoiseLevel())
    )

    assert not told[:, 1].any()


def test_a_model_that_is_not_told_the_noise():
    model, plane = tiny_srresnet(), random_batch(1, 1, 9, 9)

    assert "noise" not in model.conditions
    assert model.prepare(stack_of(300), SCALE, "auto") == Prepared()
    assert torch.equal(model.inputs(plane, SCALE, Prepared()), plane)
    with pytest.raises(
        ValueError, match=r"not noise-conditioned.*Leave noise at 'auto'"
    ):
        model.prepare(stack_of(300), SCALE, NoiseLevel())


def test_auto_without_an_estimator_is_refused_with_the_cure():
    model = tiny_fast()
    alone = SRModel(model.card, {"faithful": model.weights["faithful"]})

    assert "noise" in model.conditions
    with pytest.raises(ValueError, match=r"no noise estimator\. Give the noise: 0, or"):
        alone.prepare(stack_of(300), SCALE, "auto")

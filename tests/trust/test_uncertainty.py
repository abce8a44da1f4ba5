"""How sure: the spread over flips and turns, and the interval made of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_sr as sr
from napari_sr.cards.interval import (
    FLOORS,
    Interval,
    doubt,
    floor_for,
    mean_coverage,
    scale_for,
)
from napari_sr.image.stack import Stack
from napari_sr.settings import UpscaleSettings
from napari_sr.trust.uncertainty import (
    spread,
    turn_back,
    turns,
    upscale_with_interval,
)
from napari_sr.upscaling.plan import make_plan
from tests.shared.tiny_models import tiny_fast

FLOOR = 2e-3
INTERVAL = Interval(
    level=0.9, scale=3.0, floor=FLOOR, smoothing=2.0, n_images=20, is_guaranteed=True
)


def recording(*shape):
    return np.random.default_rng(0).integers(500, 5_000, shape, dtype=np.uint16)


def calibrated(model):
    return sr.SRModel(
        model.card.model_copy(update={"interval": INTERVAL}), model.weights
    )


def test_each_turn_can_be_undone_on_a_larger_plane():
    plane = recording(4, 7)
    larger = np.kron(plane, np.ones((2, 2)))

    for number, turned in enumerate(turns(plane)):
        back = turn_back(number, np.kron(turned, np.ones((2, 2))))
        np.testing.assert_array_equal(back, larger)


def test_the_eight_turns_are_eight():
    seen = {turned.tobytes() + bytes(turned.shape) for turned in turns(recording(5, 5))}
    assert len(seen) == 8


def test_the_spread_is_the_standard_deviation_of_eight_results():
    plane, model = recording(12, 17), tiny_fast(tail=0.5)
    told = {"noise": 0, "intensity_range": (0, 5_000), "dtype": "float32"}
    plan = make_plan(Stack.from_array(plane), model, UpscaleSettings(**told))

    plain, found = spread(plane, model, plan)

    results = [
        turn_back(n, sr.upscale(np.ascontiguousarray(turned), model, **told))
        for n, turned in enumerate(turns(plane))
    ]
    np.testing.assert_array_equal(plain, results[0])
    expected = np.std(results, axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.01)
    assert found.max() > 1


def test_an_interval_surrounds_the_usual_result():
    stack, model = recording(2, 10, 13), calibrated(tiny_fast(tail=0.5))

    result, half_width = upscale_with_interval(stack, model, noise=0)

    np.testing.assert_array_equal(result, sr.upscale(stack, model, noise=0))
    assert half_width.shape == result.shape
    assert half_width.dtype == np.float32
    span = make_plan(Stack.from_array(stack), model, UpscaleSettings(noise=0)).intensity
    assert half_width.min() >= 3 * FLOOR * (span.high - span.low) * (1 - 1e-6)


def test_gaps_are_sure_of_nothing():
    plane = recording(16, 16).astype(np.float32)
    plane[4:6, 4:6] = np.nan

    result, half_width = upscale_with_interval(plane, calibrated(tiny_fast()), noise=0)

    assert np.isnan(result[8:12, 8:12]).all()
    assert np.isinf(half_width[8:12, 8:12]).all()
    assert np.isfinite(half_width[16:]).all()


def test_without_calibration_no_interval_is_made_up():
    with pytest.raises(ValueError, match="has not been calibrated"):
        upscale_with_interval(recording(8, 8), tiny_fast(), noise=0)


def test_an_interpolation_has_no_interval():
    with pytest.raises(ValueError, match="only those can have an interval"):
        upscale_with_interval(recording(8, 8), sr.load_model("bicubic", factor=2))


def test_doubt_is_the_local_spread_and_a_floor():
    deviation = np.full((20, 30), 3.0, np.float32)

    np.testing.assert_allclose(doubt(deviation, 2.0, 0.5), 3.5, rtol=1e-5)
    np.testing.assert_array_equal(doubt(deviation, 0.0, 0.0), deviation)


def test_gaps_say_nothing_of_the_doubt_around_them():
    deviation = np.full((20, 30), 3.0, np.float32)
    deviation[5:9, 5:9] = np.nan

    found = doubt(deviation, 2.0, 0.0)

    assert np.isinf(found[5:9, 5:9]).all()
    np.testing.assert_allclose(found[~np.isnan(deviation)], 3.0, rtol=1e-4)


# ── calibration ─────────────────────────────────────────────────────────────────────


def exchangeable(n, rng, side=40):
    """Images whose errors follow the spread, each in its own way."""
    spreads = [rng.gamma(2.0, 1.0, (side, side)) + 0.1 for _ in range(n)]
    worse = rng.lognormal(0, 0.4, n)
    errors = [
        w * s * rng.normal(size=s.shape) for w, s in zip(worse, spreads, strict=True)
    ]
    return errors, spreads


def test_with_one_image_and_errors_known_the_scale_is_their_quantile():
    ratios = np.arange(1, 101, dtype=float)

    found = scale_for([ratios], [np.ones(100)], level=0.9)

    assert not found.is_guaranteed  # one image promises nothing of the next
    assert found.scale == pytest.approx(90, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(12, 40), st.floats(0.5, 0.9))
def test_the_expected_coverage_of_a_further_image_is_at_least_as_promised(n, level):
    """The bound of conformal risk control, over which of n + 1 images is the last."""
    errors, spreads = exchangeable(n + 1, np.random.default_rng(n), side=10)
    inside = []
    for last in range(n + 1):
        others = [i for i in range(n + 1) if i != last]
        interval = scale_for(
            [errors[i] for i in others], [spreads[i] for i in others], level
        )
        assert interval.is_guaranteed
        inside.append(np.mean(np.abs(errors[last]) <= interval.scale * spreads[last]))
    assert np.mean(inside) >= level - 1e-9


def test_the_guarantee_costs_less_the_more_images_there_are():
    errors, spreads = exchangeable(200, np.random.default_rng(1))

    few = scale_for(errors[:12], spreads[:12])
    many = scale_for(errors, spreads)

    ratios = [
        np.sort((np.abs(e) / s).ravel()) for e, s in zip(errors, spreads, strict=True)
    ]
    assert few.scale > many.scale
    assert 0.9 <= mean_coverage(ratios, many.scale) < 0.91


def test_the_number_of_images_is_remembered():
    errors, spreads = exchangeable(15, np.random.default_rng(2))
    assert scale_for(errors, spreads).n_images == 15


def test_the_floor_is_high_where_the_spread_says_nothing_and_low_where_it_does():
    random = np.random.default_rng(3)
    deviations = [0.01 * random.gamma(2.0, 1.0, (60, 60)) for _ in range(8)]
    told = [one * random.normal(size=one.shape) for one in deviations]
    untold = [0.03 * random.normal(size=one.shape) for one in deviations]

    assert floor_for(told, deviations) < FLOORS[-2]
    assert floor_for(untold, deviations) == FLOORS[-1]


@pytest.mark.parametrize("is_guaranteed", [True, False])
def test_what_is_promised_is_said(is_guaranteed):
    said = INTERVAL.model_copy(
        update={"is_guaranteed": is_guaranteed, "coverage": 0.935}
    ).in_words()

    assert "calibrated on 20 images" in said
    assert "held 93.5%" in said
    assert ("too few images for a guarantee" in said) != is_guaranteed

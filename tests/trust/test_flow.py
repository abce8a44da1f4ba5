"""A whole assessment: its parts belong together, and what cannot be known is said."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr.cards.descriptors import describe_plane
from napari_sr.cards.interval import Interval
from napari_sr.cards.suitability import TrainingStatistics
from napari_sr.evaluation import comparison
from napari_sr.evaluation.comparison import compare
from napari_sr.image.stack import Stack, StackError
from napari_sr.models.sr_model import SRModel, save_model
from napari_sr.phantoms import make_phantom
from napari_sr.trust.flow import assess_steps
from napari_sr.upscaling.provenance import NOTICE

DIAL = 0.5
INTERVAL = Interval(
    level=0.9, scale=4.0, floor=0.004, smoothing=2.0, n_images=20, is_guaranteed=True,
    coverage=0.93, mean_width=0.08, constant_width=0.1,
)  # fmt: skip


def textured(name="tiny"):
    """A small model with two ends, and a card that knows what it has seen."""
    faithful, other = tiny_fast(name=name), tiny_fast(seed=1)
    recordings = [describe_plane(specimen(seed)[0]) for seed in range(4)]
    card = faithful.card.model_copy(
        update={
            "recommended_dial": DIAL,
            "training_statistics": TrainingStatistics.of(recordings, 4),
            "interval": INTERVAL,
        }
    )
    weights = {**faithful.weights, "textured": other.weights["faithful"]}
    return SRModel(card, weights)


@cache
def specimen(seed=0):
    """A recording `(128, 128)` uint16, and the truth it was made from."""
    phantom = make_phantom("nuclei", n_planes=1, size=256, seed=seed)
    low, truth = (np.squeeze(one) for one in (phantom.recorded, phantom.truth))
    return low, truth


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recording, its truth, and a result on disk that says how it was made."""
    folder = tmp_path_factory.mktemp("made")
    low, truth = specimen(3)
    source = _written(folder / "a.ome.tif", low)
    result = folder / "a_x2.ome.tif"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_SR_MODELS", str(folder))
        save_model(textured(), folder / "tiny.safetensors")
        sr.upscale_file(source, result, "tiny")
        yield source, truth, result


def end_of(steps):
    """What a generator returns at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def plane_of(path):
    with sr.open_stack(path) as stack:
        return stack.plane(())


def _written(path, array):
    from napari_sr.files import create_stack
    from napari_sr.image.stack import Axis

    axes = (Axis("y", 0.2, "µm"), Axis("x", 0.2, "µm"))
    with create_stack(
        path, shape=array.shape, dtype=array.dtype, axes=axes, provenance={},
        overwrite=True,
    ) as writer:  # fmt: skip
        writer.write((), array)
    return path


@pytest.fixture(scope="module")
def found(made):
    low, truth, result = made
    return sr.assess(low, result, truth)


def test_figures_over_planes_are_those_of_a_comparison(made, found):
    low, truth, result = made
    expected = end_of(
        compare(
            *(Stack.from_array(plane_of(one), name=one.name) for one in (result, low)),
            Stack.from_array(truth),
        )
    )
    assert found.comparison == expected


def test_the_maps_are_what_they_say(found):
    result, truth = found.pictures["result"], found.pictures["reference"]
    maps = found.maps

    bands = maps["in_band"].pixels + maps["out_of_band"].pixels
    np.testing.assert_allclose(bands, result, atol=1e-2)
    np.testing.assert_array_equal(maps["error"].pixels, result - truth)
    residual = result.reshape(128, 2, 128, 2).mean((1, 3)) - found.pictures["recording"]
    np.testing.assert_allclose(maps["residual"].pixels, residual, atol=1e-2)
    assert maps["disagreement"].pixels.shape == (128, 128)
    assert maps["disagreement"].factor == 2


def test_where_the_prior_acted_is_the_result_less_its_faithful_end(made, found):
    low, _, _ = made
    plan = found.provenance["plan"]
    noise = sr.NoiseLevel(**plan["noise"])
    faithful = sr.upscale(low, "tiny", dial=0.0, noise=noise, dtype="float32")

    expected = found.pictures["result"] - faithful
    # agreement takes part in both, with the blur that was fitted to the result
    np.testing.assert_allclose(found.maps["texture"].pixels, expected, atol=1.0)
    assert np.abs(expected).max() > 100


def test_a_faithful_result_has_no_such_map(made):
    low, _, _ = made
    array = plane_of(low)
    result = Stack.from_array(sr.upscale(array, "tiny", dial=0.0))

    found = sr.assess(array, result, model=sr.load_model("tiny").at_dial(0.0))

    assert "texture" not in found.maps


def test_intervals_are_those_of_the_model_at_the_dial(made, found):
    low, _, _ = made
    noise = sr.NoiseLevel(**found.provenance["plan"]["noise"])
    _, expected = sr.upscale_with_interval(low, "tiny", noise=noise, dtype="float32")

    half = found.maps["interval"]

    assert half.kind == "amount"
    # the result on disk is in whole counts
    np.testing.assert_allclose(half.pixels, expected, atol=1.0)
    error = np.abs(found.maps["error"].pixels)
    own = found.figures["result"]
    assert own.half_width == pytest.approx(half.pixels.mean(), rel=1e-5)
    assert own.held == pytest.approx(np.mean(error <= half.pixels), abs=1e-3)
    assert found.figures["bicubic"].half_width is None
    assert found.interval == INTERVAL
    assert "calibrated on 20 images" in found.uncertainty
    assert found.as_json()["interval"]["coverage"] == 0.93


def test_intervals_of_a_large_plane_are_found_in_its_middle(made, found, monkeypatch):
    low, _, result = made
    monkeypatch.setattr("napari_sr.trust.plane.SURE_SIDE", 80)

    part = sr.assess(low, result).maps["interval"]

    assert part.corner == (44, 44)
    whole = found.maps["interval"].pixels[88:168, 88:168]
    # away from its border, the part knows as much as the whole
    inside = (slice(24, -24), slice(24, -24))
    np.testing.assert_allclose(part.pixels[inside], whole[inside], rtol=0.05)


def test_a_model_without_calibration_has_no_intervals_and_that_is_said():
    array, _ = specimen()

    found = sr.assess(array, sr.upscale(array, tiny_fast()), model=tiny_fast())

    assert "interval" not in found.maps
    assert found.interval is None
    assert "has not been calibrated" in found.uncertainty
    assert found.uncertainty in found.as_markdown()


def test_provenance_says_model_dial_settings_version_and_notice(made, found):
    said = found.provenance

    assert said["notice"] == NOTICE
    assert said["plan"]["model_sha256"] == sr.load_model("tiny").digest
    assert said["plan"]["dial"] == DIAL
    assert said["assessed"]["software"] == f"napari-sr {sr.__version__}"
    assert set(said["assessed"]["pixels_sha256"]) == {
        "recording", "result", "reference",
    }  # fmt: skip
    assert str(made[0].parent) not in json.dumps(found.as_json(), default=str)


def test_the_same_files_give_the_same_assessment(made, found):
    low, truth, result = made
    assert sr.assess(low, result, truth).as_json() == found.as_json()


def test_json_has_no_value_that_json_has_not(found):
    text = json.dumps(found.as_json(), allow_nan=False)
    assert json.loads(text)["agreement"]["level"] == found.level


def test_steps_are_counted_to_their_end(made):
    low, _, result = made
    with sr.open_stack(low) as recording, sr.open_stack(result) as high:
        steps = list(assess_steps(recording, high))
    # one plane, the origin, the plane taken apart, and eight turns
    assert [done for done, _ in steps] == list(range(1, 12))
    assert {total for _, total in steps[1:]} == {11}


# ── what is not known is said ───────────────────────────────────────────────────────


def test_without_model_and_settings_noise_is_estimated_and_that_is_said():
    low, _ = specimen()
    result = low.repeat(2, 0).repeat(2, 1)

    found = sr.assess(low, result)

    assert found.suitability is None
    assert found.level == "agrees"
    assert any("names the model" in one for one in found.remarks)
    assert any("estimated from its finest detail" in one for one in found.remarks)


def test_a_model_by_hand_finds_the_settings(made):
    low, _, result = made
    array = plane_of(result)

    found = sr.assess(low, array, model="tiny")

    assert found.suitability is not None
    assert any("does not state how it was made" in one for one in found.remarks)


def test_another_version_of_the_model_is_not_asked(made):
    low, _, result = made

    found = sr.assess(low, result, model=tiny_fast())

    assert any("another version" in one for one in found.remarks)
    assert "texture" not in found.maps


def test_a_card_without_statistics_is_a_stated_absence(made):
    low, _, _ = made
    array = plane_of(low)

    found = sr.assess(array, sr.upscale(array, tiny_fast()), model=tiny_fast())

    assert found.suitability is None
    assert any(
        "has no statistics of its training images" in one for one in found.remarks
    )


def test_heights_have_roughness_and_slopes(made):
    low, truth, _ = made
    model = tiny_fast()
    model.card = model.card.model_copy(update={"domain": "topography"})
    array = plane_of(low)

    found = sr.assess(array, sr.upscale(array, model), truth, model=model)

    assert {"sa", "sq", "slope_rmse"} <= set(found.names)
    assert found.figures["reference"].slope_rmse is None
    assert found.figures["result"].slope_rmse < found.figures["bicubic"].sq


def test_stacks_that_do_not_fit_are_refused():
    low, _ = specimen()
    with pytest.raises(StackError, match="not a result of"):
        sr.assess(low, low)


def test_bicubic_is_assessed_like_any_result(made):
    low, _, _ = made
    found = sr.assess(low, sr.upscale(low, sr.load_model("bicubic", factor=2)))

    own, beside = found.figures["result"], found.figures["bicubic"]
    assert own.out_of_band == pytest.approx(beside.out_of_band, rel=0.01)


def test_each_plane_is_read_once_and_interpolated_once(monkeypatch):
    low = np.random.default_rng(5).integers(100, 900, (3, 40, 48), np.uint16)
    high = low.repeat(2, 1).repeat(2, 2)
    read, interpolated = [], []
    plane_of, upscale_of = Stack.plane, comparison.upscale

    def counted_plane(self, index, *more):
        read.append((self.name, index))
        return plane_of(self, index, *more)

    def counted_upscale(plane, *more, **options):
        interpolated.append(plane.tobytes())
        return upscale_of(plane, *more, **options)

    monkeypatch.setattr(Stack, "plane", counted_plane)
    monkeypatch.setattr(comparison, "upscale", counted_upscale)
    sr.assess(Stack.from_array(low, name="low"), Stack.from_array(high, name="high"))

    of_result = [index for name, index in read if name == "high"]
    assert sorted(of_result) == [(0,), (1,), (2,)]
    assert len(interpolated) == len(set(interpolated)) == 3

"""Evaluation: sharp images recorded in one way, and what every method makes of them."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from tiny_models import tiny_fast, tiny_srresnet

from napari_sr.evaluation.baselines import BM3D, baselines, denoised, non_local_means
from napari_sr.evaluation.protocol import (
    BLACK,
    DATA_RANGE,
    N_PLANES,
    WHITE,
    SharpPlane,
    evaluate_specimen,
    flat_fields,
    flat_fields_of,
    methods_for,
    noise_of,
    on_scale,
    recorded,
    specimens_of,
    ways_of,
)
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.sampling import binned
from napari_sr.image.stack import StackError
from napari_sr.models.sr_model import SRModel
from napari_sr.phantoms import make_phantom


def sharp_image(name="filaments"):
    truth = make_phantom(name, n_planes=1, size=256, seed=3).truth
    return on_scale(truth.reshape(truth.shape[-2:]).astype(np.float32))


def error(result, truth):
    return np.sqrt(np.mean((result - truth)[8:-8, 8:-8] ** 2))


# ── recording ───────────────────────────────────────────────────────────────────────


@runs(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.integers(40, 70))
def test_percentiles_of_a_sharp_image_lie_at_black_and_white(scale, offset, side):
    plane = np.random.default_rng(side).normal(offset, scale, (side, side + 3))

    found = on_scale(plane)

    assert found.shape == (side - side % 4, (side + 3) - (side + 3) % 4)
    low, high = np.percentile(found, (0.1, 99.9))
    assert low == pytest.approx(BLACK, abs=2)
    assert high == pytest.approx(WHITE, abs=2)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_clean_recording_is_the_mean_of_blocks_in_whole_counts(factor):
    sharp = sharp_image()

    low = recorded(sharp, factor, None)

    assert low.dtype == np.uint16
    assert np.abs(low - binned(sharp, factor)).max() <= 0.5


@pytest.mark.parametrize("heights", [False, True])
@pytest.mark.parametrize("photons", [50.0, 200.0])
def test_the_noise_told_is_that_of_the_recording(photons, heights):
    flat = np.full((256, 256), (BLACK + WHITE) / 2, np.float32)

    low = recorded(flat, 2, photons, heights=heights).astype(float)

    level = noise_of(photons, heights=heights)
    variance = level.gain * (flat[0, 0] - level.offset) + level.read**2
    assert low.var() == pytest.approx(variance, rel=0.05)
    assert low.mean() == pytest.approx(flat[0, 0], rel=0.005)


def test_a_recording_is_the_same_each_time():
    sharp = sharp_image()

    assert np.array_equal(recorded(sharp, 2, 50), recorded(sharp, 2, 50))


# ── baselines ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["Richardson-Lucy", "Wiener"])
def test_deconvolution_sharpens_what_pixels_have_averaged(name):
    sharp = sharp_image()
    low = recorded(sharp, 2, None)
    methods = baselines(2)

    bicubic = methods["bicubic"](low, NoiseLevel())
    found = methods[name](low, NoiseLevel())

    assert found.dtype == np.float32
    assert error(found, sharp) < 0.9 * error(bicubic, sharp)
    assert found.mean() == pytest.approx(bicubic.mean(), rel=1e-3)


@pytest.mark.parametrize("heights", [False, True])
def test_denoising_comes_nearer_to_the_truth(heights):
    sharp = sharp_image("nuclei")
    low = recorded(sharp, 2, 50, heights=heights)
    truth = binned(sharp, 2)

    found = denoised(low, noise_of(50, heights=heights), non_local_means)

    assert error(found, truth) < 0.8 * error(low.astype(float), truth)


@pytest.mark.parametrize("photons", [5, 50, 500])
def test_denoising_keeps_the_mean_of_few_photons(photons):
    flat = np.full((512, 512), BLACK + 0.4 * DATA_RANGE, np.float32)
    low = recorded(flat, 2, photons)

    found = denoised(low, noise_of(photons), non_local_means)

    light = found.mean() - BLACK
    assert light == pytest.approx(low.mean() - BLACK, rel=0.02)


def test_without_noise_nothing_is_removed():
    low = recorded(sharp_image(), 2, None)

    found = denoised(low, NoiseLevel(), non_local_means)

    assert np.array_equal(found, low.astype(np.float32))


def test_bm3d_is_a_baseline_where_it_is_installed(monkeypatch):
    """Its licence is for non-commercial use, so that it is not here: a stand-in is."""
    assert BM3D not in baselines(2)
    stand_in = ModuleType("bm3d")
    stand_in.__spec__ = ModuleSpec("bm3d", None)
    stand_in.bm3d = lambda image, deviation: image * 0 + image.mean()
    monkeypatch.setitem(sys.modules, "bm3d", stand_in)
    sharp = np.full((64, 64), BLACK + 0.4 * DATA_RANGE, np.float32)
    noise = noise_of(50)

    found = baselines(2)[BM3D](recorded(sharp, 2, 50), noise)

    assert np.ptp(found) < 1  # what it gave, made finer and in counts again
    assert found.mean() == pytest.approx(sharp.mean(), rel=0.03)


# ── measuring ───────────────────────────────────────────────────────────────────────


def with_texture(model, dial=0.4):
    parts = {**model.weights, "textured": model.weights["faithful"]}
    card = model.card.model_copy(update={"recommended_dial": dial})
    return SRModel(card, parts)


def test_a_model_is_asked_for_its_faithful_end_and_for_its_texture():
    assert list(ways_of(tiny_fast())) == ["tiny given", "tiny auto"]
    assert list(ways_of(with_texture(tiny_fast()))) == [
        "tiny given",
        "tiny auto",
        "tiny given, dial 0.4",
        "tiny given, dial 1",
    ]
    assert list(ways_of(with_texture(tiny_fast(), dial=0.0))) == [
        "tiny given",
        "tiny auto",
        "tiny given, dial 1",
    ]


def test_a_model_that_is_not_told_the_noise_is_not_asked_with_it():
    model = tiny_srresnet()
    ways = ways_of(model)
    low = recorded(sharp_image(), model.factor, 50)

    assert list(ways) == [f"{model.name} auto"]
    assert np.isfinite(ways[f"{model.name} auto"](low, noise_of(50))).all()


def test_models_of_different_factors_are_not_compared():
    with pytest.raises(ValueError, match=r"factors 2, 4\. Evaluate one factor"):
        methods_for([tiny_fast(2), tiny_fast(4)])


def test_a_model_that_is_bicubic_has_the_figures_of_bicubic():
    specimen = SharpPlane("filaments", sharp_image())
    methods = methods_for([tiny_fast(tail=0)])

    found = list(evaluate_specimen(specimen, methods, 2, photons=(None, 50.0)))

    assert len(found) == 2 * len(methods)
    by_name = {(one.photons, one.method): one.quality for one in found}
    bicubic = by_name[50.0, "bicubic"].model_dump()
    assert by_name[50.0, "tiny given"].model_dump() == pytest.approx(bicubic, abs=2e-3)
    # Without noise a model agrees with its recording, which bicubic does not quite.
    agreement = {name: one.agreement for (ph, name), one in by_name.items() if not ph}
    assert agreement["tiny given"] > 90 > agreement["bicubic"]


def test_noise_costs_what_it_should():
    specimen = SharpPlane("nuclei", sharp_image("nuclei"))
    methods = {"bicubic": baselines(2)["bicubic"]}

    found = evaluate_specimen(specimen, methods, 2)

    clean, some, much = (one.quality.psnr for one in found)
    assert clean > some > much


def test_on_a_flat_field_bicubic_leaves_all_of_its_noise_and_the_mean_none():
    def mean(low, _noise):
        return np.full((2 * low.shape[0], 2 * low.shape[1]), low.mean())

    found = flat_fields({"bicubic": baselines(2)["bicubic"], "mean": mean}, 2)

    noisy = [one for one in found if one.photons is not None]
    assert {one.share for one in noisy if one.method == "bicubic"} == {1.0}
    assert max(one.share for one in noisy if one.method == "mean") < 1e-6
    assert {one.share for one in found if one.photons is None} == {None}
    assert {one.photons for one in found} == {None, 50.0, 200.0, 500.0, 5000.0}


def test_a_lattice_on_a_flat_field_is_told_in_counts():
    bicubic = baselines(2)["bicubic"]

    def uneven(low, noise):
        result = bicubic(low, noise)
        result[::2] += 60
        return result

    found = flat_fields({"bicubic": bicubic, "uneven": uneven}, 2, (None, 50.0))

    lattices = {(one.method, one.photons): one.lattice for one in found}
    assert lattices["uneven", None] == pytest.approx(30)
    assert lattices["bicubic", None] == pytest.approx(0, abs=1e-2)
    assert lattices["bicubic", 50.0] < 2
    assert lattices["uneven", 50.0] == pytest.approx(30, abs=2)


def test_a_flat_field_stands_for_a_flat_part_of_an_image():
    # alone, without noise, it would have no range, and a model nothing to paint on
    found = flat_fields_of([tiny_fast(tail=0.5)], (None,))

    lattices = {one.method: one.lattice for one in found}
    assert set(lattices) == {"bicubic", "tiny given", "tiny auto"}
    assert lattices["bicubic"] == pytest.approx(0, abs=1e-2)
    assert lattices["tiny given"] > 100


# ── a user's own images ─────────────────────────────────────────────────────────────


def test_the_folder_of_a_file_is_its_dataset(tmp_path):
    path = tmp_path / "beads" / "a.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, sharp_image().astype(np.uint16))

    (specimen,) = specimens_of(path)

    assert specimen.dataset == "beads"
    assert np.percentile(specimen.sharp, 99.9) == pytest.approx(WHITE, abs=2)


def test_of_a_long_stack_some_planes_are_measured(tmp_path):
    planes = np.random.default_rng(0).integers(0, 9999, (30, 64, 64), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes)

    found = list(specimens_of(tmp_path / "a.tif"))

    assert len(found) == N_PLANES
    assert np.array_equal(found[0].sharp, on_scale(planes[0]))
    assert np.array_equal(found[-1].sharp, on_scale(planes[-1]))


def test_gaps_are_filled(tmp_path):
    plane = sharp_image()
    plane[10:20, 30:40] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", plane)

    (specimen,) = specimens_of(tmp_path / "a.tif")

    assert np.isfinite(specimen.sharp).all()


def test_an_image_too_small_for_figures_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((63, 80), np.uint16))

    with pytest.raises(StackError, match=r"63 × 80 px are too small.*64 px a side"):
        list(specimens_of(tmp_path / "a.tif"))

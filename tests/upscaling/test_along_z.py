"""Finer along z: what comes out, by value, and that no division of the work shows."""

from __future__ import annotations

import numpy as np
import pytest
from stacks_on_disk import axes_of, counts, read_stack, write_stack
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.files import create_stack
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack, StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs.one_file import FileJob, FileResult, run_job
from napari_sr.runs.volume import Share
from napari_sr.runs.workers import Workers, connected
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling import plan as planning
from napari_sr.upscaling.flow import make_plan, upscale_steps

NEAREST, CUBIC = Interpolation("nearest", 2), Interpolation("bicubic", 2)
VOXEL = (Axis("z", 0.7, "um", 3.0), Axis("y", 0.2, "um"), Axis("x", 0.2, "um", -1.0))


def smooth(shape=(9, 24, 20), seed=0):
    """A volume of waves, in counts."""
    z, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    waves = np.sin(z / 2.5 + seed) + np.cos(y / 3) + np.sin(x / 4 + z / 5)
    return np.rint(2000 + 400 * waves).astype("uint16")


def of_voxel(array):
    return Stack.from_array(array, axes=VOXEL)


# -- What comes out ----------------------------------------------------------------


@pytest.mark.parametrize("z", [2, 4])
def test_repeating_pixels_repeats_planes(z):
    array = counts((5, 7, 6))
    result = sr.upscale(array, NEAREST, z=z, factor=1)
    np.testing.assert_array_equal(result, array.repeat(z, axis=0))


def test_the_plane_becomes_finer_as_well_unless_it_is_left_alone():
    array = counts((5, 7, 6))
    result = sr.upscale(array, NEAREST, z=2)
    np.testing.assert_array_equal(result, array.repeat(2, 0).repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("z", [1.5, 3, 3.5, 10 / 3])
def test_any_ratio_holds_what_fine_planes_hold_of_each(z):
    array = counts((6, 7, 6), dtype="float32")
    result = sr.upscale(array, NEAREST, z=z, factor=1)
    assert len(result) == round(6 * z)
    for number, plane in enumerate(result):
        ends = np.array([number, number + 1]) / z
        shares = np.clip(np.minimum(np.arange(6) + 1, ends[1]), ends[0], None)
        shares = shares - np.clip(np.arange(6), ends[0], ends[1])
        shares = np.maximum(shares, 0) / np.maximum(shares, 0).sum()
        expected = np.tensordot(shares, array, 1)
        np.testing.assert_allclose(plane, expected, rtol=1e-5)


@pytest.mark.parametrize("model", [CUBIC, tiny_fast()], ids=["bicubic", "trained"])
@pytest.mark.parametrize("z", [2, 3, 4])
def test_a_constant_volume_stays_constant(model, z):
    array = np.full((6, 12, 10), 1234, np.uint16)
    assert (sr.upscale(array, model, z=z, factor=1) == 1234).all()


def test_it_is_the_mean_of_xz_and_yz_planes_binned_back():
    array = smooth((9, 24, 20)).astype("float32")
    options = {"intensity_range": (0, 4000), "consistency": "off"}
    both = []
    for order in ((1, 0, 2), (2, 0, 1)):
        high = sr.upscale(array.transpose(order), CUBIC, **options)
        binned_back = high.reshape(*high.shape[:2], -1, 2).mean(axis=-1)
        both.append(binned_back.transpose(np.argsort(order)))
    result = sr.upscale(array, CUBIC, z=2, factor=1, **options)
    np.testing.assert_allclose(result, np.mean(both, axis=0), rtol=1e-5)


def test_binned_again_it_is_the_recording_and_planes_keep_their_means():
    array = smooth() + np.arange(9, dtype=np.uint16)[:, None, None] % 2 * 40
    options = {"noise": sr.NoiseLevel(), "dtype": "float32"}
    result = sr.upscale(array, tiny_fast(), z=2, factor=1, **options)
    again = result.reshape(9, 2, 24, 20).mean(axis=1)
    np.testing.assert_allclose(again, array, atol=0.05)
    noisy = np.random.default_rng(0).poisson(array).astype("uint16")
    result = sr.upscale(noisy, tiny_fast(), z=4, factor=1, dtype="float32")
    means = result.reshape(9, -1).mean(axis=1)
    np.testing.assert_allclose(means, noisy.reshape(9, -1).mean(axis=1), rtol=1e-3)


def test_gaps_stay_gaps_and_nothing_else_becomes_one():
    array = smooth().astype("float32")
    array[3, 4:6, 7] = np.nan
    result = sr.upscale(array, CUBIC, z=2, factor=1)
    expected = np.isnan(array).repeat(2, axis=0)
    np.testing.assert_array_equal(np.isnan(result), expected)


def test_time_points_are_done_one_by_one():
    first, second = smooth(seed=0), smooth(seed=1)
    options = {"z": 2, "factor": 1, "intensity_range": (500, 3500)}
    both = sr.upscale(np.stack([first, second]), CUBIC, **options)
    for own, array in zip(both, (first, second), strict=True):
        np.testing.assert_array_equal(own, sr.upscale(array, CUBIC, **options))


# -- No division shows -------------------------------------------------------------


@pytest.mark.parametrize("z", [2, 3, 4])
@pytest.mark.parametrize("factor", [1, None])
def test_nobody_can_tell_the_slab(monkeypatch, z, factor):
    array = smooth((40, 30, 26))
    options = {"z": z, "factor": factor, "dtype": "float32"}
    whole = sr.upscale(array, tiny_fast(), **options)
    for name, number in (("_SLAB", 1), ("_FEWEST", 3)):
        monkeypatch.setattr(planning, name, number)
    parted = sr.upscale(array, tiny_fast(), tile=40, **options)
    np.testing.assert_allclose(parted, whole, atol=0.02)


def test_planes_may_be_asked_for_in_any_order(monkeypatch):
    monkeypatch.setattr(planning, "_SLAB", 1)
    stack, settings = Stack.from_array(smooth()), UpscaleSettings(z=2, device="cpu")
    plan = make_plan(stack, CUBIC, settings)
    whole = sr.upscale(smooth(), CUBIC, z=2)
    wanted = [(17,), (0,), (9,), (8,)]
    steps = list(upscale_steps(stack, CUBIC, plan, wanted))
    planes = {step.index: step.plane for step in steps if step.plane is not None}
    for index in wanted:
        np.testing.assert_array_equal(planes[index], whole[index])
    assert [step.tiles_done for step in steps] == [*range(1, steps[0].n_tiles + 1)]


def test_shares_workers_and_a_stopped_run_end_with_the_same_pixels(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(planning, "_SLAB", 1)
    source = write_stack(tmp_path / "a.ome.tif", smooth(), "zyx")
    settings = UpscaleSettings(z=2, device="cpu")
    expected = sr.upscale(smooth(), CUBIC, z=2)

    for number in (1, 2):
        job = FileJob(source, tmp_path / "s.ome.zarr", share=Share(number, 2))
        *_, last = run_job(job, CUBIC, settings)
    assert isinstance(last, FileResult)
    assert last.shape == expected.shape

    job = FileJob(source, tmp_path / "k.ome.zarr")
    steps = run_job(job, CUBIC, settings)
    for step in steps:
        if getattr(step, "plane", None) is not None and step.index == (5,):
            steps.close()
    again = [*run_job(job, CUBIC, settings)]
    n_again = sum(getattr(step, "plane", None) is not None for step in again)
    assert n_again == 18 - 6

    steps = run_job(FileJob(source, tmp_path / "w.ome.zarr"), CUBIC, settings)
    next(steps)  # with the plan of this process
    steps.close()
    with connected(2) as client:
        workers = Workers(client, CUBIC)
        job = FileJob(source, tmp_path / "w.ome.zarr", workers=workers)
        assert len([*run_job(job, CUBIC, settings)]) == 3 + 1  # of the slabs, result

    for name in ("s", "k", "w"):
        np.testing.assert_array_equal(
            read_stack(tmp_path / f"{name}.ome.zarr"), expected
        )


# -- Where it is -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("z", [2, 3.5])
def test_borders_stay_where_they_are(tmp_path, suffix, z):
    recording = of_voxel(smooth())
    with create_stack(
        tmp_path / "a.ome.tif", shape=(9, 24, 20), dtype="uint16", axes=VOXEL,
        provenance={},
    ) as writer:  # fmt: skip
        for index in recording.indices():
            writer.write(index, recording.plane(index))
    sr.upscale_file(tmp_path / "a.ome.tif", tmp_path / f"r{suffix}", CUBIC, z=z)
    finer = axes_of(tmp_path / f"r{suffix}")
    for before, after, ratio in zip(VOXEL, finer, (z, 2, 2), strict=True):
        assert after.spacing == pytest.approx(before.spacing / ratio, rel=1e-12)
        border = before.origin - before.spacing / 2
        assert after.origin - after.spacing / 2 == pytest.approx(border, abs=1e-9)


def test_isotropic_has_steps_as_small_as_pixels():
    for factor, spacing in ((1, 0.2), (None, 0.1)):
        settings = UpscaleSettings(z="isotropic", factor=factor, device="cpu")
        plan = make_plan(of_voxel(smooth()), CUBIC, settings)
        z, y, x = plan.axes_of(of_voxel(smooth()))
        assert z.spacing == pytest.approx(spacing)
        assert (y.spacing, x.spacing) == pytest.approx((spacing, spacing))
        assert plan.shape_of(of_voxel(smooth()))[0] == np.ceil(9 * 0.7 / spacing - 1e-9)
    flat = (Axis("z", 0.05, "um"), *VOXEL[1:])  # finer than its pixels already
    plan = make_plan(Stack.from_array(smooth(), axes=flat), CUBIC, settings)
    assert plan.z is None


def test_the_command_line_takes_z(tmp_path, capsys):
    source = str(write_stack(tmp_path / "a.ome.tif", smooth(), "zyx"))
    typed = ["upscale", source, "-m", "bicubic", "--z", "2", "-o"]
    assert main([*typed, str(tmp_path / "r.ome.tif"), "--factor", "1"]) == 0
    assert "18 × 24 × 20" in capsys.readouterr().out
    expected = sr.upscale(smooth(), CUBIC, z=2, factor=1)
    np.testing.assert_array_equal(read_stack(tmp_path / "r.ome.tif"), expected)
    assert main([*typed, str(tmp_path / "q.ome.tif"), "--factor", "2"]) == 0
    assert "18 × 48 × 40" in capsys.readouterr().out


# -- What is refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (smooth()[0], {"z": 2}, "no z axis with two planes"),
        (smooth()[:1], {"z": 2}, "no z axis with two planes"),
        (smooth(), {"z": "isotropic"}, "Give a number"),
        (smooth(), {"z": 0.5}, "from 1 to 64"),
        (smooth(), {"factor": 1}, "it needs z"),
        (smooth(), {"factor": 2}, r"^factor: 1 keeps .* load_model\('bicubic'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(array, options, message):
    with pytest.raises((StackError, ValueError), match=message):
        sr.upscale(array, CUBIC, **options)


def test_pages_that_nobody_named_are_planes_along_z_but_times_are_none():
    for name, is_z in (("q", True), ("t", False)):
        stack = Stack.from_array(smooth(), axes=(Axis(name), Axis("y"), Axis("x")))
        if is_z:
            plan = make_plan(stack, CUBIC, UpscaleSettings(z=2, device="cpu"))
            assert plan.shape_of(stack) == (18, 48, 40)
            continue
        with pytest.raises(StackError, match="no z axis"):
            make_plan(stack, CUBIC, UpscaleSettings(z=2, device="cpu"))


def test_where_nothing_would_become_finer_it_is_said():
    flat = (Axis("z", 0.05, "um"), *VOXEL[1:])
    stack = Stack.from_array(smooth(), axes=flat)
    with pytest.raises(StackError, match="nothing would become finer"):
        sr.upscale(stack, CUBIC, z="isotropic", factor=1)


def test_an_interval_of_a_volume_is_refused():
    with pytest.raises(ValueError, match="leave z out"):
        sr.upscale_with_interval(smooth(), "general-x2", z=2)


# -- Neighbouring planes -----------------------------------------------------------


def noisy_plan(volume, noise, **more):
    settings = UpscaleSettings(z=2, factor=1, device="cpu", noise=noise, **more)
    return make_plan(Stack.from_array(volume), tiny_fast(), settings)


def test_planes_are_averaged_by_how_much_of_a_difference_is_noise():
    random, level = np.random.default_rng(0), sr.NoiseLevel(read=20)
    noise = random.normal(0, 20, (20, 40, 48))
    only_noise = (2000 + noise).astype("float32")
    weights = noisy_plan(only_noise, level).z.neighbours
    assert weights == pytest.approx((1 / 3, 1 / 3), rel=0.05)
    stripes = 200 * (np.arange(48) % 2)  # that differ from one YZ plane to the next
    striped = only_noise + stripes.astype("float32")
    across_y, across_x = noisy_plan(striped, level).z.neighbours
    assert across_y == pytest.approx(1 / 3, rel=0.05)
    expected = (6 * 20**2 / (6 * 20**2 + 400**2)) ** 2 / 3
    assert across_x == pytest.approx(expected, rel=0.1)
    for none in (sr.NoiseLevel(), sr.NoiseLevel(read=20, correlation=0.7)):
        assert noisy_plan(only_noise, none).z.neighbours == (0, 0)
    plan = make_plan(Stack.from_array(smooth()), CUBIC, UpscaleSettings(z=2))
    assert plan.z.neighbours == (0, 0)


def test_the_network_is_told_the_noise_that_is_left(monkeypatch):
    told = []
    model = tiny_fast()
    as_it_is = type(model).inputs

    def inputs(self, plane, intensity, prepared):
        told.append((prepared.noise, plane.std().item()))
        return as_it_is(self, plane, intensity, prepared)

    monkeypatch.setattr(type(model), "inputs", inputs)
    random = np.random.default_rng(0)
    array = (2000 + random.normal(0, 20, (24, 40, 48))).astype("float32")
    options = {"z": 4, "factor": 1, "noise": sr.NoiseLevel(read=20)}
    sr.upscale(array, model, intensity_range=(0, 4000), consistency="off", **options)
    inner = [*told[1:39], *told[41:87]]  # but the outermost, with one beside them
    for read, seen in [(noise.read, seen * 4000) for noise, seen in inner]:
        assert read == pytest.approx(20 / np.sqrt(3), rel=0.05)
        assert seen == pytest.approx(read, rel=0.25)
    assert all(noise == sr.NoiseLevel() for noise, _ in told[40 + 48 :])

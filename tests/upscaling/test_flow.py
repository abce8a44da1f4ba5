"""Flow A: planes go in and come out larger, in their own counts."""

from __future__ import annotations

import json
import logging
import time
import warnings

import dask.array as da
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny_models import tiny_fast, tiny_srresnet

from napari_sr.catalogue.lookup import load_model
from napari_sr.files import create_stack
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.stack import Axis, Stack, StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.models.sr_model import save_model
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import (
    PixelTypeWarning,
    Plan,
    as_upscaler,
    make_plan,
    upscale,
    upscale_planes,
    upscale_steps,
)

DTYPES = ("uint8", "uint16", "int16", "float32")
FACTORS = (2, 3, 4, 8)
KERNELS = ("nearest", "bilinear", "bicubic", "lanczos")

SOURCES = {
    "numpy": np.asarray,
    "read-only": lambda array: _read_only(array),
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "dask": lambda array: da.from_array(array, chunks=7),
    "zarr": lambda array: zarr.array(array, chunks=(5,) * array.ndim),
    "stack": Stack.from_array,
}

TILES = [  # (model, its halo): tiles from almost nothing beside the halo to the whole
    pytest.param(tiny_fast(2), 6, id="fast-x2"),
    pytest.param(tiny_fast(3, tail=0.2), 6, id="fast-x3"),
    pytest.param(tiny_srresnet(2), 12, id="srresnet-x2"),
    pytest.param(Interpolation("lanczos", 4), 3, id="lanczos-x4"),
]

REFUSED = [  # (model, options, words of the sentence)
    pytest.param(tiny_fast(), {"tile": 12}, "Tile 12 px is not larger", id="tile"),
    pytest.param(tiny_fast(), {"tile": 0}, "positive number", id="no-tile"),
    pytest.param(tiny_fast(), {"colour": "red"}, "colour", id="unknown-option"),
    pytest.param(tiny_fast(), {"dtype": "uint32"}, "dtype", id="dtype"),
    pytest.param(tiny_fast(), {"dial": 0.5}, "no textured end", id="no-dial"),
    pytest.param(tiny_fast(), {"dial": 1.5}, "less than or equal to 1", id="dial"),
    pytest.param(tiny_fast(), {"device": "abacus"}, "'abacus'", id="device"),
    pytest.param(
        tiny_fast(), {"precision": "float16", "device": "cpu"}, "float16", id="half"
    ),
    pytest.param(
        tiny_fast(), {"intensity_range": (9, 9)}, "must exceed its low", id="range"
    ),
    pytest.param(tiny_fast(), {"noise": 3}, r"NoiseLevel\(read=3\)", id="noise-number"),
    pytest.param(
        tiny_srresnet(), {"noise": 0}, "is not noise-conditioned", id="noise-not-told"
    ),
    pytest.param(tiny_srresnet(), {"dial": 0.5}, "no textured end", id="one-end"),
    pytest.param(
        Interpolation("bicubic", 2),
        {"noise": NoiseLevel(read=3)},
        "cannot remove noise",
        id="noise-interpolation",
    ),
    pytest.param(
        Interpolation("bicubic", 2), {"dial": 0.5}, "has no dial", id="dial-none"
    ),
    pytest.param("bicubic", {}, "Say which", id="no-factor"),
    pytest.param("bicubiq", {}, "no model named 'bicubiq'", id="unknown-model"),
]


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def repeat(array, factor):
    return array.repeat(factor, axis=-2).repeat(factor, axis=-1)


def noise_of(shape, dtype="uint16", *, low=100, high=60_000, seed=0):
    """Planes in which every pixel counts."""
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, shape).astype(dtype)


def plan_and_steps(array, model, **options):
    chosen = UpscaleSettings(**options)
    upscaler = as_upscaler(model, chosen)
    stack = Stack.from_array(array)
    plan = make_plan(stack, upscaler, chosen)
    return plan, list(upscale_steps(stack, upscaler, plan))


class Limited:
    """An interpolation on a machine on which only small tiles fit."""

    def __init__(self, side, error=torch.OutOfMemoryError, *, kernel="bicubic"):
        self._inner = Interpolation(kernel, 2)
        self._side, self._error = side, error
        self.tried, self.done = [], []

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def to(self, device):
        return self

    def __call__(self, batch):
        side = max(batch.shape[-2:])
        self.tried.append(side)
        if side > self._side:
            raise self._error("out of memory")
        self.done.append(side)
        return self._inner(batch)


class Faulty(Limited):
    """An interpolation that fails at one call."""

    def __init__(self, call, error):
        super().__init__(10**9)
        self._call, self._fault = call, error

    def __call__(self, batch):
        if len(self.tried) + 1 == self._call:
            raise self._fault
        return super().__call__(batch)


# What comes out, by value


@pytest.mark.filterwarnings("ignore:The result is u?int")  # few counts, as asked for
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_repeating_pixels_is_exactly_np_repeat(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    leading = data.draw(st.lists(st.integers(1, 2), max_size=2))
    sides = data.draw(st.tuples(st.integers(2, 23), st.integers(2, 23)))
    elements = {"allow_nan": False, "allow_infinity": False} if dtype[0] == "f" else {}
    array = data.draw(hnp.arrays(dtype, (*leading, *sides), elements=elements or None))
    factor = data.draw(st.sampled_from(FACTORS))
    source = data.draw(st.sampled_from(sorted(SOURCES)))
    tile = data.draw(st.one_of(st.just("auto"), st.integers(3, 30)))
    # A measured range rounds floats once, see below; 0 to 1 takes them as they are.
    options = {"intensity_range": (0, 1)} if dtype == "float32" else {}

    result = upscale(
        SOURCES[source](array),
        Interpolation("nearest", factor),
        tile=tile,
        dtype=dtype,
        **options,
    )

    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result, repeat(array, factor))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_measured_range_costs_floats_one_rounding(scale):
    array = np.random.default_rng(0).lognormal(size=(2, 21, 17)).astype("f4") * scale
    array = array.astype("f4")
    result = upscale(array, Interpolation("nearest", 2))
    np.testing.assert_allclose(
        result, repeat(array, 2), rtol=0, atol=2**-23 * np.ptp(array)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_an_interpolation_keeps_a_constant_to_the_last_border_pixel(
    kernel, factor, dtype
):
    array = np.full((9, 7), 77, dtype)
    result = upscale(
        array, Interpolation(kernel, factor), tile=16, intensity_range=(13, 100)
    )
    expected = np.full((9 * factor, 7 * factor), 77, dtype)
    np.testing.assert_allclose(result, expected, atol=0 if dtype[0] != "f" else 1e-4)


@pytest.mark.parametrize("noise", ["auto", 0])
@pytest.mark.parametrize("factor", [2, 3])
def test_an_untrained_network_keeps_a_constant_plane(factor, noise):
    array = np.stack([np.full((24, 19), 30_000), noise_of((24, 19))]).astype("uint16")
    plan, _ = plan_and_steps(array, tiny_fast(factor, tail=0), tile=20, noise=noise)
    result = upscale(array, tiny_fast(factor, tail=0), tile=20, noise=noise)
    allowed = 0.005 * (plan.intensity.high - plan.intensity.low)
    np.testing.assert_allclose(result[0], 30_000.0, atol=allowed)


@pytest.mark.parametrize(("model", "halo"), TILES)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_nobody_can_tell_the_tile_size(model, halo, data):
    shape = data.draw(st.tuples(st.integers(8, 40), st.integers(8, 40)))
    tile = data.draw(st.integers(2 * halo + 4, 2 * halo + 30))
    counts = noise_of(shape)
    floats = counts.astype("float32") / 7 - 100
    for array, allowed in ((counts, 1.0), (floats, 1e-5 * np.ptp(floats))):
        whole = upscale(array, model, tile=1000)
        tiled = upscale(array, model, tile=tile)
        assert np.abs(tiled.astype(float) - whole.astype(float)).max() <= allowed


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_any_source_gives_the_same_pixels(source):
    array = noise_of((2, 3, 21, 18))
    model = Interpolation("bicubic", 2)
    np.testing.assert_array_equal(
        upscale(SOURCES[source](array), model), upscale(array, model)
    )


def test_a_path_and_paths_are_sources(tmp_path):
    array = noise_of((2, 9, 8))
    paths = [tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"]
    for path, plane in zip(paths, array, strict=True):
        axes = (Axis("y"), Axis("x"))
        with create_stack(
            path, shape=(9, 8), dtype="uint16", axes=axes, provenance={}
        ) as writer:
            writer.write((), plane)
    model = Interpolation("nearest", 2)
    np.testing.assert_array_equal(upscale(str(paths[0]), model), repeat(array[0], 2))
    np.testing.assert_array_equal(upscale(paths, model), repeat(array, 2))


def test_a_model_may_be_a_path_or_a_name(tmp_path, monkeypatch):
    array = noise_of((20, 20))
    model = tiny_fast()
    path = save_model(model, tmp_path / "mine.safetensors")
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))
    expected = upscale(array, model)
    for named in (path, str(path), "mine"):
        np.testing.assert_array_equal(upscale(array, named), expected)


def test_a_recording_is_not_changed():
    array = noise_of((2, 20, 20), "float32")
    array[0, 3, 4] = np.nan
    before = array.copy()
    upscale(array, tiny_fast())
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(("model", "options", "words"), REFUSED)
def test_what_does_not_fit_is_refused(model, options, words):
    with pytest.raises(ValueError, match=words):
        upscale(noise_of((40, 40)), model, **options)


# Planes, steps and the plan


def test_planes_come_in_order_with_their_index():
    array = noise_of((2, 3, 8, 9))
    planes = list(upscale_planes(array, Interpolation("nearest", 3)))
    assert [index for index, _ in planes] == list(np.ndindex(2, 3))
    for index, plane in planes:
        np.testing.assert_array_equal(plane, repeat(array[index], 3))


def test_a_single_plane_has_an_empty_index():
    ((index, plane),) = upscale_planes(noise_of((8, 9)), Interpolation("nearest", 2))
    assert index == ()
    assert plane.shape == (16, 18)


def test_each_tile_is_a_step_and_the_last_of_a_plane_brings_it():
    _, steps = plan_and_steps(
        noise_of((3, 30, 20)), Interpolation("nearest", 2), tile=10
    )
    assert [step.tiles_done for step in steps] == list(range(1, 19))
    assert {step.n_tiles for step in steps} == {18}
    assert [step.index for step in steps if step.plane is not None] == [
        (0,),
        (1,),
        (2,),
    ]
    assert [i for i, step in enumerate(steps) if step.plane is not None] == [5, 11, 17]


def test_only_the_next_planes_are_read_ahead():
    class Counted:
        shape, dtype = (50, 8, 8), np.dtype("uint16")
        asked = 0

        def __getitem__(self, index):
            Counted.asked += 1
            return np.zeros((8, 8), "uint16")

    planes = upscale_planes(
        Counted(),
        Interpolation("nearest", 2),
        intensity_range=(0, 9),
        dtype="float32",
    )
    next(planes)
    # one is done, one computed next, one read, and the next of each already asked for
    assert 1 <= Counted.asked <= 4
    planes.close()
    asked = Counted.asked
    time.sleep(0.02)
    assert Counted.asked == asked <= 4


def test_the_plan_is_frozen_and_survives_json():
    plan, _ = plan_and_steps(
        noise_of((30, 30)), tiny_fast(), noise=NoiseLevel(2, 5, 90)
    )
    with pytest.raises(ValueError, match="frozen"):
        plan.tile = 1
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert json.loads(json.dumps(plan.model_dump(mode="json")))["noise"] == {
        "gain": 2.0,
        "read": 5.0,
        "offset": 90.0,
        "correlation": 0.0,
    }


def test_the_plan_says_what_was_decided():
    model = tiny_fast()
    plan, _ = plan_and_steps(
        noise_of((30, 30)),
        model,
        tile=24,
        device="cpu",
        intensity_range=(5, 50),
        dtype="float32",
    )
    assert (plan.model, plan.model_sha256) == ("tiny", model.digest)
    assert (plan.tile, plan.tile_is_auto, plan.halo, plan.factor) == (24, False, 6, 2)
    assert (plan.intensity.low, plan.intensity.high) == (5, 50)
    assert (plan.device, plan.precision, plan.dtype) == ("cpu", "float32", "float32")


def test_the_same_plan_gives_the_same_pixels():
    array = noise_of((2, 30, 30))
    stack, upscaler = Stack.from_array(array), tiny_fast()
    plan = make_plan(stack, upscaler, UpscaleSettings())
    again = Plan.model_validate_json(plan.model_dump_json())
    first, second = (
        [
            step.plane
            for step in upscale_steps(stack, upscaler, p)
            if step.plane is not None
        ]
        for p in (plan, again)
    )
    np.testing.assert_array_equal(first, second)


def test_float32_means_float32_and_cudnn_stays():
    seen = []

    class Spy(Limited):
        def __call__(self, batch):
            cudnn = torch.backends.cudnn
            seen.append((cudnn.enabled, cudnn.allow_tf32))
            return super().__call__(batch)

    before = (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32)
    upscale(noise_of((8, 8)), Spy(10**9))
    assert seen == [(before[0], False)]
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32) == before


def test_bfloat16_is_close_where_it_is_asked_for():
    array = noise_of((24, 24))
    exact = upscale(array, tiny_fast(), noise=0).astype(float)
    coarse = upscale(array, tiny_fast(), noise=0, precision="bfloat16").astype(float)
    assert 0 < np.abs(coarse - exact).max() < 0.05 * np.ptp(array)


# Counts


def bright_and_dark():
    """A dark plane, a bright one and one between: each would have its own range."""
    low, high = noise_of((20, 20), high=900), noise_of((20, 20), low=50_000, seed=1)
    return np.stack([low, high, noise_of((20, 20), seed=2)])


def test_the_range_is_that_of_the_stack_not_of_a_plane_or_tile():
    array, model = bright_and_dark(), tiny_fast()
    plan, _ = plan_and_steps(array, model)
    whole = upscale(array, model, tile=18, noise=0)
    limits = (plan.intensity.low, plan.intensity.high)
    for i, plane in enumerate(array):
        preview = upscale(plane, model, noise=0, intensity_range=limits)
        assert np.abs(preview.astype(int) - whole[i].astype(int)).max() <= 1
    alone = upscale(array[0], model, noise=0)
    assert np.abs(alone.astype(int) - whole[0].astype(int)).max() > 1


def test_a_range_given_is_taken_as_it_is():
    plan, _ = plan_and_steps(
        bright_and_dark(), Interpolation("bicubic", 2), intensity_range=(-5, 70_000)
    )
    assert (plan.intensity.low, plan.intensity.high) == (-5, 70_000)


@pytest.mark.filterwarnings("ignore:The result is u?int")  # of a small array
@pytest.mark.parametrize("dtype", DTYPES)
def test_another_pixel_type_may_be_asked_for(dtype):
    array = noise_of((12, 12), low=0, high=255)
    result = upscale(array, Interpolation("nearest", 2), dtype=dtype)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_allclose(result, repeat(array, 2), atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("mean", [0.05, 0.3, 1.3, 5, 20, 60])
@pytest.mark.parametrize(
    "model", [load_model("general-x2"), Interpolation("bicubic", 2)]
)
def test_the_mean_is_kept_at_every_level_of_light(model, mean, dtype):
    y, x = np.mgrid[:96, :96] - 48
    light = np.exp(-(y**2 + x**2) / 650)
    random = np.random.default_rng(0)
    array = random.poisson(mean * light / light.mean()).clip(0, 255).astype(dtype)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = upscale(array, model)

    assert abs(result.mean(dtype=float) / array.mean() - 1) < 1e-3
    assert [str(one.message)[:21] for one in told] == (
        ["The result is float32"] if result.dtype != dtype else []
    )
    assert result.dtype == ("float32" if mean < 10 else dtype) or mean == 20


def test_what_a_pixel_type_cannot_hold_is_told_in_python():
    array = noise_of((20, 20), low=1000, high=60_000)
    with pytest.warns(PixelTypeWarning) as told:
        result = upscale(array, Interpolation("nearest", 2), dtype="uint8")
    assert result.dtype == np.uint8
    (only,) = (str(one.message) for one in told)
    assert "uint8, although in whole counts the mean may change by up to 99" in only
    assert "100.00% of the pixels are outside the range of uint8" in only


def test_what_rounding_that_was_asked_for_takes_from_the_mean_is_told():
    few = np.random.default_rng(0).poisson(0.2, (64, 64)).astype("uint16")
    with pytest.warns(
        PixelTypeWarning, match=r"uint16, although .* float32 .* avoids this"
    ):
        upscale(few, Interpolation("bicubic", 2), dtype="uint16")


def test_what_does_not_fit_the_pixel_type_is_clipped_and_counted():
    array = noise_of((2, 10, 10), low=0, high=1000)
    _, steps = plan_and_steps(array, Interpolation("nearest", 2), dtype="uint8")
    for step, plane in zip(steps, array, strict=True):
        np.testing.assert_array_equal(step.plane, repeat(np.minimum(plane, 255), 2))
        assert step.n_clipped == 4 * np.count_nonzero(plane > 255)


def test_a_sharp_edge_at_the_limit_does_not_wrap():
    array = np.zeros((16, 16), "uint16")
    array[:, 8:] = 65_535
    _, (step,) = plan_and_steps(array, Interpolation("lanczos", 2))
    assert step.n_clipped > 0
    assert step.plane[:, 2].max() < 20_000
    assert step.plane[:, -3].min() > 40_000


FLAT = [
    pytest.param(np.full((6, 7), 0, "uint8"), id="black"),
    pytest.param(np.full((6, 7), 255, "uint8"), id="white"),
    pytest.param(np.full((6, 7), 65_535, "uint16"), id="saturated"),
    pytest.param(np.full((6, 7), -32_768, "int16"), id="most-negative"),
    pytest.param(np.full((6, 7), -1.5, "float32"), id="negative-float"),
    pytest.param(np.full((6, 7), 3e37, "float32"), id="huge"),
    pytest.param(np.full((6, 7), 1e-37, "float32"), id="minute"),
]


@pytest.mark.parametrize("kernel", ["nearest", "bicubic"])
@pytest.mark.parametrize("array", FLAT)
def test_flat_planes_stay_flat(array, kernel):
    result = upscale(array, Interpolation(kernel, 2))
    np.testing.assert_array_equal(result, repeat(array, 2))


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_negative_values_are_values(dtype):
    array = noise_of((14, 15), dtype, low=-3000, high=-100)
    result = upscale(array, Interpolation("bicubic", 2))
    assert result.min() < -1000
    assert abs(result.mean() - array.mean()) < 0.02 * np.ptp(array)


def with_gaps():
    array = noise_of((2, 20, 18), "float32")
    array[0, 0, 0] = np.nan
    array[0, 5:7, 9] = np.inf
    array[0, 19, 17] = -np.inf
    array[1] = np.nan
    return array


@pytest.mark.parametrize("model", [Interpolation("bicubic", 2), tiny_fast()])
def test_pixels_without_a_number_are_blocks_without_a_number(model):
    array = with_gaps()
    result = upscale(array, model)
    np.testing.assert_array_equal(np.isnan(result), repeat(~np.isfinite(array), 2))


def test_pixels_without_a_number_are_the_low_end_of_integers():
    array = with_gaps()
    result = upscale(
        array, Interpolation("nearest", 2), dtype="uint16", intensity_range=(7, 65_000)
    )
    gaps = repeat(~np.isfinite(array), 2)
    assert set(result[gaps]) == {7}
    np.testing.assert_array_equal(result[~gaps], np.rint(repeat(array, 2)[~gaps]))


def test_gaps_do_not_spread():
    array = noise_of((20, 20), "float32")
    holed = array.copy()
    holed[10, 10] = np.nan
    model = Interpolation("nearest", 2)
    kept = np.isfinite(repeat(holed, 2))
    options = {"intensity_range": (0, 1)}
    np.testing.assert_array_equal(
        upscale(holed, model, **options)[kept], upscale(array, model, **options)[kept]
    )


def test_a_stack_without_any_number_is_refused():
    with pytest.raises(StackError, match="no finite pixel"):
        upscale(np.full((9, 9), np.nan, "float32"), Interpolation("bicubic", 2))


# Noise


NOISES = [
    pytest.param(0, NoiseLevel(), id="none"),
    pytest.param(NoiseLevel(1.5, 20, 100), NoiseLevel(1.5, 20, 100), id="level"),
    pytest.param({"read": 20}, NoiseLevel(read=20), id="mapping"),
]


@pytest.mark.parametrize(("asked", "planned"), NOISES)
def test_the_noise_asked_for_is_planned_in_counts(asked, planned):
    plan, _ = plan_and_steps(noise_of((20, 20)), tiny_fast(), noise=asked)
    assert plan.noise == planned


def test_noise_is_estimated_once_for_all_planes():
    array = bright_and_dark()
    plan, _ = plan_and_steps(array, tiny_fast(), noise="auto")
    assert plan.noise is not None
    np.testing.assert_array_equal(
        upscale(array, tiny_fast()), upscale(array, tiny_fast(), noise=plan.noise)
    )


@pytest.mark.parametrize("shape", [(2, 2), (3, 40), (2, 5, 4)])
def test_planes_smaller_than_the_halo_are_planes(shape):
    array = noise_of(shape)
    result = upscale(array, tiny_fast(3, tail=0), consistency="off")
    assert result.shape == (*shape[:-2], shape[-2] * 3, shape[-1] * 3)
    expected = upscale(array, Interpolation("bicubic", 3))
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def test_what_is_told_the_noise_listens():
    array = noise_of((20, 20))
    silent = upscale(array, tiny_fast(), noise=0)
    told = upscale(array, tiny_fast(), noise=NoiseLevel(read=5000))
    assert np.abs(silent.astype(int) - told.astype(int)).max() > 1


def test_what_is_not_told_the_noise_has_none_in_its_plan():
    for model in (tiny_srresnet(), Interpolation("bicubic", 2)):
        plan, _ = plan_and_steps(noise_of((20, 20)), model)
        assert plan.noise is None


# What goes wrong


def auto_tiles_of(monkeypatch, side):
    """Let `auto` mean this, whatever the machine of the test has."""
    monkeypatch.setattr("napari_sr.upscaling.plan.choose_tile", lambda *_: side)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError, MemoryError, RuntimeError],
    ids=["torch", "python", "cpu-allocator"],
)
def test_out_of_memory_halves_an_automatic_tile(monkeypatch, caplog, error):
    auto_tiles_of(monkeypatch, 128)
    array = noise_of((2, 200, 180))
    model = Limited(60, error)
    with caplog.at_level(logging.WARNING):
        result = upscale(array, model)
    assert model.tried.count(104) == 1  # the size that failed is not tried again
    assert max(model.done) <= 52
    assert [record.getMessage() for record in caplog.records] == [
        "Out of memory with tiles of 104 px, continuing with 52 px."
    ]
    expected = upscale(array, Interpolation("bicubic", 2), tile=1000)
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def test_steps_say_which_tile_fits_from_now_on(monkeypatch):
    auto_tiles_of(monkeypatch, 128)
    plan, steps = plan_and_steps(noise_of((200, 180)), Limited(60))
    assert plan.tile == 128
    assert {step.tile for step in steps} == {52}


def test_some_planes_are_the_same_as_in_a_whole_run():
    array = noise_of((4, 30, 20))
    stack = Stack.from_array(array)
    model = Interpolation("bicubic", 2)
    plan, steps = plan_and_steps(array, model, tile=24)
    whole = {step.index: step.plane for step in steps if step.plane is not None}

    some = list(upscale_steps(stack, model, plan, indices=[(3,), (1,)]))

    planes = [step for step in some if step.plane is not None]
    assert [step.index for step in planes] == [(3,), (1,)]
    for step in planes:
        np.testing.assert_array_equal(step.plane, whole[step.index])
    assert some[-1].tiles_done == some[-1].n_tiles == len(some)
    assert 2 * len(some) == len(steps)


def test_finished_tiles_are_kept_when_memory_runs_out(monkeypatch):
    auto_tiles_of(monkeypatch, 128)

    class FullLater(Limited):
        def __call__(self, batch):
            if len(self.done) == 2:
                self._side = 60
            return super().__call__(batch)

    model = FullLater(10**9)
    upscale(noise_of((200, 180)), model)
    assert model.done[:2] == [104, 104]  # of four; the third fails
    # Instead of two tiles of 104 x 94 px, two times six of at most 52 px.
    assert len(model.done) == 2 + 2 * 6
    assert len(model.tried) == len(model.done) + 1


def test_memory_may_run_out_again_and_again(monkeypatch):
    auto_tiles_of(monkeypatch, 256)
    array = noise_of((150, 130))
    model = Limited(35)
    result = upscale(array, model)
    assert [side for side in model.tried if side > 35] == [154, 69]
    expected = upscale(array, Interpolation("bicubic", 2), tile=1000)
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def test_when_not_even_the_smallest_tile_fits_it_says_so(monkeypatch):
    auto_tiles_of(monkeypatch, 64)
    with pytest.raises(MemoryError, match=r"tiles of 29 px\. Free some of its memory"):
        upscale(noise_of((100, 100)), Limited(8))


def test_a_tile_set_by_hand_is_never_changed():
    model = Limited(40)
    with pytest.raises(
        MemoryError,
        match=r"Out of memory on cpu .* px\. Use a smaller tile, or tile='auto'",
    ):
        upscale(noise_of((100, 100)), model, tile=64, device="cpu")
    assert len(model.tried) == 1


FAULTS = [
    RuntimeError("a shape does not fit"),
    ValueError("a value does not fit"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", [1, 2, 5])
def test_a_fault_reaches_the_caller(call, error):
    planes = upscale_planes(noise_of((3, 30, 30)), Faulty(call, error), tile=24)
    with pytest.raises(type(error)) as caught:
        list(planes)
    assert caught.value is error
    assert list(planes) == []  # and nothing is made up afterwards


def test_a_fault_in_a_real_network_reaches_the_caller(monkeypatch):
    model = tiny_fast()
    monkeypatch.setattr(
        model.runner.tail, "forward", lambda _: torch.zeros(1, 3) @ torch.zeros(4, 1)
    )
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        upscale(noise_of((20, 20)), _Fixed(model))


class _Fixed(Limited):
    """A model that is not rebuilt for its device."""

    def __init__(self, model):
        super().__init__(10**9)
        self._inner = model


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_stopping_closes_what_was_opened(monkeypatch, tmp_path, n_steps):
    path = tmp_path / "a.ome.tif"
    axes = (Axis("z"), Axis("y"), Axis("x"))
    array = noise_of((3, 8, 8))
    with create_stack(
        path, shape=array.shape, dtype="uint16", axes=axes, provenance={}
    ) as writer:
        for i, plane in enumerate(array):
            writer.write((i,), plane)
    opened = []
    close = Stack.close
    monkeypatch.setattr(
        Stack, "close", lambda stack: opened.append(stack) or close(stack)
    )
    planes = upscale_planes(path, Interpolation("nearest", 2))
    for _ in range(n_steps):
        next(planes)
    planes.close()
    assert len(opened) == min(n_steps, 1)
    with pytest.raises(StopIteration):
        next(planes)

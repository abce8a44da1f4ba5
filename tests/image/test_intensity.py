"""Counts become network units and the same counts again; nothing is lost or guessed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_sr.image import sampling
from napari_sr.image.intensity import (
    LARGEST_CHANGE,
    IntensityPolicy,
    IntensityRange,
    NoiseLevel,
    change_by_rounding,
    fill_gaps,
    restore_gaps,
)
from napari_sr.image.stack import Axis, Stack, StackError

INTEGERS = ["uint8", "uint16", "int16"]
PERCENTILES = IntensityPolicy()
FULL = IntensityPolicy(low=0, high=100)

BAD_RANGES = [
    pytest.param(5, 5, id="equal"),
    pytest.param(6, 5, id="exchanged"),
    pytest.param(math.nan, 5, id="nan"),
    pytest.param(0, math.inf, id="infinite"),
    pytest.param(-1e308, 1e308, id="span-overflows"),
    pytest.param(0, 1e-40, id="span-vanishes-in-float32"),
]

BAD_POLICIES = [
    pytest.param({"low": -0.1}, id="below-0-percent"),
    pytest.param({"high": 100.1}, id="above-100-percent"),
    pytest.param({"low": 50, "high": 50}, id="equal"),
    pytest.param({"low": 60, "high": 40}, id="exchanged"),
    pytest.param({"low": math.nan}, id="nan"),
    pytest.param({"kind": "fixed"}, id="fixed-without-counts"),
    pytest.param({"kind": "fixed", "high": 4095}, id="fixed-without-low"),
    pytest.param({"kind": "fixed", "low": 9, "high": 8}, id="fixed-exchanged"),
    pytest.param({"kind": "minmax"}, id="unknown-kind"),
    pytest.param({"hgih": 99}, id="unknown-key"),
]

BAD_NOISE = [
    pytest.param({"gain": -1}, "Gain", id="negative-gain"),
    pytest.param({"read": -0.5}, "read", id="negative-read"),
    pytest.param({"correlation": -1}, "correlation", id="negative-correlation"),
    pytest.param({"gain": math.inf}, "Gain", id="infinite-gain"),
    pytest.param({"offset": math.nan}, "offset", id="nan-offset"),
]

ZYX = [Axis("z"), Axis("y"), Axis("x")]

counts = st.floats(-1e6, 1e6, allow_nan=False)


def every_value(dtype):
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1, dtype=dtype)
    return values.reshape(-1, min(256, values.size))


class CountingStack:
    """A stack that notes which planes are read."""

    def __init__(self, array):
        self.array, self.read = array, []
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        self.read.append(index)
        return self.array[index]


# ── law 1 ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", INTEGERS)
@given(low=counts, width=st.floats(1, 2e6))
@settings(max_examples=60, deadline=None)
def test_every_count_comes_back(dtype, low, width):
    values = every_value(dtype)
    intensity = IntensityRange(low, low + width)
    back, n_clipped = intensity.denormalize(intensity.normalize(values), dtype)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, values)
    assert n_clipped == 0


@given(
    centre=st.sampled_from([0.0, 1e-6, -3.5e-6, 1.0, -2e3, 1e5]),
    spread=st.sampled_from([1e-7, 1e-3, 1.0, 300.0]),
    low=st.floats(0, 40),
    high=st.floats(60, 100),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_float_planes_come_back_to_float32_rounding(centre, spread, low, high, seed):
    noise = np.random.default_rng(seed).normal(size=(17, 23))
    plane = (centre + spread * noise).astype(np.float32)
    stack = Stack.from_array(plane)
    intensity = IntensityRange.measure(stack, IntensityPolicy(low=low, high=high))
    back, n_clipped = intensity.denormalize(intensity.normalize(plane), np.float32)
    size = np.maximum(np.abs(plane), np.abs(plane.astype(np.float64) - intensity.low))
    error = np.abs(back.astype(np.float64) - plane)
    assert back.dtype == np.float32
    assert (error <= np.finfo(np.float32).eps * size).all()
    assert n_clipped == 0


# ── both directions ─────────────────────────────────────────────────────────────────


def test_low_is_0_high_is_1_and_values_outside_are_kept():
    plane = np.array([[100, 200], [300, 500], [0, 100]], np.uint16)
    network = IntensityRange(100, 300).normalize(plane)
    assert network.dtype == np.float32
    np.testing.assert_array_equal(network, [[0, 0.5], [1, 2], [-0.5, 0]])


def test_a_small_range_on_a_large_offset_keeps_its_digits():
    plane = 1e5 + np.arange(12, dtype=np.float32).reshape(3, 4) / 128
    network = IntensityRange(1e5, 1e5 + 1 / 128).normalize(plane)
    np.testing.assert_array_equal(network.ravel(), np.arange(12))


def test_counts_are_rounded_half_to_even():
    plane = np.array([[0.5, 1.5, 2.5, 3.49, 3.51]], np.float32)
    result, _ = IntensityRange(0, 1).denormalize(plane, np.uint16)
    np.testing.assert_array_equal(result, [[0, 2, 2, 3, 4]])


def test_only_the_limits_of_the_dtype_clip_and_clipped_pixels_are_counted():
    plane = np.array([[-0.4, -0.6, 1.5, 655.354, 655.356]], np.float32)
    result, n_clipped = IntensityRange(0, 100).denormalize(plane, np.uint16)
    np.testing.assert_array_equal(result, [[0, 0, 150, 65535, 65535]])
    assert n_clipped == 3

    result, n_clipped = IntensityRange(0, 100).denormalize(plane, np.int16)
    np.testing.assert_array_equal(result, [[-40, -60, 150, 32767, 32767]])
    assert n_clipped == 2


def test_half_a_count_below_zero_rounds_to_zero_and_is_not_clipped():
    result, n_clipped = IntensityRange(0, 1).denormalize(
        np.array([[-0.5, 255.5]], np.float32), np.uint8
    )
    np.testing.assert_array_equal(result, [[0, 255]])
    assert n_clipped == 1


def test_float_results_are_neither_rounded_nor_clipped():
    plane = np.array([[-3.25, 0.001, 1e6]], np.float32)
    result, n_clipped = IntensityRange(0, 2).denormalize(plane, np.float32)
    np.testing.assert_array_equal(result, 2 * plane)
    assert n_clipped == 0


def test_nan_stays_nan_in_float_and_is_refused_in_integers():
    plane = np.array([[1, math.nan]], np.float32)
    intensity = IntensityRange(0, 10)
    assert np.isnan(intensity.normalize(plane)[0, 1])
    assert np.isnan(intensity.denormalize(plane, np.float32)[0][0, 1])
    with pytest.raises(ValueError, match="cannot become uint16"):
        intensity.denormalize(plane, np.uint16)


@pytest.mark.parametrize("dtype", ["int32", "float64", "bool", "complex64"])
def test_dtypes_that_no_stack_has_are_refused(dtype):
    with pytest.raises(ValueError, match=f"cannot be {dtype}"):
        IntensityRange(0, 1).denormalize(np.zeros((2, 2), np.float32), dtype)


def test_large_planes_are_converted_in_bands_without_a_seam():
    plane = np.random.default_rng(0).integers(0, 65536, (613, 1301)).astype(np.uint16)
    intensity = IntensityRange(12.5, 4000.25)
    network = intensity.normalize(plane)
    expected = ((plane - 12.5) / (4000.25 - 12.5)).astype(np.float32)
    np.testing.assert_array_equal(network, expected)
    back, n_clipped = intensity.denormalize(network + 1000, np.uint16)
    np.testing.assert_array_equal(back, 65535)
    assert n_clipped == plane.size


@pytest.mark.parametrize(("low", "high"), BAD_RANGES)
def test_a_range_that_cannot_divide_is_refused(low, high):
    with pytest.raises(ValueError, match="must exceed its low"):
        IntensityRange(low, high)


# ── measuring ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_small_stacks_are_measured_whole_with_linear_percentiles(dtype):
    array = np.random.default_rng(1).integers(0, 200, (7, 11, 13)).astype(dtype)
    policy = IntensityPolicy(low=3.3, high=88.8)
    intensity = IntensityRange.measure(Stack.from_array(array), policy)
    expected = np.percentile(array.astype(np.float64), [3.3, 88.8])
    np.testing.assert_allclose([intensity.low, intensity.high], expected, rtol=1e-12)


def test_percentiles_between_distant_int16_values_do_not_overflow():
    plane = np.array([[-32768, 32767]] * 2, np.int16)
    policy = IntensityPolicy(low=40, high=60)
    intensity = IntensityRange.measure(Stack.from_array(plane), policy)
    assert intensity.low == pytest.approx(-32768 + 65535 * 0.2)
    assert intensity.high == pytest.approx(-32768 + 65535 * 0.8)


def test_large_stacks_are_sampled_evenly_first_and_last_included(monkeypatch):
    monkeypatch.setattr(sampling, "_PIXELS", 2000)
    monkeypatch.setattr(sampling, "_PLANES", 5)
    array = np.arange(101, dtype=np.uint16)[:, None, None] * np.ones((1, 40, 31), "u2")
    source = CountingStack(array)
    stack = Stack.from_array(source)
    pixels = sampling.sample_pixels(stack)
    assert [index[0] for index in source.read] == [0, 25, 50, 75, 100]
    assert 1000 < pixels.size <= 2005
    np.testing.assert_array_equal(np.unique(pixels), [0, 25, 50, 75, 100])
    np.testing.assert_array_equal(pixels, sampling.sample_pixels(stack))


@given(
    shape=st.tuples(st.integers(1, 60), st.integers(2, 50), st.integers(2, 50)),
    limit=st.integers(20, 3000),
)
@settings(max_examples=60, deadline=None)
def test_a_sample_is_bounded_and_meets_every_plane_alike(shape, limit):
    source = CountingStack(np.zeros(shape, np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_PIXELS", limit)
        pixels = sampling.sample_pixels(Stack.from_array(source, axes=ZYX))
    assert pixels.size <= limit + len(source.read)
    assert source.read[0] == (0,)
    assert source.read[-1] == (shape[0] - 1,)
    assert len(set(source.read)) == len(source.read)
    if math.prod(shape) <= limit:
        assert pixels.size == math.prod(shape)


def test_a_strided_sample_meets_every_column(monkeypatch):
    monkeypatch.setattr(sampling, "_PIXELS", 4096)
    plane = np.tile(np.arange(64, dtype=np.uint16), (512, 1))  # stride 8 divides 64
    pixels = sampling.sample_pixels(Stack.from_array(plane))
    values, n_each = np.unique(pixels, return_counts=True)
    assert values.size == 64
    assert np.ptp(n_each) <= 1


def test_a_fixed_range_reads_no_pixel():
    source = CountingStack(np.zeros((3, 4, 4), np.uint16))
    policy = IntensityPolicy(kind="fixed", low=100, high=4095)
    intensity = IntensityRange.measure(Stack.from_array(source), policy)
    assert intensity == IntensityRange(100, 4095)
    assert source.read == []


@pytest.mark.parametrize("value", [0.0, -7.0, 65535.0, 1e-6, 1e30])
def test_a_constant_stack_gets_a_range_one_count_wide(value):
    plane = np.full((4, 5), value, np.float32)
    intensity = IntensityRange.measure(Stack.from_array(plane), PERCENTILES)
    assert intensity.low == plane[0, 0]
    if value < 1e15:
        assert intensity.high == pytest.approx(intensity.low + 1, abs=1e-9)
    np.testing.assert_array_equal(intensity.normalize(plane), 0)


def test_where_percentiles_meet_minimum_and_maximum_take_their_place():
    plane = np.full((100, 100), 500, np.uint16)
    plane[0, :2] = 300, 4000
    intensity = IntensityRange.measure(Stack.from_array(plane), PERCENTILES)
    assert intensity == IntensityRange(300, 4000)


def test_pixels_that_hold_no_number_are_ignored():
    plane = np.arange(60, dtype=np.float32).reshape(6, 10)
    plane[0, :4] = math.nan, math.inf, -math.inf, math.nan
    intensity = IntensityRange.measure(Stack.from_array(plane), FULL)
    assert intensity == IntensityRange(4, 59)


def test_a_stack_without_a_finite_pixel_is_refused():
    stack = Stack.from_array(np.full((3, 3), math.nan, np.float32), name="slices.tif")
    with pytest.raises(StackError, match=r"slices\.tif holds no finite pixel"):
        IntensityRange.measure(stack, PERCENTILES)


@pytest.mark.parametrize("arguments", BAD_POLICIES)
def test_a_policy_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValidationError):
        IntensityPolicy(**arguments)


def test_a_range_in_deviations_is_measured_over_the_whole_stack():
    planes = np.random.default_rng(0).normal([[[500.0]], [[900.0]]], 30, (2, 50, 60))
    stack = Stack.from_array(planes.astype(np.float32))
    policy = IntensityPolicy(kind="deviations", low=-2, high=3)
    measured = IntensityRange.measure(stack, policy)
    ends = planes.mean() + np.array([-2, 3]) * planes.std()
    np.testing.assert_allclose((measured.low, measured.high), ends, rtol=1e-6)
    flat = IntensityRange.measure(
        Stack.from_array(np.full((1, 5, 5), 7, np.uint8)), policy
    )
    assert (flat.low, flat.high) == (7, 8)


@pytest.mark.parametrize(
    "policy", [PERCENTILES, IntensityPolicy(kind="fixed", low=-5, high=4095)]
)
def test_a_policy_survives_json_and_does_not_change(policy):
    assert IntensityPolicy.model_validate_json(policy.model_dump_json()) == policy
    with pytest.raises(ValidationError):
        policy.low = 1


# ── noise ───────────────────────────────────────────────────────────────────────────


@given(
    gain=st.floats(0, 100),
    read=st.floats(0, 100),
    offset=st.floats(-1000, 1000),
    low=st.floats(-1000, 1000),
    width=st.floats(1, 65535),
)
def test_noise_means_the_same_in_both_units(gain, read, offset, low, width):
    intensity = IntensityRange(low, low + width)
    level = NoiseLevel(gain, read, offset, correlation=0.6)
    network = intensity.noise_to_network(level)

    signal = offset + 123.0  # counts
    variance = gain * (signal - offset) + read**2
    in_network = (signal - low) / width
    told = network.gain * (in_network - network.offset) + network.read**2
    assert told * width**2 == pytest.approx(variance, rel=1e-6, abs=1e-6)

    assert network.correlation == 0.6  # pixels are pixels
    back = intensity.noise_to_counts(network)
    for name in ("gain", "read", "offset", "correlation"):
        expected = getattr(level, name)
        assert getattr(back, name) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("arguments", "word"), BAD_NOISE)
def test_what_cannot_be_a_noise_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        NoiseLevel(**arguments)


# ── gaps ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_plane_without_gaps_is_handed_on_as_it_is(dtype):
    plane = np.ones((3, 4), dtype)
    filled, gaps = fill_gaps(plane)
    assert filled is plane
    assert gaps is None
    assert restore_gaps(plane, gaps, 2, IntensityRange(0, 1)) is plane


def test_gaps_take_the_nearest_finite_value():
    plane = np.array([[1, 2, np.nan, np.nan, 9], [1, 2, np.inf, -np.inf, 9]], "f4")
    before = plane.copy()
    filled, gaps = fill_gaps(plane)
    np.testing.assert_array_equal(filled, [[1, 2, 2, 9, 9]] * 2)
    np.testing.assert_array_equal(gaps, [[0, 0, 1, 1, 0]] * 2)
    np.testing.assert_array_equal(plane, before)


def test_a_plane_of_nothing_but_gaps_is_filled_with_something_finite():
    filled, gaps = fill_gaps(np.full((2, 3), np.nan, np.float32))
    np.testing.assert_array_equal(filled, 0)
    assert gaps.all()


@pytest.mark.parametrize(
    ("dtype", "low", "mark"),
    [
        pytest.param("float32", 10.6, math.nan, id="float-nan"),
        pytest.param("uint16", 10.6, 11, id="integer-low-rounded"),
        pytest.param("uint8", -3, 0, id="integer-low-clipped"),
        pytest.param("int16", -3, -3, id="signed-low"),
    ],
)
def test_gaps_come_back_as_blocks(dtype, low, mark):
    gaps = np.array([[False, True], [False, False]])
    plane = np.full((6, 6), 77, dtype)
    restored = restore_gaps(plane, gaps, 3, IntensityRange(low, 100))
    expected = np.full((6, 6), 77.0)
    expected[:3, 3:] = mark
    assert restored.dtype == dtype
    np.testing.assert_array_equal(restored, expected)
    assert (plane == 77).all()


def test_gaps_of_another_plane_are_refused():
    gaps = np.ones((2, 2), bool)
    with pytest.raises(ValueError, match=r"\(4, 4\) pixels, not \(6, 6\)"):
        restore_gaps(np.zeros((6, 6), "f4"), gaps, 2, IntensityRange(0, 1))


@pytest.mark.parametrize(
    ("mean", "few"), [(0.05, True), (1.3, True), (5, True), (200, False), (5e3, False)]
)
def test_few_counts_are_told_from_enough(mean, few):
    light = np.hanning(96)[:, None] * np.hanning(96)
    random = np.random.default_rng(0)
    counts = random.poisson(mean * light / light.mean()).astype("uint16")
    share = change_by_rounding(Stack.from_array(counts), "uint16")
    assert (share > LARGEST_CHANGE) == few
    assert change_by_rounding(Stack.from_array(counts), "float32") == 0


def test_no_counts_at_all_are_not_changed():
    stack = Stack.from_array(np.zeros((20, 20), "uint16"))
    assert change_by_rounding(stack, "uint16") == 0

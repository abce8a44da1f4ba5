"""Measured pairs: matched, checked, registered, and brought onto one grid and scale."""

from __future__ import annotations

import numpy as np
import pytest
from displaced import recorded
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage
from stacks_on_disk import write_stack

from napari_sr.datasets import PlaneCache, hold_out
from napari_sr.datasets.pairs import PairError, gather_pairs
from napari_sr.datasets.pairs.names import match_names
from napari_sr.datasets.registration import area_means, register
from napari_sr.image.intensity import IntensityPolicy, IntensityRange
from napari_sr.image.stack import Stack

FIXED = IntensityPolicy(kind="fixed", low=0, high=10_000)
EVERYTHING = (slice(None), slice(None))
SHIFT = (1.3, -0.4)


def low_of(kind="cells", shift=SHIFT, photons=200, **options):
    return recorded(kind, 1, shift, photons, **options)


def high_of(kind="cells", **options):
    return recorded(kind, 2, **options)


def gather(low, high, factor=2, policy=FIXED, **options):
    return gather_pairs(low, high, factor, policy, **options)


def one_pair(low, high, **options):
    (pair,) = gather(low, high, **options).pairs
    return pair


def whole(image):
    return image[EVERYTHING]


# ── partners by name ────────────────────────────────────────────────────────────────

NAMES = [
    pytest.param(["a_lr", "b_lr"], ["b_hr", "a_hr"], id="lr and hr"),
    pytest.param(["LOW_a", "low-b"], ["High b", "HIGH_A"], id="case and separators"),
    pytest.param(["a_LowRes", "b_lowres"], ["b_high-res", "a_HiRes"], id="resolution"),
    pytest.param(["a", "b"], ["b", "a"], id="the same names"),
    pytest.param(["a", "b"], ["b_gt", "a_gt"], id="one side is marked"),
    pytest.param(["lr1", "lr2"], ["hr2", "hr1"], id="numbers"),
    pytest.param(["slow_1", "s_1"], ["s_1_hr", "slow_1_hr"], id="low in a word"),
]


@pytest.mark.parametrize(("low", "high"), NAMES)
def test_partners_are_matched_by_name(low, high):
    assert match_names(low, high) == (
        [(0, 1), (1, 0)],
        "2 low and high images were matched by name.",
    )


def test_where_names_say_nothing_the_order_decides_and_that_is_said():
    pairs, how = match_names(["x", "y", "z"], ["1", "2", "3"])

    assert pairs == [(0, 0), (1, 1), (2, 2)]
    assert how == (
        "3 low and high images, whose names have nothing in common, were matched in "
        "their order."
    )


UNMATCHED = [
    pytest.param(
        ["a", "b"], ["a", "c"], "low 'b', high 'c' have no partner", id="other"
    ),
    pytest.param(["a", "b"], ["a_hr"], "low 'b' has no partner", id="missing high"),
    pytest.param(["a"], ["a", "b"], "high 'b' has no partner", id="missing low"),
    pytest.param(["x"], ["1", "2"], "1 low and 2 high images were given", id="count"),
    pytest.param(["a_lr", "a_hr"], ["a"], r"both among the low.*'\*_low", id="mixed"),
]


@pytest.mark.parametrize(("low", "high", "why"), UNMATCHED)
def test_names_that_do_not_match_are_refused(low, high, why):
    with pytest.raises(PairError, match=why):
        match_names(low, high)


def test_files_are_matched_by_name_and_not_by_order(tmp_path):
    for seed, (low, high) in enumerate([("b_lr", "b_hr"), ("a_lr", "c")]):
        write_stack(tmp_path / "low" / f"{low}.tif", low_of(seed=seed))
        write_stack(tmp_path / "high" / f"{high}.tif", high_of(seed=seed))
    (tmp_path / "high" / "c.tif").rename(tmp_path / "high" / "z_A_hr.tif")
    (tmp_path / "low" / "a_lr.tif").rename(tmp_path / "low" / "z-a.tif")

    check = gather(tmp_path / "low", str(tmp_path / "high" / "*.tif"))

    assert [pair.name for pair in check.pairs] == ["b_lr", "z-a"]
    assert check.notes[0] == "2 low and high images were matched by name."
    assert len(check.notes) == 3


def test_arrays_are_matched_in_their_order():
    check = gather([low_of(), low_of(seed=1)], [high_of(), high_of(seed=1)])

    assert [pair.stack for pair in check.pairs] == ["image 1", "image 2"]
    assert "matched in their order" in check.notes[0]


# ── what cannot be a pair ───────────────────────────────────────────────────────────


def converted(image):
    return (image // 50).clip(0, 255).astype(np.uint8)


LOW, HIGH = low_of(), high_of()
FLAT_LOW, FLAT_HIGH = np.full((64, 64), 9, np.uint16), np.full((128, 128), 9, np.uint16)

REFUSED = {
    "8 bit partner": (LOW, converted(HIGH), "are uint16 and uint8"),
    "float partner": (LOW, HIGH.astype(np.float32), "are uint16 and float32"),
    "other size": (LOW, HIGH[:-2], "190 × 192 pixels; at factor 2.*192 × 192"),
    "other factor": (LOW, recorded("cells", 5), "480 × 480 pixels; at factor 2"),
    "low and high exchanged": (HIGH, LOW, "are exchanged"),
    "count": ([LOW, LOW], HIGH, "2 low and 1 high images"),
    "number of planes": (LOW[None], HIGH, r"have \(1,\) and \(\) planes"),
    "unrelated": (LOW, high_of(seed=1), "do not match"),
    "another specimen": (LOW, high_of("texture"), "do not match"),
    "flipped": (LOW, HIGH[::-1], "only if the high one is flipped upside down"),
    "turned": (LOW, np.rot90(HIGH), "turned by 90° to the right"),
    "inverted": (LOW, 20_000 - HIGH, "only if the high one is inverted"),
    "shifted too far": (
        low_of(shift=(5.5, 0)),
        HIGH,
        r"by \(\+5\.., [+-]0\..\).*to 5 ",
    ),
    "tiny": (LOW[:12, :12], HIGH[:24, :24], "at least 16 × 16"),
    "nothing": ([], HIGH, "No image was given"),
    "missing file": ("nowhere.tif", HIGH, "does not exist"),
    "pixel type": (LOW.astype("int32"), HIGH, "holds int32"),
    "empty": (FLAT_LOW, FLAT_HIGH, "None of the 1 pairs has enough"),
}


@pytest.mark.parametrize(("low", "high", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_pair_is_refused_in_a_sentence(low, high, why):
    with pytest.raises(PairError, match=why) as refusal:
        gather(low, high)

    assert "\n" not in str(refusal.value)


def test_a_recording_that_can_no_longer_be_read_is_refused():
    with Stack.from_array(low_of(), name="gone") as closed:
        pass

    with pytest.raises(PairError, match="gone is closed"):
        gather(closed, high_of())


@pytest.mark.parametrize("kind", ["cells", "texture", "filaments"])
def test_exchanged_partners_are_refused_and_named(kind):
    low = [low_of(kind, seed=seed) for seed in range(3)]
    high = [high_of(kind, seed=seed) for seed in (0, 2, 1)]

    with pytest.raises(
        PairError, match=r"'image [23]' fits the high image 'image [23]'"
    ):
        gather(low, high)


def neighbouring(factor, n=5, fields=2, **options):
    """Planes of which each is much like the next, as slices are."""
    ends = [recorded("texture", factor, seed=i, **options) for i in range(fields)]
    at = np.linspace(0, fields - 1.4, n)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(fields)))
    return np.einsum("nk,kyx->nyx", weights, ends).astype(np.uint16)


def test_neighbouring_planes_that_were_exchanged_are_refused():
    low, high = neighbouring(1, shift=SHIFT), neighbouring(2)
    gather(low, high)

    with pytest.raises(PairError, match=r"'image 1 \[[23]\]' fits the high image"):
        gather(low, high[[0, 1, 3, 2, 4]])


@pytest.mark.parametrize("off", [1, -1])
@pytest.mark.parametrize("given_as", [list, np.asarray], ids=["images", "stack"])
def test_planes_that_are_one_off_are_refused(given_as, off):
    low, high = neighbouring(1, n=6, shift=SHIFT), neighbouring(2, n=6)
    parts = (slice(1, None), slice(None, -1))[::off]

    with pytest.raises(PairError, match="fits the high image"):
        gather(given_as(low[parts[0]]), given_as(high[parts[1]]))


def test_of_a_large_stack_the_planes_beside_those_looked_at_are_compared():
    low = neighbouring(1, n=80, fields=20, shift=SHIFT, side=48)
    high = neighbouring(2, n=80, fields=20, side=48)

    with pytest.raises(PairError, match="fits the high image"):
        gather(low[1:], high[:-1])


def test_a_noisier_neighbour_is_no_mistake():
    low, high = neighbouring(1, n=3, shift=SHIFT), neighbouring(2, n=3)
    near = ((high[0] + high[1].astype(float)) / 2).astype(np.uint16)
    noise = np.random.default_rng(0).integers(0, 6000, near.shape, np.uint16)

    pairs = gather([low[0], low[1]], [near, near + noise]).pairs

    assert len(pairs) == 2


@pytest.mark.parametrize(
    ("factor", "largest_shift"), [(1, 5), (2, 0), (2, float("nan"))], ids=str
)
def test_a_factor_or_shift_that_makes_no_sense_is_refused(factor, largest_shift):
    with pytest.raises(PairError, match="factor of at least 2 and a largest shift"):
        gather(low_of(), high_of(), factor, largest_shift=largest_shift)


def test_a_distorted_pair_is_refused():
    magnified = ndimage.zoom(high_of("texture").astype(np.float32), 1.04)[:192, :192]

    with pytest.raises(PairError, match="rotated, distorted or of different magnif"):
        gather(low_of("texture").astype(np.float32), magnified)


# ── the shift is measured, said and corrected ───────────────────────────────────────


@pytest.mark.parametrize("kind", ["cells", "texture", "filaments"])
@pytest.mark.parametrize("shift", [(1.3, 0), (0, -1.3), (-2.6, 3.9)], ids=str)
def test_a_shift_is_measured_to_a_tenth_of_a_pixel(kind, shift):
    check = gather(low_of(kind, shift), high_of(kind))

    (pair,) = check.pairs
    assert pair.shift == pytest.approx(shift, abs=0.1)
    assert pair.report.uncertainty < 0.1
    assert "corrected" in check.notes[-1]
    assert f"({pair.shift[0]:+.2f}, {pair.shift[1]:+.2f})" in check.notes[-1]


TENTHS = st.integers(-40, 40).map(lambda n: n / 10)


@runs(max_examples=12, deadline=None)
@given(y=TENTHS, x=TENTHS, factor=st.sampled_from([2, 5]))
def test_after_correction_nothing_is_left_of_the_shift(y, x, factor):
    low = recorded("texture", 1, (y, x))
    pair = one_pair(low, recorded("texture", factor), factor=factor)

    assert pair.high.shape == tuple(factor * side for side in pair.low.shape)
    left = register(whole(pair.low), whole(pair.high), factor, reach=5)
    assert left.shift == pytest.approx((0, 0), abs=0.03)


def test_the_corrected_image_is_what_would_have_been_recorded_in_place():
    pair = one_pair(low_of(photons=None), high_of())
    in_place = recorded("cells", 2, SHIFT)[4:, :-2]  # what both images show

    assert pair.low.shape == (96 - 2, 96 - 1)
    error = whole(pair.high) - in_place / 10_000
    before = high_of()[4:, :-2] / 10_000 - in_place / 10_000
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(error[inner]).mean() < 0.05 * np.abs(before[inner]).mean()


def test_the_low_image_is_only_cropped():
    low = low_of()

    pair = one_pair(low, high_of())

    assert np.array_equal(whole(pair.low), (low[2:, :-1] / 10_000).astype(np.float32))


def test_an_aligned_pair_is_left_as_it_is():
    low, high = recorded("cells", 1), high_of()

    pair = one_pair(low, high)

    assert pair.low.shape == low.shape
    assert not pair.report.is_corrected
    assert "not shifted" in str(pair.report)
    (gain, offset) = pair.report.gain, pair.report.offset
    assert whole(pair.high) == pytest.approx((gain * high + offset) / 10_000, abs=1e-6)


def test_how_far_images_may_be_shifted_can_be_chosen():
    low, high = low_of(shift=(3, 0)), high_of()

    with pytest.raises(PairError, match=r"up to 2 are corrected"):
        gather(low, high, largest_shift=2)
    assert one_pair(low, high, largest_shift=4).shift[0] == pytest.approx(3, abs=0.1)


# ── brightness ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["cells", "texture", "filaments"])
def test_the_high_image_is_put_on_the_scale_of_the_low_one(kind):
    low = low_of(kind)
    high = np.rint(high_of(kind) * 2.5 + 700).astype(np.uint16)

    pair = one_pair(low, high)

    assert pair.report.gain == pytest.approx(1 / 2.5, rel=0.02)
    assert pair.report.offset == pytest.approx(-700 / 2.5, abs=60)
    residue = area_means(whole(pair.high), 2, pair.low.shape, (0, 0)) - whole(pair.low)
    assert abs(residue.mean()) < 2e-3
    assert np.corrcoef(residue.ravel(), whole(pair.low).ravel())[0, 1] ** 2 < 0.15


@pytest.mark.parametrize("blur", [0.7, 1.5])
@pytest.mark.parametrize("kind", ["cells", "texture", "filaments"])
def test_the_scale_is_that_of_brightness_and_not_of_sharpness(kind, blur):
    # a filament is dimmer in the blurred image, but as much light arrives
    low = ndimage.gaussian_filter(low_of(kind, photons=None), blur)

    assert one_pair(low, high_of(kind)).report.gain == pytest.approx(1, rel=0.03)


def test_the_range_is_that_of_the_low_stack():
    low, policy = np.stack([low_of(), low_of() // 2]), IntensityPolicy()
    high = np.stack([high_of(), high_of() // 2])

    pairs = gather(low, high, policy=policy).pairs

    measured = IntensityRange.measure(Stack.from_array(low), policy)
    assert [pair.low.intensity for pair in pairs] == [measured] * 2
    assert pairs[0].high.intensity == pairs[1].high.intensity


def test_brightness_that_agrees_only_loosely_is_said():
    high = (high_of() * 0.3 + high_of(seed=1) * 0.4).astype(np.uint16)

    assert any("only loosely" in note for note in gather(low_of(), high).notes)


# ── stacks ──────────────────────────────────────────────────────────────────────────


def stack_of(n, factor, shifts=SHIFT, empty=()):
    """Unrelated planes; of those that are empty there is only noise."""
    planes = [
        recorded(
            "cells", factor, shifts if factor == 1 else (0, 0), 200, seed=i, side=64
        )
        for i in range(n)
    ]
    random = np.random.default_rng(factor)
    for i in empty:
        planes[i] = random.poisson(400, planes[i].shape).astype(np.uint16)
    return np.stack(planes)


def test_the_planes_of_a_stack_that_agree_have_one_shift():
    check = gather(stack_of(4, 1, empty=[2]), stack_of(4, 2, empty=[2]))

    assert [pair.name for pair in check.pairs] == [f"image 1 [{i}]" for i in range(4)]
    assert [pair.depth for pair in check.pairs] == [0, 1, 2, 3]
    assert len({pair.shift for pair in check.pairs}) == 1
    assert check.pairs[0].shift == pytest.approx(SHIFT, abs=0.05)
    assert check.pairs[2].report.correlation is None
    assert "measured on 3 planes" in check.notes[-1]


def test_planes_that_drift_are_corrected_one_by_one():
    low = stack_of(3, 1)
    low[2] = recorded("cells", 1, (-1, 2), 200, seed=2, side=64)

    check = gather(low, stack_of(3, 2))

    for pair, shift in zip(check.pairs, [SHIFT, SHIFT, (-1, 2)], strict=True):
        assert pair.shift == pytest.approx(shift, abs=0.1)
    assert "each corrected" in check.notes[-1]


def test_a_plane_that_cannot_be_placed_is_left_out_and_that_is_said():
    low = [low_of(), np.random.default_rng(0).poisson(400, (96, 96)).astype(np.uint16)]

    check = gather(low, [high_of(), high_of(seed=1)])

    assert [pair.stack for pair in check.pairs] == ["image 1"]
    assert any("image 2: 1 of 1 planes have too little" in one for one in check.notes)


def test_a_shift_that_is_not_known_to_a_tenth_is_not_corrected_by_guess():
    low, high = low_of(photons=8, side=48), high_of(side=48)
    found = register(low, high, 2, reach=5)
    assert found.significance > 8
    assert found.uncertainty > 0.1

    with pytest.raises(PairError, match="to a tenth of a pixel"):
        gather(low, high)


def test_pairs_stream(tmp_path):
    low = write_stack(tmp_path / "a_lr.tif", stack_of(6, 1))
    high = write_stack(tmp_path / "a_hr.tif", stack_of(6, 2))
    plane_bytes = 128 * 128 * 2
    cache = PlaneCache(2 * plane_bytes)

    pairs = gather(low, high, cache=cache).pairs
    held = gather(stack_of(6, 1), stack_of(6, 2)).pairs

    for one, other in zip(pairs, held, strict=True):
        for part in (EVERYTHING, (slice(3, 20), slice(9, 60))):
            assert np.array_equal(one.low[part], other.low[part])
            assert np.array_equal(one.high[part], other.high[part])
        assert cache.n_bytes <= 2 * plane_bytes


def test_gaps_of_float_images_are_filled_and_known():
    low, high = (low_of().astype(np.float32), high_of().astype(np.float32))
    low[:8], high[:, -30:] = np.nan, np.nan

    pair = one_pair(low, high)

    assert pair.shift == pytest.approx(SHIFT, abs=0.1)
    assert np.isfinite(whole(pair.low)).all()
    assert np.isfinite(whole(pair.high)).all()
    assert pair.low.gaps(EVERYTHING)[:6].all()
    assert not pair.low.gaps(EVERYTHING)[6:].any()


# ── holding out ─────────────────────────────────────────────────────────────────────


def test_a_crop_of_a_pair_keeps_both_images_aligned():
    pair = one_pair(low_of(), high_of())

    crop = pair.cropped(slice(10, 40), slice(-20, None))

    assert crop.shape == (30, 20)
    assert np.array_equal(whole(crop.low), whole(pair.low)[10:40, -20:])
    assert np.array_equal(whole(crop.high), whole(pair.high)[20:80, -40:])


def test_pairs_are_held_out_as_images_are():
    pairs = gather(stack_of(6, 1), stack_of(6, 2)).pairs

    training, held, how = hold_out(pairs)
    (kept,), (strip,), _ = hold_out(pairs[:1])

    assert len(held) == 1
    assert held[0] not in training
    assert "1 of 6 planes of image 1" in how
    assert strip.high.shape == tuple(2 * side for side in strip.shape)
    n_pixels = [np.prod(one.shape) for one in (kept, strip, pairs[0])]
    assert (
        sum(n_pixels[:2]) + max(pairs[0].shape) // 32 * min(pairs[0].shape)
        == n_pixels[2]
    )

"""Holding out: whole images or contiguous blocks, never what lies beside."""

from __future__ import annotations

import numpy as np
import pytest
from displaced import recorded
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from napari_sr.datasets import divide, gather_images, groups_of, hold_out
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.image.stack import Axis, Stack

FIXED = IntensityPolicy(kind="fixed", low=0, high=1)
SHARES = st.floats(0.01, 1 / 3)


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 9, shape, np.uint8)


def images_of(*shapes):
    """Images of unrelated noise: one stack of each shape."""
    arrays = [noise(shape, seed) for seed, shape in enumerate(shapes)]
    return gather_images(arrays, FIXED)


def sizes(images):
    return sum(np.prod(image.shape) for image in images)


def names(images):
    return [image.name for image in images]


def test_planes_belong_to_their_stack():
    images = images_of((3, 20, 20), (20, 20), (2, 20, 24))

    assert groups_of(images) == [0, 0, 0, 1, 2, 2]
    assert groups_of(images_of(*[(80, 80)] * 4)) == [0, 1, 2, 3]


# ── several stacks ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("n", "n_held"), [(2, 1), (3, 1), (5, 1), (8, 2), (10, 2), (20, 4)]
)
def test_of_several_images_about_a_fifth_is_held_out(n, n_held):
    images = images_of(*[(20, 20)] * n)

    training, held, how = hold_out(images)

    assert len(held) == n_held
    assert sorted(names(training) + names(held)) == sorted(names(images))
    assert f"{n_held} of {n} images" in how
    assert all(name in how for name in names(held))


@runs(max_examples=40, deadline=None)
@given(
    shapes=st.lists(
        st.tuples(st.integers(1, 5), st.just(17), st.integers(17, 60)),
        min_size=2,
        max_size=8,
    ),
    share=SHARES,
    seed=st.integers(0, 99),
)
def test_stacks_stay_whole_and_at_most_a_third_is_held_out(shapes, share, seed):
    images = images_of(*shapes)

    training, held, _ = hold_out(images, share, seed)

    assert training
    assert held
    assert not {one.stack for one in training} & {one.stack for one in held}
    assert sizes(training) + sizes(held) == sizes(images)
    only_the_smallest = len({one.stack for one in held}) == 1
    assert sizes(held) <= sizes(images) / 3 or only_the_smallest


def test_where_any_stack_is_more_than_a_third_the_smallest_is_held_out():
    _, held, _ = hold_out(images_of((9, 20, 20), (4, 20, 20)), seed=1)

    assert {one.stack for one in held} == {"image 2"}


def test_every_image_is_held_out_by_some_seed():
    images = images_of(*[(20, 20)] * 6)

    held = {hold_out(images, seed=seed)[1][0].name for seed in range(40)}

    assert held == set(names(images))


# ── one stack ───────────────────────────────────────────────────────────────────────


@runs(max_examples=60, deadline=None)
@given(n=st.integers(2, 60), share=SHARES, seed=st.integers(0, 99))
def test_of_one_stack_a_block_is_held_out_with_a_gap_on_each_side(n, share, seed):
    training, held, _ = hold_out(images_of((n, 17, 17)), share, seed)

    block, rest = [one.depth for one in held], [one.depth for one in training]
    assert block == list(range(block[0], block[-1] + 1))
    assert len(block) <= max(1, n / 3)
    assert len(block) == max(1, min(round(share * n), n // 3))
    beside = {block[0] - 1, block[-1] + 1} & set(range(n))
    if n >= 10:
        assert not beside & set(rest)
        assert len(block) + len(beside) + len(rest) == n
    assert len(rest) >= n / 2


def test_the_ends_of_a_stack_are_not_held_out():
    images = images_of((40, 17, 17))

    depths = {one.depth for seed in range(60) for one in hold_out(images, seed=seed)[1]}

    assert depths == set(range(10, 30))


def test_a_block_is_said_in_one_sentence():
    _, held, how = hold_out(images_of((40, 17, 17)))

    first = held[0].depth
    named = ", ".join(f"image 1 [{depth}]" for depth in range(first, first + 5))
    assert how == (
        f"Held out: 8 of 40 planes of image 1 ({named} and 3 more; 2 beside left out)."
    )


def test_all_planes_of_a_depth_are_held_out_together():
    axes = [Axis(name) for name in "tzyx"]
    stack = Stack.from_array(noise((3, 12, 17, 17)), axes=axes)

    training, held, _ = hold_out(gather_images(stack, FIXED))

    assert len(held) == 3 * 2
    assert len(training) == 3 * (12 - 2 - 2)
    assert not {one.depth for one in training} & {one.depth for one in held}


def slices_of_a_volume(n, fields=10):
    """Each half like the ones beside it, as slices are."""
    drawn = [recorded("texture", 1, seed=i, side=64) for i in range(fields)]
    at = np.linspace(0, fields - 1, n)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(fields)))
    return np.einsum("nk,kyx->nyx", weights, drawn).astype(np.uint16)


def test_single_slices_of_a_volume_are_held_out_like_a_stack():
    images = gather_images(list(slices_of_a_volume(20)), FIXED)
    assert groups_of(images) == [0] * 20

    training, held, how = hold_out(images)

    order = names(images)
    at = [order.index(name) for name in names(held)]
    assert at == list(range(at[0], at[0] + 4))
    kept = {order.index(name) for name in names(training)}
    assert kept == set(range(20)) - set(range(at[0] - 1, at[-1] + 2))
    assert f"4 of 20 images ({', '.join(names(held))}; 2 beside" in how


def test_fields_of_one_experiment_are_not_taken_for_slices():
    fields = [recorded("cells", 1, seed=seed, side=64) for seed in range(5)]

    _, _, how = hold_out(gather_images(fields, FIXED))

    assert how.startswith("Held out: 1 of 5 images (image")


# ── one plane ───────────────────────────────────────────────────────────────────────


@runs(max_examples=40, deadline=None)
@given(
    height=st.integers(4, 900),
    width=st.integers(4, 900),
    share=SHARES,
    seed=st.integers(0, 9),
)
def test_of_one_plane_a_strip_at_an_end_is_held_out(height, width, share, seed):
    plane = np.arange(height * width, dtype=np.float32).reshape(height, width)
    (image,) = gather_images(plane, FIXED)

    (kept,), (strip,), _ = hold_out([image], share, seed)

    long, short = max(height, width), min(height, width)
    assert sorted(strip.shape) == sorted(
        (short, max(1, min(round(share * long), int(long / 3))))
    )
    gap = min(16, long // 32)
    assert sizes([kept]) + sizes([strip]) == (long - gap) * short
    everything = (slice(None), slice(None))
    assert not np.intersect1d(kept[everything], strip[everything]).size


def test_both_ends_of_a_plane_are_held_out_by_some_seed():
    (image,) = images_of((100, 60))

    strips = {hold_out([image], seed=seed)[1][0].name for seed in range(20)}

    assert strips == {"image 1 [0:20, 0:60]", "image 1 [80:100, 0:60]"}


def test_a_strip_is_said_in_one_sentence():
    _, _, how = hold_out(images_of((60, 100)), seed=0)

    assert how in {
        f"Held out: columns {block} of image 1, the only plane; 3 columns beside them "
        f"left out."
        for block in ("0 to 19", "80 to 99")
    }


# ── always ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "shapes", [[(20, 20)] * 9, [(30, 20, 20)], [(90, 90)]], ids=str
)
def test_the_same_seed_holds_out_the_same(shapes):
    images = images_of(*shapes)
    before = [list(map(names, hold_out(images, seed=seed)[:2])) for seed in range(8)]

    again = [list(map(names, hold_out(images, seed=seed)[:2])) for seed in range(8)]

    assert before == again
    assert len({str(one) for one in before}) > 1


@pytest.mark.parametrize("share", [0, -0.1, 0.4, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="above 0 and at most a third"):
        hold_out(images_of((20, 20), (20, 20)), share)


def test_nothing_cannot_be_held_out():
    with pytest.raises(ValueError, match="no image to hold out"):
        hold_out([])


def test_a_plane_too_small_for_two_parts_is_refused():
    with pytest.raises(ValueError, match="1 × 1 pixels, too small"):
        hold_out([images_of((9, 9))[0].cropped(slice(1), slice(1))])


@pytest.mark.parametrize(("n", "n_choosing"), [(2, 1), (3, 1), (4, 1), (5, 2), (9, 3)])
def test_a_third_of_the_images_chooses_and_the_others_judge(n, n_choosing):
    images = images_of(*[(64, 64)] * n)

    choosing, judging, how = divide(images, range(n))

    assert names(choosing) + names(judging) == names(images)
    assert len(choosing) == n_choosing
    assert how.startswith(f"The weights are selected by {choosing[0].name}")


def test_planes_of_one_file_are_on_one_side():
    images = images_of((3, 64, 64), (64, 64), (2, 64, 64))

    choosing, judging, _ = divide(images, [0, 0, 0, 1, 2, 2])

    assert (len(choosing), len(judging)) == (3, 3)
    assert not {one.stack for one in choosing} & {one.stack for one in judging}


def test_of_a_single_volume_planes_are_divided():
    choosing, judging, _ = divide(images_of((6, 64, 64)), [0] * 6)

    assert [one.depth for one in choosing] == [0, 1]
    assert [one.depth for one in judging] == [2, 3, 4, 5]


def test_of_a_single_plane_parts_are_divided_that_do_not_touch():
    choosing, judging, how = divide(images_of((60, 300)), [0])

    assert [one.shape for one in choosing] == [(60, 84)]
    assert [one.shape for one in judging] == [(60, 200)]
    assert (
        how
        == "A third of it selects the weights (validation); the rest is for the test."
    )


def test_a_plane_too_small_to_be_divided_does_both():
    choosing, judging, how = divide(images_of((60, 150)), [0])

    assert choosing is judging
    assert how.endswith("so it is both validation and test image.")

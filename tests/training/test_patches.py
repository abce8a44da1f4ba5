"""Patches: real pieces of the images, the same at every call for the same step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sr.datasets import SharpImage
from napari_sr.datasets.pairs import MeasuredPair, PairReport
from napari_sr.datasets.plane_cache import FilledPlane
from napari_sr.image.intensity import IntensityRange
from napari_sr.training.patches import PairPatchSource, PatchSource

SIZE = 8
WIDTH = 40
RAMP = np.arange(30 * WIDTH, dtype=np.float32).reshape(30, WIDTH)
"""Every pixel says where it lies."""


def ramps(n):
    """Images whose pixels say in which image they lie, too."""
    return [RAMP + i * RAMP.size for i in range(n)]


def drawn_from(source, n_steps, n_patches):
    """Count how often each image of `ramps` was drawn."""
    batches = [source.batch(step, n_patches) for step in range(n_steps)]
    which = torch.cat(batches)[:, 0, 0, 0] // RAMP.size
    return np.bincount(which.int().numpy(), minlength=len(source.images))


def orientations(patch):
    """Turn and flip a square in all eight ways."""
    turned = [np.rot90(patch, k) for k in range(4)]
    return [*turned, *(np.fliplr(one) for one in turned)]


def orientation_of(patch):
    """Say which of the eight ways of its place in RAMP a patch is."""
    y, x = divmod(int(patch.min()), WIDTH)
    place = RAMP[y : y + SIZE, x : x + SIZE]
    found = [
        i for i, way in enumerate(orientations(place)) if np.array_equal(way, patch)
    ]
    assert len(found) == 1, "not a piece of the image"
    return found[0]


def test_a_batch_is_float32_squares_of_the_size():
    batch = PatchSource([RAMP.astype(np.float64)], SIZE).batch(0, 5)

    assert batch.shape == (5, 1, SIZE, SIZE)
    assert batch.dtype == torch.float32


def test_the_same_step_gives_the_same_batch_and_another_step_another():
    first, second = (PatchSource(ramps(3), SIZE, seed=4) for _ in range(2))

    assert torch.equal(first.batch(7, 6), second.batch(7, 6))
    assert not torch.equal(first.batch(7, 6), first.batch(8, 6))
    assert not torch.equal(
        first.batch(7, 6), PatchSource(ramps(3), SIZE, seed=5).batch(7, 6)
    )


def test_a_step_does_not_depend_on_the_steps_before():
    straight, skipping = (PatchSource(ramps(2), SIZE) for _ in range(2))
    for step in range(5):
        straight.batch(step, 3)

    assert torch.equal(straight.batch(5, 3), skipping.batch(5, 3))


def test_patches_are_pieces_of_the_image_in_all_eight_orientations():
    patches = PatchSource([RAMP], SIZE).batch(0, 200)[:, 0].numpy()

    seen = np.bincount([orientation_of(patch) for patch in patches], minlength=8)

    assert (seen > 8).all()  # 25 expected of each


def test_every_place_can_be_drawn_the_last_row_and_column_included():
    patches = PatchSource([RAMP[:10, :10]], SIZE).batch(0, 100)[:, 0]

    corners = {int(patch.min()) for patch in patches}

    assert corners == {WIDTH * y + x for y in range(3) for x in range(3)}


def test_an_image_of_exactly_the_size_is_taken_whole():
    patch = PatchSource([RAMP[:SIZE, :SIZE]], SIZE).batch(0, 1)[0, 0].numpy()

    assert orientation_of(patch) in range(8)


def test_structure_is_drawn_more_often_than_emptiness():
    half_empty = np.zeros((32, 64), np.float32)
    half_empty[:, 32:] = np.indices((32, 32)).sum(0) % 2

    patches = PatchSource([half_empty], SIZE).batch(0, 400)
    structured = (patches.std(dim=(1, 2, 3)) > 0.4).float().mean().item()

    assert 0.55 < structured < 0.8  # 0.44 if drawn evenly


def test_images_are_drawn_by_their_weights():
    seen = drawn_from(PatchSource(ramps(3), SIZE, weights=[1, 0, 3]), 10, 40)

    assert seen[1] == 0
    assert seen[2] / seen.sum() == pytest.approx(0.75, abs=0.1)


def test_images_are_drawn_alike_without_weights():
    seen = drawn_from(PatchSource(ramps(3), SIZE), 10, 40)

    assert seen / seen.sum() == pytest.approx(1 / 3, abs=0.1)


def test_images_that_are_too_small_are_left_out():
    images = [RAMP[:, : SIZE - 1], *ramps(2)[1:]]

    assert drawn_from(PatchSource(images, SIZE), 2, 20)[0] == 0


# ── what is refused ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("images", [[], [RAMP[:7]], [RAMP[:7], RAMP[:, :7]]])
def test_images_that_are_all_too_small_are_refused(images):
    why = rf"None of the {len(images)} training images is as large.*8 × 8 .*Use larger"
    with pytest.raises(ValueError, match=why):
        PatchSource(images, SIZE)


WRONG_WEIGHTS = [
    pytest.param([1, 1, 1], id="too many"),
    pytest.param([1, -1], id="negative"),
    pytest.param([0, 0], id="all zero"),
    pytest.param([0, 1], id="only the small one"),
]


@pytest.mark.parametrize("weights", WRONG_WEIGHTS)
def test_weights_that_draw_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="2 training images need as many weights"):
        PatchSource([RAMP, RAMP[:7]], SIZE, weights)


# ── patches of pairs ────────────────────────────────────────────────────────────────


def image_of(array, gaps=None):
    plane = FilledPlane(array, gaps)
    return SharpImage("a", "a", 0, array.shape, IntensityRange(0, 1), lambda: plane)


def pair_of(low, factor=2, gaps=(None, None), high=None):
    """A pair whose high image repeats the pixels of the low one."""
    high = np.kron(low, np.ones((factor, factor), low.dtype)) if high is None else high
    images = [image_of(one, gap) for one, gap in zip((low, high), gaps, strict=True)]
    return MeasuredPair("a", "a", 0, *images, factor, PairReport((0, 0), 0, 1, 1, 0))


@pytest.mark.parametrize("factor", [2, 3])
def test_both_patches_of_a_pair_show_the_same_place_turned_alike(factor):
    low, high = PairPatchSource([pair_of(RAMP, factor)], SIZE).batch(0, 100)

    assert low.shape == (100, 1, SIZE, SIZE)
    assert high.shape == (100, 1, factor * SIZE, factor * SIZE)
    assert low.dtype == high.dtype == torch.float32
    repeated = low.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    assert torch.equal(high, repeated)


def test_patches_of_pairs_are_drawn_as_those_of_images():
    low, _ = PairPatchSource([pair_of(one) for one in ramps(2)], SIZE, seed=3).batch(
        4, 99
    )
    alone = PatchSource(ramps(2), SIZE, seed=3).batch(4, 99)

    seen = np.bincount([orientation_of(patch[0] % RAMP.size) for patch in low.numpy()])
    assert (seen > 4).all()
    assert torch.equal(low // RAMP.size, alone // RAMP.size)


def test_a_batch_of_pairs_follows_from_the_seed_and_the_step():
    pairs = [pair_of(one) for one in ramps(3)]
    first, second = (PairPatchSource(pairs, SIZE, seed=4) for _ in range(2))
    second.batch(0, 3)

    for one, other in zip(first.batch(7, 6), second.batch(7, 6), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first.batch(7, 6)[0], first.batch(8, 6)[0])
    assert not torch.equal(
        first.batch(7, 6)[0], PairPatchSource(pairs, SIZE, seed=5).batch(7, 6)[0]
    )


def test_structure_is_looked_for_in_the_high_image():
    # the low image is all noise, which is no structure
    low = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32) * 9
    high = np.zeros((64, 128), np.float32)
    high[:, 64:] = np.indices((64, 64)).sum(0) % 2

    _, patches = PairPatchSource([pair_of(low, high=high)], SIZE).batch(0, 400)
    structured = (patches.std(dim=(1, 2, 3)) > 0.4).float().mean().item()

    assert 0.55 < structured < 0.8  # 0.44 if drawn evenly


@pytest.mark.parametrize("which", [0, 1], ids=["low", "high"])
def test_patches_of_pairs_are_rarely_mostly_gaps(which):
    low = np.zeros((64, 64), np.float32)
    low[:, :48] = 1
    gaps = [None, None]
    gaps[which] = np.kron(low, np.ones((1 + which, 1 + which))) > 0

    patches, _ = PairPatchSource([pair_of(low, gaps=gaps)], SIZE).batch(0, 300)

    # 44 of 57 places are mostly gaps, eight in a row once in eight times
    assert (patches.mean(dim=(1, 2, 3)) > 0.5).float().mean() < 0.25


def test_pairs_are_drawn_by_their_weights_and_small_ones_left_out():
    pairs = [pair_of(RAMP[:7]), *(pair_of(one) for one in ramps(3)[1:])]

    low, _ = PairPatchSource(pairs, SIZE, weights=[5, 1, 3]).batch(0, 400)
    seen = np.bincount((low[:, 0, 0, 0] // RAMP.size).int().numpy(), minlength=3)

    assert seen[0] == 0
    assert seen[2] / seen.sum() == pytest.approx(0.75, abs=0.07)


WRONG_PAIRS = [
    pytest.param([], None, "None of the 0 training pairs is as large", id="none"),
    pytest.param([pair_of(RAMP[:7])], None, "8 × 8 pixels. Use larger", id="small"),
    pytest.param(
        [pair_of(RAMP)], [1, 1], "1 training pairs need as many", id="weights"
    ),
    pytest.param(
        [pair_of(RAMP), pair_of(RAMP, 3)], None, r"not \[2, 3\]", id="two factors"
    ),
]


@pytest.mark.parametrize(("pairs", "weights", "why"), WRONG_PAIRS)
def test_pairs_from_which_nothing_can_be_drawn_are_refused(pairs, weights, why):
    with pytest.raises(ValueError, match=why):
        PairPatchSource(pairs, SIZE, weights)

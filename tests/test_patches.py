"""Patches: real pieces of the images, the same at every call for the same step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sr.patches import PatchSource

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
    why = (
        rf"None of the {len(images)} training images is as large.*8 × 8 .*smaller patch"
    )
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

"""What of a layer is in view: the plane, and the part that is on the screen."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from napari_sr._napari.layers.view import (
    MOST_PIXELS,
    NotInViewError,
    View,
    part_in_view,
    plane_in_view,
)


def zeros(*shape) -> np.ndarray:
    return np.zeros(shape, np.uint16)


def show(layer, top, left, bottom, right) -> None:
    """Do what a canvas does when it has been drawn."""
    corners = np.zeros((2, layer.ndim), int)
    corners[:, -2:] = [[top, left], [bottom, right]]
    layer.corner_pixels = corners


def test_the_part_on_the_screen_is_taken_with_its_last_pixel(viewer):
    layer = viewer.add_image(zeros(4, 200, 300))
    show(layer, 20, 30, 59, 99)
    viewer.dims.set_current_step(0, 2)

    assert part_in_view(layer, viewer) == View((2,), slice(20, 60), slice(30, 100))


def test_a_large_view_is_taken_in_its_middle(viewer):
    layer = viewer.add_image(zeros(2000, 1000))

    view = part_in_view(layer, viewer)

    n_rows = view.rows.stop - view.rows.start
    n_columns = view.columns.stop - view.columns.start
    assert view.is_middle
    assert n_rows * n_columns <= MOST_PIXELS
    assert n_rows == pytest.approx(2 * n_columns, abs=2)
    assert (view.rows.start + view.rows.stop) / 2 == pytest.approx(1000, abs=1)
    assert (view.columns.start + view.columns.stop) / 2 == pytest.approx(500, abs=1)


def test_corners_of_a_coarse_level_are_meant_in_the_finest(viewer):
    fine = zeros(400, 600)
    layer = viewer.add_image([fine, fine[::2, ::2]], multiscale=True)
    assert layer.data_level == 1
    show(layer, 10, 20, 29, 49)

    view = part_in_view(layer, viewer)

    assert (view.rows.start, view.columns.start) == (20, 40)


def test_the_plane_is_found_through_the_scale_of_the_layer(viewer):
    layer = viewer.add_image(zeros(5, 8, 8), scale=(2, 1, 1), translate=(10, 0, 0))
    viewer.add_image(zeros(100, 8, 8))
    viewer.dims.set_point(0, 16)

    assert plane_in_view(layer, viewer) == (3,)


def test_a_plane_beyond_the_layer_is_its_nearest(viewer):
    layer = viewer.add_image(zeros(5, 8, 8))
    viewer.add_image(zeros(100, 8, 8))
    viewer.dims.set_point(0, 80)

    assert plane_in_view(layer, viewer) == (4,)


def test_a_plane_under_a_stack_has_no_index(viewer):
    layer = viewer.add_image(zeros(8, 8))
    viewer.add_image(zeros(9, 8, 8))

    assert part_in_view(layer, viewer).index == ()


def turn_to_3d(viewer, layer) -> None:
    viewer.dims.ndisplay = 3


def look_from_the_side(viewer, layer) -> None:
    viewer.dims.order = (1, 0, 2)


def look_elsewhere(viewer, layer) -> None:
    show(layer, 0, 19, 19, 19)


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (turn_to_3d, "switch the viewer to 2D"),
        (look_from_the_side, "plane of y and x in view"),
        (look_elsewhere, "not in view: move"),
    ],
)
def test_what_cannot_be_seen_is_said_in_a_sentence(viewer, turn, words):
    layer = viewer.add_image(zeros(5, 20, 20), name="bone")
    turn(viewer, layer)

    with pytest.raises(NotInViewError, match=words):
        part_in_view(layer, viewer)


def test_a_part_covers_what_lies_within_it():
    whole = View((1,), slice(0, 50), slice(10, 60))

    assert whole.covers(View((1,), slice(5, 50), slice(10, 20)))
    assert not whole.covers(View((2,), slice(5, 50), slice(10, 20)))
    assert not whole.covers(View((1,), slice(5, 51), slice(10, 20)))

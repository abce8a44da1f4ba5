"""A run of what is in view, or of a rectangle, has the pixels of a run of all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt

from napari_sr._napari.layers.view import NotInViewError, rectangle_on
from napari_sr._napari.layers.writer import save_layers
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.files import open_stack

WAIT = 60_000
FACTOR = 2
PLACES = {
    "plain": {},
    "in micrometres, elsewhere": {
        "scale": (0.7, 0.2, 0.3),
        "translate": (3, 40, -50),
        "units": ("um", "um", "um"),
    },
    "turned": {
        "scale": (1, 0.5, 0.5),
        "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
        "translate": (0, 5, 9),
    },
}
ROWS, COLUMNS = slice(20, 41), slice(30, 62)


def counts(shape=(3, 70, 90)) -> np.ndarray:
    random = np.random.default_rng(0)
    smooth = np.add.outer(np.sin(np.arange(shape[-2]) / 5), np.arange(shape[-1]) / 30)
    return (5000 + 3000 * smooth + random.normal(0, 300, shape)).astype(np.uint16)


@pytest.fixture
def widget(viewer, qtbot, tiny_card):
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    viewer.layers.events.inserted.connect(widget.reset_choices)
    viewer.layers.events.removed.connect(widget.reset_choices)
    widget.model.value = tiny_card.name
    yield widget
    widget._running.leave()


def run(viewer, widget, qtbot):
    qtbot.mouseClick(widget.run_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    return viewer.layers[-1]


def draw(viewer, layer, corner, opposite):
    """Draw a rectangle in the world over pixels of a layer, first and last ones."""
    (top, left), (bottom, right) = corner, opposite
    around = [(top, left), (top, right), (bottom, right), (bottom, left)]
    world = [layer.data_to_world((0,) * (layer.ndim - 2) + one) for one in around]
    return viewer.add_shapes([np.array(world)[:, -2:]], shape_type="rectangle")


def show(layer) -> None:
    """Do what a canvas does when it has been drawn."""
    corners = np.zeros((2, layer.ndim), int)
    corners[:, -2:] = [
        [ROWS.start, COLUMNS.start],
        [ROWS.stop - 1, COLUMNS.stop - 1],
    ]
    layer.corner_pixels = corners


@pytest.mark.parametrize("how", ["what is in view", "a rectangle"])
@pytest.mark.parametrize("place", PLACES)
def test_a_part_has_the_pixels_and_the_place_that_it_has_in_the_whole(
    viewer, widget, qtbot, how, place
):
    bone = viewer.add_image(counts(), name="bone", **PLACES[place])
    whole = run(viewer, widget, qtbot)
    first, last = (ROWS.start, COLUMNS.start), (ROWS.stop - 1, COLUMNS.stop - 1)
    draw(viewer, bone, first, last)
    show(bone)

    widget.part.value = how
    part = run(viewer, widget, qtbot)

    assert part.name == "bone [tiny] rows 20–40, columns 30–61"
    fine = [slice(FACTOR * cut.start, FACTOR * cut.stop) for cut in (ROWS, COLUMNS)]
    np.testing.assert_array_equal(part.data, whole.data[:, fine[0], fine[1]])
    assert not np.array_equal(part.data[0], part.data[1])
    for pixel in ((0, 0, 0), (2, 7, 11)):
        same = np.add(pixel, (0, fine[0].start, fine[1].start))
        np.testing.assert_allclose(
            part.data_to_world(pixel), whole.data_to_world(same), rtol=1e-12
        )
    said = part.metadata["napari_sr"]
    assert said["part"] == {"rows": [20, 41], "columns": [30, 62]}
    assert "partial" not in said
    assert "part" not in whole.metadata["napari_sr"]


def test_a_saved_part_begins_where_it_lies(viewer, widget, qtbot, tmp_path):
    place = PLACES["in micrometres, elsewhere"]
    bone = viewer.add_image(counts(), name="bone", **place)
    draw(viewer, bone, (20, 30), (40, 61))
    widget.part.value = "a rectangle"

    part = run(viewer, widget, qtbot)

    for kind, name in (("OME-TIFF (*.ome.tif)", "a"), ("OME-Zarr (*.ome.zarr)", "b")):
        written = save_layers([part], str(tmp_path / name), kind)
        with open_stack(written) as stack:
            origins = [axis.origin for axis in stack.axes]
            # The outer border of pixel 20 is that of its first new pixel.
            expected = [3, 40 + 0.2 * (19.5 + 0.25), -50 + 0.3 * (29.5 + 0.25)]
            np.testing.assert_allclose(origins, expected, rtol=1e-9)
            assert [axis.spacing for axis in stack.axes] == pytest.approx(
                [0.7, 0.1, 0.15]
            )


def test_one_plane_of_a_part_and_then_the_rest(viewer, widget, qtbot):
    bone = viewer.add_image(counts(), name="bone")
    draw(viewer, bone, (20, 30), (40, 61))
    widget.part.value, widget.planes.value = "a rectangle", "the one in view"
    viewer.dims.set_current_step(0, 1)

    part = run(viewer, widget, qtbot)

    assert part.metadata["napari_sr"]["partial"]["planes_done"] == [[1]]
    assert part.data.shape == (3, 42, 64)
    assert part.data[1].any()
    assert not part.data[[0, 2]].any()
    widget.planes.value = "all"
    assert widget.run_button.text == "Run the rest"
    assert run(viewer, widget, qtbot) is part
    assert all(plane.any() for plane in part.data)


def test_a_method_that_sees_whole_planes_sees_them_for_a_part(viewer, widget, qtbot):
    bone = viewer.add_image(counts(), name="bone")
    widget.model.value, widget.factor.value = "wiener", 2
    whole = run(viewer, widget, qtbot)
    draw(viewer, bone, (20, 30), (40, 61))
    widget.part.value = "a rectangle"

    part = run(viewer, widget, qtbot)

    np.testing.assert_array_equal(part.data, whole.data[:, 40:82, 60:124])


def test_without_a_rectangle_it_says_what_to_do_and_runs_nothing(
    viewer, widget, qtbot, notified
):
    bone = viewer.add_image(counts(), name="bone")
    widget.part.value = "a rectangle"
    assert "Draw one in a Shapes layer" in widget.status.value
    n_layers = len(viewer.layers)

    run(viewer, widget, qtbot)

    assert len(viewer.layers) == n_layers
    assert any("Draw one in a Shapes layer" in one for one in notified)
    draw(viewer, bone, (500, 500), (600, 600))
    run(viewer, widget, qtbot)
    assert "less than two pixels of layer 'bone'" in notified[-1]


def test_the_selected_rectangle_counts_and_other_shapes_do_not(viewer):
    bone = viewer.add_image(counts(), name="bone")
    shapes = draw(viewer, bone, (1, 2), (9, 12))
    shapes.add_ellipses(np.array([[0, 0], [0, 9], [9, 9], [9, 0]]))
    found = rectangle_on(bone, viewer)
    assert (found.rows, found.columns) == (slice(1, 10), slice(2, 13))

    shapes.add_rectangles(np.array([[20, 30], [20, 50], [40, 50], [40, 30]]) - 0.5)
    shapes.selected_data = set()
    with pytest.raises(NotInViewError, match="several"):
        rectangle_on(bone, viewer)
    shapes.selected_data = {2}
    found = rectangle_on(bone, viewer)
    # From border to border: no pixel more than those inside.
    assert (found.rows, found.columns) == (slice(20, 40), slice(30, 50))


def test_the_active_shapes_layer_goes_before_the_uppermost(viewer):
    bone = viewer.add_image(counts(), name="bone")
    lower = draw(viewer, bone, (1, 2), (9, 12))
    draw(viewer, bone, (20, 30), (40, 61))
    assert rectangle_on(bone, viewer).rows == slice(20, 41)

    viewer.layers.selection.active = lower

    assert rectangle_on(bone, viewer).rows == slice(1, 10)

"""The widget: several methods on one recording."""

from __future__ import annotations

import csv

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_sr._napari.compare.widget import Compare
from napari_sr._napari.layers.geometry import upscaled_placement
from napari_sr.catalogue.lookup import model_folder
from napari_sr.evaluation.side_by_side import compare_side_by_side, load_methods
from napari_sr.image.stack import Stack

WAIT = 60_000
"""Milliseconds within which the figures must come."""
METHODS = ("lanczos", "edge-prior")


def counts(*shape) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, shape).astype(np.uint16)


def drain(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def layers(viewer):
    """A recording, its truth, a result, and another picture."""
    recording = viewer.add_image(counts(2, 40, 48), name="cells", scale=(2, 0.5, 0.5))
    place = upscaled_placement(recording, 2)
    truth = viewer.add_image(counts(2, 80, 96), name="cells (truth)", **place)
    said = {"napari_sr": {"plan": {"model": "bone-x2", "factor": 2}}}
    result = viewer.add_image(
        counts(2, 80, 96), name="cells [bone-x2]", metadata=said, **place
    )
    other = viewer.add_image(counts(30, 24), name="elsewhere", translate=(99, 99))
    return recording, truth, result, other


@pytest.fixture
def widget(viewer, layers, qtbot):
    widget = Compare(viewer)
    qtbot.addWidget(widget.native)
    tick(widget, METHODS)
    yield widget
    widget._background.leave()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


def items(widget) -> dict:
    methods = widget.chosen.methods
    found = [methods.item(i) for i in range(methods.count())]
    return {item.text(): item for item in found}


def tick(widget, names) -> None:
    for name, item in items(widget).items():
        state = Qt.CheckState.Checked if name in names else Qt.CheckState.Unchecked
        item.setCheckState(state)


def compare(widget, qtbot) -> None:
    widget.measure_button.native.click()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


def test_a_recording_with_a_sharper_layer_is_chosen_at_first(widget, layers):
    assert widget.chosen.recording.value is layers[0]
    assert widget.chosen.reference.value is layers[1]
    assert "cells [bone-x2]" not in [one.name for one in widget.recording.choices]


def test_what_the_user_chose_stays_when_layers_come(widget, viewer, layers):
    widget.recording.value = layers[3]
    assert widget.reference.value == "none"

    viewer.add_image(counts(20, 20), name="newer")
    widget.reset_choices()

    assert widget.chosen.recording.value is layers[3]


def test_of_another_factor_there_are_other_models_and_no_reference(widget):
    assert "general-x2, dial 0" in items(widget)

    widget.factor.value = 4

    assert "general-x2, dial 0" not in items(widget)
    assert "general-x4, dial 1" in items(widget)
    assert widget.reference.value == "none"
    ticked = [name for name, _ in widget.chosen.named]
    assert set(METHODS) <= set(ticked)  # as the user left them
    assert "wiener" not in ticked


def test_figures_and_pictures_are_those_of_the_command_line(widget, layers, qtbot):
    compare(widget, qtbot)

    low, truth = (Stack.from_array(layer.data) for layer in layers[:2])
    upscalers = load_methods([(name, {}) for name in METHODS])
    expected = drain(compare_side_by_side(low, upscalers, truth)).comparison
    table = widget.table
    shown = {
        table.item(i, 0).text(): table.item(i, 1).text()
        for i in range(table.rowCount())
    }
    assert shown == {name: f"{one.psnr:.2f}" for name, one in expected.figures.items()}
    names = [view.accessibleName() for view in widget.grid.views]
    assert names == ["recording", "bicubic", *METHODS, "reference"]
    assert all(view.is_filled for view in widget.grid.views)


def test_pictures_are_as_bright_as_on_the_canvas(widget, layers, qtbot):
    layers[0].contrast_limits = (20_000, 50_000)

    compare(widget, qtbot)

    picture = widget.grid.views[0]._image
    recorded = layers[0].data[0].astype(float)
    grey = np.clip((recorded - 20_000) / 30_000, 0, 1) * 255
    for y, x in ((0, 0), (5, 7), (39, 47)):
        assert picture.pixelColor(x, y).red() == pytest.approx(grey[y, x], abs=1)


def test_while_it_compares_a_bar_shows_how_far_it_is(
    widget, layers, qtbot, monkeypatch
):
    seen = set()
    step = widget._show_step

    def watch(come):
        step(come)
        assert not widget.bar.isHidden()
        seen.add((widget.bar.value(), widget.bar.maximum()))

    monkeypatch.setattr(Compare, "_show_step", lambda _, come: watch(come))
    assert widget.bar.isHidden()

    compare(widget, qtbot)

    n_results = 2 * (1 + len(METHODS))  # of two planes
    assert seen == {(n + 1, n_results) for n in range(n_results)}
    assert widget.bar.isHidden()


def test_without_a_reference_nothing_is_called_best(widget, layers, qtbot):
    widget.reference.value = "none"

    compare(widget, qtbot)

    assert "no metric here ranks the results" in widget.basis.value
    widget.reference.value = layers[1]
    compare(widget, qtbot)
    assert "ranks" not in widget.basis.value


def test_the_sheet_enlarges_what_is_in_sight(widget, qtbot, tmp_path, monkeypatch):
    compare(widget, qtbot)
    part = (slice(10, 22), slice(30, 42))
    widget.grid.look_at(part, 40, 48)
    rows, columns = widget.grid.part_shown(40, 48)
    assert (rows.start, rows.stop) == pytest.approx((10, 22), abs=1)
    assert (columns.start, columns.stop) == pytest.approx((30, 42), abs=2)
    path = tmp_path / "sheet.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))

    widget.save_button.native.click()

    assert path.read_bytes().startswith(b"\x89PNG")
    with path.with_suffix(".csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["figure", "bicubic", *METHODS]
    widget.copy_button.native.click()
    assert "edge-prior" in QApplication.clipboard().text()


@pytest.mark.parametrize("zoom", [1.0, 3.7, 16.0])
@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
def test_what_is_in_sight_is_inside_the_recording(widget, zoom, place):
    widget.grid.lens.look(zoom, place, place)

    for part, side in zip(widget.grid.part_shown(7, 1000), (7, 1000), strict=True):
        assert 0 <= part.start < part.stop <= side


def test_a_refusal_leaves_the_comparison_before_and_says_so(
    viewer, widget, qtbot, notified
):
    compare(widget, qtbot)
    widget.reference.value = viewer.layers["elsewhere"]

    compare(widget, qtbot)

    assert "reference elsewhere has the shape" in notified[-1]
    assert widget.grid.views
    assert widget.save_button.enabled
    assert widget.basis.value.startswith("Failed. The previous results are shown: ")


def test_without_methods_nothing_can_be_compared(widget):
    tick(widget, ())

    assert not widget.measure_button.enabled
    assert "tick" in widget.basis.value


def test_a_picture_becomes_a_layer_where_its_pixels_lie(viewer, widget, layers, qtbot):
    compare(widget, qtbot)
    views = {view.accessibleName(): view for view in widget.grid.views}
    widget.native.show()
    n_layers = len(viewer.layers)

    for name in ("recording", "lanczos"):
        qtbot.mouseDClick(views[name], Qt.MouseButton.LeftButton)

    recorded, result = viewer.layers[n_layers:]
    assert [recorded.name, result.name] == ["cells [recording]", "cells [lanczos]"]
    np.testing.assert_array_equal(recorded.data[0], layers[0].data[0])
    assert result.data.shape == (1, 80, 96)
    for corner in (-0.5, 39.5):
        seen = recorded.data_to_world((0, corner, corner))
        fine = 2 * corner + 0.5
        np.testing.assert_allclose(result.data_to_world((0, fine, fine)), seen)
        np.testing.assert_allclose(layers[0].data_to_world((0, corner, corner)), seen)


def test_a_ticked_model_that_is_gone_is_shown_as_missing(viewer, qtbot, tiny_card):
    viewer.add_image(counts(40, 48), name="cells")
    widget = Compare(viewer)
    qtbot.addWidget(widget.native)
    tick(widget, ["tiny"])
    (model_folder() / "tiny.safetensors").unlink()

    widget.reset_choices()
    assert items(widget)["tiny (missing)"].checkState() == Qt.CheckState.Checked
    tick(widget, ["lanczos"])
    widget.reset_choices()

    assert "tiny (missing)" not in items(widget)

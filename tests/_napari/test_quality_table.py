"""The widget: figures of a result, with a reference or without one."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtWidgets import QApplication, QFileDialog

from napari_sr._napari.layers.geometry import upscaled_placement
from napari_sr._napari.quality.map_layers import PAUSE_MS, MapLayers
from napari_sr._napari.quality.widget import QualityTable
from napari_sr.evaluation.comparison import compare
from napari_sr.image.stack import Stack
from napari_sr.metrics.descriptions import FIGURES
from napari_sr.trust.assessment import Map, Place

WAIT = 60_000
"""Milliseconds within which the figures must come."""


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
    """A recording, its truth, another picture, and a result."""
    recording = viewer.add_image(counts(2, 40, 48), name="cells", scale=(2, 0.5, 0.5))
    place = upscaled_placement(recording, 2)
    truth = viewer.add_image(counts(2, 80, 96), name="cells (truth)", **place)
    viewer.add_image(counts(2, 30, 24), name="elsewhere", translate=(0, 99, 99))
    result = viewer.add_image(
        counts(2, 80, 96),
        name="cells [bone-x2]",
        metadata={"napari_sr": {"plan": {"model": "bone-x2", "factor": 2}}},
        **place,
    )
    return recording, truth, result


@pytest.fixture
def widget(viewer, qtbot):
    widget = QualityTable(viewer)
    qtbot.addWidget(widget.native)
    viewer.layers.events.inserted.connect(widget.reset_choices)
    viewer.layers.events.removed.connect(widget.reset_choices)
    yield widget
    widget._background.leave()
    widget.maps.leave()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


def measured(widget, qtbot) -> list[list[str]]:
    """Measure and give what the table shows."""
    widget.measure_button.native.click()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)
    table = widget.table
    return [
        [table.item(i, j).text() for j in range(table.columnCount())]
        for i in range(table.rowCount())
    ]


def test_what_belongs_together_is_chosen_at_first(widget, layers):
    boxes = (widget.chosen.recording, widget.chosen.reference, widget.chosen.result)

    assert tuple(box.value for box in boxes) == layers


def test_a_newer_result_is_chosen_unless_the_user_chose(viewer, widget, layers):
    said = layers[2].metadata
    newer = viewer.add_image(counts(2, 80, 96), name="newer", metadata=said)
    assert widget.chosen.result.value is newer

    widget.result.value = layers[2]
    viewer.add_image(counts(2, 80, 96), name="newest", metadata=said)
    assert widget.chosen.result.value is layers[2]

    viewer.layers.remove(layers[2])
    assert widget.chosen.result.value.name == "newest"


def test_with_a_reference_every_figure_is_shown_and_explained(widget, layers, qtbot):
    shown = measured(widget, qtbot)

    recording, truth, result = (Stack.from_array(one.data) for one in layers)
    expected = drain(compare(result, recording, truth))
    assert shown == expected.rows()
    assert [row[0] for row in shown] == [figure.title for figure in FIGURES.values()]
    table = widget.table
    tips = [table.item(i, 0).toolTip() for i in range(table.rowCount())]
    assert tips == [figure.meaning for figure in FIGURES.values()]
    assert "Data range" in widget.basis.value
    titles = [table.horizontalHeaderItem(j).text() for j in range(3)]
    assert titles == ["", "result", "bicubic"]


def test_without_a_reference_only_what_needs_none_is_shown(widget, layers, qtbot):
    widget.reference.value = "none"

    shown = measured(widget, qtbot)

    titles = [row[0] for row in shown]
    assert titles == ["agreement/dB", "shift of the mean", "lattice"]


def test_the_table_can_be_copied_and_saved(
    widget, layers, qtbot, tmp_path, monkeypatch
):
    widget.reference.value = "none"
    shown = measured(widget, qtbot)
    path = tmp_path / "quality.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))

    widget.copy_button.native.click()
    widget.save_button.native.click()

    lines = QApplication.clipboard().text().splitlines()
    assert lines[2:5] == ["| " + " | ".join(row) + " |" for row in shown]
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["figure", "result", "bicubic"]
    assert f"{float(table[1][1]):.2f}" == shown[0][1]


def test_what_does_not_fit_is_told_in_a_sentence(
    viewer, widget, layers, qtbot, notified
):
    widget.recording.value = viewer.layers["elsewhere"]

    assert measured(widget, qtbot) == []

    assert len(notified) == 1
    assert "is not a result of" in notified[0]
    assert widget.basis.value == "Failed"
    assert not widget.copy_button.enabled


def test_a_layer_is_not_compared_with_itself(viewer, widget):
    viewer.add_image(counts(80, 80), name="only")

    assert not widget.measure_button.enabled
    assert "Choose a result" in widget.basis.value


def test_a_stopped_measurement_shows_nothing(widget, layers, qtbot):
    widget.measure_button.native.click()
    widget.stop_button.native.click()

    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)

    assert widget.basis.value == "Stopped"
    assert widget.table.rowCount() == 0
    assert widget.measure_button.enabled


# ── maps and reports ────────────────────────────────────────────────────────────────


def test_maps_become_layers_where_their_pixels_lie(viewer, widget, layers, qtbot):
    recording, truth, result = layers
    recording.translate, recording.rotate = (5, 1, 2), 15
    place = upscaled_placement(recording, 2)
    for layer in (truth, result):
        layer.translate, layer.rotate = place["translate"], place["rotate"]
    widget.reset_choices()
    viewer.dims.set_point(0, recording.data_to_world((1, 0, 0))[0])
    measured(widget, qtbot)
    before = len(viewer.layers)

    widget.maps_button.native.click()

    assert widget.chosen.result.value is result, "a map is no result"
    assert widget.chosen.recording.value is recording
    assert widget.chosen.reference.value is truth
    added = {layer.metadata["napari_sr"]["map"]: layer
             for layer in viewer.layers[before:]}  # fmt: skip
    assert list(added) == ["out_of_band", "disagreement", "error"]
    assert [layer.visible for layer in added.values()] == [False, True, False]
    # the plane in view is the second one
    for name, other in (("disagreement", recording), ("error", truth)):
        for corner in ((0, 0, 0), (0, *np.array(added[name].data.shape[-2:]) - 1)):
            index = (corner[0] + 1, *corner[1:])
            np.testing.assert_allclose(
                added[name].data_to_world(corner), other.data_to_world(index), atol=1e-9
            )
    error = result.data[1].astype(float) - truth.data[1]
    np.testing.assert_allclose(added["error"].data[0], error)
    said = added["error"].metadata["napari_sr"]
    assert said["notice"] == "computed, not measured; not for diagnosis"


def test_a_map_of_a_part_lies_where_the_part_does(viewer, widget, layers, qtbot):
    recording, _, _ = layers
    measured(widget, qtbot)
    part = Map("sure", "", "counts", counts(8, 6), kind="amount", corner=(3, 5))
    found = replace(widget._found, maps={"interval": part})
    place = Place((1,), 0, 0)

    maps = MapLayers(viewer, lambda _: None)
    maps.show(recording, replace(found, place=place), widget._about[1])
    maps.leave()

    added = viewer.layers[-1]
    place = upscaled_placement(recording, 2, (1, 3, 5))
    np.testing.assert_allclose(added.translate, place["translate"])
    assert added.contrast_limits[0] == 0


def test_the_plane_in_view_is_the_one_that_is_measured_and_mapped(
    viewer, widget, layers, qtbot
):
    recording, truth, result = layers
    viewer.dims.set_point(0, 0)
    measured(widget, qtbot)

    widget.maps_button.native.click()
    error = viewer.layers[-1]
    assert error.name.startswith("error")

    def is_error_of(plane: int) -> bool:
        expected = result.data[plane].astype(float) - truth.data[plane]
        at = error.data_to_world((0, 0, 0))[0]
        is_there = at == recording.data_to_world((plane, 0, 0))[0]
        return is_there and np.allclose(error.data[0], expected)

    assert is_error_of(0)
    viewer.dims.set_point(0, 2)
    qtbot.waitUntil(lambda: is_error_of(1), timeout=WAIT)
    viewer.dims.set_point(0, 0)
    qtbot.waitUntil(lambda: is_error_of(0), timeout=WAIT)
    assert "Mapping" not in widget.basis.value

    for layer in viewer.layers[4:]:
        viewer.layers.remove(layer)
    viewer.dims.set_point(0, 2)
    qtbot.wait(2 * PAUSE_MS)
    assert not widget.maps.is_busy, "nobody looks at maps any more"
    assert list(viewer.layers[:4]) == list(viewer.layers)


def test_a_report_is_written(widget, layers, qtbot, tmp_path, monkeypatch, notified):
    assert not widget.report_button.enabled
    measured(widget, qtbot)
    path = tmp_path / "report.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))

    widget.report_button.native.click()

    assert "chi_square" in path.read_text()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("a.pdf", ""))
    widget.report_button.native.click()
    assert ".html or .json" in notified[-1]

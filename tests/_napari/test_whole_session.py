"""Whole sessions in a real window, by clicks and keys alone."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from hands import (
    answer_open_dialog,
    answer_save_dialog,
    choose,
    choose_in_menu,
    click,
    key,
    type_over,
)
from napari.settings import get_settings
from places import assert_same_place
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

import napari_sr
from napari_sr._napari.fine_tune.widget import FineTune
from napari_sr._napari.super_resolve import run as running
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.interactive.in_memory import run

WAIT = 180_000
"""Milliseconds within which what was asked for must have come."""
TIMES = [pytest.param("0.1"), pytest.param("2", marks=pytest.mark.slow)]
"""Minutes to train."""
SAMPLE = "Filaments"
FORMATS = {".ome.tif": "OME-TIFF", ".ome.zarr": "OME-Zarr"}


@pytest.fixture
def viewer(shown_viewer):
    return shown_viewer


@pytest.fixture
def gate(monkeypatch):
    """Let the first run do one plane, and then wait until the gate is open."""
    gate = Event()

    def gated(*args):
        steps = run(*args)
        planes = 0
        for result, step in steps:
            planes += step.plane is not None
            yield result, step
            if planes == 1 and not gate.wait(WAIT / 1000):
                raise TimeoutError("nobody opened the gate")
        return result

    monkeypatch.setattr(running, "run", gated)
    yield gate
    gate.set()


def open_widget(viewer, qtbot, title, kind):
    """Open a widget from the Layers menu."""
    choose_in_menu(viewer.window.layers_menu, "Filter", title)
    docked = viewer.window.dock_widgets.values()
    (widget,) = (one for one in docked if isinstance(one, kind))
    qtbot.waitUntil(widget.native.isVisible, timeout=WAIT)
    return widget


def open_sample(viewer) -> None:
    choose_in_menu(viewer.window.file_menu, "Open Sample", "Super-resolution", SAMPLE)
    viewer.layers.selection.active = viewer.layers[0]


def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def wait_for_end(widget, qtbot) -> None:
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)


# ── super-resolve ───────────────────────────────────────────────────────────────────


def test_from_a_sample_to_a_saved_result(
    viewer, qtbot, tiny_card, gate, tmp_path, monkeypatch, notified
):
    open_sample(viewer)
    source, truth = viewer.layers
    widget = open_widget(viewer, qtbot, "Super-resolve", SuperResolve)
    choose(widget.model.native, "tiny")
    expected = napari_sr.upscale(np.asarray(source.data), "tiny", device="cpu")

    look_at_preview(viewer, widget, qtbot)
    result = run_stop_and_run_the_rest(viewer, widget, qtbot, gate)

    np.testing.assert_array_equal(result.data, expected)
    assert_same_place(result, source)
    assert_same_place(result, truth)
    np.testing.assert_allclose(result.scale[-2:], np.divide(source.scale[-2:], 2))
    viewer.layers.selection.active = result
    for suffix, kind in FORMATS.items():
        again = save_and_reopen(viewer, monkeypatch, tmp_path / f"a{suffix}", kind)
        np.testing.assert_array_equal(again.data, expected)
        np.testing.assert_allclose(again.scale, result.scale, rtol=1e-12)
        assert_same_place(again, source)
        viewer.layers.selection.active = result
    assert not notified, "all of this place can be held by the files"


def test_three_clicks_from_the_menu_to_a_preview(viewer, qtbot):
    menu = viewer.window.layers_menu
    (filters,) = (one.menu() for one in menu.actions() if one.text() == "Filter")
    assert filters.actions()[0].text().startswith("Get started")
    choose_in_menu(menu, "Filter", "Get started")

    docked = viewer.window.dock_widgets.values()
    (widget,) = (one for one in docked if isinstance(one, SuperResolve))
    assert widget.layer.value.name == "filaments"
    assert widget.layer.value.data.dtype == np.uint16
    qtbot.waitUntil(lambda: widget._preview.layer is not None, timeout=WAIT)
    assert widget._preview.layer.visible
    assert "move the dial (Faithful … textured)" in widget.next_step.value
    click(widget.preview_button.native)


def look_at_preview(viewer, widget, qtbot) -> None:
    """Preview, and hold the key that shows the recording."""
    click(widget.preview_button.native)
    qtbot.waitUntil(lambda: widget._preview.layer is not None, timeout=WAIT)
    after = widget._preview.layer.data.copy()
    before = after[:, ::2, ::2].repeat(2, 1).repeat(2, 2)
    assert not np.array_equal(after, before)

    canvas(viewer).setFocus()
    QTest.keyPress(canvas(viewer), Qt.Key.Key_B)
    held = widget._preview.layer.data
    np.testing.assert_array_equal(held, held[:, ::2, ::2].repeat(2, 1).repeat(2, 2))

    QTest.keyRelease(canvas(viewer), Qt.Key.Key_B)
    np.testing.assert_array_equal(widget._preview.layer.data, after)


def run_stop_and_run_the_rest(viewer, widget, qtbot, gate):
    """Stop after two of five planes, then complete them; give the layer."""
    click(widget.run_button.native)
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=WAIT)
    assert not viewer.layers[-2].visible, "the preview has made room"
    click(widget.stop_button.native)
    gate.set()
    wait_for_end(widget, qtbot)

    layer = viewer.layers[-1]
    done = layer.metadata["napari_sr"]["partial"]["planes_done"]
    assert 1 <= len(done) < 5
    assert layer.name.endswith(f"({len(done)} of 5 planes)")
    kept = {tuple(index): layer.data[tuple(index)].copy() for index in done}

    assert widget.run_button.text == "Run the rest"
    click(widget.run_button.native)
    wait_for_end(widget, qtbot)

    assert viewer.layers[-1] == layer
    assert len(viewer.layers) == 4
    assert "partial" not in layer.metadata["napari_sr"]
    for index, plane in kept.items():
        np.testing.assert_array_equal(layer.data[index], plane)
    return layer


def save_and_reopen(viewer, monkeypatch, path, kind):
    """Save the chosen layer through napari's menu, and open the file again."""
    answer_save_dialog(monkeypatch, path, kind)
    choose_in_menu(viewer.window.file_menu, "Save Selected Layer")
    assert path.exists()
    n_layers = len(viewer.layers)
    folder = "/" if path.is_dir() else ""
    ours = {f"*{''.join(path.suffixes)}{folder}": "napari-sr"}
    get_settings().plugins.extension2reader = ours  # as the dialog of readers keeps it
    answer_open_dialog(monkeypatch, path)
    entry = "Open Folder" if path.is_dir() else "Open File(s)..."
    choose_in_menu(viewer.window.file_menu, entry)
    assert len(viewer.layers) == n_layers + 1
    return viewer.layers[-1]


# ── fine-tune ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("minutes", TIMES)
def test_from_sharp_layers_to_a_model_in_use(
    viewer, qtbot, tiny_card, notified, minutes
):
    random = np.random.default_rng(0)
    for number in range(3):
        pixels = random.integers(0, 60_000, (64, 64)).astype(np.uint16)
        viewer.add_image(pixels, name=f"sharp {number}", scale=(0.5, 0.2))
    source = viewer.layers[0]
    user = open_widget(viewer, qtbot, "Super-resolve", SuperResolve)
    widget = open_widget(viewer, qtbot, "Fine-tune", FineTune)

    for layer in viewer.layers:
        learn_from(widget, layer, qtbot)
    choose(widget.form.base.native, "tiny")
    type_over(widget.form.minutes.native.lineEdit(), minutes)
    type_over(widget.form.model_name.native, "mine")
    click(widget.start_button.native)
    budget = round(60_000 * float(minutes))
    qtbot.waitUntil(lambda: widget.save_bar.native.isVisible(), timeout=budget + WAIT)
    assert widget.verdict.value
    click(widget.save_button.native)
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)

    user.native.parentWidget().raise_()
    qtbot.waitUntil(user.native.isVisible, timeout=WAIT)
    choose(user.layer.native, source.name)
    choose(user.model.native, "mine")
    click(user.run_button.native)
    wait_for_end(user, qtbot)

    result = viewer.layers[-1]
    assert result.name == f"{source.name} [mine]"
    expected = napari_sr.upscale(np.asarray(source.data), "mine", device="cpu")
    np.testing.assert_array_equal(result.data, expected)
    assert_same_place(result, source)
    assert not notified


def learn_from(widget, layer, qtbot) -> None:
    """Tick a layer in the list with the space bar."""
    images = widget.examples.images._list
    (row,) = (i for i in range(images.count()) if images.item(i).text() == layer.name)
    images.setFocus()
    images.setCurrentRow(row)
    key(images, Qt.Key.Key_Space)
    qtbot.waitUntil(widget.start_button.native.isEnabled, timeout=WAIT)

"""Which layer is chosen when the user has not said: a recording, never a result."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt

from napari_sr._napari.layers.samples import open_phantom
from napari_sr._napari.super_resolve import run as running
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.interactive.in_memory import run
from napari_sr.interactive.roles import guess_source

WAIT = 30_000
RESULT = {"napari_sr": {"model": "bicubic", "factor": 2}}


@pytest.fixture
def open_widget(viewer, qtbot):
    """Open the widget as a viewer does."""
    widgets = []

    def open_it() -> SuperResolve:
        widget = SuperResolve(viewer)
        qtbot.addWidget(widget.native)
        viewer.layers.events.inserted.connect(widget.reset_choices)
        viewer.layers.events.removed.connect(widget.reset_choices)
        widgets.append(widget)
        return widget

    yield open_it
    for widget in widgets:
        widget._running.leave()


def add(viewer, name, *, side=16, n_planes=3, **keywords):
    pixels = np.random.default_rng(0).integers(0, 999, (n_planes, side, side))
    scale = (1, 16 / side, 16 / side)
    middle = (0, (16 / side - 1) / 2, (16 / side - 1) / 2)
    return viewer.add_image(
        pixels.astype(np.uint16), name=name, scale=scale, translate=middle, **keywords
    )


def test_of_a_sample_the_recording_is_chosen(viewer, open_widget):
    for pixels, keywords, _ in open_phantom("surface"):
        viewer.add_image(pixels, **keywords)
    assert viewer.layers.selection.active.name == "surface (truth)"

    assert open_widget().layer.value.name == "surface"


def test_a_sample_opened_afterwards_is_taken_as_well(viewer, open_widget):
    widget = open_widget()
    assert widget.layer.value is None

    add(viewer, "truth", side=32)
    add(viewer, "bone")

    assert widget.layer.value.name == "bone"


def test_what_the_user_chose_stays(viewer, open_widget, qtbot):
    widget = open_widget()
    add(viewer, "truth", side=32)
    box = widget.layer.native
    widget.native.show()
    box.showPopup()
    qtbot.keyClick(box.view(), Qt.Key.Key_Return)

    add(viewer, "bone")

    assert widget.layer.value.name == "truth"


def test_a_result_is_never_chosen_unasked(viewer, open_widget):
    add(viewer, "bone [bicubic]", metadata=RESULT)
    widget = open_widget()

    assert widget.layer.value is None
    assert not widget.run_button.enabled

    bone = add(viewer, "bone", side=8)
    assert widget.layer.value is bone


def test_opened_again_after_a_run_it_chooses_the_recording(viewer, open_widget, qtbot):
    add(viewer, "bone")
    widget = open_widget()
    widget.model.value, widget.factor.value = "bicubic", 2
    qtbot.mouseClick(widget.run_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    viewer.layers.selection.active = viewer.layers["bone [bicubic]"]

    assert open_widget().layer.value.name == "bone"


def test_a_recording_removed_in_the_middle_of_its_run_leaves_nothing_to_run(
    viewer, open_widget, qtbot, monkeypatch
):
    gate = Event()

    def gated(*args):
        steps = run(*args)
        yield next(steps)
        gate.wait(WAIT / 1000)
        return (yield from steps)

    monkeypatch.setattr(running, "run", gated)
    bone = add(viewer, "bone")
    widget = open_widget()
    widget.model.value, widget.factor.value = "bicubic", 2
    qtbot.mouseClick(widget.run_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)

    viewer.layers.remove(bone)
    gate.set()
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)

    assert widget.layer.value is None
    said = widget.status.value
    assert "the recording was removed" in said
    assert "Run the rest" not in said
    assert widget.run_button.text == "Run"


def test_a_recording_that_is_seen_goes_before_one_that_is_hidden(viewer):
    hidden = add(viewer, "a", visible=False)
    seen = add(viewer, "b")
    preferred = add(viewer, "c")

    assert guess_source(viewer.layers) is seen
    assert guess_source(viewer.layers, preferred) is preferred
    assert guess_source(viewer.layers, hidden) is seen
    assert guess_source([hidden]) is hidden


def test_what_is_opened_after_a_sample_takes_its_place(viewer, open_widget):
    widget = open_widget()
    for pixels, keywords, _ in open_phantom("surface"):
        viewer.add_image(pixels, **keywords)
    sample = viewer.layers["surface"]
    assert widget.layer.value is sample

    bone = add(viewer, "bone")
    assert widget.layer.value is bone
    add(viewer, "leaf")
    assert widget.layer.value is bone, "a recording stays"


def test_a_sample_that_was_chosen_by_hand_stays(viewer, open_widget):
    widget = open_widget()
    for pixels, keywords, _ in open_phantom("surface"):
        viewer.add_image(pixels, **keywords)
    widget.layer.value = viewer.layers["surface"]

    add(viewer, "bone")

    assert widget.layer.value is viewer.layers["surface"]

"""Widgets that come and go leave nothing behind: no object, no thread, no listener."""

from __future__ import annotations

import gc
import threading
import weakref
from functools import partial

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import QThreadPool

WAIT = 60_000
"""Milliseconds within which what was asked for must have come."""
CYCLES = 20
TITLES = ("Super-resolve", "Fine-tune", "Quality", "Batch", "Models")


def choose_bicubic(widget) -> None:
    box = widget._choices.models.box
    box.setCurrentIndex(box.findData("bicubic"))


def listeners(viewer) -> int:
    """Count who listens to the layers and the view of a viewer, and still lives."""
    emitters = (viewer.layers.events, viewer.dims.events, viewer.scene.camera.events)
    return sum(
        not isinstance(heard, tuple) or heard[0]() is not None
        for events in emitters
        for one in events.emitters.values()
        for heard in one.callbacks
    )


def are_gone(alive) -> bool:
    gc.collect()
    return not any(one() for one in alive)


@pytest.mark.slow
def test_twenty_cycles_of_open_run_and_close_leave_nothing(drawing_viewer, qtbot):
    viewer = drawing_viewer
    pixels = np.random.default_rng(0).integers(0, 60_000, (2, 24, 24), np.uint16)
    viewer.add_image(pixels)
    alive, before = [], None
    for _ in range(CYCLES):
        dock, widget = viewer.window.add_plugin_dock_widget(
            "napari-sr", "Super-resolve"
        )
        choose_bicubic(widget)
        widget._actions.run.click()
        qtbot.waitUntil(lambda one=widget: not one._running.is_on, timeout=WAIT)
        assert len(viewer.layers) == 2
        parts = (dock, widget, widget._running, widget._preview, widget._preparer)
        alive += [weakref.ref(part) for part in (*parts, viewer.layers[-1])]
        viewer.layers.pop()
        viewer.window.remove_dock_widget(dock)
        del dock, widget, parts
        if before is None:  # napari itself begins to listen when a layer comes and goes
            qtbot.waitUntil(partial(are_gone, [*alive]), timeout=WAIT)
            before = listeners(viewer)

    qtbot.waitUntil(lambda: are_gone(alive), timeout=WAIT)
    qtbot.waitUntil(
        lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=WAIT
    )
    assert listeners(viewer) == before
    assert not [one for one in threading.enumerate() if "napari_sr" in one.name]


@pytest.mark.parametrize("title", TITLES)
def test_a_widget_that_is_closed_is_gone(drawing_viewer, qtbot, title):
    viewer = drawing_viewer
    viewer.add_image(np.zeros((8, 8), np.uint16))
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", title)
    alive = [weakref.ref(part) for part in (dock, widget)]

    viewer.window.remove_dock_widget(dock)
    del dock, widget

    qtbot.waitUntil(lambda: are_gone(alive), timeout=WAIT)

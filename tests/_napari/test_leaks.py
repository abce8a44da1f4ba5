"""Widgets that come and go leave nothing behind: no object, no thread, no listener."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref
from functools import partial

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

WAIT = 180_000
"""Milliseconds within which what was asked for must have come."""
CYCLES = 20
SETTLED = 5
"""Cycles after which memory is flat."""
SIDE = 256
RESULT_BYTES = 2 * (2 * SIDE) ** 2 * 2
"""Of one result: two planes of 16-bit pixels."""
TITLES = ("Super-resolve", "Fine-tune", "Quality", "Compare", "Batch", "Models")


def choose_bicubic(widget) -> None:
    widget.model.value = "bicubic"


def listeners(viewer) -> int:
    """Count who listens to the layers and the view of a viewer, and still lives."""
    layers = viewer.layers
    emitters = (
        layers.events,
        layers.selection.events,
        viewer.dims.events,
        viewer.scene.camera.events,
    )
    return sum(
        not isinstance(heard, tuple) or heard[0]() is not None
        for events in emitters
        for one in events.emitters.values()
        for heard in one.callbacks
    )


def what_is_held(viewer) -> np.ndarray:
    """Count bytes, widgets and listeners."""
    n_bytes = tracemalloc.get_traced_memory()[0]
    return np.array([n_bytes, len(QApplication.allWidgets()), listeners(viewer)])


def are_gone(alive) -> bool:
    gc.collect()
    return not any(one() for one in alive)


@pytest.fixture
def trace():
    """Begin to count bytes, until the test is over."""
    yield tracemalloc.start
    tracemalloc.stop()


@pytest.mark.slow
def test_twenty_cycles_of_open_run_and_close_leave_nothing(
    drawing_viewer, qtbot, trace
):
    viewer, held = drawing_viewer, []
    pixels = np.random.default_rng(0).integers(0, 60_000, (2, SIDE, SIDE), np.uint16)
    viewer.add_image(pixels)
    for cycle in range(CYCLES):
        parts = open_run_and_close(viewer, qtbot)
        qtbot.waitUntil(partial(are_gone, parts), timeout=WAIT)
        if cycle == 0:  # by then everything is loaded
            trace()
        held.append(what_is_held(viewer))

    n_bytes, n_widgets, n_listeners = held[-1] - held[SETTLED]
    assert n_bytes < RESULT_BYTES, "of fourteen results not one is kept"
    assert max(n_widgets, n_listeners) <= 0
    qtbot.waitUntil(
        lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=WAIT
    )
    assert not [one for one in threading.enumerate() if "napari_sr" in one.name]


def open_run_and_close(viewer, qtbot) -> list[weakref.ref]:
    """Run in a widget of its own, which is closed again; give what must be gone."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")
    choose_bicubic(widget)
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    assert len(viewer.layers) == 2
    parts = (dock, widget, widget._running, widget._preview, widget._preparer)
    alive = [weakref.ref(part) for part in (*parts, viewer.layers[-1])]
    viewer.layers.pop()
    viewer.window.remove_dock_widget(dock)
    return alive


@pytest.mark.parametrize("title", TITLES)
def test_a_widget_that_is_closed_is_gone(drawing_viewer, qtbot, title):
    viewer = drawing_viewer
    viewer.add_image(np.zeros((8, 8), np.uint16))
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", title)
    alive = [weakref.ref(part) for part in (dock, widget)]

    viewer.window.remove_dock_widget(dock)
    del dock, widget

    qtbot.waitUntil(lambda: are_gone(alive), timeout=WAIT)

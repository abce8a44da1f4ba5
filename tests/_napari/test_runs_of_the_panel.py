"""Runs of several channels, of one plane, undone, and closed over."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow, QMessageBox

from napari_sr._napari.super_resolve import run as running
from napari_sr._napari.super_resolve.run import Running
from napari_sr._napari.super_resolve.widget import SuperResolve

WAIT = 30_000


def counts(seed=0, shape=(3, 10, 12)) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 60_000, shape).astype(np.uint16)


@pytest.fixture
def widget(viewer, qtbot):
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    viewer.layers.events.inserted.connect(widget.reset_choices)
    viewer.layers.events.removed.connect(widget.reset_choices)
    widget.model.value = "nearest"
    yield widget
    widget._preview.leave()
    widget._running.leave()


def press(widget, name, qtbot) -> None:
    button = getattr(widget, f"{name}_button").native
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)


def test_all_channels_are_run_with_one_click(viewer, widget, qtbot):
    for seed, colour in enumerate(("green", "magenta", "gray")):
        viewer.add_image(counts(seed), name=f"cells {seed}", colormap=colour)
    viewer.add_image(counts(9, (3, 20, 24)), name="truth", scale=(1, 0.5, 0.5),
                     translate=(0, -0.25, -0.25))  # fmt: skip
    viewer.add_image(counts(9), name="elsewhere", translate=(0, 99, 99))
    assert not widget.channels.native.isHidden()
    n_layers = len(viewer.layers)

    widget.channels.value = True
    press(widget, "run", qtbot)

    results = viewer.layers[n_layers:]
    assert [one.name for one in results] == [f"cells {n} [nearest]" for n in range(3)]
    assert [one.colormap.name for one in results] == ["green", "magenta", "gray"]
    for seed, one in enumerate(results):
        np.testing.assert_array_equal(one.data[:, ::2, ::2], counts(seed))


def test_where_there_is_one_channel_there_is_nothing_to_tick(viewer, widget):
    viewer.add_image(counts())

    assert widget.channels.native.isHidden()


def test_the_plane_in_view_can_be_run_alone_and_the_rest_afterwards(
    viewer, widget, qtbot
):
    viewer.add_image(counts(), name="bone")
    viewer.dims.set_current_step(0, 2)

    widget.planes.value = "the one in view"
    press(widget, "run", qtbot)

    result = viewer.layers[-1]
    assert result.metadata["napari_sr"]["partial"]["planes_done"] == [[2]]
    np.testing.assert_array_equal(result.data[2, ::2, ::2], counts()[2])
    assert not result.data[:2].any()
    widget.planes.value = "all"
    assert widget.run_button.text == "Run the rest"
    press(widget, "run", qtbot)
    np.testing.assert_array_equal(result.data[:, ::2, ::2], counts())


def test_a_run_can_be_undone(viewer, widget, qtbot):
    bone = viewer.add_image(counts(), name="bone")
    assert not widget.undo_button.enabled
    press(widget, "run", qtbot)

    press(widget, "undo", qtbot)

    assert list(viewer.layers) == [bone]
    np.testing.assert_array_equal(bone.data, counts())
    assert "Undone" in widget.status.value
    assert not widget.undo_button.enabled


@pytest.mark.parametrize("seconds", [5, 90])
@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_napari_is_not_closed_over_a_long_run_without_a_question(
    viewer, qtbot, monkeypatch, seconds, answer
):
    asked = []

    def reply(*_):
        asked.append(1)
        return getattr(QMessageBox.StandardButton, answer)

    window, widget = QMainWindow(), SuperResolve(viewer)
    qtbot.addWidget(window)
    window.setCentralWidget(widget.native)
    window.show()
    monkeypatch.setattr(QMessageBox, "question", reply)
    monkeypatch.setattr(Running, "is_on", property(lambda _: True))
    monkeypatch.setattr(running, "monotonic", lambda: widget._running._began + seconds)

    is_closed = window.close()

    is_long = seconds > running.LONG_S
    assert len(asked) == is_long
    assert is_closed is (not is_long or answer == "Yes")
    monkeypatch.setattr(Running, "is_on", property(lambda _: False))

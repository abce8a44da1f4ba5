"""Runs of several channels, of one plane, undone, and closed over."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow, QMessageBox

import napari_sr as sr
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
    assert widget.status.value.startswith("Done: 1 of 3 planes")
    assert widget.run_button.text == "Run"
    press(widget, "run", qtbot)  # it is done already
    assert not result.data[:2].any()
    assert len(viewer.layers) == 2
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


def test_a_channel_can_have_a_model_of_its_own(viewer, widget, qtbot, tiny_card):
    widget.reset_choices()
    for seed, name in enumerate(("DAPI", "FITC", "TRITC")):
        viewer.add_image(counts(seed), name=name)
    widget.factor.value = 2
    assert widget.models.native.isHidden()

    widget.channels.value = True
    assert not widget.models.native.isHidden()
    widget.models.value = {"FITC": "bicubic", "TRITC": tiny_card.name}
    press(widget, "run", qtbot)

    names = ["DAPI [nearest]", "FITC [bicubic]", "TRITC [tiny]"]
    assert [one.name for one in viewer.layers[3:]] == names
    models = ["nearest", sr.load_model("bicubic", factor=2), tiny_card.name]
    models[0] = sr.load_model("nearest", factor=2)
    for seed, (one, model) in enumerate(zip(viewer.layers[3:], models, strict=True)):
        np.testing.assert_array_equal(one.data, sr.upscale(counts(seed), model))

    press(widget, "undo", qtbot)
    assert [one.name for one in viewer.layers] == ["DAPI", "FITC", "TRITC"]
    with pytest.raises(ValueError, match="dapi is none of them"):
        widget.models.value = {"dapi": "bicubic"}


def test_models_of_channels_are_of_one_factor_and_stay_chosen(
    viewer, widget, qtbot, tiny_card
):
    widget.reset_choices()
    for seed, name in enumerate("ab"):
        viewer.add_image(counts(seed), name=name)
    widget.channels.value, widget.factor.value = True, 2
    row = widget.models[1]
    assert tiny_card.name in row.choices
    row.value = tiny_card.name

    viewer.add_image(counts(2), name="c")
    assert widget.models.value == {"b": tiny_card.name}
    assert len(widget.models) == 3

    widget.factor.value = 3  # of which there is no such model
    assert tiny_card.name not in widget.models[1].choices
    assert widget.models.value == {}
    widget.channels.value = False
    assert widget.models.native.isHidden()


def test_a_model_that_is_not_shown_is_not_taken(viewer, widget, qtbot):
    for seed, name in enumerate("ab"):
        viewer.add_image(counts(seed), name=name)
    widget.channels.value = True
    widget.models.value = {widget.layer.value.name: "bicubic"}

    widget.channels.value = False
    press(widget, "run", qtbot)

    assert viewer.layers[-1].name == f"{widget.layer.value.name} [nearest]"


def test_all_selected_layers_are_run_with_one_click(viewer, widget, qtbot):
    for seed, shape in enumerate(((10, 12), (3, 8, 9), (20, 6))):
        viewer.add_image(counts(seed, shape), name=f"field {seed}")
    assert widget.selected.native.isHidden()

    viewer.layers.selection = {viewer.layers[0], viewer.layers[1]}
    assert not widget.selected.native.isHidden()
    widget.selected.value = True
    press(widget, "run", qtbot)

    assert [one.name for one in viewer.layers[3:]] == [
        "field 0 [nearest]", "field 1 [nearest]",
    ]  # fmt: skip
    for seed, one in enumerate(viewer.layers[3:]):
        np.testing.assert_array_equal(one.data[..., ::2, ::2], viewer.layers[seed].data)

    # What is selected now is made, not recorded: it is not run again.
    viewer.layers.selection = set(viewer.layers[3:])
    assert widget.selected.native.isHidden()
    assert widget.choices.layers == [widget.layer.value]

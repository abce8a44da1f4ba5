"""Runs of several channels, of one plane, undone, and closed over."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari.layers import Image
from napari.layers._source import layer_source
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QMainWindow, QMessageBox

import napari_sr as sr
from napari_sr._napari.super_resolve import run as running
from napari_sr._napari.super_resolve.run import Running
from napari_sr._napari.super_resolve.widget import SuperResolve

WAIT = 30_000
TICK = QPoint(8, 8)
"""In a box to tick."""


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
    assert widget.status.value.startswith("Done: bone (1 of 3 planes")
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


def test_what_is_done_names_all_that_were_run(viewer, widget, qtbot):
    for seed, name in enumerate(("DAPI", "GFP")):
        viewer.add_image(counts(seed), name=name)
    widget.channels.value = True

    press(widget, "run", qtbot)

    facts = "(3 × 20 × 24 px)"
    assert widget.status.value == f"Done: DAPI {facts}; GFP {facts}."


def test_runs_are_undone_one_by_one_the_newest_first(viewer, widget, qtbot):
    bone = viewer.add_image(counts(), name="bone")
    for name in ("DAPI", "GFP"):
        viewer.add_image(counts(shape=(8, 9)), name=name)
    press(widget, "run", qtbot)
    widget.layer.value, widget.channels.value = viewer.layers["DAPI"], True
    press(widget, "run", qtbot)
    widget.layer.value, widget.model.value = bone, "bicubic"
    press(widget, "run", qtbot)
    first, *channels, last = viewer.layers[3:]
    assert len(channels) == 2

    press(widget, "undo", qtbot)
    assert last not in viewer.layers
    assert widget.status.value == "Undone, and removed: bone [bicubic]."
    press(widget, "undo", qtbot)
    assert list(viewer.layers[3:]) == [first]
    assert "DAPI [nearest], GFP [nearest]" in widget.status.value
    press(widget, "undo", qtbot)
    assert len(viewer.layers) == 3
    assert not widget.undo_button.enabled


def test_results_that_would_add_up_are_hidden_until_the_newest_is_undone(
    viewer, widget, qtbot
):
    viewer.add_image(counts(), name="DAPI", blending="additive")
    press(widget, "run", qtbot)
    first = viewer.layers[-1]
    widget.model.value = "bicubic"
    press(widget, "run", qtbot)

    assert [one.visible for one in viewer.layers] == [False, False, True]
    press(widget, "undo", qtbot)
    assert first.visible


def test_the_next_step_is_that_of_the_recording_which_is_chosen(viewer, widget, qtbot):
    viewer.add_image(counts(), name="bone")
    press(widget, "run", qtbot)
    assert widget.next_step.value.startswith("Next: Save result")
    assert widget.status.value.startswith("Done: bone (")

    widget.layer.value = viewer.add_image(counts(shape=(8, 9)), name="cells")

    assert widget.next_step.value.startswith("Next: press Preview")


def test_a_run_whose_result_was_removed_is_no_run_to_undo(viewer, widget, qtbot):
    viewer.add_image(counts(), name="bone")
    press(widget, "run", qtbot)
    widget.model.value = "bicubic"
    press(widget, "run", qtbot)
    viewer.layers.remove("bone [bicubic]")

    press(widget, "undo", qtbot)

    assert [layer.name for layer in viewer.layers] == ["bone"]


def test_of_several_channels_the_rest_is_what_is_missing(
    viewer, widget, qtbot, monkeypatch
):
    gate, run = Event(), running.run

    def gated(request, *rest):
        steps = run(request, *rest)
        yield next(steps)
        if request.stack.name == "GFP":
            gate.wait(WAIT / 1000)
        return (yield from steps)

    monkeypatch.setattr(running, "run", gated)
    for seed, name in enumerate(("DAPI", "GFP", "Cy5")):
        viewer.add_image(counts(seed), name=name)
    widget.channels.value = True
    widget.run()
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=WAIT)
    assert widget.status.value.startswith("GFP (2 of 3): Plane")
    widget.stop()
    gate.set()
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)

    said = widget.status.value
    assert said.startswith("Done: DAPI (3 × 20 × 24 px). GFP (2 of 3): Stopped with")
    assert said.endswith("done; Run the rest computes the others and Cy5.")
    assert widget.run_button.text == "Run the rest"
    assert widget.run_button.tooltip == "Compute what is missing of GFP, Cy5."
    press(widget, "run", qtbot)

    names = ["DAPI [nearest]", "GFP [nearest]", "Cy5 [nearest]"]
    assert [layer.name for layer in viewer.layers[3:]] == names
    for seed, layer in enumerate(viewer.layers[3:]):
        np.testing.assert_array_equal(layer.data[:, ::2, ::2], counts(seed))
    assert all(name in widget.status.value for name in ("DAPI", "GFP", "Cy5"))
    assert widget.run_button.text == "Run"
    press(widget, "undo", qtbot)
    assert len(viewer.layers) == 3


def add_channels(viewer, recording="cells"):
    """Add what the reader makes of a file of several channels."""
    names = [f"{recording} [{channel}]" for channel in ("DAPI", "GFP")]
    with layer_source(path=f"{recording}.ome.tif", reader_plugin="napari-sr"):
        made = [Image(counts(seed), name=name) for seed, name in enumerate(names)]
    return [viewer.add_layer(layer) for layer in made]


def test_a_recording_that_was_split_into_channels_is_run_whole(viewer, widget, qtbot):
    add_channels(viewer)
    viewer.add_image(counts(7), name="another of the same grid")

    assert widget.channels.value
    assert widget.channels.text == "All 2 channels"
    assert "Run for 2 layers: DAPI, GFP (untick All channels" in next_step(widget)
    press(widget, "run", qtbot)

    names = ["cells [DAPI] [nearest]", "cells [GFP] [nearest]"]
    assert [layer.name for layer in viewer.layers[3:]] == names
    assert "Save result" in next_step(widget)


def test_one_click_takes_one_channel_alone_until_another_recording_comes(
    viewer, widget, qtbot
):
    _, gfp = add_channels(viewer)
    widget.native.show()
    qtbot.mouseClick(widget.channels.native, Qt.MouseButton.LeftButton, pos=TICK)
    assert not widget.channels.value

    widget.layer.value = gfp
    assert not widget.channels.value
    press(widget, "run", qtbot)
    assert [layer.name for layer in viewer.layers[2:]] == ["cells [GFP] [nearest]"]

    (first, _) = add_channels(viewer, recording="more")
    widget.layer.value = first
    assert widget.channels.value
    assert [layer.name for layer in widget.choices.layers] == [
        "more [DAPI]", "more [GFP]",
    ]  # fmt: skip


def test_channels_are_run_in_the_order_of_their_file(viewer, widget):
    dapi, gfp = add_channels(viewer)

    widget.layer.value = gfp

    assert widget.choices.layers == [dapi, gfp]


def test_layers_that_merely_lie_over_each_other_are_not_run_together(viewer, widget):
    for seed in range(2):
        viewer.add_image(counts(seed), name=f"field {seed}")

    assert not widget.channels.native.isHidden()
    assert not widget.channels.value


def test_the_next_step_is_said_from_an_empty_viewer_to_a_saved_result(
    viewer, widget, qtbot
):
    assert "Get started" in next_step(widget)
    viewer.add_image(counts(), name="bone")
    assert next_step(widget).startswith("Next: press Preview")

    qtbot.mouseClick(widget.preview_button.native, Qt.MouseButton.LeftButton)
    assert next_step(widget) == "Next: zoom, pan, then press Run."
    press(widget, "run", qtbot)

    assert next_step(widget).startswith("Next: Save result …")


def next_step(widget) -> str:
    return widget.next_step.value

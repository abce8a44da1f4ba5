"""What the user has chosen stays, whatever comes into the viewer or goes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDoubleSpinBox, QSlider

from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.catalogue.lookup import model_folder

WAIT = 60_000


def counts(seed=0, shape=(3, 16, 20)) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 60_000, shape).astype(np.uint16)


@pytest.fixture
def widget(viewer, qtbot):
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    viewer.layers.events.inserted.connect(widget.reset_choices)
    viewer.layers.events.removed.connect(widget.reset_choices)
    widget.native.show()
    yield widget
    widget._preview.leave()
    widget._looking.leave()
    widget._running.leave()


def click(widget, name, qtbot) -> None:
    button = getattr(widget, f"{name}_button").native
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_for_end(widget, qtbot) -> None:
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)


def test_the_dial_stays_while_layers_come_and_run_does_the_rest(
    viewer, widget, qtbot, gate
):
    viewer.add_image(counts(), name="bone")
    widget.model.value = "general-x2"
    assert widget.dial.value != pytest.approx(0.2)
    widget.dial.value = 0.2

    viewer.add_points([], ndim=3)
    assert widget.dial.value == pytest.approx(0.2)
    click(widget, "preview", qtbot)
    qtbot.waitUntil(lambda: widget._preview.layer is not None, timeout=WAIT)
    assert widget.dial.value == pytest.approx(0.2)
    click(widget, "run", qtbot)
    named = "bone [general-x2]"
    qtbot.waitUntil(lambda: named in viewer.layers, timeout=WAIT)
    result = viewer.layers[named]
    click(widget, "stop", qtbot)
    gate.set()
    wait_for_end(widget, qtbot)

    assert widget.dial.value == pytest.approx(0.2)
    done = result.metadata["napari_sr"]["partial"]["planes_done"]
    assert 0 < len(done) < 3
    assert widget.run_button.text == "Run the rest"
    assert widget.next_step.value.startswith("Next: Run the rest computes what is")
    first = {index: result.data[index].copy() for (index,) in done}
    n_layers = len(viewer.layers)
    click(widget, "run", qtbot)
    wait_for_end(widget, qtbot)
    assert len(viewer.layers) == n_layers, "the same result is completed"
    assert "partial" not in result.metadata["napari_sr"]
    assert widget.next_step.value.startswith("Next: Save result …")
    assert result.metadata["napari_sr"]["plan"]["dial"] == pytest.approx(0.2)
    for index, plane in first.items():
        np.testing.assert_array_equal(result.data[index], plane)
    assert all(plane.any() for plane in result.data)


def test_the_model_and_the_noise_of_a_channel_stay(viewer, widget, tiny_card):
    widget.reset_choices()
    for seed, name in enumerate(("DAPI", "GFP")):
        viewer.add_image(counts(seed), name=name)
    widget.channels.value = True
    widget.model.value = "tiny"
    widget.models.value = {"GFP": "bicubic"}
    widget.noise.kind.value = "none"
    heard: list[object] = []
    widget.model.changed.connect(heard.append)

    viewer.add_points([], ndim=3)

    assert widget.models.value == {"GFP": "bicubic"}
    assert widget.noise.kind.value == "none"
    assert heard == [], "nothing else is chosen, so nobody is told so"


def test_another_model_brings_its_own_dial(viewer, widget):
    viewer.add_image(counts())
    widget.model.value = "general-x2"
    recommended = widget.dial.value
    widget.dial.value = 0.2

    widget.model.value = "nearest"
    assert widget.dial.value == 0
    widget.model.value = "general-x2"

    assert widget.dial.value == recommended


MISSING = (
    "The model tiny is chosen, and its file is missing or cannot be read: put it back, "
    "or choose another model."
)


def lose(how: str) -> bytes:
    """Take the file of the model away, or spoil it; give what it held."""
    path = model_folder() / "tiny.safetensors"
    held = path.read_bytes()
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes(b"no model at all")
    return held


@pytest.mark.parametrize("how", ["removed", "damaged"])
def test_a_model_that_is_gone_stays_chosen_and_nothing_runs_instead(
    viewer, widget, qtbot, tiny_card, notified, how
):
    widget.reset_choices()
    bone = viewer.add_image(counts(), name="bone")
    widget.model.value = "tiny"
    held = lose(how)

    viewer.add_points([], ndim=3)

    assert widget.model.value == "tiny"
    assert widget.model.text == "tiny (missing)"
    assert not widget.run_button.enabled
    assert not widget.preview_button.enabled
    assert widget.status.value == MISSING
    assert widget.next_step.value == "Next: choose another model."
    notified.clear()
    widget.run()  # as from the console
    assert not widget._running.is_on
    assert notified == [MISSING]
    assert list(viewer.layers)[:1] == [bone]
    assert len(viewer.layers) == 2

    (model_folder() / "tiny.safetensors").write_bytes(held)
    widget.reset_choices()
    assert widget.model.text.startswith("tiny  ×2")
    assert widget.run_button.enabled
    assert widget.status.value == ""


def test_another_model_is_taken_once_it_is_chosen(viewer, widget, qtbot, tiny_card):
    widget.reset_choices()
    viewer.add_image(counts(), name="bone")
    widget.model.value = "tiny"
    lose("removed")
    widget.reset_choices()

    widget.model.value = "nearest"

    assert widget.preview_button.enabled
    assert widget.status.value == ""
    click(widget, "run", qtbot)
    wait_for_end(widget, qtbot)
    assert viewer.layers[-1].name == "bone [nearest]"
    assert "tiny" not in widget.model.choices


def test_a_preview_of_a_model_that_is_gone_can_be_turned_off(
    viewer, widget, qtbot, tiny_card
):
    widget.reset_choices()
    viewer.add_image(counts(), name="bone")
    widget.model.value = "tiny"
    click(widget, "preview", qtbot)
    qtbot.waitUntil(lambda: widget._preview.layer is not None, timeout=WAIT)
    lose("removed")
    widget.reset_choices()
    assert widget.status.value == MISSING

    click(widget, "preview", qtbot)

    assert not widget._preview.is_on
    assert not widget.preview_button.enabled


def test_the_model_of_a_channel_that_is_gone_stays_chosen_too(
    viewer, widget, qtbot, tiny_card
):
    widget.reset_choices()
    for seed, name in enumerate(("DAPI", "GFP")):
        viewer.add_image(counts(seed), name=name)
    widget.model.value, widget.channels.value = "nearest", True
    widget.models.value = {"GFP": "tiny"}
    lose("removed")

    viewer.add_image(counts(2), name="Cy5")  # which has the rows made again

    assert widget.models.value == {"GFP": "tiny"}
    assert not widget.run_button.enabled
    assert widget.status.value == MISSING
    widget.models.value = {}
    assert widget.run_button.enabled


def test_the_dial_moves_by_steps_that_are_seen_and_reads_as_it_is_shown(widget, qtbot):
    widget.model.value = "general-x2"
    slider = widget.dial.native.findChild(QSlider)
    heard: list[float] = []
    widget.dial.changed.connect(lambda *_: heard.append(widget.dial.value))
    widget.dial.value = 0.4

    qtbot.keyClick(slider, Qt.Key.Key_Right)
    qtbot.keyClick(slider, Qt.Key.Key_PageUp)
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    slider.setValue(round(0.123456 * slider.maximum()))  # as the mouse drags it

    assert heard == [0.4, 0.45, 0.55, 0.5, 0.12]


# ── what is typed ───────────────────────────────────────────────────────────────────


def type_into(row, words, qtbot) -> None:
    """Type a number in place of the one that is there, without Return."""
    box = row.native.findChild(QDoubleSpinBox) or row.native
    box.selectAll()
    qtbot.keyClicks(box, words)


@pytest.mark.parametrize("act", ["run", "preview", "copy"])
def test_a_number_that_is_typed_is_taken_without_return(viewer, widget, qtbot, act):
    viewer.add_image(counts(), name="bone")
    widget.model.value = "general-x2"
    widget.z.value, widget.tile.value = "a number", 64
    type_into(widget.dial, "0.25", qtbot)
    type_into(widget.z_planes, "3", qtbot)
    type_into(widget.tile, "128", qtbot)

    # A click that leaves the keyboard's focus where it is, as on macOS.
    getattr(widget, f"{act}_button").native.click()

    assert widget.dial.value == pytest.approx(0.25)
    assert widget.z_planes.value == 3
    assert widget.tile.value == 128
    if act == "run":
        wait_for_end(widget, qtbot)
        made = viewer.layers[-1].metadata["napari_sr"]["plan"]
        assert made["dial"] == pytest.approx(0.25)
        assert viewer.layers[-1].data.shape == (9, 32, 40)
    elif act == "preview":
        qtbot.waitUntil(lambda: widget._preview.layer is not None, timeout=WAIT)
        _, request, _ = widget._preview.pictures[0].shown
        assert request.settings.dial == pytest.approx(0.25)
    else:
        assert "dial=0.25" in QApplication.clipboard().text()

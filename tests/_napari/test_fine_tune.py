"""The widget: choose, train, pause, stop, save; close, and go on later."""

from __future__ import annotations

import subprocess
import sys
from threading import Event

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox, QWidget
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr._napari.fine_tune import widget as fine_tune
from napari_sr._napari.fine_tune.examples_panel import ALONE, MEASURED
from napari_sr._napari.fine_tune.form import TrainingForm
from napari_sr._napari.fine_tune.widget import FineTune
from napari_sr._napari.parts.remembered import SUPER_RESOLVE, remember
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.catalogue.lookup import FOR_ALL_KINDS, list_cards
from napari_sr.interactive.fine_tuning import Update
from napari_sr.training.schedule import N_LOOKS
from napari_sr.training.unsaved import unsaved_trainings

WAIT = 60_000
"""Milliseconds within which a training of the tests must have come that far."""
QUICK = {"iterations": 8, "validate_every": 4, "batch": 2, "patch": 16}
ENDLESS = {**QUICK, "iterations": 1_000_000, "patience": 1_000_000}


def texture(seed=0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 60_000, (64, 64)).astype(np.uint16)


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))
    sr.save_model(tiny_fast(), tmp_path / "tiny.safetensors")


@pytest.fixture
def sharp(viewer):
    """Three sharp layers, and one that is none."""
    for seed in range(3):
        viewer.add_image(texture(seed), name=f"sharp {seed}")
    viewer.add_labels(np.zeros((4, 4), np.uint8))
    return list(viewer.layers[:3])


@pytest.fixture
def opened(viewer, qtbot):
    """Open the widget; whatever is under way ends with the test."""
    widgets = []

    def open_one() -> FineTune:
        widget = FineTune(viewer)
        widget.form.base.value = "tiny"
        widget.form.device.value = "cpu"
        widget.form.model_name.value = "mine"
        widgets.append(widget)
        return widget

    yield open_one
    for widget in widgets:
        close(widget, qtbot)


@pytest.fixture
def widget(opened, sharp):
    widget = opened()
    widget.examples.images.take(*sharp)
    widget.examples._settled.stop()
    return widget


@pytest.fixture
def learn(monkeypatch):
    """Choose how long the trainings of a test are."""

    def learn_with(settings) -> None:
        monkeypatch.setattr(TrainingForm, "further_settings", lambda _: settings)

    learn_with(QUICK)
    return learn_with


def close(widget, qtbot) -> None:
    """Close it, and wait until its threads are done."""
    workers = [one._worker for one in (widget._background, widget.examples.background)]
    widget.native.close()
    for worker in workers:
        if worker is not None:
            qtbot.waitUntil(lambda w=worker: not w.is_running, timeout=WAIT)


def run_to_end(widget, qtbot) -> None:
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


def looks(widget) -> int:
    """Count the looks at the held-out images that are drawn."""
    drawn = getattr(widget.live, "losses", None)
    return 0 if drawn is None else len(drawn.curves[0].points)


def usable(widget) -> set[str]:
    """Names of what can be used now."""
    is_hidden = widget.run_bar.native.isHidden()
    return {
        name
        for name in ("start", "pause", "stop")
        if not is_hidden and getattr(widget, f"{name}_button").enabled
    } | ({"save", "discard"} if not widget.save_bar.native.isHidden() else set())


# ── from images to a model ──────────────────────────────────────────────────────────


def test_a_model_is_trained_saved_and_offered_at_once(widget, qtbot, learn):
    assert usable(widget) == {"start"}

    widget.start()
    assert usable(widget) == {"pause", "stop"}
    assert not widget.examples.isEnabled()
    run_to_end(widget, qtbot)

    assert usable(widget) == {"save", "discard"}
    assert looks(widget) == N_LOOKS
    assert set(widget.live.quality.levels) == {"base", "bicubic"}
    assert all(view.is_filled for view in widget.live.patch.views)
    assert "bicubic" in widget.verdict.value
    assert "held out" in widget.notes.value.lower()

    widget.save()
    run_to_end(widget, qtbot)

    assert "mine" in {card.name for card in list_cards()}
    assert "mine" in widget.form.base.choices
    assert unsaved_trainings() == []
    assert usable(widget) == {"start"}


def test_a_model_that_is_no_gain_can_be_saved_all_the_same(widget, qtbot, learn):
    learn({**QUICK, "learning_rate": 1e-9})

    widget.start()
    run_to_end(widget, qtbot)

    assert widget.verdict.value.startswith("Not better: equal to the base")
    assert widget.save_button.text == "Save anyway"
    widget.save()
    run_to_end(widget, qtbot)
    assert sr.load_model("mine").card.is_better is False


def test_a_model_is_replaced_only_when_that_is_confirmed(
    widget, qtbot, learn, monkeypatch
):
    widget.start()
    run_to_end(widget, qtbot)
    widget.saved_name.value = "tiny"
    before = sr.load_model("tiny").digest
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    asked = []

    def answer(_parent, _title, question):
        asked.append(question)
        return answers[len(asked) - 1]

    monkeypatch.setattr(QMessageBox, "question", answer)

    widget.save()
    assert "'tiny'" in asked[0]
    assert sr.load_model("tiny").digest == before
    assert usable(widget) == {"save", "discard"}

    widget.save()
    run_to_end(widget, qtbot)
    assert sr.load_model("tiny").digest != before


def test_a_name_that_cannot_be_one_is_refused_before_and_after(
    widget, qtbot, learn, notified
):
    widget.form.model_name.value = "a/b"
    widget.start()
    assert usable(widget) == {"start"}

    widget.form.model_name.value = "mine"
    widget.start()
    run_to_end(widget, qtbot)
    widget.saved_name.value = "bicubic"
    widget.save()

    assert [("'a/b'" in notified[0]), ("'bicubic'" in notified[1])] == [True, True]
    assert usable(widget) == {"save", "discard"}


def test_a_model_that_is_not_wanted_leaves_nothing(widget, qtbot, learn):
    widget.start()
    run_to_end(widget, qtbot)

    widget.discard()

    assert unsaved_trainings() == []
    assert usable(widget) == {"start"}
    assert widget.examples.isEnabled()


# ── pause, stop, close, go on later ─────────────────────────────────────────────────


def test_a_training_waits_and_goes_on(widget, qtbot, learn):
    learn(ENDLESS)
    widget.start()
    qtbot.waitUntil(lambda: looks(widget) >= 1, timeout=WAIT)

    widget.pause_or_go_on()
    qtbot.waitUntil(lambda: widget.status.value == "Paused", timeout=WAIT)
    assert widget.pause_button.text == "Go on"
    before = looks(widget)

    widget.pause_or_go_on()
    qtbot.waitUntil(lambda: looks(widget) > before, timeout=WAIT)
    assert widget.pause_button.text == "Pause"


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_stop_keeps_the_best(widget, qtbot, learn, paused):
    learn(ENDLESS)
    widget.start()
    qtbot.waitUntil(lambda: looks(widget) >= 1, timeout=WAIT)
    if paused:
        widget.pause_or_go_on()
        qtbot.waitUntil(lambda: widget._background.is_paused, timeout=WAIT)

    widget.stop()
    run_to_end(widget, qtbot)

    assert usable(widget) == {"save", "discard"}
    assert widget.verdict.value


@pytest.mark.parametrize("how", ["closed", "taken out of its dock"])
def test_a_training_whose_widget_is_gone_can_be_resumed(
    opened, widget, qtbot, learn, how, viewer
):
    learn(ENDLESS)
    dock = QWidget()
    widget.native.setParent(dock)
    widget.start()
    qtbot.waitUntil(lambda: looks(widget) >= 2, timeout=WAIT)
    worker = widget._background._worker
    if how == "closed":
        widget.native.close()
    else:
        widget.native.setParent(None)
    qtbot.waitUntil(lambda: not worker.is_running, timeout=WAIT)
    viewer.layers.clear()

    later = opened()
    assert not later.unfinished_bar.native.isHidden()
    assert later.unfinished.value.recipe.name == "mine"
    later.resume()
    qtbot.waitUntil(lambda: looks(later) >= 3, timeout=WAIT)
    later.stop()
    run_to_end(later, qtbot)

    assert later.unfinished_bar.native.isHidden()
    assert usable(later) == {"save", "discard"}
    widget.native.setParent(None)  # or it would go with its dock


def test_an_unfinished_training_can_be_discarded(
    opened, widget, qtbot, learn, monkeypatch
):
    learn(ENDLESS)
    widget.start()
    qtbot.waitUntil(lambda: looks(widget) >= 1, timeout=WAIT)
    close(widget, qtbot)
    later = opened()
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_: yes)

    later.discard_unfinished()

    assert unsaved_trainings() == []
    assert later.unfinished.value is None


# ── what goes wrong ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes differ"), MemoryError("choose the CPU"), OSError("full")],
    ids=lambda error: type(error).__name__,
)
def test_what_goes_wrong_reaches_the_user(
    widget, qtbot, learn, monkeypatch, notified, error
):
    def failing(_request, _stop):
        yield Update("Starting …")
        raise error

    monkeypatch.setattr(fine_tune, "train", failing)

    widget.start()
    run_to_end(widget, qtbot)

    assert len(notified) == 1
    assert str(error) in notified[0]
    assert widget.status.value == "Failed"
    assert usable(widget) == {"start"}


def test_pairs_that_are_none_are_refused_in_one_sentence(
    widget, sharp, qtbot, learn, notified
):
    widget.examples.kind.setCurrentText(MEASURED)
    assert usable(widget) == set(), "there are no recordings yet"
    widget.examples.recordings.take(*sharp)
    assert usable(widget) == {"start"}

    widget.start()
    run_to_end(widget, qtbot)

    assert len(notified) == 1
    assert "64 × 64" in notified[0]
    assert unsaved_trainings() == []


def test_nothing_is_heard_of_a_flow_whose_widget_is_gone(
    widget, qtbot, learn, monkeypatch, notified
):
    started, go_on = Event(), Event()

    def failing(_request, _stop):
        yield Update("Starting …")
        started.set()
        go_on.wait()
        raise ValueError("too late")

    monkeypatch.setattr(fine_tune, "train", failing)
    widget.start()
    qtbot.waitUntil(started.is_set, timeout=WAIT)
    worker = widget._background._worker

    widget.native.close()
    go_on.set()
    qtbot.waitUntil(lambda: not worker.is_running, timeout=WAIT)

    assert notified == []


# ── what is chosen ──────────────────────────────────────────────────────────────────


def test_what_was_chosen_is_remembered(opened, widget, qtbot, learn):
    widget.form.minutes.value = 42
    widget.form.texture.value = True
    learn({**QUICK, "iterations": 1})
    widget.start()
    widget.stop()
    run_to_end(widget, qtbot)

    later = FineTune(widget._viewer)

    assert later.form.minutes.value == 42
    assert later.form.texture.value
    assert later.form.base.value == "tiny"
    later.native.close()


def test_recordings_alone_are_learnt_from(widget, sharp, qtbot, learn):
    widget.examples.kind.setCurrentText(ALONE)
    widget.form.texture.value = True
    rows = widget.examples.instrument_panel.rows
    assert rows["photons"].isHidden()  # the noise is found in the recordings
    assert not rows["psf_sigma"].isHidden()
    assert widget.examples.images.isHidden()
    widget.examples.recordings.take(*sharp)
    assert not widget.form.texture.enabled  # nothing sharp shows it
    learn({**QUICK, "iterations": 2})
    for end in (rows["psf_sigma"].low, rows["psf_sigma"].high):
        end.setValue(3.0)
    request = widget._request()
    assert (request.recordings_only, request.texture) == (True, False)
    assert request.low_images == ()

    widget.start()
    run_to_end(widget, qtbot)

    assert "Evaluated without ground truth" in widget.verdict.value
    assert widget._outcome.unfinished.recipe.recordings_only  # as it is gone on with
    later = FineTune(widget._viewer)
    assert later.examples.is_alone
    later.native.close()


def test_ticks_of_sharp_images_are_none_of_recordings(opened, sharp):
    widget = opened()
    widget.native.show()
    images = widget.examples.images._list
    images.setFocus()
    images.setCurrentRow(0)
    QTest.keyClick(images, Qt.Key.Key_Space)
    assert widget.start_button.enabled

    box = widget.examples.kind
    for key, kind, expected in (("End", ALONE, 0), ("Up", MEASURED, 1)):
        QTest.keyClick(box, Qt.Key[f"Key_{key}"])
        assert box.currentText() == kind
        assert len(widget.examples.sources()[0]) == expected
    assert not widget.start_button.enabled


def test_no_recording_is_said_as_such(opened):
    widget = opened()
    widget.examples.kind.setCurrentText(ALONE)
    assert widget.start_button.tooltip == "Tick recordings to learn from, or add files."


def test_the_instrument_is_that_of_the_base_unless_changed(widget):
    chosen = widget._request().instrument
    assert chosen == sr.load_model("tiny").card.instrument

    widget.examples.instrument_panel.rows["photons"].low.setValue(50)

    assert widget._request().instrument == chosen.model_copy(
        update={"photons": (50, chosen.photons[1])}
    )


def test_the_proposed_name_is_free(viewer, opened, widget, qtbot, learn):
    proposed = FineTune(viewer)
    proposed.form.base.value = "tiny"
    assert proposed.form.model_name.value == "my tiny"
    widget.form.model_name.value = "my tiny"
    widget.start()
    run_to_end(widget, qtbot)

    proposed.form._propose_name()

    assert proposed.form.model_name.value == "my tiny 2"
    proposed.native.close()


def test_napari_finds_the_widget_and_docks_it_narrow(make_napari_viewer):
    viewer = make_napari_viewer()

    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Fine-tune")

    assert isinstance(widget, FineTune)
    assert widget.native.minimumSizeHint().width() <= 300
    for part in (widget.examples, widget.live, widget.run_bar.native):
        assert part.minimumSizeHint().width() <= 275, part
    viewer.window.remove_dock_widget(dock)


def test_a_saved_model_is_offered_by_the_other_widgets_of_the_window(
    make_napari_viewer, tmp_path
):
    viewer = make_napari_viewer()
    docks, widgets = zip(
        *(
            viewer.window.add_plugin_dock_widget("napari-sr", name)
            for name in ("Fine-tune", "Super-resolve")
        ),
        strict=True,
    )
    path = sr.save_model(tiny_fast(seed=1), tmp_path / "mine.safetensors")

    widgets[0]._saved(path)

    assert "mine" in widgets[1].model.choices
    for dock in docks:
        viewer.window.remove_dock_widget(dock)


def test_a_training_is_kept_when_napari_is_closed(
    make_napari_viewer, qtbot, learn, tmp_path
):
    learn(ENDLESS)
    files = [str(tmp_path / f"{seed}.tif") for seed in range(3)]
    for seed, file in enumerate(files):
        tifffile.imwrite(file, texture(seed))
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Fine-tune")
    widget.form.base.value = "tiny"
    widget.form.device.value = "cpu"
    widget.examples.images.add_paths(files)
    widget.examples._settled.stop()
    widget.start()
    qtbot.waitUntil(lambda: looks(widget) >= 1, timeout=WAIT)
    worker = widget._background._worker

    viewer.close()
    qtbot.waitUntil(lambda: not worker.is_running, timeout=WAIT)

    (left,) = unsaved_trainings()
    assert left.recipe.base == "tiny"


# ── at first, and afterwards ────────────────────────────────────────────────────────


def test_the_base_is_at_first_the_model_in_use(viewer, qtbot):
    remember(SUPER_RESOLVE, {"model": "tiny"})
    widget = FineTune(viewer)
    qtbot.addWidget(widget.native)
    assert widget.form.base.value == "tiny"

    remember(SUPER_RESOLVE, {"model": "bicubic"})
    widget = FineTune(viewer)
    qtbot.addWidget(widget.native)
    assert widget.form.base.value == FOR_ALL_KINDS


def test_why_it_cannot_start_is_said(opened, sharp, qtbot):
    widget = opened()
    widget.examples._settled.stop()

    assert usable(widget) == set()
    assert widget.status.value == "Tick sharp images to learn from, or add files."
    assert widget.start_button.native.toolTip() == widget.status.value

    widget.examples.kind.setCurrentText(MEASURED)
    widget.examples.images.take(*sharp)
    assert "recordings of the same fields" in widget.status.value
    widget.examples.recordings.take(*sharp)
    assert widget.status.value == ""
    assert usable(widget) == {"start"}


def test_a_saved_model_can_be_used_with_one_click(
    viewer, widget, qtbot, learn, monkeypatch
):
    other = SuperResolve(viewer)
    qtbot.addWidget(other.native)
    monkeypatch.setattr(fine_tune, "open_widget", lambda _: other)
    widget.native.show()
    widget.start()
    run_to_end(widget, qtbot)
    assert widget.use_button.native.isHidden()
    qtbot.waitUntil(lambda: widget.save_button.native.width() > 20, timeout=WAIT)
    qtbot.mouseClick(widget.save_button.native, Qt.MouseButton.LeftButton)
    run_to_end(widget, qtbot)
    other.reset_choices()  # as the viewer has it done

    assert widget.use_button.native.isVisible()
    qtbot.mouseClick(widget.use_button.native, Qt.MouseButton.LeftButton)

    assert other.model.value == "mine"


def test_opening_it_loads_nothing_that_draws_curves():
    script = (
        "import sys, napari_sr._napari.fine_tune.widget\n"
        "print([one for one in ('torch', 'matplotlib') if one in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_a_base_that_is_gone_stays_chosen_and_nothing_is_trained(
    widget, viewer, tmp_path
):
    assert widget.start_button.enabled
    (tmp_path / "tiny.safetensors").unlink()

    viewer.add_points([], ndim=2)
    widget.reset_choices()

    assert widget.form.base.text == "tiny (missing)"
    assert "its file is missing" in widget.status.value
    assert not widget.start_button.enabled
    widget.form.base.value = FOR_ALL_KINDS
    assert widget.start_button.enabled

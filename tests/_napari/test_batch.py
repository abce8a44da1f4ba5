"""The widget: many recordings into a folder; what fails is told, the rest goes on."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from stacks_on_disk import write_stack

import napari_sr
from napari_sr._napari.batch.form import LAYERS
from napari_sr._napari.batch.widget import Batch
from napari_sr._napari.layers.geometry import upscaled_placement
from napari_sr._napari.layers.reader import read_layers
from napari_sr.catalogue.lookup import model_folder
from napari_sr.files import open_stack
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs import one_file as batching
from napari_sr.upscaling.flow import TileStep

WAIT = 60_000
"""Milliseconds within which a batch must end."""
NEAREST = Interpolation("nearest", 2)


def counts(*shape, seed=0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 60_000, shape)
    return pixels.astype(np.uint16)


@pytest.fixture
def widget(viewer, qtbot, tmp_path):
    widget = Batch(viewer)
    qtbot.addWidget(widget.native)
    form = widget.form
    form.model.value = "nearest"
    form.output.value = str(tmp_path / "out")
    yield widget
    widget._background.leave()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


@pytest.fixture
def recordings(tmp_path, widget):
    """A folder of three stacks and one file that cannot be read."""
    folder = tmp_path / "in"
    for number, name in enumerate("abd"):
        write_stack(folder / f"{name}.ome.tif", counts(2, 8, 9, seed=number), "zyx")
    (folder / "c.tif").write_bytes(b"no image")
    widget.form.paths.value = str(folder)
    return folder


def run_to_end(widget, qtbot) -> None:
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


def listed(widget) -> dict[str, str]:
    items = [
        widget.list.topLevelItem(i) for i in range(widget.list.topLevelItemCount())
    ]
    return {item.text(0): item.text(1) for item in items}


def test_each_file_is_done_or_says_why_not(widget, recordings, qtbot, tmp_path):
    run_to_end(widget, qtbot)

    assert listed(widget) == {
        "a.ome.tif": "✓ done",
        "b.ome.tif": "✓ done",
        "c.tif": "✗ failed",
        "d.ome.tif": "✓ done",
    }
    assert widget.status.value == "3 done, 1 failed of 4."
    assert "c.tif" in widget.explanation.value  # the first error is in sight
    for number, name in enumerate("abd"):
        with open_stack(tmp_path / "out" / f"{name}_x2.ome.tif") as stack:
            expected = napari_sr.upscale(counts(2, 8, 9, seed=number), NEAREST)
            np.testing.assert_array_equal(stack.plane((1,)), expected[1])
            assert stack.axes[-1].spacing == 0.325 / 2


def test_running_again_does_only_what_is_missing(widget, recordings, qtbot, tmp_path):
    run_to_end(widget, qtbot)
    (tmp_path / "out" / "a_x2.ome.tif").unlink()
    kept = tmp_path / "out" / "b_x2.ome.tif"
    before = kept.stat().st_mtime_ns, kept.read_bytes()

    run_to_end(widget, qtbot)

    assert list(listed(widget).values()) == [
        "✓ done",
        "– already done",
        "✗ failed",
        "– already done",
    ]
    assert (kept.stat().st_mtime_ns, kept.read_bytes()) == before


def test_existing_results_are_replaced_when_asked(widget, recordings, qtbot, tmp_path):
    run_to_end(widget, qtbot)
    (recordings / "a.ome.tif").unlink()
    write_stack(recordings / "a.ome.tif", counts(2, 8, 9, seed=9), "zyx")
    widget.form.replace.value = True

    run_to_end(widget, qtbot)

    assert listed(widget)["a.ome.tif"] == "✓ done"
    with open_stack(tmp_path / "out" / "a_x2.ome.tif") as stack:
        expected = napari_sr.upscale(counts(2, 8, 9, seed=9), NEAREST)
        np.testing.assert_array_equal(stack.plane((0,)), expected[0])


def test_stop_keeps_what_is_done_and_nothing_half(
    widget, recordings, qtbot, tmp_path, monkeypatch
):
    reached, go_on = Event(), Event()
    real = batching.run_job

    def slow(job, *rest):
        for step in real(job, *rest):
            if job.name == "b.ome.tif":
                reached.set()
                go_on.wait(10)
            yield step

    monkeypatch.setattr(batching, "run_job", slow)
    widget.run_button.native.click()
    qtbot.waitUntil(reached.is_set, timeout=WAIT)
    widget.stop_button.native.click()
    go_on.set()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)

    assert widget.status.value.startswith("Stopped: ")
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["a_x2.ome.tif", "napari-sr-report.csv"]
    assert widget.run_button.enabled


def test_a_widget_that_goes_ends_its_batch(
    viewer, qtbot, tmp_path, monkeypatch, notified
):
    reached, closed = Event(), Event()

    def endless(job, *_):
        try:
            while True:
                reached.set()
                yield TileStep((), 1, 2)
        finally:
            closed.set()

    monkeypatch.setattr(batching, "run_job", endless)
    write_stack(tmp_path / "a.ome.tif", counts(8, 9))
    widget = Batch(viewer)
    widget.form.model.value = "nearest"
    widget.form.paths.value = str(tmp_path / "a.ome.tif")
    widget.form.output.value = str(tmp_path / "out")
    widget.run()
    qtbot.waitUntil(reached.is_set, timeout=WAIT)

    with qtbot.waitSignal(widget.native.destroyed, timeout=WAIT):
        widget.native.deleteLater()

    qtbot.waitUntil(closed.is_set, timeout=WAIT)
    assert not notified


@pytest.mark.parametrize("turn", [{}, {"rotate": 30, "shear": [0.2]}])
def test_layers_are_saved_where_their_results_lie(
    viewer, widget, qtbot, tmp_path, turn
):
    layer = viewer.add_image(
        counts(8, 9), name="my/cells 1.5", scale=(0.5, 0.2), translate=(3, 4), **turn
    )
    widget.form.source.value = LAYERS

    run_to_end(widget, qtbot)

    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "my_cells 1.5_x2.ome.tif"
    ((pixels, place, _),) = read_layers(str(path))
    np.testing.assert_array_equal(pixels, napari_sr.upscale(layer.data, NEAREST))
    expected = upscaled_placement(layer, 2)
    for name in ("scale", "translate", *turn):
        np.testing.assert_allclose(place[name], expected[name], rtol=1e-12)


def test_a_double_click_opens_the_result(
    viewer, widget, recordings, qtbot, monkeypatch
):
    opened = []
    monkeypatch.setattr(
        type(viewer),
        "open",
        lambda _viewer, path, plugin: opened.append((path, plugin)),
    )
    run_to_end(widget, qtbot)

    for row in (2, 3):  # the one that failed, and one that is done
        item = widget.list.topLevelItem(row)
        widget.list.itemDoubleClicked.emit(item, 0)

    path = widget.form.folder / "d_x2.ome.tif"
    assert opened == [(str(path), "napari-sr")]


def test_what_is_missing_is_said(viewer, widget, notified):
    assert not widget.run_button.enabled

    widget.form.paths.value = "a.tif"
    assert widget.run_button.enabled
    widget.form.output.value = " "
    assert not widget.run_button.enabled

    widget.form.output.value = "out"
    widget.form.source.value = LAYERS
    widget.run()
    assert "no image layers" in notified[-1]


def test_a_wrong_noise_level_is_told_before_anything_starts(
    widget, recordings, notified, tiny_card
):
    widget.reset_choices()
    widget.form.model.value = "tiny"
    widget.form.noise.value = "much"

    widget.run()

    assert notified[-1].startswith("noise: noise is auto, 0 or gain=…")
    assert not widget._background.is_busy


def test_a_model_that_is_gone_runs_no_batch(widget, recordings, notified, tiny_card):
    widget.reset_choices()
    widget.form.model.value = "tiny"
    (model_folder() / "tiny.safetensors").unlink()

    widget.reset_choices()

    assert widget.form.model.value == "tiny"
    assert not widget.run_button.enabled
    assert widget.status.value.startswith("The model tiny is chosen, and its file is")
    widget.run()
    assert not widget._background.is_busy
    assert notified == [widget.status.value]
    widget.form.model.value = "nearest"
    assert widget.run_button.enabled
    assert widget.status.value == ""


def test_settings_are_those_of_python_and_the_command_line(widget, tiny_card):
    widget.reset_choices()
    form = widget.form
    form.model.value = "tiny"
    form.noise.value = "gain=2,read=5,offset=100"
    form.device.value = "cpu"

    expected = napari_sr.UpscaleSettings(
        noise=napari_sr.NoiseLevel(gain=2, read=5, offset=100), device="cpu"
    )
    assert form.settings == expected
    assert form.factor.asked_of(form.model.model) is None


def test_the_folder_and_the_model_are_remembered(viewer, widget, recordings, qtbot):
    run_to_end(widget, qtbot)

    again = Batch(viewer)
    qtbot.addWidget(again.native)

    assert again.form.folder == widget.form.folder
    assert again.form.model.value == "nearest"

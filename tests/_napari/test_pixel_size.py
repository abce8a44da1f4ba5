"""The pixel size that napari's own reader leaves in the file is one click away."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari.layers import Image
from napari.layers._source import layer_source
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sr._napari.batch.form import LAYERS
from napari_sr._napari.batch.widget import Batch
from napari_sr._napari.fine_tune.widget import FineTune
from napari_sr._napari.layers import pixel_size as behind
from napari_sr._napari.layers.pixel_size import channels_along_an_axis
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.image.stack import Axis
from napari_sr.interactive.pixel_size import (
    axes_in_file,
    channels_in,
    lengths_of,
    size_in_words,
)

WAIT = 60_000
PIXEL, STEP = 0.2, 0.7
"""Micrometres, in the plane and along z."""


def write(path, shape, axes):
    """Write a TIFF as ImageJ does, and give its pixels."""
    pixels = np.random.default_rng(0).integers(0, 999, shape).astype(np.uint16)
    about = {"axes": axes, "unit": "um", "spacing": STEP}
    tifffile.imwrite(
        path, pixels, imagej=True, resolution=(1 / PIXEL, 1 / PIXEL), metadata=about
    )
    return pixels


def opened(viewer, path, pixels, reader="napari"):
    """Add a layer as a reader does."""
    with layer_source(path=str(path), reader_plugin=reader):
        return viewer.add_layer(Image(pixels, name="cells"))


@pytest.fixture
def open_on(viewer, qtbot):
    """Open the widget on a viewer."""
    opened_ones = []

    def open_it(given) -> SuperResolve:
        widget = SuperResolve(given)
        qtbot.addWidget(widget.native)
        viewer.layers.events.inserted.connect(widget.reset_choices)
        widget.model.value = "nearest"
        widget.native.show()
        opened_ones.append(widget)
        return widget

    yield open_it
    for widget in opened_ones:
        widget._looking.leave()
        widget._running.leave()


@pytest.fixture
def widget(viewer, open_on):
    return open_on(viewer)


def breakable(words) -> str:
    """Give words with the spaces at which a line is not to be broken as any other."""
    return words.replace("\u00a0", " ")


def press(button, qtbot) -> None:
    qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize(
    ("shape", "axes", "size"),
    [
        ((20, 24), "YX", "0.2 µm"),
        ((5, 20, 24), "ZYX", "0.2 × 0.2 × 0.7 µm"),
    ],
)
def test_the_pixel_size_of_the_file_is_taken_and_given_back(
    viewer, widget, qtbot, tmp_path, shape, axes, size
):
    layer = opened(viewer, tmp_path / "a.tif", write(tmp_path / "a.tif", shape, axes))
    row = widget.choices.pixel_size
    qtbot.waitUntil(row.use_button.native.isVisible, timeout=WAIT)
    assert breakable(row.about.value) == f"Pixel size in the file: {size}"
    assert row.use_button.text == "Use it"

    press(row.use_button, qtbot)

    wanted = [{"Z": STEP}.get(name, PIXEL) for name in axes]
    np.testing.assert_allclose(layer.scale, wanted, rtol=1e-6)
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert row.use_button.text == "Undo"
    press(row.use_button, qtbot)
    np.testing.assert_array_equal(layer.scale, 1)
    assert {str(unit) for unit in layer.units} == {"pixel"}
    assert row.use_button.text == "Use it"


def test_channels_in_one_layer_are_split_each_with_its_place(
    viewer, widget, qtbot, tmp_path
):
    pixels = write(tmp_path / "a.tif", (5, 2, 20, 24), "ZCYX")
    together = opened(viewer, tmp_path / "a.tif", pixels)
    row = widget.choices.pixel_size
    qtbot.waitUntil(row.use_button.native.isVisible, timeout=WAIT)
    assert row.use_button.text == "Split its channels"

    press(row.use_button, qtbot)

    channels = list(viewer.layers)
    assert [one.name for one in channels] == ["a [0]", "a [1]"]
    for number, one in enumerate(channels):
        np.testing.assert_array_equal(one.data, pixels[:, number])
        np.testing.assert_allclose(one.scale, (STEP, PIXEL, PIXEL), rtol=1e-6)
        assert {str(unit) for unit in one.units} == {"micrometer"}
    assert together not in channels
    assert widget.layer.value is channels[0]
    assert row.use_button.native.isHidden()
    assert not widget.channels.native.isHidden()


def test_a_result_has_the_pixel_size_that_was_taken(viewer, widget, qtbot, tmp_path):
    pixels = write(tmp_path / "a.tif", (20, 24), "YX")
    opened(viewer, tmp_path / "a.tif", pixels)
    row = widget.choices.pixel_size
    qtbot.waitUntil(row.use_button.native.isVisible, timeout=WAIT)
    press(row.use_button, qtbot)

    press(widget.run_button, qtbot)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)

    result = viewer.layers[-1]
    np.testing.assert_allclose(result.scale, PIXEL / 2, rtol=1e-6)
    assert {str(unit) for unit in result.units} == {"micrometer"}
    assert not row.use_button.native.isHidden()  # to take it back


def test_where_the_layer_has_a_size_or_the_file_has_none_nothing_is_offered(
    viewer, widget, qtbot, tmp_path
):
    pixels = write(tmp_path / "a.tif", (20, 24), "YX")
    tifffile.imwrite(tmp_path / "bare.tif", pixels)
    ours = opened(viewer, tmp_path / "a.tif", pixels, reader="napari-sr")
    scaled = opened(viewer, tmp_path / "a.tif", pixels)
    scaled.scale = (3, 3)
    bare = opened(viewer, tmp_path / "bare.tif", pixels)
    gone = opened(viewer, tmp_path / "gone.tif", pixels)

    for layer in (ours, scaled, bare, gone):
        widget.layer.value = layer
        with qtbot.waitSignal(widget._look_timer.timeout):
            pass
        qtbot.waitUntil(lambda: not widget._looking.is_busy, timeout=WAIT)
        assert widget.choices.pixel_size.use_button.native.isHidden(), layer


def test_a_layer_that_is_not_what_is_in_the_file_gets_nothing(tmp_path):
    write(tmp_path / "a.tif", (5, 20, 24), "ZYX")

    assert axes_in_file(str(tmp_path / "a.tif"), (20, 24)) == ()
    assert axes_in_file(str(tmp_path / "none.tif"), (20, 24)) == ()


def test_sizes_are_said_as_they_are():
    y, x = Axis("y", 0.1, "um"), Axis("x", 0.2, "um")

    assert breakable(size_in_words([x, x])) == "0.2 µm"
    assert breakable(size_in_words([y, x])) == "0.2 × 0.1 µm"
    voxel = [Axis("z", 300, "nm"), y, x]
    assert breakable(size_in_words(voxel)) == "0.2 µm × 0.1 µm × 300 nm"
    assert breakable(size_in_words(lengths_of([Axis("t", 3, "s"), y, y]))) == "0.1 µm"


def answer_with(words) -> list[str]:
    """Click a button of the next question; give what it asks."""
    asked = []

    def click() -> None:
        box = QApplication.activeModalWidget()
        asked.append(box.informativeText())
        (button,) = (one for one in box.buttons() if words in one.text())
        button.setText(f"&{button.text()}")  # as some desktops do
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    QTimer.singleShot(0, click)
    return asked


def mixed(viewer, folder, shape=(5, 2, 20, 24), axes="ZCYX"):
    """Open channels along an axis of one layer, as napari's reader does."""
    pixels = write(folder / "a.tif", shape, axes)
    return opened(viewer, folder / "a.tif", pixels)


def test_run_does_not_mix_channels_before_the_user_has_answered(
    viewer, widget, qtbot, tmp_path
):
    layer = mixed(viewer, tmp_path)

    asked = answer_with("Cancel")
    press(widget.run_button, qtbot)
    assert "has 2 channels" in asked[0]
    assert not widget._running.is_on
    assert list(viewer.layers) == [layer]

    answer_with("Split channels")
    press(widget.run_button, qtbot)
    assert not widget._running.is_on
    assert [one.name for one in viewer.layers] == ["a [0]", "a [1]"]
    assert widget.channels.value
    press(widget.run_button, qtbot)  # and now nothing is to be asked
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    assert [one.name for one in viewer.layers[2:]] == [
        "a [0] [nearest]", "a [1] [nearest]",
    ]  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda one: one, PublicOnlyProxy])
def test_planes_that_the_file_calls_channels_are_asked_about_once(
    viewer, open_on, qtbot, tmp_path, wrap
):
    widget = open_on(wrap(viewer))  # napari gives it so to widgets of some menus
    mixed(viewer, tmp_path, (3, 20, 24), "CYX")

    for answer in ("Run as it is", "z or time"):
        asked = answer_with(answer)
        press(widget.run_button, qtbot)
        assert asked, "what is run as it is, is asked about again"
        qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    press(widget.run_button, qtbot)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)

    assert len(viewer.layers) == 4


def test_a_z_stack_and_one_of_split_channels_are_not_asked_about(viewer, tmp_path):
    stack = mixed(viewer, tmp_path, (5, 20, 24), "ZYX")
    assert channels_along_an_axis(stack) == 0
    pixels = write(tmp_path / "b.tif", (5, 2, 20, 24), "ZCYX")
    assert channels_along_an_axis(opened(viewer, tmp_path / "b.tif", pixels)) == 2
    channel = opened(viewer, tmp_path / "b.tif", pixels[:, 0])
    assert channels_along_an_axis(channel) == 0


def test_the_file_is_looked_at_once_for_as_long_as_the_pixels_are_the_same(
    viewer, widget, qtbot, tmp_path, monkeypatch
):
    layer, looked = mixed(viewer, tmp_path), []

    def counted(path):
        looked.append(path)
        return channels_in(path)

    monkeypatch.setattr(behind, "channels_in", counted)

    for _ in range(2):
        asked = answer_with("Cancel")
        press(widget.run_button, qtbot)
        assert asked
    assert len(looked) == 1

    layer.data = layer.data[:, :1]
    press(widget.run_button, qtbot)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    assert len(looked) == 2


def test_a_batch_of_layers_does_not_mix_channels_either(viewer, qtbot, tmp_path):
    layer, batch = mixed(viewer, tmp_path), Batch(viewer)
    qtbot.addWidget(batch.native)
    batch.form.source.value, batch.form.model.value = LAYERS, "nearest"
    batch.form.output.value = str(tmp_path / "out")

    asked = answer_with("Cancel")
    press(batch.run_button, qtbot)
    assert "has 2 channels" in asked[0]
    assert not batch._background.is_busy
    assert not (tmp_path / "out").exists()

    asked = answer_with("Split channels")
    press(batch.run_button, qtbot)
    assert asked
    assert layer not in viewer.layers
    assert len(viewer.layers) == 2
    batch._background.leave()


def test_a_training_does_not_mix_channels_either(viewer, qtbot, tmp_path, tiny_card):
    layer, training = mixed(viewer, tmp_path), FineTune(viewer)
    qtbot.addWidget(training.native)
    training.form.base.value = "tiny"
    training.examples.images.take(layer)

    asked = answer_with("Cancel")
    press(training.start_button, qtbot)

    assert "has 2 channels" in asked[0]
    assert not training._background.is_busy
    training.native.close()

"""The noise found is a number that can be dragged, and the preview follows it."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt
from tiny_models import tiny_fast

import napari_sr
from napari_sr import NoiseLevel
from napari_sr._napari.parts.noise_row import NoiseRow
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.interactive.prepared import FoundNoise

WAIT = 60_000
LEVEL = NoiseLevel(gain=4, read=30, offset=100, correlation=0.5)
FOUND = FoundNoise(LEVEL, signal=1100)


def counts() -> np.ndarray:
    random = np.random.default_rng(0)
    smooth = np.add.outer(np.sin(np.arange(70) / 5), np.arange(90) / 30)
    return (5000 + 3000 * smooth + random.normal(0, 300, (70, 90))).astype(np.uint16)


def test_strength_is_the_deviation_at_a_signal_and_keeps_the_kind():
    assert FOUND.strength_of(LEVEL) == pytest.approx(sqrt(4 * 1000 + 30**2))
    half = FOUND.as_strong_as(FOUND.strength_of(LEVEL) / 2)
    assert half == NoiseLevel(1, 15, 100, 0.5)
    assert FOUND.strength_of(NoiseLevel(offset=9999)) == 0


def test_what_is_found_is_shown_and_dragged_to_a_given_level(qtbot):
    row = NoiseRow(lambda: FOUND)
    qtbot.addWidget(row.native)
    assert row.strength.native.isHidden()

    row.show_found()
    assert not row.strength.native.isHidden()
    assert row.value == "auto"
    assert row.auto_button.native.isHidden()
    assert row.strength.value == pytest.approx(70, abs=1)

    with qtbot.waitSignal(row.changed):
        row.strength.value = 35
    assert row.kind.value == "given"
    assert FOUND.strength_of(row.value) == pytest.approx(35, abs=0.1)
    assert (row.value.offset, row.value.correlation) == (100, 0.5)

    row.level["read"].value = 100  # typed: the slider says how strong it is now
    assert row.strength.value == pytest.approx(FOUND.strength_of(row.value), abs=1)

    qtbot.mouseClick(row.auto_button.native, Qt.MouseButton.LeftButton)
    assert row.value == "auto"
    assert row.strength.value == pytest.approx(70, abs=1)


def test_noise_of_a_recording_between_0_and_1_is_not_rounded_away(qtbot):
    found = FoundNoise(NoiseLevel(gain=2e-5, read=3e-4), signal=0.5)
    row = NoiseRow(lambda: found)
    qtbot.addWidget(row.native)
    row.show_found()

    row.strength.value = found.strength_of(found.level) / 2

    assert row.value.gain == pytest.approx(5e-6, rel=0.02)
    assert row.value.read == pytest.approx(1.5e-4, rel=0.02)


NOTHING = (NoiseLevel(), NoiseLevel(gain=2, offset=100))


@pytest.mark.parametrize("found", [None, *(FoundNoise(one, 90) for one in NOTHING)])
def test_where_there_is_none_there_is_nothing_to_drag(qtbot, found):
    row = NoiseRow(lambda: found)
    qtbot.addWidget(row.native)

    row.show_found()

    assert row.strength.native.isHidden()
    row.strength.value = 3
    assert row.value == "auto"


@pytest.fixture
def widget(viewer, qtbot, tiny_card):
    viewer.add_image(counts(), name="bone")
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.model.value = tiny_card.name
    yield widget
    widget._preview.leave()
    qtbot.waitUntil(lambda: not widget._preview.is_busy, timeout=WAIT)


def test_the_preview_follows_the_slider_with_the_pixels_of_a_run(viewer, widget, qtbot):
    widget.toggle_preview()
    strength = widget.strength
    qtbot.waitUntil(lambda: not strength.native.isHidden(), timeout=WAIT)
    assert widget.settings.noise == "auto"
    layer = widget._preview.layer
    before = layer.data.copy()
    np.testing.assert_array_equal(before, napari_sr.upscale(counts(), tiny_fast()))

    strength.value *= 2
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, before), timeout=WAIT)

    given = widget.settings.noise
    assert isinstance(given, NoiseLevel)
    wanted = napari_sr.upscale(counts(), tiny_fast(), noise=given)
    np.testing.assert_array_equal(layer.data, wanted)

    qtbot.mouseClick(widget.noise.auto_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, before), timeout=WAIT)
    assert strength.max > strength.value > 0


def test_noise_of_another_recording_is_not_shown(viewer, widget, qtbot):
    widget.toggle_preview()
    qtbot.waitUntil(lambda: not widget.strength.native.isHidden(), timeout=WAIT)
    widget.toggle_preview()

    other = viewer.add_image(counts()[::-1], name="other")
    widget.reset_choices()
    widget.layer.value = other

    assert widget.strength.native.isHidden()
    widget.layer.value = viewer.layers["bone"]  # of which it is known still
    assert not widget.strength.native.isHidden()

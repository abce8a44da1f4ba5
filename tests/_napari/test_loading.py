"""What is heavy is loaded without holding the viewer up."""

from __future__ import annotations

import gc
import sys
import time

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from napari_sr._napari.layers.samples import open_phantom
from napari_sr.interactive.heavy_imports import load
from napari_sr.phantoms import make_phantom

MANY = "kept = [[number] for number in range(20_000)]\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module; give its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "heavy_one", raising=False)

    def write(text: str) -> str:
        (tmp_path / "heavy_one.py").write_text(text, "utf-8")
        return "heavy_one"

    yield write
    sys.modules.pop("heavy_one", None)


@pytest.fixture
def collections():
    """List the generations that the collector looks through."""
    seen: list[int] = []

    def note(phase, info) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


def test_the_collector_rests_meanwhile_and_has_nothing_to_make_up_for(
    module, collections
):
    name = module(MANY)
    gc.collect()  # what came before is none of its business
    collections.clear()

    load(name)

    assert not collections
    assert gc.isenabled()
    kept = sys.modules["heavy_one"].kept
    assert any(one is kept for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


def test_what_is_there_already_costs_nothing(module, monkeypatch):
    load(module("kept = []"))
    kept = sys.modules["heavy_one"].kept
    monkeypatch.setattr(gc, "freeze", lambda: pytest.fail("nothing was loaded"))

    load("heavy_one", "sys")

    assert sys.modules["heavy_one"].kept is kept


def test_a_module_that_cannot_be_loaded_leaves_the_collector_on(module):
    with pytest.raises(ZeroDivisionError):
        load(module("1 / 0"))

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off(module):
    gc.disable()
    try:
        load(module(MANY))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_window_is_drawn_while_a_sample_is(qtbot, monkeypatch):
    from qtpy.QtCore import QTimer  # not where there is no Qt

    def slow(name):
        time.sleep(0.5)
        return make_phantom(name)

    beats = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.monotonic()))
    monkeypatch.setattr("napari_sr.phantoms.make_phantom", slow)
    timer.start(20)

    recorded, truth = open_phantom("surface")

    timer.stop()
    expected = make_phantom("surface")
    np.testing.assert_array_equal(recorded[0], expected.recorded)
    np.testing.assert_array_equal(truth[0], expected.truth)
    assert len(beats) > 10


def test_what_goes_wrong_with_a_sample_is_raised(qtbot):
    with pytest.raises(ValueError, match="chalk"):
        open_phantom("chalk")

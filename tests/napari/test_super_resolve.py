"""The widget: choose, run, stop; the result lies where the recording does."""

from __future__ import annotations

from threading import Event
from time import sleep

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari.utils.notifications import notification_manager

import napari_sr
from napari_sr._napari import super_resolve
from napari_sr._napari.geometry import upscaled_placement
from napari_sr._napari.super_resolve import SuperResolve
from napari_sr.card import ModelCard
from napari_sr.catalogue import INTERPOLATIONS
from napari_sr.upscaling import Step

WAIT = 30_000
"""Milliseconds within which a run must end."""

PLACES = {
    "plane": ((20, 30), {"scale": (0.5, 0.5), "units": ("um", "um")}),
    "z stack": ((3, 20, 30), {"scale": (2, 0.5, 0.5), "translate": (1, 2, 3)}),
    "turned": ((20, 30), {"rotate": 30, "shear": [0.2], "scale": (2, 3)}),
}


def counts(shape, dtype=np.uint16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, shape).astype(dtype)


@pytest.fixture
def widget(viewer):
    widget = SuperResolve(viewer)
    viewer.layers.events.inserted.connect(widget.reset_choices)
    viewer.layers.events.removed.connect(widget.reset_choices)
    yield widget
    widget.stop()
    widget.close()


@pytest.fixture
def notified():
    """Give what the user is told."""
    told: list[str] = []

    def keep(notification) -> None:
        told.append(notification.message)

    notification_manager.notification_ready.connect(keep)
    yield told
    notification_manager.notification_ready.disconnect(keep)


def choose(widget, model="bicubic", factor=2) -> None:
    widget._model.value = model
    widget._factor.value = factor


def run_to_end(widget, qtbot) -> None:
    widget.run()
    qtbot.waitUntil(lambda: widget._worker is None, timeout=WAIT)


def usable(widget) -> set[str]:
    """Names of what can be used now."""
    parts = ("layer", "model", "factor", "device", "run", "stop")
    return {part for part in parts if getattr(widget, f"_{part}").enabled}


@pytest.mark.parametrize("place", PLACES)
def test_the_result_is_a_new_layer_over_the_recording(viewer, widget, qtbot, place):
    shape, keywords = PLACES[place]
    source = viewer.add_image(
        counts(shape),
        name="bone",
        colormap="magma",
        contrast_limits=(9, 99),
        **keywords,
    )
    choose(widget, "bicubic", 3)

    run_to_end(widget, qtbot)

    assert [layer.name for layer in viewer.layers] == ["bone", "bone [bicubic]"]
    result = viewer.layers[-1]
    expected = napari_sr.upscale(
        source.data, napari_sr.load_model("bicubic", factor=3), device="cpu"
    )
    np.testing.assert_array_equal(result.data, expected)
    assert result.data.dtype == np.uint16
    for name, value in upscaled_placement(source, 3).items():
        came = getattr(result, name)
        came = came.affine_matrix if name == "affine" else came
        if name in ("units", "axis_labels"):
            assert came == value
        else:
            np.testing.assert_allclose(came, value, rtol=0, atol=1e-12)
    assert result.colormap == source.colormap
    assert result.contrast_limits == source.contrast_limits
    assert result.contrast_limits_range == source.contrast_limits_range
    assert result.metadata["napari_sr"]["model"] == "bicubic"
    assert result.metadata["napari_sr"]["factor"] == 3
    assert widget._status.value.startswith("Done: ")


def test_a_multiscale_layer_is_taken_at_its_finest_level(viewer, widget, qtbot):
    fine = counts((64, 64))
    viewer.add_image([fine, fine[::2, ::2]], name="big", multiscale=True)
    choose(widget, "nearest", 2)

    run_to_end(widget, qtbot)

    result = viewer.layers[-1]
    assert not result.multiscale
    np.testing.assert_array_equal(result.data, fine.repeat(2, 0).repeat(2, 1))


def test_an_rgb_layer_is_refused_in_the_viewer(viewer, widget, notified):
    viewer.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True, name="photo")
    choose(widget)

    widget.run()

    assert len(notified) == 1
    assert "photo" in notified[0]
    assert "run" in usable(widget)


def test_what_can_be_used_follows_from_what_is_chosen(viewer, widget, monkeypatch):
    # a trained model, which comes first, has a factor of its own
    assert usable(widget) == {"layer", "model", "device"}

    choose(widget)
    assert usable(widget) == {"layer", "model", "factor", "device"}

    viewer.add_image(counts((8, 8)))
    choose(widget, "lanczos")
    assert usable(widget) == {"layer", "model", "factor", "device", "run"}

    card = ModelCard(name="bones", factor=4, architecture="fast", halo=9)
    monkeypatch.setattr(super_resolve, "list_models", lambda: [card])
    widget.reset_choices()
    assert set(widget._model.choices) == {"bones", *INTERPOLATIONS}
    choose(widget, "bones")
    assert usable(widget) == {"layer", "model", "device", "run"}

    viewer.layers.clear()
    assert "run" not in usable(widget)


def test_a_trained_model_is_offered_first(viewer, qtbot, monkeypatch):
    card = ModelCard(name="bones", factor=4, architecture="fast", halo=9)
    monkeypatch.setattr(super_resolve, "list_models", lambda: [card])

    widget = SuperResolve(viewer)

    assert widget._model.choices == ("bones", *INTERPOLATIONS)
    assert widget._model.value == "bones"
    widget.close()


def endless(request, started, closed):
    try:
        done = 0
        while True:
            started.set()
            done += 1
            yield Step((), done, 1000)
            sleep(0.005)
    finally:
        closed.set()


def test_stop_ends_the_flow_and_adds_nothing(viewer, widget, qtbot, monkeypatch):
    viewer.add_image(counts((8, 8)))
    choose(widget)
    started, closed = Event(), Event()
    monkeypatch.setattr(super_resolve, "run", lambda r: endless(r, started, closed))

    widget.run()
    qtbot.waitUntil(started.is_set, timeout=WAIT)
    assert usable(widget) == {"stop"}
    qtbot.waitUntil(lambda: widget._status.value.startswith("Tile"), timeout=WAIT)
    widget.stop()
    qtbot.waitUntil(lambda: widget._worker is None, timeout=WAIT)

    assert closed.is_set()
    assert widget._status.value == "Stopped"
    assert len(viewer.layers) == 1
    assert usable(widget) == {"layer", "model", "factor", "device", "run"}


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes differ"), MemoryError("tiles of 64 px"), ValueError("no")],
    ids=lambda error: type(error).__name__,
)
def test_what_goes_wrong_reaches_the_user(
    viewer, widget, qtbot, monkeypatch, notified, error
):
    def failing(_request):
        yield Step((), 1, 2)
        raise error

    viewer.add_image(counts((8, 8)))
    choose(widget)
    monkeypatch.setattr(super_resolve, "run", failing)

    run_to_end(widget, qtbot)

    assert len(notified) == 1
    assert str(error) in notified[0]
    assert widget._status.value == "Failed"
    assert len(viewer.layers) == 1
    assert "run" in usable(widget)


def test_a_device_that_is_not_there_is_said(viewer, widget, qtbot, notified):
    viewer.add_image(counts((8, 8)))
    choose(widget)
    widget._device.value = "mps"

    run_to_end(widget, qtbot)

    assert "mps" in notified[0]


def test_a_widget_that_is_gone_stops_its_flow(viewer, qtbot, monkeypatch):
    viewer.add_image(counts((8, 8)))
    widget = SuperResolve(viewer)
    choose(widget)
    started, closed = Event(), Event()
    monkeypatch.setattr(super_resolve, "run", lambda r: endless(r, started, closed))
    widget.run()
    qtbot.waitUntil(started.is_set, timeout=WAIT)

    widget.native.deleteLater()

    qtbot.waitUntil(closed.is_set, timeout=WAIT)
    assert len(viewer.layers) == 1


def test_napari_finds_the_widget_and_docks_it(make_napari_viewer):
    viewer = make_napari_viewer()

    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")

    assert isinstance(widget, SuperResolve)
    assert dock.name.startswith("Super-resolve")
    viewer.window.remove_dock_widget(dock)


def test_a_sample_is_super_resolved_in_a_whole_viewer(drawing_viewer, qtbot):
    viewer = drawing_viewer
    viewer.open_sample("napari-sr", "mammogram")
    _, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")
    choose(widget, "bicubic", 2)

    run_to_end(widget, qtbot)

    recorded, truth, result = viewer.layers
    assert result.name == "mammogram [bicubic]"
    assert result.data.shape == truth.data.shape
    np.testing.assert_allclose(result.scale, truth.scale, rtol=1e-12)
    np.testing.assert_allclose(result.translate, truth.translate, rtol=1e-12)
    assert recorded.units == result.units

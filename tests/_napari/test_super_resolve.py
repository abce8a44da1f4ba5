"""The widget: choose, preview, run, stop, run the rest."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import time
import weakref
from pathlib import Path
from threading import Event

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

import napari_sr
from napari_sr._napari.layers.geometry import upscaled_placement
from napari_sr._napari.parts import model_choice
from napari_sr._napari.parts.panel import in_order
from napari_sr._napari.super_resolve import run as running
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.cards.model_card import ModelCard
from napari_sr.interactive.in_memory import run
from napari_sr.methods.names import METHODS
from napari_sr.upscaling.flow import TileStep

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
def widget(viewer, qtbot):
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    viewer.layers.events.inserted.connect(widget.reset_choices)
    viewer.layers.events.removed.connect(widget.reset_choices)
    yield widget
    widget._preview.leave()
    widget._running.leave()


def choose(widget, model="bicubic", factor=2) -> None:
    widget.model.value, widget.factor.value = model, factor


def run_to_end(widget, qtbot) -> None:
    widget.run()
    wait_for_end(widget, qtbot)


def wait_for_end(widget, qtbot) -> None:
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)


def status(widget) -> str:
    return widget.status.value


def usable(widget) -> set[str]:
    """Names of what can be used now."""
    parts = {
        "choices": widget.layer,
        "dial": widget.dial,
        "noise": widget.noise.kind,
        "preview": widget.preview_button,
        "run": widget.run_button,
        "stop": widget.stop_button,
        "copy": widget.copy_button,
    }
    return {name for name, part in parts.items() if part.enabled}


def offered(widget) -> list[str]:
    box = widget.model.native
    return [box.itemText(i) for i in range(box.count())]


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
    assert status(widget).startswith("Done: ")


def test_a_result_says_all_that_is_needed_to_make_it_again(viewer, widget, qtbot):
    pixels = counts((2, 20, 30))
    viewer.add_image(pixels, name="bone")
    choose(widget, "bicubic", 3)

    run_to_end(widget, qtbot)

    said = viewer.layers[-1].metadata["napari_sr"]
    assert said["plan"]["model"] == "bicubic"
    assert said["plan"]["factor"] == 3
    assert said["source"] == {"shape": [2, 20, 30], "dtype": "uint16"}
    assert said["software"].startswith("napari-sr ")
    assert "partial" not in said


def test_the_noise_that_was_removed_is_said_with_its_correlation(
    viewer, widget, qtbot, tiny_card
):
    viewer.add_image(counts((20, 30)))
    widget.reset_choices()
    choose(widget, "tiny")
    widget.noise.kind.value = "given"
    widget.gain.value, widget.correlation.value = 2, 0.5

    run_to_end(widget, qtbot)

    said = "Done: Image (40 × 60 px, noise gain=2, read=0, offset=0, correlation=0.5"
    assert status(widget).startswith(said)


@pytest.mark.parametrize("kind", ["multiscale", "dask", "zarr", "time series"])
def test_layers_of_every_kind_are_taken(viewer, widget, qtbot, tmp_path, kind):
    pixels = counts((2, 40, 40))
    data, keywords = pixels, {}
    if kind == "multiscale":
        data, keywords = [pixels, pixels[:, ::2, ::2]], {"multiscale": True}
    elif kind == "dask":
        array = pytest.importorskip("dask.array", reason="dask is not installed")
        data = array.from_array(pixels, chunks=(1, 16, 16))
    elif kind == "zarr":
        import zarr

        data = zarr.create_array(store=str(tmp_path / "a.zarr"), data=pixels)
    else:
        keywords = {"axis_labels": ("t", "y", "x"), "units": ("s", "um", "um")}
    viewer.add_image(data, name="big", **keywords)
    choose(widget, "nearest", 2)

    run_to_end(widget, qtbot)

    result = viewer.layers[-1]
    assert not result.multiscale
    np.testing.assert_array_equal(result.data, pixels.repeat(2, 1).repeat(2, 2))


def test_a_very_large_result_gets_a_pyramid(viewer, widget, qtbot, monkeypatch):
    from napari_sr.image import pyramid

    monkeypatch.setattr(pyramid, "LARGEST_SIDE", 64)
    monkeypatch.setattr(pyramid, "COARSE_ENOUGH", 32)
    pixels = counts((2, 40, 40))
    viewer.add_image(pixels)
    choose(widget, "nearest", 2)

    run_to_end(widget, qtbot)

    result = viewer.layers[-1]
    assert result.multiscale
    assert [level.shape for level in result.data] == [
        (2, 80, 80),
        (2, 40, 40),
        (2, 20, 20),
    ]
    np.testing.assert_array_equal(result.data[0], pixels.repeat(2, 1).repeat(2, 2))
    np.testing.assert_array_equal(result.scale, (1, 0.5, 0.5))


@pytest.mark.parametrize(
    ("pixels", "keywords", "words"),
    [
        (np.zeros((20, 30, 3), np.uint8), {"rgb": True}, "is RGB.*Split RGB"),
        (counts((2, 20, 30)), {"axis_labels": ("c", "y", "x")}, "channel.*Split Stack"),
    ],
    ids=["RGB", "channels"],
)
def test_several_channels_are_refused_with_what_to_do(
    viewer, widget, notified, pixels, keywords, words
):
    viewer.add_image(pixels, name="photo", **keywords)
    choose(widget)
    assert re.search(words, status(widget))  # as soon as it is chosen

    widget.run()

    (told,) = notified
    assert re.search(words, told)
    assert "run" in usable(widget)

    viewer.layers.clear()
    viewer.add_image(counts((8, 8)))
    assert status(widget) == ""


def test_what_can_be_used_follows_from_what_is_chosen(viewer, widget, tiny_card):
    widget.reset_choices()
    choose(widget, "tiny")
    assert usable(widget) == {"choices", "noise"}

    viewer.add_image(counts((8, 8)))
    assert usable(widget) == {"choices", "noise", "preview", "run", "copy"}

    choose(widget, "lanczos")
    assert usable(widget) == {"choices", "preview", "run", "copy"}

    viewer.layers.clear()
    assert "run" not in usable(widget)


def test_a_model_is_shown_with_its_card_and_its_dial(viewer, qtbot, monkeypatch):
    card = ModelCard(
        name="bones",
        description="Bones, four times finer.",
        domain="micro-CT",
        factor=4,
        architecture="fast",
        halo=9,
        recommended_dial=0.4,
        digests={"faithful": "…", "textured": "…"},
    )
    monkeypatch.setattr(model_choice, "scan_models", lambda: ([card], []))

    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)

    methods = [name for name in METHODS if not METHODS[name].needs_file]
    assert offered(widget) == ["bones  ×4 · micro-CT", *methods]
    assert widget.about.value == "Bones, four times finer."
    assert widget.dial.enabled
    assert widget.settings.dial == 0.4
    choose(widget, "bicubic")
    assert not widget.dial.enabled
    assert "no dial" in widget.dial.tooltip
    assert widget.settings.dial is None


def test_noise_can_be_left_or_given(widget, tiny_card):
    widget.reset_choices()
    choose(widget, "tiny")
    assert widget.settings.noise == "auto"
    assert widget.gain.native.isHidden()

    widget.noise.kind.value = "none"
    assert widget.settings.noise == napari_sr.NoiseLevel()

    widget.noise.kind.value = "given"
    for name, value in {"gain": 2, "read": 5, "offset": 100}.items():
        widget.noise.level[name].value = value
    assert widget.settings.noise == napari_sr.NoiseLevel(2, 5, 100)
    widget.correlation.value = 0.5
    assert widget.settings.noise.correlation == 0.5
    assert not widget.gain.native.isHidden()
    widget.noise.value = 0
    assert widget.settings.noise == napari_sr.NoiseLevel()
    widget.noise.value = "auto"
    assert widget.settings.noise == "auto"


def test_agreement_with_the_recording_can_be_left_off(widget, tiny_card):
    widget.reset_choices()
    choose(widget, "tiny")
    assert widget.settings.consistency == "auto"

    for value in ("off", "exact"):
        widget.consistency.value = value
        assert widget.settings.consistency == value

    choose(widget, "bicubic")
    assert not widget.consistency.enabled
    assert "not corrected" in widget.consistency.tooltip
    assert widget.settings.consistency == "auto"


def test_auto_says_what_it_means(widget, tiny_card):
    widget.reset_choices()
    choose(widget, "tiny")
    machine = widget._preparer.look(widget.model.model, None, widget.settings)

    widget.choices.show_machine(machine)
    widget.reset_choices()

    assert widget.device.native.itemText(1).startswith("cpu: CPU, ")
    assert widget.device.native.itemText(1).endswith(" GB free")
    assert widget.tile.native.text() == f"auto ({machine.tile})"
    assert widget.settings.tile == "auto"
    assert widget.settings.device == "auto"


def test_planes_appear_as_they_are_done_and_a_stop_keeps_them(
    viewer, widget, qtbot, gate
):
    pixels = counts((4, 12, 12))
    viewer.add_image(pixels, name="bone")
    viewer.dims.set_current_step(0, 2)
    choose(widget, "nearest", 2)

    widget.run()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)

    layer = viewer.layers[-1]
    expected = pixels.repeat(2, 1).repeat(2, 2)
    np.testing.assert_array_equal(layer.data[2], expected[2])  # that in view is first
    assert layer.metadata["napari_sr"]["partial"] == {"planes_done": [[2]]}
    assert usable(widget) == {"stop", "copy"}
    assert "of 4" in status(widget)

    widget.stop()
    gate.set()
    wait_for_end(widget, qtbot)

    assert layer.name == "bone [nearest] (2 of 4 planes)"
    assert layer.metadata["napari_sr"]["partial"] == {"planes_done": [[2], [3]]}
    assert status(widget) == (
        "Stopped with 2 of 4 planes done; Run the rest computes the others."
    )
    np.testing.assert_array_equal(layer.data[2:], expected[2:])
    assert not layer.data[:2].any()


def test_run_does_the_rest_to_the_same_pixels(viewer, widget, qtbot, gate, tiny_card):
    widget.reset_choices()
    pixels = counts((4, 12, 12))
    viewer.add_image(pixels, name="bone")
    choose(widget, "tiny")
    widget.run()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)
    widget.stop()
    gate.set()
    wait_for_end(widget, qtbot)
    assert widget.run_button.text == "Run the rest"

    run_to_end(widget, qtbot)

    assert [layer.name for layer in viewer.layers] == ["bone", "bone [tiny]"]
    layer = viewer.layers[-1]
    uninterrupted = napari_sr.upscale(pixels, "tiny", device="cpu")
    np.testing.assert_array_equal(layer.data, uninterrupted)
    assert "partial" not in layer.metadata["napari_sr"]
    assert widget.run_button.text == "Run"


def test_other_settings_are_another_result(viewer, widget, qtbot, gate):
    viewer.add_image(counts((4, 12, 12)), name="bone")
    choose(widget, "nearest", 2)
    widget.run()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)
    widget.stop()
    gate.set()
    wait_for_end(widget, qtbot)

    choose(widget, "nearest", 3)
    run_to_end(widget, qtbot)

    assert [layer.name for layer in viewer.layers] == [
        "bone",
        "bone [nearest] (2 of 4 planes)",
        "bone [nearest]",
    ]


@pytest.mark.parametrize("which", [0, 1], ids=["recording", "result"])
def test_a_layer_that_is_removed_ends_its_run(viewer, widget, qtbot, gate, which):
    viewer.add_image(counts((4, 12, 12)), name="bone")
    choose(widget)
    widget.run()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)

    del viewer.layers[which]
    gate.set()
    wait_for_end(widget, qtbot)

    assert len(viewer.layers) == 1
    assert status(widget).startswith("Stopped")


def test_time_left_does_not_count_loading(viewer, widget, qtbot, monkeypatch):
    clock, heard = [0.0], []

    def timed(*args):
        clock[0] += 60  # torch, and the model
        for n, come in enumerate(run(*args)):
            clock[0] += 20
            yield come
            end = time.monotonic() + WAIT / 1000
            while sum("Plane" in one for one in heard) <= n and time.monotonic() < end:
                time.sleep(0.01)

    monkeypatch.setattr(running, "run", timed)
    monkeypatch.setattr(running, "monotonic", lambda: clock[0])
    viewer.add_image(counts((4, 8, 8)))
    choose(widget)
    change = widget._running._changed
    widget._running._changed = lambda: (
        heard.append(widget._running.sentence),
        change(),
    )

    run_to_end(widget, qtbot)

    assert "Plane 2 of 4" in heard
    assert "Plane 3 of 4, about 40 s left" in heard
    assert "Plane 4 of 4, about 20 s left" in heard


def test_memory_that_ran_out_is_said(viewer, widget, qtbot, monkeypatch):
    def shrinking(*args):
        for result, step in run(*args):
            yield result, TileStep(step.index, 1, 2, step.plane, 0, tile=48)

    monkeypatch.setattr(running, "run", shrinking)
    viewer.add_image(counts((8, 8)))
    choose(widget)
    heard = []
    change = widget._running._changed
    widget._running._changed = lambda: (
        heard.append(widget._running.sentence),
        change(),
    )

    run_to_end(widget, qtbot)

    assert any("out of memory, so tiles are now 48 px" in one for one in heard)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes differ"), MemoryError("tiles of 64 px"), ValueError("no")],
    ids=lambda error: type(error).__name__,
)
def test_what_goes_wrong_reaches_the_user(
    viewer, widget, qtbot, monkeypatch, notified, error
):
    def failing(*_args):
        yield from ()
        raise error

    viewer.add_image(counts((8, 8)))
    choose(widget)
    monkeypatch.setattr(running, "run", failing)

    run_to_end(widget, qtbot)

    assert len(notified) == 1
    assert str(error) in notified[0]
    assert status(widget) == "Failed"
    assert len(viewer.layers) == 1
    assert "run" in usable(widget)


def test_a_device_that_is_not_there_is_said(viewer, widget, qtbot, notified):
    viewer.add_image(counts((8, 8)))
    choose(widget)
    widget.device.value = "mps"

    run_to_end(widget, qtbot)

    assert "mps" in notified[0]


def test_a_result_that_does_not_fit_is_refused(
    viewer, widget, qtbot, monkeypatch, notified
):
    monkeypatch.setenv("NAPARI_SR_MEMORY", "1e-6")
    viewer.add_image(counts((4, 40, 40)))
    choose(widget)

    run_to_end(widget, qtbot)

    assert "memory are free" in notified[0]
    assert "--recipe" in notified[0]


def test_a_widget_that_is_gone_stops_its_flow(viewer, qtbot, monkeypatch):
    started, closed = Event(), Event()

    def endless(*args):
        try:
            for _ in iter(int, 1):
                started.set()
                yield from run(*args)
        finally:
            closed.set()

    viewer.add_image(counts((2, 8, 8)))
    widget = SuperResolve(viewer)
    choose(widget)
    monkeypatch.setattr(running, "run", endless)
    widget.run()
    qtbot.waitUntil(started.is_set, timeout=WAIT)

    widget.native.deleteLater()

    qtbot.waitUntil(closed.is_set, timeout=WAIT)


def test_choices_are_remembered(viewer, qtbot):
    before = SuperResolve(viewer)
    qtbot.addWidget(before.native)
    choose(before, "lanczos", 4)
    before.device.value, before.consistency.value = "cpu", "off"

    after = SuperResolve(viewer)
    qtbot.addWidget(after.native)

    assert (after.model.value, after.factor.value) == ("lanczos", 4)
    assert after.settings.device == "cpu"
    assert after.consistency.value == "off"


def test_the_widget_fits_a_narrow_dock(viewer, widget):
    viewer.add_image(counts((8, 8)), name="a layer with a very long name" * 4)

    assert widget.native.minimumSizeHint().width() <= 300


def test_the_tab_key_goes_from_top_to_bottom(widget):
    parts = [*in_order(widget.native)]
    assert parts[0] is widget.layer.native
    assert parts[-1] is widget.recipe_button.native
    focused, followers = parts[0], []
    for _ in range(200):
        focused = focused.nextInFocusChain()
        followers.append(focused)

    places = [followers.index(part) for part in parts[1:]]
    assert places == sorted(places)


def test_the_widget_opens_without_torch():
    code = (
        "import sys; from qtpy.QtWidgets import QApplication; app = QApplication([])\n"
        "from napari.components import ViewerModel\n"
        "from napari_sr._napari.super_resolve.widget import SuperResolve\n"
        "widget = SuperResolve(ViewerModel())\n"
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(napari_sr.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == 0


def test_napari_finds_the_widget_and_docks_it(make_napari_viewer):
    viewer = make_napari_viewer()

    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")

    assert isinstance(widget, SuperResolve)
    assert dock.name.startswith("Super-resolve")
    viewer.window.remove_dock_widget(dock)


def test_a_sample_is_previewed_and_super_resolved_in_a_whole_viewer(
    drawing_viewer, qtbot
):
    viewer = drawing_viewer
    viewer.open_sample("napari-sr", "mammogram")
    viewer.layers.selection.active = viewer.layers[0]
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")
    choose(widget, "bicubic", 2)

    widget.preview_button.native.click()
    qtbot.waitUntil(lambda: widget._preview.layer is not None, timeout=WAIT)
    run_to_end(widget, qtbot)

    recorded, truth, preview, result = viewer.layers
    assert not preview.visible
    assert result.name == "mammogram [bicubic]"
    assert result.data.shape == truth.data.shape
    np.testing.assert_allclose(result.scale, truth.scale, rtol=1e-12)
    np.testing.assert_allclose(result.translate, truth.translate, rtol=1e-12)
    assert recorded.units == result.units
    viewer.window.remove_dock_widget(dock)


def test_closing_the_dock_takes_the_preview_away(drawing_viewer, qtbot):
    viewer = drawing_viewer
    viewer.add_image(counts((40, 40)))
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")
    choose(widget, "bicubic", 2)
    widget.preview_button.native.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)

    viewer.window.remove_dock_widget(dock)

    assert len(viewer.layers) == 1


def test_a_closed_dock_keeps_nothing_alive(drawing_viewer, qtbot):
    viewer = drawing_viewer
    viewer.add_image(counts((40, 40)))
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")
    choose(widget, "bicubic", 2)
    widget.preview_button.native.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)
    run_to_end(widget, qtbot)
    alive = [weakref.ref(part) for part in (widget, widget._running, widget._preparer)]

    viewer.window.remove_dock_widget(dock)
    del dock, widget

    def are_gone() -> bool:
        gc.collect()
        return not any(part() for part in alive)

    qtbot.waitUntil(are_gone, timeout=WAIT)

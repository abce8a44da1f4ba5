"""The parts of the widget: what is chosen, what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import QPointF, Qt
from scipy import ndimage
from tiny_models import tiny_fast

from napari_sr._napari.fine_tune.examples_panel import MEASURED, ExamplesPanel
from napari_sr._napari.fine_tune.image_sources import SourcePicker
from napari_sr._napari.fine_tune.instrument_panel import InstrumentPanel
from napari_sr._napari.fine_tune.live_view import LiveView
from napari_sr._napari.fine_tune.range_row import RangeRow
from napari_sr._napari.parts.curve_plot import CurvePlot, PlottedCurve
from napari_sr._napari.parts.image_view import LinkedViews
from napari_sr._napari.parts.remembered import recall, remember
from napari_sr.image.stack import StackError
from napari_sr.instrument.ranges import Instrument
from napari_sr.interactive.fine_tuning import Update
from napari_sr.training.validation import PatchPreview

WAIT = 60_000


def texture(shape=(160, 160), seed=0, sigma=1.0):
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return ((smooth - smooth.min()) / np.ptp(smooth) * 20_000 + 1_000).astype(np.uint16)


def binned(image):
    y, x = image.shape
    return image.reshape(y // 2, 2, x // 2, 2).mean((1, 3)).round().astype(image.dtype)


# ── images ──────────────────────────────────────────────────────────────────────────


def names(picker) -> list[str]:
    return [one if isinstance(one, str) else one.name for one in picker.sources()]


def test_layers_files_and_folders_are_chosen_together(viewer, qtbot, tmp_path):
    first, second, _ = (
        viewer.add_image(np.zeros((8, 8), np.uint8), name=name) for name in "abc"
    )
    picker = SourcePicker(viewer)
    qtbot.addWidget(picker)

    picker.take(first, second)
    picker.add_paths([str(tmp_path), str(tmp_path / "x.tif"), "", str(tmp_path)])

    assert names(picker) == ["b", "a", str(tmp_path), str(tmp_path / "x.tif")]


def test_all_visible_layers_are_chosen_at_once(viewer, qtbot):
    shown = viewer.add_image(np.zeros((8, 8), np.uint8), name="shown")
    viewer.add_image(np.zeros((8, 8), np.uint8), name="hidden", visible=False)
    viewer.add_labels(np.zeros((8, 8), np.uint8), name="labels")
    picker = SourcePicker(viewer)
    qtbot.addWidget(picker)

    picker.take_visible()

    assert names(picker) == [shown.name]


def test_a_layer_that_is_removed_is_no_longer_chosen(viewer, qtbot):
    kept, gone = (
        viewer.add_image(np.zeros((8, 8), np.uint8), name=name)
        for name in ("kept", "gone")
    )
    picker = SourcePicker(viewer)
    qtbot.addWidget(picker)
    picker.take(kept, gone)
    viewer.layers.remove(gone)

    with qtbot.waitSignal(picker.changed):
        picker.refresh()

    assert names(picker) == ["kept"]


def test_an_rgb_layer_is_refused_when_it_is_to_be_used(viewer, qtbot):
    layer = viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo")
    picker = SourcePicker(viewer)
    qtbot.addWidget(picker)
    picker.take(layer)

    with pytest.raises(StackError, match="photo"):
        picker.sources()


# ── the instrument ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_logarithmic", [False, True])
def test_a_range_is_exactly_what_was_set_until_it_is_changed(qtbot, is_logarithmic):
    row = RangeRow("", "", (1, 100), decimals=1, is_logarithmic=is_logarithmic)
    qtbot.addWidget(row)
    row.set_value((1.2345, 66.6666))
    assert row.value == (1.2345, 66.6666)

    with qtbot.waitSignal(row.changed):
        row.high.setValue(50)
    assert row.value == (1.2345, 50)

    low, high = row.slider.value()
    row.slider.setValue((low, high - 200))
    expected = 50 * 100**-0.2 if is_logarithmic else 50 - 0.2 * 99
    assert row.value[1] == pytest.approx(expected, rel=0.01)


def test_ends_that_cross_move_together(qtbot):
    row = RangeRow("", "", (1, 100), decimals=0)
    qtbot.addWidget(row)
    row.set_value((10, 20))

    row.low.setValue(30)
    assert row.value == (30, 30)

    row.high.setValue(5)
    assert row.value == (5, 5)


def test_figures_that_are_not_touched_stay(qtbot):
    instrument = Instrument(
        psf_sigma=(0.123456, 1.2), photons=(33.3, 44.4), offset=(1, 2)
    )
    panel = InstrumentPanel()
    qtbot.addWidget(panel)

    panel.set_instrument(instrument)
    assert panel.instrument == instrument

    panel.rows["photons"].high.setValue(500)
    update = {"photons": (33.3, 500)}
    assert panel.instrument == instrument.model_copy(update=update)


def test_heights_have_no_photons_to_choose(qtbot):
    panel = InstrumentPanel()
    qtbot.addWidget(panel)

    panel.set_instrument(Instrument(photons=None))

    assert not panel.rows["photons"].isEnabled()
    assert panel.rows["read"].isEnabled()
    assert panel.instrument.photons is None


@pytest.fixture
def panel(viewer, qtbot):
    panel = ExamplesPanel(viewer)
    panel.set_base(tiny_fast().card)
    yield panel
    worker = panel.background._worker
    panel.background.leave()
    panel._settled.stop()
    if worker is not None:
        qtbot.waitUntil(lambda: not worker.is_running, timeout=WAIT)


def test_a_simulated_patch_is_shown_beside_a_real_one(viewer, panel, qtbot):
    sharp = viewer.add_image(texture(), name="sharp")
    recorded = viewer.add_image(texture((60, 60)), name="recorded")
    panel.refresh_layers()
    panel.images.take(sharp)
    panel.recordings.take(recorded)

    simulated, real = panel.views.views
    qtbot.waitUntil(lambda: simulated.is_filled and real.is_filled, timeout=WAIT)


def test_the_estimate_fills_the_sliders_and_is_said(viewer, panel, qtbot):
    sharp = [viewer.add_image(texture((256, 256), seed)) for seed in range(2)]
    recorded = viewer.add_image(binned(texture((512, 512), 9)), name="recorded")
    panel.refresh_layers()
    panel.images.take(*sharp)
    panel.recordings.take(recorded)
    panel._settled.stop()
    before = panel.instrument

    panel.ask.click()
    qtbot.waitUntil(lambda: "Blur" in panel.notes.text(), timeout=WAIT)

    assert panel.instrument != before
    assert panel.instrument_panel.rows["photons"].value == panel.instrument.photons


def test_the_shift_of_measured_pairs_is_said(viewer, panel, qtbot):
    whole = texture((204, 204), sigma=1.5)
    sharp = viewer.add_image(whole[:200, :200], name="sharp")
    low = viewer.add_image(binned(whole[4:204, 2:202]), name="low")
    panel.kind.setCurrentText(MEASURED)
    panel.refresh_layers()
    panel.images.take(sharp)
    panel.recordings.take(low)

    panel.ask.click()
    qtbot.waitUntil(lambda: "shifted" in panel.notes.text(), timeout=WAIT)

    assert "(-2.00, -1.00)" in panel.notes.text()
    assert all(view.is_filled for view in panel.views.views)
    assert panel.instrument is None


# ── what is drawn ───────────────────────────────────────────────────────────────────


def test_curves_and_levels_are_drawn_within_the_plot(qtbot):
    plot = CurvePlot("PSNR")
    qtbot.addWidget(plot)
    plot.resize(260, 120)
    empty = plot.grab().toImage()

    plot.show()
    plot.show_curves(
        [PlottedCurve("now", ((0, 30), (1, 33)), "#ff0000")], {"base": 30.0}
    )

    qtbot.waitUntil(lambda: plot.grab().toImage() != empty, timeout=WAIT)
    drawn = plot.grab().toImage()
    red = [
        (x, y)
        for x in range(260)
        for y in range(120)
        if drawn.pixelColor(x, y).red() > drawn.pixelColor(x, y).blue() + 150
    ]
    assert max(x for x, _ in red) > 200
    assert min(red)[1] > max(red)[1], "it rises to the right"


def preview(now=25.0) -> PatchPreview:
    truth = texture((64, 64)).astype(np.float32) / 20_000
    return PatchPreview(truth[::2, ::2], truth, truth, psnr=now, psnr_bicubic=21.0)


def row(stage="fidelity", seconds=6.0, psnr=30.0) -> dict[str, float | str]:
    more = {"pixels": 0.01, "spectrum_error": 0.2}
    return {"stage": stage, "seconds": seconds, "psnr": psnr, **more}


def test_a_training_is_shown_from_where_its_base_stands(qtbot):
    live = LiveView()
    qtbot.addWidget(live)
    live.show_update(Update("", baselines={"bicubic": 28.0, "base": 29.0}))
    live.show_update(Update("", history=(row(), row(seconds=12, psnr=31))))
    live.show_update(Update("", preview=preview()))

    assert live.quality.curves[0].points == ((0, 29), (0.1, 30), (0.2, 31))
    assert live.quality.levels == {"bicubic": 28.0, "base": 29.0}
    assert [view.caption for view in live.patch.views] == [
        "bicubic 21.0 dB",
        "25.0 dB",
        "",
    ]
    assert live.texture.isHidden()

    live.show_update(Update("", history=(row(), row("adversarial"))))
    assert not live.texture.isHidden()

    live.clear()
    assert live.quality.levels == {}
    assert not any(view.is_filled for view in live.patch.views)


def test_views_are_zoomed_and_moved_together_and_stay_on_the_image(qtbot):
    views = LinkedViews(("low", "high"))
    qtbot.addWidget(views)
    lens = views.lens
    for view, side in zip(views.views, (32, 64), strict=True):
        view.show_image(np.eye(side), (0, 1))
        view.resize(100, 140)

    qtbot.keyClicks(views.views[0], "+++")
    assert lens.zoom == pytest.approx(1.25**3)

    lens.look(4, 2.0, -1.0)
    assert (lens.x, lens.y) == (1 - 1 / 8, 1 / 8)

    middle = QPointF(50, 70).toPoint()
    qtbot.mouseDClick(views.views[1], Qt.MouseButton.LeftButton, pos=middle)
    assert (lens.zoom, lens.x, lens.y) == (1, 0.5, 0.5)


# ── for the next time ───────────────────────────────────────────────────────────────


def test_what_was_chosen_is_given_again():
    assert recall("widget") == {}

    remember("widget", {"minutes": 2.5, "texture": True, "base": "µ “x”"})

    assert recall("widget") == {"minutes": 2.5, "texture": True, "base": "µ “x”"}
    assert recall("other") == {}

"""Every panel fits a small screen, in letters of all sizes, and scrolls."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.batch.widget import Batch
from napari_sr._napari.compare.widget import Compare
from napari_sr._napari.fine_tune.widget import FineTune
from napari_sr._napari.models.widget import Models
from napari_sr._napari.parts.panel import in_order
from napari_sr._napari.parts.section import Section
from napari_sr._napari.quality.widget import QualityTable
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.image.axis import Axis
from napari_sr.image.intensity import NoiseLevel
from napari_sr.interactive.prepared import FoundNoise
from tools.screenshots.panels import FONTS, HEIGHT, WIDTH, faults_of

PANELS = (SuperResolve, FineTune, QualityTable, Compare, Batch, Models)
BUTTONS = ("start_button", "run_button", "measure_button", "stop_button")
BUTTONS += ("save_result_button", "undo_button")


def is_in_view(button) -> bool:
    """Tell whether all of a button is seen without scrolling."""
    native = button.native
    return native.visibleRegion().boundingRect() == native.rect()


@pytest.mark.parametrize("size", FONTS)
@pytest.mark.parametrize("kind", PANELS, ids=lambda kind: kind.__name__)
def test_a_panel_fits_a_small_screen(viewer, qtbot, kind, size):
    viewer.add_image(np.zeros((8, 8), np.uint16), name="a long name " * 5)
    panel, dock = kind(viewer), QWidget()
    qtbot.addWidget(dock)
    column = QVBoxLayout(dock)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(panel.native)
    for section in dock.findChildren(Section):
        section.show_content(True)
    dock.setStyleSheet(f"QLabel, QPushButton, QComboBox {{ font-size: {size}pt; }}")
    dock.resize(WIDTH, HEIGHT)
    dock.show()
    qtbot.wait(100)

    assert set(faults_of(dock)) == set()
    assert panel.native.findChild(QScrollArea) is not None
    for name in BUTTONS:
        assert name not in vars(panel) or is_in_view(getattr(panel, name)), name


@pytest.mark.parametrize("kind", PANELS, ids=lambda kind: kind.__name__)
def test_a_dock_opens_wide_enough_and_no_wider_than_a_small_screen_allows(
    viewer, qtbot, kind
):
    panel, window = kind(viewer), QMainWindow()
    qtbot.addWidget(window)
    window.setCentralWidget(QWidget())
    window.resize(1280, 720)
    window.show()
    dock = QDockWidget(window)
    dock.setWidget(panel.native)

    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    qtbot.wait(50)

    assert 280 <= dock.width() <= WIDTH


@pytest.mark.parametrize("size", FONTS)
def test_all_rows_that_a_recording_can_have_fit_as_well(viewer, qtbot, size):
    for name in ("a long name " * 5, "DAPI", "FITC"):
        viewer.add_image(np.zeros((3, 8, 8), np.uint16), name=name)
    viewer.layers.selection = set(viewer.layers)
    panel, dock = SuperResolve(viewer), QWidget()
    qtbot.addWidget(dock)
    column = QVBoxLayout(dock)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(panel.native)
    panel.channels.value, panel.z.value = True, "a number"
    panel.choices.noise._look_up = lambda: FoundNoise(NoiseLevel(3, 40, 100), 12_000)
    panel.choices.noise.show_found()
    panel.strength.value = 55
    voxel = [Axis(name, 0.175, "um") for name in "zyx"]
    panel.choices.pixel_size.offer(panel.layer.value, voxel)
    panel.choices.z.say("0.2 × 0.2 × 0.7 µm → 0.1 × 0.1 × 0.1 µm")
    dock.setStyleSheet(f"QLabel, QPushButton, QComboBox {{ font-size: {size}pt; }}")
    dock.resize(WIDTH, HEIGHT)
    dock.show()
    qtbot.wait(100)

    assert set(faults_of(dock)) == set()
    shown = (panel.models, panel.z_planes, panel.z_alone, panel.strength, panel.gain)
    for row in (*shown, panel.selected, panel.pixel_size, panel.noise.auto_button):
        assert row.native.isVisible(), row.name
    for button in (panel.run_button, panel.stop_button, panel.save_result_button):
        assert is_in_view(button)
    assert is_in_view(panel.undo_button)


@pytest.mark.parametrize("size", FONTS)
def test_however_much_is_said_buttons_stay_in_view(viewer, qtbot, size):
    panel, dock = SuperResolve(viewer), QWidget()
    qtbot.addWidget(dock)
    column = QVBoxLayout(dock)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(panel.native)
    dock.setStyleSheet(f"QLabel, QPushButton, QComboBox {{ font-size: {size}pt; }}")
    dock.resize(WIDTH, HEIGHT)
    dock.show()
    panel.status.value = "Done: one channel after the other (512 × 512 px). " * 9
    qtbot.wait(100)

    assert (dock.width(), dock.height()) == (WIDTH, HEIGHT)
    assert is_in_view(panel.run_button)
    assert is_in_view(panel.undo_button)


def test_a_text_is_as_tall_as_its_lines_whatever_comes_and_goes(viewer, qtbot):
    panel = SuperResolve(viewer)
    qtbot.addWidget(panel.native)
    panel.native.resize(WIDTH, HEIGHT)
    panel.native.show()
    label, row = panel.about.native, panel.choices.warning
    one_line = label.fontMetrics().lineSpacing()

    for words, n_lines in (("few", 1), ("words " * 30, 4), ("few", 1)):
        panel.about.value = words
        for is_shown in (True, False):
            panel.choices.show_row(row, is_shown)
            qtbot.wait(20)
            assert label.height() >= label.heightForWidth(label.width())
        assert (label.height() < 2 * one_line) == (n_lines == 1)


@pytest.mark.parametrize("size", FONTS)
def test_tables_follow_the_font(viewer, qtbot, size):
    panel, dock = Models(viewer), QWidget()
    qtbot.addWidget(dock)
    QVBoxLayout(dock).addWidget(panel.native)
    dock.setStyleSheet(f"QLabel, QPushButton {{ font-size: {size}pt; }}")
    dock.show()

    qtbot.waitUntil(lambda: panel.table.font().pointSize() == size)
    assert not panel.table.font().bold()
    needed = panel.table.fontMetrics().height()
    assert panel.table.rowHeight(0) >= needed


@pytest.mark.parametrize("kind", PANELS, ids=lambda kind: kind.__name__)
def test_what_takes_the_keyboard_has_a_name(viewer, qtbot, kind):
    panel = kind(viewer)
    qtbot.addWidget(panel.native)

    nameless = [
        part
        for part in in_order(panel.native)
        if not (part.accessibleName() or getattr(part, "text", str)())
        and part.parentWidget().accessibleName() == ""
    ]

    assert nameless == []

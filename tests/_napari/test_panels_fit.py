"""Every panel fits a small screen, in letters of all sizes, and scrolls."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_sr._napari.batch.widget import Batch
from napari_sr._napari.compare.widget import Compare
from napari_sr._napari.fine_tune.widget import FineTune
from napari_sr._napari.models.widget import Models
from napari_sr._napari.parts.panel import in_order
from napari_sr._napari.parts.section import Section
from napari_sr._napari.quality.widget import QualityTable
from napari_sr._napari.super_resolve.widget import SuperResolve
from tools.screenshots.panels import FONTS, HEIGHT, WIDTH, faults_of

PANELS = (SuperResolve, FineTune, QualityTable, Compare, Batch, Models)


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
    assert isinstance(panel.native, QScrollArea)


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

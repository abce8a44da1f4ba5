"""Number boxes show and take the decimal comma of a locale that has one."""

from __future__ import annotations

import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import QLocale, Qt
from qtpy.QtWidgets import QDoubleSpinBox

from napari_sr._napari.batch.widget import Batch
from napari_sr._napari.fine_tune.widget import FineTune
from napari_sr._napari.super_resolve.widget import SuperResolve


@pytest.fixture(params=["de_DE", "en_US"])
def locale(request):
    """Let a locale be the system's."""
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield QLocale()
    QLocale.setDefault(before)


@pytest.mark.parametrize("panel_of", [SuperResolve, FineTune, Batch])
@pytest.mark.parametrize("typed", ["2.5", "2,5"])
def test_every_number_box_takes_a_point_and_a_comma(
    viewer, qtbot, locale, panel_of, typed
):
    panel = panel_of(viewer)
    qtbot.addWidget(panel.native)
    boxes = panel.native.findChildren(QDoubleSpinBox)
    boxes = [box for box in boxes if box.maximum() >= 2.5 and box.decimals() > 0]
    assert boxes or panel_of is Batch

    for box in boxes:
        box.selectAll()
        qtbot.keyClicks(box, typed)
        qtbot.keyClick(box, Qt.Key.Key_Return)

        assert box.value() == 2.5, box.accessibleName()
        point = locale.decimalPoint()
        assert box.text() == f"{2.5:.{box.decimals()}f}".replace(".", point)


@pytest.mark.parametrize("typed", ["0.5; 3.25", "0,5; 3,25"])
def test_two_numbers_that_are_typed_are_taken_as_the_locale_has_them(
    viewer, qtbot, locale, typed
):
    if "," in typed and locale.decimalPoint() == ".":
        pytest.skip("a comma is no decimal point there")
    panel = SuperResolve(viewer)
    qtbot.addWidget(panel.native)

    panel.intensity_range.value = typed

    assert panel.settings.intensity_range == (0.5, 3.25)


def test_a_number_or_a_word_in_a_batch(viewer, qtbot, locale):
    panel = Batch(viewer)
    qtbot.addWidget(panel.native)

    panel.z.value = f"3{locale.decimalPoint()}5"
    assert panel.form.settings.z == 3.5
    panel.z.value = "isotropic"
    assert panel.form.settings.z == "isotropic"

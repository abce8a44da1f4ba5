"""Settings that no form draws: each has a row of its own, and what is chosen counts."""

from __future__ import annotations

from typing import Literal

import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from napari_sr._napari.batch.form import BatchForm
from napari_sr._napari.parts.more_settings import MoreSettings
from napari_sr._napari.super_resolve.controls import Choices
from napari_sr.settings import UpscaleSettings


class Later(UpscaleSettings):
    """The settings with what a later version may add."""

    colour: Literal["grey", "red"] = "grey"
    """What a new setting would say."""
    depth: int = 3
    """One number."""
    is_kept: bool = False
    """Yes or no."""


def test_a_new_setting_has_a_row_with_its_explanation(qtbot):
    section = MoreSettings(Later, drawn=UpscaleSettings.model_fields)
    qtbot.addWidget(section)

    assert [*section.rows] == ["colour", "depth", "is_kept"]
    assert section.rows["colour"].tooltip == "What a new setting would say."
    assert section.values == {}
    section.rows["colour"].value = "red"
    section.rows["depth"].value = 7
    section.rows["is_kept"].value = True
    assert Later(**section.values) == Later(colour="red", depth=7, is_kept=True)


@pytest.mark.parametrize("form_of", [BatchForm, Choices])
def test_every_setting_is_in_the_form(form_of, qtbot):
    form = form_of()
    qtbot.addWidget(form)

    with qtbot.waitSignal(form.changed):
        form.more.rows["dtype"].value = "float32"
    form.more.rows["intensity_range"].value = "100; 4000"

    assert form.settings.dtype == "float32"
    assert form.settings.intensity_range == (100, 4000)
    missing = UpscaleSettings.model_fields.keys() - form.more.rows.keys()
    assert missing <= {"device", "noise", "tile", "consistency", "dial"}

"""Each setting has a row of its own, and what is chosen counts."""

from __future__ import annotations

from typing import Literal

import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from magicgui.widgets import FloatSlider
from pydantic import Field

from napari_sr._napari.batch.widget import Batch
from napari_sr._napari.parts.panel import weakly
from napari_sr._napari.parts.settings_form import SettingsForm, others
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.settings import UpscaleSettings


class Later(UpscaleSettings):
    """The settings with what a later version may add."""

    colour: Literal["grey", "red"] = "grey"
    """What a new setting would say."""
    depth: int = 3
    """One number."""
    share: float = Field(default=0.2, ge=0, le=0.5)
    """A number between two."""
    is_kept: bool = False
    """Yes or no."""
    power: Literal[2, 4] | None = None
    """One of two, or none."""


def test_a_new_setting_has_a_row_with_its_explanation_and_its_range(qtbot):
    form = SettingsForm(Later, others(Later, UpscaleSettings.model_fields))
    qtbot.addWidget(form.native)

    assert [*form.rows] == ["colour", "depth", "share", "is_kept", "power"]
    assert form.colour.tooltip == "What a new setting would say."
    assert form.colour.choices == ("grey", "red")
    assert isinstance(form.share, FloatSlider)
    assert (form.share.min, form.share.max, form.share.value) == (0, 0.5, 0.2)
    assert form.values == {}
    form.colour.value = "red"
    form.depth.value = 7
    form.is_kept.value = True
    assert form.power.value == ""
    assert Later(**form.values) == Later(colour="red", depth=7, is_kept=True)


@pytest.mark.parametrize("panel_of", [Batch, SuperResolve])
def test_every_setting_is_in_the_panel_and_follows_the_console(panel_of, viewer, qtbot):
    panel = panel_of(viewer)
    qtbot.addWidget(panel.native)
    form = panel.form if panel_of is Batch else panel.choices

    with qtbot.waitSignal(form.more.dtype.native.currentIndexChanged):
        panel.dtype.value = "float32"
    panel.intensity_range.value = "100; 4000"
    panel.tile.value = 128

    assert form.settings.dtype == "float32"
    assert form.settings.intensity_range == (100, 4000)
    assert form.settings.tile == 128
    for name in UpscaleSettings.model_fields:
        assert getattr(panel, name).name == name
    with pytest.raises(ValueError, match="not a valid choice"):
        panel.model.value = "chalk"


def test_what_a_garbage_collection_has_emptied_is_called_without_harm():
    class Owner:
        def __init__(self):
            self.called = 0

        def act(self):
            self.called += 1

    owner = Owner()
    call = weakly(owner.act)
    call()
    assert owner.called == 1
    # As a collection leaves it, before Qt destroys what it is connected to.
    del call.known
    assert call() is None
    gone = weakly(Owner().act)
    assert gone() is None

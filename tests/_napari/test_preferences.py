"""What the user prefers takes effect; older napari has the defaults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from app_model.types import KeyBinding
from napari import settings
from napari.viewer import Viewer as NapariViewer
from npe2 import PluginManager, PluginManifest

from napari_sr._napari.activation import KEY
from napari_sr._napari.batch.form import BatchForm
from napari_sr._napari.parts import preferences as module
from napari_sr._napari.parts.preferences import (
    Preferences,
    follow_preferences,
    preferences,
    preferred_settings,
)
from napari_sr._napari.super_resolve.preview_here import preview_here
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.catalogue import lookup as catalogue
from napari_sr.files.formats import COMPRESSIONS
from napari_sr.interactive.prepared import DEVICES
from napari_sr.settings import UpscaleSettings

newer = pytest.mark.skipif(
    not hasattr(settings, "get_plugin_settings"), reason="napari before 0.9"
)


@pytest.fixture
def preferred():
    """Give napari's settings of the plugin, at their defaults."""
    PluginManager.instance().discover()
    settings._clear_plugin_settings_cache()
    return settings.get_plugin_settings("napari-sr")


@newer
def test_the_defaults_of_the_manifest_are_those_of_the_core(preferred):
    assert preferences() == Preferences()
    assert preferred_settings() == UpscaleSettings()


@newer
def test_the_manifest_offers_what_there_is():
    manifest = PluginManifest.from_distribution("napari-sr")
    sections = manifest.contributions.configurations

    assert tuple(sections["computing"].properties["device"].enum) == DEVICES
    assert tuple(sections["files"].properties["compression"].enum) == COMPRESSIONS


@newer
def test_what_is_preferred_becomes_the_settings_of_a_run(preferred):
    preferred.computing.device = "cpu"
    preferred.computing.share_of_memory = 0.5

    assert preferred_settings() == UpscaleSettings(device="cpu", share_of_memory=0.5)
    assert preferred_settings(device="cuda").device == "cuda"


@newer
def test_a_widget_begins_with_what_is_preferred(preferred, qtbot):
    preferred.computing.device = "cpu"
    preferred.files.compression = "zstd"

    form = BatchForm()
    qtbot.addWidget(form.native)

    assert form.first.rows["device"].value == "cpu"
    assert form.compression.value == "zstd"


@newer
def test_the_model_folder_is_followed(preferred, tmp_path, monkeypatch):
    monkeypatch.delenv("NAPARI_SR_MODELS")
    asked = []
    monkeypatch.setattr(
        "napari_sr._napari.parts.model_choice.refresh_pickers",
        lambda *_: asked.append(1),
    )
    try:
        follow_preferences()
        preferred.files.model_folder = str(tmp_path)
        assert catalogue.model_folder() == tmp_path
        preferred.files.model_folder = "~/models"
        assert catalogue.model_folder() == Path.home() / "models"
        preferred.files.model_folder = " "
        assert preferences().model_folder is None
        assert len(asked) == 4
    finally:
        catalogue.prefer_model_folder(None)


def test_without_preferences_of_plugins_the_defaults_hold(monkeypatch):
    monkeypatch.delattr(settings, "get_plugin_settings", raising=False)

    assert preferences() == Preferences()


def test_where_napari_does_not_know_the_plugin_the_defaults_hold(monkeypatch):
    monkeypatch.setattr(module, "_settings", lambda: None)

    assert preferences() == Preferences()


def test_the_key_of_the_manifest_is_bound_when_the_plugin_is_first_used(preferred):
    PluginManager.instance().activate("napari-sr")

    (declared,) = PluginManifest.from_distribution(
        "napari-sr"
    ).contributions.keybindings
    assert declared.key == KEY.replace("Control", "Ctrl").replace("-", "+")
    assert NapariViewer.class_keymap[KeyBinding.from_str(declared.key)] is preview_here


@newer
def test_napari_has_no_use_for_the_key(make_drawing_viewer, preferred):
    """Neither its layers nor its menus have it; Ctrl+Alt+P is to play."""
    from napari._app_model import get_app_model
    from napari.utils.shortcuts import default_shortcuts

    make_drawing_viewer()  # it registers what its menus have
    key = KeyBinding.from_str(KEY.replace("-", "+").replace("Control", "Ctrl"))

    assert key not in [one for many in default_shortcuts.values() for one in many]
    registered = get_app_model().keybindings
    assert KeyBinding.from_str("Ctrl+Alt+P") in [one.keybinding for one in registered]
    assert key not in [one.keybinding for one in registered]


# ── the command behind the key ──────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["key", "menu"])
def test_the_key_opens_one_widget_and_previews(shown_viewer, qtbot, preferred, way):
    from hands import choose_in_menu
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    viewer = shown_viewer
    PluginManager.instance().activate("napari-sr")
    viewer.add_image(np.zeros((40, 40), np.uint16))
    window, canvas = viewer.window, viewer.window._qt_viewer.canvas.native
    if way == "menu":
        choose_in_menu(window.layers_menu, "Filter", "Super-resolve")

    def opened():
        docked = window.dock_widgets.values()
        return [one for one in docked if isinstance(one, SuperResolve)]

    def press():
        canvas.setFocus()
        control, shift = (
            Qt.KeyboardModifier.ControlModifier,
            Qt.KeyboardModifier.ShiftModifier,
        )
        QTest.keyClick(canvas, Qt.Key.Key_R, control | shift)
        (widget,) = opened()
        assert widget.native.isVisible()
        return widget

    assert press().preview_button.native.isChecked()
    assert not press().preview_button.native.isChecked()
    if way == "key":  # the menu knows what the key has opened: it closes it
        choose_in_menu(window.layers_menu, "Filter", "Super-resolve")
        (widget,) = opened()
        assert not widget.native.isVisible()

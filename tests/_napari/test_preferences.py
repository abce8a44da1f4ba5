"""What the user prefers takes effect; older napari has the defaults."""

from __future__ import annotations

from pathlib import Path

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
    DEVICES,
    Preferences,
    follow_preferences,
    preferences,
    preferred_settings,
)
from napari_sr._napari.super_resolve.preview_here import preview_here
from napari_sr.catalogue import lookup as catalogue
from napari_sr.files.formats import COMPRESSIONS
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
    qtbot.addWidget(form)

    assert form.device_box.currentText() == "cpu"
    assert form.compression_box.currentText() == "zstd"


@newer
def test_the_model_folder_is_followed(preferred, tmp_path, monkeypatch):
    monkeypatch.delenv("NAPARI_SR_MODELS")
    asked = []
    monkeypatch.setattr(
        "napari_sr._napari.parts.model_picker.refresh_pickers",
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


# ── the command behind the key ──────────────────────────────────────────────────────


class Dock:
    shown = 0

    def show(self):
        self.shown += 1


class Window:
    """A window that opens one widget."""

    def __init__(self, widget):
        self.dock, self.widget, self.asked = Dock(), widget, []

    def add_plugin_dock_widget(self, *names):
        self.asked.append(names)
        return self.dock, self.widget


class Previewing:
    is_on = False

    def toggle_preview(self):
        self.is_on = not self.is_on


class Viewer:
    def __init__(self, widget):
        self.window = Window(widget)


def test_preview_here_opens_the_widget_and_toggles_its_preview():
    viewer = Viewer(Previewing())

    preview_here(viewer)
    assert viewer.window.asked == [("napari-sr", "Super-resolve")]
    assert viewer.window.dock.shown == 1
    assert viewer.window.widget.is_on
    preview_here(viewer)
    assert not viewer.window.widget.is_on

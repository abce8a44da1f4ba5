"""A viewer without a canvas, and one with: the second needs OpenGL."""

from __future__ import annotations

from threading import Event

import pytest

WAIT = 60_000
"""Milliseconds in which a gate is opened."""


@pytest.fixture
def viewer(qtbot):
    """Layers as in a viewer, without a window: works where nothing can be drawn."""
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def make_drawing_viewer(qapp, request):
    """Make whole viewers; skipped where Qt has no OpenGL, as offscreen without X."""
    from qtpy.QtGui import QOpenGLContext

    if not QOpenGLContext().create():
        pytest.skip("no OpenGL here; `xvfb-run make test` has it")
    return request.getfixturevalue("make_napari_viewer")


@pytest.fixture
def drawing_viewer(make_drawing_viewer):
    """A whole viewer whose window is not shown."""
    return make_drawing_viewer()


@pytest.fixture
def shown_viewer(make_drawing_viewer):
    """A whole viewer in its window, as a user has it."""
    viewer = make_drawing_viewer(show=True)
    viewer.window.resize(1500, 950)
    return viewer


@pytest.fixture
def gate(monkeypatch):
    """Let a run do its first plane, and the others once the gate is open."""
    from napari_sr._napari.super_resolve import run as running
    from napari_sr.interactive.in_memory import run

    gate = Event()

    def gated(*args):
        steps = run(*args)
        yield next(steps)
        if not gate.wait(WAIT / 1000):
            raise TimeoutError("nobody opened the gate")
        return (yield from steps)

    monkeypatch.setattr(running, "run", gated)
    yield gate
    gate.set()


@pytest.fixture(autouse=True)
def _nothing_is_remembered(tmp_path):
    """Keep what widgets remember out of the user's files, and out of other tests."""
    core = pytest.importorskip("qtpy.QtCore", reason="there is no Qt binding")
    kind = core.QSettings.Format.IniFormat
    core.QSettings.setPath(
        kind, core.QSettings.Scope.UserScope, str(tmp_path / "remembered")
    )


@pytest.fixture
def notified():
    """Give what the user is told."""
    from napari.utils.notifications import notification_manager

    told: list[str] = []

    def keep(notification) -> None:
        told.append(notification.message)

    notification_manager.notification_ready.connect(keep)
    yield told
    notification_manager.notification_ready.disconnect(keep)


@pytest.fixture(autouse=True)
def _no_preferences_of_the_user(tmp_path, monkeypatch):
    """Keep napari's Preferences of the plugin in a folder of the test."""
    settings = pytest.importorskip("napari.settings", reason="napari is not installed")
    if not hasattr(settings, "get_plugin_settings"):  # before napari 0.9
        yield
        return
    settings._clear_plugin_settings_cache()
    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path / "napari" / "s.yaml"))
    yield
    settings._clear_plugin_settings_cache()

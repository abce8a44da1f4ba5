"""A viewer without a canvas, and one with: the second needs OpenGL."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def viewer(qtbot):
    """Layers as in a viewer, without a window: works where nothing can be drawn."""
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def drawing_viewer(qapp, request):
    """A whole viewer; skipped where Qt has no OpenGL, as offscreen without X."""
    from qtpy.QtGui import QOpenGLContext

    if not QOpenGLContext().create():
        pytest.skip("no OpenGL here; `xvfb-run make test` has it")
    return request.getfixturevalue("make_napari_viewer")()


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


@pytest.fixture
def nothing_remembered(tmp_path):
    """Keep what a user chose last in a folder of the test."""
    from qtpy.QtCore import QSettings

    ini, user = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    before = QSettings(ini, user, "napari-sr", "widgets").fileName()
    QSettings.setPath(ini, user, str(tmp_path / "settings"))
    yield
    QSettings.setPath(ini, user, str(Path(before).parents[1]))

"""A viewer without a canvas, and one with: the second needs OpenGL."""

from __future__ import annotations

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

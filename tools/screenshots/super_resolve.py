"""Pictures of the widgets in use, for the documentation: `make screenshots`.

Each scene is a line of `SCENES`. It opens napari as a user would, uses the widget until
there is something to see, and the window is written to `docs/screenshots/`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import napari
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication, QWidget

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
WINDOW = (1280, 800)
PATIENCE_S = 240

Scene = Callable[[napari.Viewer, QWidget], None]
Scenes = dict[str, tuple[str, str, str, Scene]]


def wait_until(is_so: Callable[[], object]) -> None:
    """Let napari work until something is so."""
    end = monotonic() + PATIENCE_S
    while not is_so():
        if monotonic() > end:
            raise TimeoutError("The scene did not come about.")
        QApplication.processEvents()


def settle(seconds: float = 0.6) -> None:
    """Let napari draw what has changed."""
    end = monotonic() + seconds
    wait_until(lambda: monotonic() > end)


def zoom_in(viewer: napari.Viewer, times: float) -> None:
    """Look at a part of the sample."""
    viewer.scene.camera.zoom *= times
    settle()


def preview(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show the preview of a part of a plane."""
    zoom_in(viewer, 2.5)
    widget.preview_button.native.click()
    wait_until(lambda: widget._preview.layer is not None)


def curtain(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show the recording on the left and the preview on the right."""
    preview(viewer, widget)
    widget.curtain.value = 50


def running(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show a run on its way."""
    widget.run_button.native.click()
    wait_until(lambda: widget._running.progress[0] >= 3)


def stopped(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show what a stopped run leaves."""
    running(viewer, widget)
    widget.stop_button.native.click()
    wait_until(lambda: not widget._running.is_on)


def done(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show the result of a run."""
    widget.run_button.native.click()
    wait_until(lambda: not widget._running.is_on)
    zoom_in(viewer, 2.5)


SCENES: Scenes = {
    # file: widget, sample, theme, what happens
    "super_resolve_preview": ("Super-resolve", "filaments", "dark", preview),
    "super_resolve_curtain": ("Super-resolve", "filaments", "dark", curtain),
    "super_resolve_running": ("Super-resolve", "filaments", "dark", running),
    "super_resolve_stopped": ("Super-resolve", "filaments", "dark", stopped),
    "super_resolve_done": ("Super-resolve", "filaments", "light", done),
}


def take(name: str, title: str, sample: str, theme: str, play: Scene) -> Path:
    """Play a scene and write its picture."""
    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window.resize(*WINDOW)
    viewer.open_sample("napari-sr", sample)
    viewer.layers.selection.active = viewer.layers[0]
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", title)
    dock.setFixedWidth(300)
    if title == "Super-resolve":
        widget.model.value = "general-x2"
    settle(1.5)
    viewer.reset_view()
    play(viewer, widget)
    settle()
    path = FOLDER / f"{name}.png"
    viewer.window.screenshot(str(path), size=None, canvas_only=False, flash=False)
    viewer.close()
    settle()
    return path


@contextmanager
def nothing_remembered() -> Iterator[None]:
    """Let nothing that this user chose or trained before be seen."""
    kind, scope = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    with TemporaryDirectory() as folder:
        QSettings.setPath(kind, scope, folder)
        os.environ["NAPARI_SR_MODELS"] = os.environ["XDG_CONFIG_HOME"] = folder
        yield


def main(scenes: Scenes, names: list[str]) -> None:
    """Write the pictures of these scenes, or of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with nothing_remembered():
        for name in names or scenes:
            print(take(name, *scenes[name]))


if __name__ == "__main__":
    main(SCENES, sys.argv[1:])

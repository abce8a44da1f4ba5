"""Pictures of the Quality, Batch and Models widgets in use, for the documentation.

Run as `python -m benchmarks.screenshots_tools`, with the names of scenes or for all. A
scene opens napari as a user would, uses the widget until there is something to see, and
the window is written to `docs/screenshots/`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import napari
import numpy as np
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication, QWidget

import napari_sr
from napari_sr._napari.geometry import upscaled_look, upscaled_placement

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
SAMPLES = Path(__file__).parents[1] / "sample_data"
WINDOW = (1280, 800)
PATIENCE_S = 180
MODEL = "fluorescence-x2"

Scene = Callable[[napari.Viewer, QWidget, Path], None]


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


def add_result(viewer: napari.Viewer) -> None:
    """Put a result of the first layer beside it."""
    source = viewer.layers[0]
    viewer.add_image(
        napari_sr.upscale(np.asarray(source.data), MODEL),
        name=f"{source.name} [{MODEL}]",
        metadata={"napari_sr": {"plan": {"model": MODEL, "factor": 2}}},
        **upscaled_look(source),
        **upscaled_placement(source, 2),
    )


def quality(viewer: napari.Viewer, widget: QWidget, _folder: Path) -> None:
    """Show the figures of a result beside its truth."""
    add_result(viewer)
    widget.reset_choices()
    widget.measure_button.click()
    wait_until(lambda: not widget._task.is_on)


def quality_without(viewer: napari.Viewer, widget: QWidget, _folder: Path) -> None:
    """Show the figures that need no reference."""
    add_result(viewer)
    viewer.layers.remove(viewer.layers[1])
    widget.reset_choices()
    widget.measure_button.click()
    wait_until(lambda: not widget._task.is_on)


def batch(_viewer: napari.Viewer, widget: QWidget, folder: Path) -> None:
    """Show a batch that was stopped, with a file that cannot be read."""
    os.chdir(folder)  # so that the picture shows no path of this machine
    recordings = Path("recordings")
    recordings.mkdir()
    for name in ("filaments", "foam", "nuclei"):
        path = SAMPLES / f"{name}_recorded.ome.tif"
        (recordings / path.name).write_bytes(path.read_bytes())
    (recordings / "broken.ome.tif").write_bytes(b"no image at all")
    widget.form.sources.setText(str(recordings))
    widget.form.output.setText("results")
    widget.form.model_box.setCurrentIndex(widget.form.model_box.findData("lanczos"))
    widget.run_button.click()
    wait_until(lambda: not widget._task.is_on)


def models(_viewer: napari.Viewer, _widget: QWidget, _folder: Path) -> None:
    """Show the card of the first model."""


SCENES: dict[str, tuple[str, str, str, Scene]] = {
    # file: widget, sample, theme, what happens
    "quality": ("Quality", "filaments", "dark", quality),
    "quality_light": ("Quality", "filaments", "light", quality),
    "quality_without_reference": ("Quality", "filaments", "dark", quality_without),
    "batch": ("Batch", "foam", "dark", batch),
    "batch_light": ("Batch", "foam", "light", batch),
    "models": ("Models", "filaments", "dark", models),
    "models_light": ("Models", "filaments", "light", models),
}


def take(name: str) -> Path:
    """Play a scene and write its picture."""
    title, sample, theme, play = SCENES[name]
    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window.resize(*WINDOW)
    viewer.open_sample("napari-sr", sample)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", title)
    dock.setFixedWidth(300)
    settle(1.5)
    viewer.reset_view()
    with TemporaryDirectory() as folder:
        play(viewer, widget, Path(folder))
        os.chdir(FOLDER)
        settle()
        path = FOLDER / f"{name}.png"
        viewer.window.screenshot(str(path), size=None, canvas_only=False, flash=False)
    viewer.close()
    settle()
    return path


def main(names: list[str]) -> None:
    """Write the pictures of these scenes, or of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Nothing that this user chose before may be seen.
    kind, scope = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    with TemporaryDirectory() as folder:
        QSettings.setPath(kind, scope, folder)
        for name in names or SCENES:
            print(take(name))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Pictures of the other widgets in use, for the documentation.

Run as `python -m tools.screenshots.other_widgets`, with the names of scenes or for all.
A scene opens napari as a user would and uses the widget until there is something to
see; the window is written to `docs/screenshots/`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tools.screenshots.super_resolve import FOLDER, main, settle, wait_until

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QWidget

    from tools.screenshots.super_resolve import Scenes

SAMPLES = Path(__file__).parents[2] / "sample_data"
MODEL = "general-x2"


def add_result(viewer: napari.Viewer, widget: QWidget) -> None:
    """Super-resolve the first layer, as a user would, and choose what came of it."""
    dock, maker = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")
    maker.model.value = MODEL
    maker.layer.value = viewer.layers[0]
    maker.run_button.native.click()
    wait_until(lambda: not maker._running.is_on)
    viewer.window.remove_dock_widget(dock)
    widget.reset_choices()


def measure(widget: QWidget) -> None:
    """Measure, and wait for the figures."""
    widget.measure_button.native.click()
    wait_until(lambda: not widget._background.is_busy)


def quality(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show the figures of a result beside its truth."""
    add_result(viewer, widget)
    measure(widget)


def quality_without(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show the figures that need no reference."""
    viewer.layers.remove(viewer.layers[1])
    quality(viewer, widget)


def quality_maps(viewer: napari.Viewer, widget: QWidget) -> None:
    """Show the maps of a result beside each other."""
    quality(viewer, widget)
    widget.maps_button.native.click()
    for layer in viewer.layers:
        layer.visible = True
    viewer.grid.enabled = True
    viewer.reset_view()
    settle()


def compare(_viewer: napari.Viewer, widget: QWidget) -> None:
    """Show several methods beside the truth."""
    widget.measure_button.native.click()
    wait_until(lambda: not widget._background.is_busy)
    settle()


def batch(_viewer: napari.Viewer, widget: QWidget) -> None:
    """Show a batch with a file that cannot be read."""
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # so that the picture shows no path of this machine
        recordings = Path("recordings")
        recordings.mkdir()
        for name in ("filaments", "foam", "nuclei"):
            path = SAMPLES / f"{name}_recorded.ome.tif"
            (recordings / path.name).write_bytes(path.read_bytes())
        (recordings / "broken.ome.tif").write_bytes(b"no image at all")
        widget.form.paths.value = str(recordings)
        widget.form.output.value = "results"
        widget.model.value = "lanczos"
        widget.run_button.native.click()
        wait_until(lambda: not widget._background.is_busy)
        os.chdir(FOLDER)


def models(_viewer: napari.Viewer, _widget: QWidget) -> None:
    """Show the card of the first model."""


SCENES: Scenes = {
    # file: widget, sample, theme, what happens
    "quality": ("Quality", "filaments", "dark", quality),
    "quality_light": ("Quality", "filaments", "light", quality),
    "quality_maps": ("Quality", "filaments", "dark", quality_maps),
    "quality_without_reference": ("Quality", "filaments", "dark", quality_without),
    "compare": ("Compare", "filaments", "dark", compare),
    "compare_light": ("Compare", "mammogram", "light", compare),
    "batch": ("Batch", "foam", "dark", batch),
    "batch_light": ("Batch", "foam", "light", batch),
    "models": ("Models", "filaments", "dark", models),
    "models_light": ("Models", "filaments", "light", models),
}


if __name__ == "__main__":
    main(SCENES, sys.argv[1:])

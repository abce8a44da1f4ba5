"""Scenes of the fine-tuning widget, for `docs/screenshots/`.

Run as `xvfb-run -a -s "-screen 0 1600x1000x24" python -m
tools.screenshots.fine_tune`. Real napari, real trainings of some seconds; the
models that are made are written to a temporary folder.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from tools.screenshots.super_resolve import FOLDER, nothing_remembered, wait_until

if TYPE_CHECKING:
    import napari

    from napari_sr._napari.fine_tune.widget import FineTune

WINDOW = (1400, 950)
BASE = "general-x2"


def _open(theme: str = "dark") -> tuple[napari.Viewer, FineTune]:
    """Open sharp images of nuclei with one recording, and the widget."""
    import napari

    from napari_sr.phantoms import make_phantom

    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    viewer.window.resize(*WINDOW)
    phantom = make_phantom("nuclei")
    limits = np.percentile(phantom.truth, (0.5, 99.8)).tolist()
    for number, plane in enumerate(phantom.truth[:4], start=1):
        viewer.add_image(plane, name=f"sharp {number}", contrast_limits=limits)
    viewer.add_image(
        phantom.recorded, name="recording", scale=(1, 2, 2), contrast_limits=limits
    )
    _, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Fine-tune")
    widget.form.base.value = BASE
    *sharp, recording = viewer.layers
    widget.examples.images.take(*sharp)
    widget.examples.recordings.take(recording)
    recording.visible = False
    return viewer, widget


def _learn_fast(widget: FineTune) -> None:
    """Learn from few small patches: many steps in the time that a picture is worth."""
    few = {"batch": 2, "patch": 32, "averaging": 0.98}
    widget.form.further_settings = lambda: few  # type: ignore[method-assign]


def _save(viewer: napari.Viewer, name: str) -> None:
    from qtpy.QtCore import QThreadPool

    FOLDER.mkdir(parents=True, exist_ok=True)
    viewer.window.screenshot(str(FOLDER / f"{name}.png"), canvas_only=False)
    viewer.close()
    wait_until(lambda: QThreadPool.globalInstance().activeThreadCount() == 0)


def _n_textured(widget: FineTune) -> int:
    """Count the looks at the held-out images in the second stage, or none."""
    texture = getattr(widget.live, "texture", None)  # drawn with the first figures
    if texture is None or not texture.isVisible():
        return 0
    points = texture.curves[0].points
    return sum(minutes > 0.6 * widget.form.minutes.value for minutes, _ in points)


def set_up(theme: str = "dark", name: str = "fine-tune-set-up") -> None:
    """Show what is chosen, and a simulated patch beside a recording."""
    viewer, widget = _open(theme)
    views = widget.examples.views.views
    wait_until(lambda: all(view.is_filled for view in views))
    _save(viewer, name)


def set_up_light() -> None:
    """Show the same in the light theme."""
    set_up("light", "fine-tune-set-up-light")


def training() -> None:
    """Show a training of both stages, in the second one."""
    viewer, widget = _open()
    _learn_fast(widget)
    widget.form.minutes.value = 0.8
    widget.form.texture.value = True
    widget.start()
    wait_until(lambda: _n_textured(widget) >= 3 or widget.verdict.value)
    _save(viewer, "fine-tune-training")


def finished(theme: str = "dark", name: str = "fine-tune-finished") -> None:
    """Show the verdict of a training that has ended."""
    viewer, widget = _open(theme)
    widget.form.texture.value = False
    _learn_fast(widget)
    widget.form.minutes.value = 0.8
    widget.start()
    wait_until(lambda: bool(widget.verdict.value))
    _save(viewer, name)


def finished_light() -> None:
    """Show the same in the light theme."""
    finished("light", "fine-tune-finished-light")


SCENES = (set_up, set_up_light, training, finished, finished_light)

if __name__ == "__main__":
    chosen = sys.argv[1:] or [scene.__name__ for scene in SCENES]
    for scene in SCENES:
        if scene.__name__ in chosen:
            with nothing_remembered():
                scene()
                print(scene.__name__)

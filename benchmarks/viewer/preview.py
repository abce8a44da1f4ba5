"""How long a preview takes: the first, that of another plane, a step of the curtain.

Run as

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.viewer.preview

torch is there when the clock starts, as it is soon after the panel was opened. The
recording is a stack of `SIDE` pixels a side, seen as a whole, with the general model.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from time import monotonic, thread_time
from typing import TYPE_CHECKING

import napari
import numpy as np
from qtpy.QtCore import QSettings

from benchmarks.viewer.heartbeat import close_viewer, wait_until
from napari_sr.interactive.heavy_imports import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sr._napari.super_resolve.widget import SuperResolve

SIDE, N_PLANES = 256, 4
PLANES = (0, 2, 3, 0)
"""Looked at one after the other; a viewer begins in the middle."""
N_STEPS = 30


def seconds_until(act: Callable[[], object], is_so: Callable[[], object]) -> float:
    """Do something, and take the time until something is so."""
    began = monotonic()
    act()
    wait_until(is_so)
    return monotonic() - began


def measure(viewer: napari.Viewer, widget: SuperResolve) -> None:
    """Print what each of it takes."""
    preview = widget._preview
    first = seconds_until(
        widget.preview_button.native.click,
        lambda: preview.layer is not None and not preview.is_busy,
    )
    print(f"| first preview | {first:.2f} s |", flush=True)
    planes = []
    for number in PLANES:
        layer = preview.layer
        shown = layer.data.copy()
        planes.append(
            seconds_until(
                lambda number=number: viewer.dims.set_current_step(0, number),
                lambda shown=shown: not np.array_equal(preview.layer.data, shown),
            )
        )
    print(f"| another plane, median | {np.median(planes):.2f} s |", flush=True)
    began = thread_time()
    for step in range(N_STEPS):
        widget.curtain.value = 100 * (step + 1) // (N_STEPS + 1)
    each = (thread_time() - began) / N_STEPS
    print(f"| a step of the curtain, main thread | {1000 * each:.1f} ms |", flush=True)


def main() -> None:
    """Print the table."""
    load("napari_sr.upscaling.flow")
    kind, scope = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    random = np.random.default_rng(0)
    pixels = random.poisson(300, (N_PLANES, SIDE, SIDE)).astype(np.uint16)
    print("| what | takes |")
    print("|---|---|")
    with TemporaryDirectory() as folder:
        QSettings.setPath(kind, scope, folder)
        os.environ["XDG_CONFIG_HOME"] = os.environ["NAPARI_SR_MODELS"] = folder
        viewer = napari.Viewer()
        viewer.window.resize(1280, 800)
        viewer.add_image(pixels, name="recording")
        _, widget = viewer.window.add_plugin_dock_widget("napari-sr", "Super-resolve")
        settled = monotonic() + 3
        wait_until(lambda: monotonic() > settled)
        measure(viewer, widget)
        close_viewer(viewer)


if __name__ == "__main__":
    main()

"""The first steps: a sample, the panel, and its preview.

Behind the entry *Get started* of the menu, and behind
`python -m napari_sr._napari.launch nuclei`, which starts napari; in daily use napari
starts the plugin.
"""

from __future__ import annotations

import sys

import napari
from napari.viewer import Viewer

from napari_sr._napari.super_resolve.preview_here import open_widget

SAMPLE = "filaments"
"""Drawn, not recorded: what scikit-image brings along of microscopy has 8 bits (its
cells of 16 bits are downloaded), and the first minute is to need no network."""
ZOOM = 2.0
"""So much of the sample is in view that its detail is seen, and previewed at once."""


def get_started(viewer: Viewer) -> None:
    """Open a sample of 16 bits with the panel beside it, and preview it.

    Parameters
    ----------
    viewer
        napari hands it over. What is open stays open.
    """
    recording, _truth = viewer.open_sample("napari-sr", SAMPLE)
    viewer.layers.selection.active = recording
    widget = open_widget(viewer)
    widget.layer.offer(recording)
    widget.layer.is_by_hand = False  # what the user opens next takes its place
    viewer.reset_view()
    getattr(viewer, "scene", viewer).camera.zoom *= ZOOM  # moved in napari 0.9
    if not widget.preview_button.native.isChecked():
        widget.toggle_preview()


def open_viewer(sample: str = "nuclei") -> napari.Viewer:
    """Open a viewer with a sample and the panel beside it.

    Parameters
    ----------
    sample
        One of `napari_sr.phantoms.PHANTOM_NAMES`.
    """
    viewer = napari.Viewer()
    viewer.open_sample("napari-sr", sample)
    open_widget(viewer)
    return viewer


if __name__ == "__main__":
    open_viewer(*sys.argv[1:2])
    napari.run()

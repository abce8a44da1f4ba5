"""napari with a sample and the widget open.

Run as `python -m napari_sr._napari.launch nuclei`. This module alone starts napari;
in daily use napari starts the plugin.
"""

from __future__ import annotations

import sys

import napari

from napari_sr._napari.super_resolve.preview_here import open_widget


def open_viewer(sample: str = "nuclei") -> napari.Viewer:
    """Open a viewer with a sample and the widget beside it.

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

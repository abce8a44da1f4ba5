"""The command behind the key "preview here".

This module alone knows what the key does when the widget is not open yet.
"""

from __future__ import annotations

from napari.viewer import Viewer

WIDGET = "Super-resolve"


def preview_here(viewer: Viewer) -> None:
    """Open the widget if it is not open, and turn its preview on or off.

    Parameters
    ----------
    viewer
        The viewer whose view is previewed; napari hands it over.
    """
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sr", WIDGET)
    dock.show()
    widget.toggle_preview()

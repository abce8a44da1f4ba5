"""Tell all open widgets that other models are there now.

This module alone knows where open widgets are found.
"""

from __future__ import annotations

import napari


def refresh_pickers(viewer: object = None) -> None:
    """Let every open widget offer the models that there are now.

    Parameters
    ----------
    viewer
        Whose widgets; that of the current window when not given.
    """
    viewer = viewer or napari.current_viewer()
    window = getattr(viewer, "window", None)  # none where nothing is drawn
    for widget in window.dock_widgets.values() if window else ():
        if hasattr(widget, "reset_choices"):
            widget.reset_choices()

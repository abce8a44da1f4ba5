"""The command behind the key "preview here".

This module alone knows how the widget is opened other than by napari's menus: under
the name that they give it, so that there is one of it, whichever way it was opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.viewer import Viewer
from qtpy.QtWidgets import QDockWidget

if TYPE_CHECKING:
    from napari_sr._napari.super_resolve.widget import SuperResolve

NAME = "Super-resolve (Super-resolution)"
"""Of the widget and of the plugin, as napari's menus put them together."""


def preview_here(viewer: Viewer) -> None:
    """Open the widget if it is not open, and turn its preview on or off.

    Parameters
    ----------
    viewer
        The viewer whose view is previewed; napari hands it over.
    """
    open_widget(viewer).toggle_preview()


def open_widget(viewer: Viewer) -> SuperResolve:
    """Show the widget: that which is there, however it was opened, or a new one."""
    from napari_sr._napari.super_resolve.widget import SuperResolve

    docked = viewer.window.dock_widgets.values()
    there = next((one for one in docked if isinstance(one, SuperResolve)), None)
    if there is None:
        there = SuperResolve(viewer)
        viewer.window.add_dock_widget(there, name=NAME, area="right")
    dock = there.native.parentWidget()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()
    return there

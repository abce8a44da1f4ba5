"""What happens once, before anything of the plugin is used for the first time.

This module alone knows what napari leaves to a plugin: to follow its Preferences, and,
as of napari 0.9, to bind the keys that its manifest declares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.viewer import Viewer

from napari_sr._napari.parts.preferences import follow_preferences
from napari_sr._napari.super_resolve.preview_here import preview_here

if TYPE_CHECKING:
    from npe2 import PluginContext

KEY = "Control-Shift-R"
"""As in the manifest, in the words of viewers."""


def activate(_context: PluginContext | None = None) -> None:
    """Get ready; napari calls this through the manifest."""
    Viewer.bind_key(KEY, preview_here, overwrite=True)
    follow_preferences()

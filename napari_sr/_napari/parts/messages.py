"""Errors of a flow → what the user is told.

This module alone knows which errors say it all in their one sentence.
"""

from __future__ import annotations

from napari.utils.notifications import notification_manager, show_error

from napari_sr.settings import explain

PLAIN = (ValueError, OSError, MemoryError)
"""Errors whose sentence says it all; others are shown with where they came from."""


def tell_error(error: Exception) -> None:
    """Show an error as napari's notification."""
    if isinstance(error, PLAIN):
        show_error(explain(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)

"""Questions and messages to the user.

This module alone knows which errors say it all in their one sentence, and opens the
dialog for a file that is not an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtWidgets import QFileDialog

from napari_sr.settings import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

PLAIN = (ValueError, OSError, MemoryError)
"""Errors whose sentence says it all; others are shown with where they came from."""


def tell_error(error: Exception) -> None:
    """Show an error as napari's notification."""
    if isinstance(error, PLAIN):
        show_error(explain(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)


def ask_and_write(
    parent: QWidget, words: tuple[str, str, str], write: Callable[[str], object]
) -> None:
    """Ask for a file and write it, unless the user thinks better of it.

    Parameters
    ----------
    parent
        Over which the dialog opens.
    words
        Its title, the name that it suggests, and the kinds of files.
    write
        Called with the path; an `OSError` or `ValueError` is shown to the user.
    """
    path, _ = QFileDialog.getSaveFileName(parent, *words)
    if not path:
        return
    try:
        write(path)
    except OSError as error:
        # Of the system's errors the reason; others say it all in their sentence.
        reason = error.strerror and f"{path} cannot be written ({error.strerror})."
        show_error(reason or str(error))
    except ValueError as error:
        show_error(explain(error))

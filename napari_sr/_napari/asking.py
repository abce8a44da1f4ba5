"""Where something is to be written: ask, write, and say what went wrong.

This module alone opens the dialog for a file that is no image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget


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
        show_error(f"{path} cannot be written ({error.strerror}).")
    except ValueError as error:
        show_error(str(error))

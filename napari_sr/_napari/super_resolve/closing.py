"""A question before napari is closed over a run that has taken long.

This module alone knows how the closing of the window is noticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from napari_sr._napari.super_resolve.run import Running


class _Guard(QObject):
    def __init__(self, window: QWidget, running: Running) -> None:
        super().__init__(window)
        self._running = ref(running)
        window.installEventFilter(self)

    def guards(self, running: Running) -> bool:
        """Tell whether it is this run that it asks about."""
        return self._running() is running

    def eventFilter(self, window: QWidget, event: QEvent) -> bool:
        """Ask, and let the window be closed only if the user says so."""
        running = self._running()
        if event.type() != QEvent.Type.Close or running is None or not running.is_long:
            return False
        answer = QMessageBox.question(
            window,
            "Super-resolve",
            "A run is under way, and what it has done so far would be lost. Close "
            "napari all the same?",
        )
        if answer == QMessageBox.StandardButton.Yes:
            return False
        event.ignore()
        return True


def ask_before_closing(window: QWidget, running: Running) -> None:
    """Have a question asked before a window is closed over a long run.

    Parameters
    ----------
    window
        Of the viewer; asked once for each run, however often this is called.
    running
        Is not kept alive.
    """
    guards = window.findChildren(_Guard)
    if not any(guard.guards(running) for guard in guards):
        _Guard(window, running)

"""Waiting for what napari wants at once, without a window that stands still.

This module alone knows how: napari calls readers and samples on the main thread and
takes what they return. It is computed in a thread, and the window is drawn meanwhile.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from napari.utils import progress
from qtpy.QtCore import QCoreApplication, QEventLoop, QThread, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
LOOK_MS = 10
"""How often it is asked whether it is done."""


def wait_for(what: str, function: Callable[..., T], *args: object) -> T:
    """Call a function, in a thread where there is a window to be drawn.

    Parameters
    ----------
    what
        What is going on, for napari's activity dock.
    function, *args
        What is called. What it raises is raised here.
    """
    application = QCoreApplication.instance()
    if application is None or QThread.currentThread() != application.thread():
        return function(*args)
    with ThreadPoolExecutor(1) as pool, progress(total=0, desc=what):
        future = pool.submit(function, *args)
        loop, look = QEventLoop(), QTimer()
        look.timeout.connect(lambda: loop.quit() if future.done() else None)
        look.start(LOOK_MS)
        # Clicks and keys wait: they could ask for the same again.
        loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        look.stop()
        return future.result()

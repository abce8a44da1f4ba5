"""What a widget has done in the background: one flow at a time, which ends with it.

This module alone knows when a widget is closed for good, and that nothing of a flow is
heard any more once it has been let go of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject

from napari_sr._napari.parts.messages import tell_error
from napari_sr._napari.parts.worker import FlowWorker, start_flow

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_sr._napari.parts.worker import Flow

_SIGNALS = ("yielded", "returned", "errored", "paused", "resumed", "finished")


def _ignore(*_: object) -> None:
    """Do nothing."""


class Background:
    """Runs flows in a thread, one at a time; to be used in the main thread.

    Parameters
    ----------
    changed
        Called when a flow has begun, is paused, goes on, or has ended.
    """

    def __init__(self, changed: Callable[[], None] = _ignore) -> None:
        self._changed = changed
        self._worker: FlowWorker | None = None
        self._tell: dict[str, Callable[[Any], None]] = {}
        self._outcome = ""

    @property
    def is_busy(self) -> bool:
        """Whether a flow is under way, paused or not."""
        return self._worker is not None

    @property
    def is_paused(self) -> bool:
        """Whether the flow waits to go on."""
        return self._worker is not None and bool(self._worker.is_paused)

    @property
    def is_stopping(self) -> bool:
        """Whether the flow was asked to stop and has not ended yet."""
        return self._worker is not None and bool(self._worker.abort_requested)

    def start(
        self,
        flow: Flow,
        *args: object,
        title: str | None,
        step: Callable[[Any], None] = _ignore,
        result: Callable[[Any], None] = _ignore,
        end: Callable[[str], None] = _ignore,
    ) -> None:
        """Start a flow; does nothing while another one is under way.

        Parameters
        ----------
        flow, *args
            A generator function and what it is called with.
        title
            What stands beside the bar in napari's activity dock; None for what is too
            short for a bar.
        step, result
            Called with each value that it yields, and with what it returns.
        end
            Called last, with "done", "stopped" or "failed". The user has seen an error
            message by then.
        """
        if self.is_busy:
            return
        self._tell = tell = {"step": step, "result": result, "end": end}
        self._outcome = "stopped"
        reactions = {signal: getattr(self, f"_{signal}") for signal in _SIGNALS}
        self._worker = start_flow(
            flow,
            *args,
            title=title,
            connect={
                signal: partial(self._hear, tell, react)
                for signal, react in reactions.items()
            },
        )
        self._changed()

    def pause(self) -> None:
        """Wait after the present step."""
        if self._worker is not None:
            self._worker.pause()

    def resume(self) -> None:
        """Go on."""
        if self._worker is not None:
            self._worker.resume()

    def stop(self) -> None:
        """End the flow after its present step; steps that were done are still heard."""
        if self._worker is not None:
            self._worker.quit()

    def leave(self, *_: object) -> None:
        """End the flow after its present step; nothing of it is heard any more."""
        worker = self._worker
        self._let_go()
        self._changed = _ignore
        if worker is not None:
            worker.quit()

    def show_progress(self, done: int, total: int) -> None:
        """Set the bar in the activity dock.

        It draws, and while it does, more steps and even the end may come in: to be
        called last.
        """
        if self._worker is not None and not self.is_stopping:
            self._worker.show_progress(done, total)

    def _hear(self, tell: object, react: Callable[..., None], *values: object) -> None:
        """React, unless it comes from a flow that has been let go of."""
        if tell is self._tell:
            react(*values)

    def _yielded(self, value: object) -> None:
        self._tell["step"](value)

    def _returned(self, value: object) -> None:
        self._outcome = "done"
        self._tell["result"](value)

    def _errored(self, error: Exception) -> None:
        self._outcome = "failed"
        tell_error(error)

    def _paused(self) -> None:
        self._changed()

    def _resumed(self) -> None:
        self._changed()

    def _finished(self) -> None:
        end = self._tell["end"]
        self._let_go()
        end(self._outcome)
        self._changed()

    def _let_go(self) -> None:
        # Emptied as well: napari keeps workers for a while, and with them the listener.
        self._tell.clear()
        self._worker, self._tell = None, {}


_numbers = count()
_open: dict[int, tuple[Callable[..., None], Callable[[], None]]] = {}
"""What is connected to widgets that are there, and what lets go of each.

Held here, so that Python does not collect it with a widget that Qt still destroys.
"""


class _Closing(QObject):
    """Watches a widget until it is closed for good."""

    def __init__(self, widget: QWidget, number: int) -> None:
        super().__init__(widget)
        self._number = number
        widget.installEventFilter(self)

    def eventFilter(self, widget: QWidget, event: QEvent) -> bool:
        """Notice when the widget is closed, or when its dock lets go of it."""
        is_left = event.type() == QEvent.Type.ParentChange and widget.parent() is None
        if is_left or event.type() == QEvent.Type.Close:
            _let_go(self._number)
        return False


def when_closed(widget: QWidget, leave: Callable[[], None]) -> None:
    """Have something let go once a widget is closed for good.

    Parameters
    ----------
    widget
        In a dock or on its own.
    leave
        Called once.
    """
    number = next(_numbers)
    destroyed = partial(_destroyed, number)
    _open[number] = (destroyed, leave)
    _Closing(widget, number)
    # A window that is closed destroys its widgets without closing them.
    widget.destroyed.connect(destroyed)


def _let_go(number: int) -> None:
    if number in _open:
        destroyed, leave = _open[number]
        _open[number] = (destroyed, _ignore)
        leave()


def _destroyed(number: int, *_: object) -> None:
    _let_go(number)
    _open.pop(number, None)

"""What a widget has done in the background: one flow at a time, which ends with it.

This module alone knows that nothing of a flow is heard any more once its widget has let
go of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sr._napari.telling import tell_error
from napari_sr._napari.worker import FlowWorker, start_flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_sr._napari.worker import Flow


class Background:
    """Runs one flow at a time.

    Parameters
    ----------
    widget
        For which it is run; with it the flow ends.
    changed
        Called when a flow has begun, is paused, goes on, or has ended.
    """

    def __init__(self, widget: QWidget, changed: Callable[[], None]) -> None:
        self._changed = changed
        # A window that is closed destroys its widgets without closing them. Not a
        # lambda: one would be called while it is being collected with the widget.
        widget.destroyed.connect(self.leave)
        self._worker: FlowWorker | None = None
        self._handlers: dict[str, Callable[..., None]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a flow is under way, paused or not."""
        return self._worker is not None

    @property
    def is_paused(self) -> bool:
        """Whether the flow waits to go on."""
        return self._worker is not None and bool(self._worker.is_paused)

    def start(
        self, flow: Flow, *args: object, title: str, **handlers: Callable[..., None]
    ) -> None:
        """Start a flow.

        Parameters
        ----------
        flow, *args
            A generator function and what it is called with.
        title
            What stands beside the bar in napari's activity dock.
        **handlers
            What is called, in the main thread, with what was yielded or returned;
            `failed` with the error, after it was shown.
        """
        self._handlers = handlers
        signals = ("yielded", "returned", "errored", "paused", "resumed", "finished")
        self._worker = start_flow(
            flow,
            *args,
            title=title,
            connect={signal: getattr(self, f"_{signal}") for signal in signals},
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

    def show_progress(self, share: float) -> None:
        """Set the bar in the activity dock."""
        if self._worker is not None:
            self._worker.show_progress(round(1000 * share), 1000)

    def leave(self, *_: object) -> None:
        """End the flow after its present step; nothing of it is heard any more."""
        worker, self._worker, self._handlers = self._worker, None, {}
        self._changed = _nothing
        if worker is not None:
            worker.quit()

    def _yielded(self, value: object) -> None:
        self._handle("yielded", value)

    def _returned(self, value: object) -> None:
        self._handle("returned", value)

    def _errored(self, error: Exception) -> None:
        if self._worker is not None:
            tell_error(error)
            self._handle("failed", error)

    def _paused(self) -> None:
        self._changed()

    def _resumed(self) -> None:
        self._changed()

    def _finished(self) -> None:
        self._worker, self._handlers = None, {}
        self._changed()

    def _handle(self, what: str, value: Any) -> None:  # noqa: ANN401
        if what in self._handlers:
            self._handlers[what](value)


def _nothing() -> None:
    """Be told of a change when nobody is there any more."""

"""The one flow that a widget has running, or none.

This module alone knows that what comes from a flow after its widget has gone, or after
it was told to stop, is of no interest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sr._napari.telling import tell_error
from napari_sr._napari.worker import FlowWorker, start_flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sr._napari.worker import Flow


class Task:
    """Runs flows in a thread, one at a time."""

    def __init__(self) -> None:
        self._worker: FlowWorker | None = None
        self._tell: dict[str, Callable[..., None]] = {}
        self.is_stopping = False

    @property
    def is_on(self) -> bool:
        """Whether a flow runs."""
        return self._worker is not None

    def start(
        self,
        flow: Flow,
        *args: object,
        title: str,
        step: Callable[[Any], None],
        result: Callable[[Any], None],
        end: Callable[[str], None],
    ) -> None:
        """Start a flow; does nothing while another one runs.

        Parameters
        ----------
        flow, *args
            A generator function and what it is called with.
        title
            What stands beside the bar in napari's activity dock.
        step, result
            Called with each value that it yields, and with what it returns.
        end
            Called last, with "done", "stopped" or "failed". The user has been told of
            an error by then.
        """
        if self._worker is not None:
            return
        self._tell = {"step": step, "result": result, "end": end}
        self._outcome = "done"
        self.is_stopping = False
        self._worker = start_flow(
            flow,
            *args,
            title=title,
            connect={
                "yielded": self._on_step,
                "returned": self._on_result,
                "errored": self._on_error,
                "finished": self._on_end,
            },
        )

    def show_progress(self, done: int, total: int) -> None:
        """Set the bar in the activity dock."""
        if self._worker is not None and not self.is_stopping:
            self._worker.show_progress(done, total)

    def stop(self) -> None:
        """Stop after the current step."""
        if self._worker is not None and not self.is_stopping:
            self.is_stopping = True
            self._outcome = "stopped"
            self._worker.quit()

    def leave(self, *_: object) -> None:
        """Stop, and tell nobody: whoever asked is gone."""
        self._tell = {}
        self.stop()

    def _on_step(self, value: object) -> None:
        if "step" in self._tell and not self.is_stopping:
            self._tell["step"](value)

    def _on_result(self, value: object) -> None:
        if "result" in self._tell:
            self._tell["result"](value)

    def _on_error(self, error: Exception) -> None:
        self._outcome = "failed"
        if self._tell:
            tell_error(error)

    def _on_end(self) -> None:
        self._worker = None
        if "end" in self._tell:
            self._tell["end"](self._outcome)

"""A flow in a thread of its own, so that the viewer stays alive.

This module alone knows two traps of napari's generator workers and corrects them:

- A `RuntimeError` inside the generator is taken for a deleted worker and swallowed: no
  `errored`, no `finished`. torch reports exhausted memory and misshapen tensors that
  way. Here it is passed on as a `FlowError`.
- `quit()` leaves the generator where it stopped, with its files open and its memory
  taken. Here it is closed when the work ends, whatever ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import monotonic
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker

Flow = Callable[..., Generator[Any, None, Any]]

REDRAW_S = 0.2
"""The bar in the activity dock is drawn at most so often: it draws all that waits."""


class FlowError(Exception):
    """A `RuntimeError` of a flow, as an exception that workers report."""


class FlowWorker(GeneratorWorker):
    """Runs a flow in a thread.

    Parameters
    ----------
    flow
        A generator function: each value it yields is emitted as `yielded`, what it
        returns as `returned`, what it raises as `errored`.
    *args
        What the flow is called with.
    """

    def __init__(self, flow: Flow, *args: object) -> None:
        steps = flow(*args)
        super().__init__(_reporting, steps)
        self._steps = steps
        self._is_drawing = False
        self._drawn = -REDRAW_S

    def work(self) -> object:
        """Iterate over the flow until it ends or is to stop, then close it."""
        try:
            return super().work()
        finally:
            self._steps.close()

    def show_progress(self, done: int, total: int) -> None:
        """Set the bar in the activity dock; to be called in the main thread.

        Parameters
        ----------
        done, total
            Number of steps. A call that comes while the bar is drawn, or soon after,
            is left out: drawing handles waiting signals, and many may be waiting.
        """
        bar, now = self.pbar, monotonic()
        is_soon = now - self._drawn < REDRAW_S and done < total
        if bar is None or self._is_drawing or is_soon or done <= bar.n:
            return
        self._is_drawing, self._drawn = True, now
        try:
            if bar.total != total:
                bar.total = total
            bar.update(done - bar.n)
        finally:
            self._is_drawing = False


def start_flow(
    flow: Flow,
    *args: object,
    title: str | None,
    connect: dict[str, Callable[..., None]],
) -> FlowWorker:
    """Start a flow in a thread, with a bar in napari's activity dock if it has a title.

    The bar has no length until `FlowWorker.show_progress` gives it one.

    Parameters
    ----------
    flow, *args
        A generator function and what it is called with.
    title
        What stands beside the bar. None for what is so short that neither a bar nor
        napari's list of running tasks should know of it.
    connect
        Signal name → what to call in the main thread: yielded, returned, errored,
        aborted, finished.

    Returns
    -------
    FlowWorker
        Already started; `quit()` stops it after the current step.
    """
    if title is None:
        quiet = FlowWorker(flow, *args)
        for signal, react in connect.items():
            getattr(quiet, signal).connect(react)
        quiet.start()
        return quiet
    worker: FlowWorker = create_worker(
        flow,
        *args,
        _worker_class=FlowWorker,
        _progress={"desc": title},
        _connect=connect,
        _start_thread=True,
    )
    return worker


def once(function: Callable[..., Any], *args: object) -> Generator[None, None, Any]:
    """Make a flow of a single call."""
    yield
    return function(*args)


def _reporting(steps: Generator[Any, None, Any]) -> Generator[Any, None, Any]:
    """Pass a flow on, with its `RuntimeError` as an exception that gets reported."""
    try:
        return (yield from steps)
    except RuntimeError as error:
        raise FlowError(str(error)) from error

"""A run: planes appear as they are done; what is stopped can be completed.

This module alone knows how a run goes on from one request to the next: which results
are unfinished, what is said on the way, and what ends it.
"""

from __future__ import annotations

from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING

from superqt.utils import QSignalThrottler

from napari_sr._napari.layers.view import plane_in_view
from napari_sr._napari.parts.background import Background
from napari_sr._napari.super_resolve.flow import Result, run
from napari_sr._napari.super_resolve.request import UpscaleRequest
from napari_sr._napari.super_resolve.result_layer import HiddenRecordings, ResultLayer
from napari_sr.runs.summary import _as_typed

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr._napari.super_resolve.prepared import Preparer
    from napari_sr.upscaling.flow import TileStep

LONG_S = 60
"""A run of so many seconds is not thrown away without a question."""
REDRAW_MS = 250
"""The layer is drawn again at most so often while planes come in."""


class Running:
    """Runs one request at a time.

    Parameters
    ----------
    viewer
        Gets the result.
    preparer
        Shared with the preview.
    changed
        Called when what is said here has changed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        preparer: Preparer,
        changed: Callable[[], None],
    ) -> None:
        self._viewer, self._preparer = viewer, preparer
        self._changed = changed
        self._background = Background(changed)
        self.sentence = ""
        """How the run goes, or went."""
        self.progress = (0, 0)
        """Tiles done, and all; (0, 0) as long as that is not known."""
        self._source: Image | None = None
        self._current: ResultLayer | None = None
        self._unfinished: list[ResultLayer] = []
        self._first: tuple[float, int] | None = None
        self._waiting: list[tuple[Image, UpscaleRequest]] = []
        self._only = False
        self._last: list[Image] = []
        self._covered = HiddenRecordings(viewer)
        self._began = 0.0
        self._is_adding = False
        self._is_sourceless = False  # the recording was removed meanwhile
        self._throttler = QSignalThrottler()
        self._throttler.setTimeout(REDRAW_MS)
        self._throttler.triggered.connect(self._redraw)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_on(self) -> bool:
        """Whether something is being computed."""
        return self._background.is_busy

    def missing_of(self, request: UpscaleRequest) -> int:
        """Count the planes that are missing in the unfinished result of a request."""
        known = self._find(request)
        return len(known.result.missing(())) if known else 0

    @property
    def is_long(self) -> bool:
        """Whether something has been computed for so long that it would be a loss."""
        return self.is_on and monotonic() - self._began > LONG_S

    @property
    def last(self) -> list[Image]:
        """List the layers of the last run that are in the viewer."""
        return [layer for layer in self._last if layer in self._viewer.layers]

    def undo(self) -> None:
        """Take the layers of the last run away; the recordings are as they were."""
        if not self.is_on:
            for layer in self.last:
                self._viewer.layers.remove(layer)
            self._covered.show()
            self.sentence = "Undone: the result of the last run is removed."
            self._last = []
            self._changed()

    def start_all(
        self, asked: list[tuple[Image, UpscaleRequest]], *, only: bool = False
    ) -> None:
        """Super-resolve layers one after the other, or what is missing of each.

        Parameters
        ----------
        asked
            Layers, with what is asked for of each.
        only
            Whether the plane in view is all that is done.
        """
        if asked and not self.is_on:
            self._waiting, self._only, self._last = asked[1:], only, []
            self._covered = HiddenRecordings(self._viewer)
            self._began = monotonic()
            self.start(*asked[0])

    def start(self, source: Image, request: UpscaleRequest) -> None:
        """Super-resolve a layer, or what is missing of it."""
        if self.is_on:
            return
        self._source, self._current = source, self._find(request)
        self._first, self._is_sourceless = None, False
        self.progress, self.sentence = (0, 0), "Preparing: measuring the stack …"
        self._background.start(
            run,
            request,
            self._preparer,
            self._current.result if self._current else None,
            plane_in_view(source, self._viewer),
            self._only,
            title=f"{source.name} [{request.model_name}]",
            step=self._show_step,
            end=self._end,
        )

    def stop(self) -> None:
        """Stop after the current tile and keep the planes that are done."""
        if self.is_on:
            self._background.stop()
            self.sentence = "Stopping after this tile …"
            self._changed()

    def leave(self) -> None:
        """Stop, and emit nothing more: the panel is closed."""
        self._background.leave()
        self._waiting = []
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._throttler.cancel()
        self._settle()
        self._current = self._source = None
        self._unfinished.clear()

    def _find(self, request: UpscaleRequest) -> ResultLayer | None:
        for known in self._unfinished:
            if known.result.request == request and known.layer in self._viewer.layers:
                return known
        return None

    def _show_step(self, come: tuple[Result, TileStep]) -> None:
        if self._source is None:
            return
        result, step = come
        self.progress = (step.tiles_done, step.n_tiles)
        if not self._background.is_stopping:
            self.sentence = self._how_it_goes(result, step)
        self._changed()
        is_new = step.plane is not None and self._current is None
        if step.plane is not None:
            self._show_plane(self._source, result)
        if is_new:
            return  # adding a layer takes napari long enough: the bar is for later
        self._background.show_progress(step.tiles_done, step.n_tiles)

    def _show_plane(self, source: Image, result: Result) -> None:
        if self._current is not None:
            self._throttler.throttle()
        elif not self._is_adding:
            self._is_adding = True
            self._current = ResultLayer(self._viewer, source, result)
            self._is_adding = False
            result.is_shown.set()
            self._unfinished.append(self._current)
            self._last.append(self._current.layer)
            if result.request.part is None:
                self._covered.hide(source)

    def _how_it_goes(self, result: Result, step: TileStep) -> str:
        n_planes = result.n_planes
        number = min(n_planes, len(result.done) + 1)
        parts = [f"Plane {number} of {n_planes}"]
        now = (monotonic(), step.tiles_done)
        # From the first tile on: what comes before it, such as loading, comes once.
        began, first = self._first = self._first or now
        if step.tiles_done > first:
            each = (now[0] - began) / (step.tiles_done - first)
            parts.append(describe_time_left(each * (step.n_tiles - step.tiles_done)))
        if step.tile is not None and step.tile < result.plan.tile:
            parts.append(f"out of memory, so tiles are now {step.tile} px")
        return ", ".join(parts)

    def _redraw(self) -> None:
        if self._current is not None and not self._is_gone():
            self._current.refresh()

    def _settle(self) -> None:
        if self._current is not None and not self._is_gone():
            self._current.settle()

    def _is_gone(self) -> bool:
        """Tell whether the layer of the result has been removed."""
        layer = self._current.layer if self._current is not None else None
        return layer is not None and layer not in self._viewer.layers

    def _end(self, outcome: str) -> None:
        """Say what came of it, and be ready for the next run."""
        self._throttler.cancel()
        self._settle()
        result = self._current.result if self._current else None
        if self._is_gone():
            self.sentence = "Stopped: the layer was removed."
        elif self._is_sourceless:
            n_done = len(result.done) if result else 0
            self.sentence = (
                f"Stopped: the recording was removed. Planes done: {n_done}; the "
                f"others cannot be done without it."
            )
        elif outcome == "failed":
            self.sentence = "Failed"
        else:
            self.sentence = _outcome(result, outcome)
        self._unfinished = [u for u in self._unfinished if not u.result.is_complete]
        self._current = self._source = None
        self.progress = (0, 0)
        if outcome != "done":
            self._waiting = []
        elif self._waiting:
            self.start(*self._waiting.pop(0))

    def _on_removed(self, event: object) -> None:
        """End the run of a layer that is gone, be it the recording or the result."""
        gone = getattr(event, "value", None)
        # Equal, not the same: napari gives plugins a wrapped viewer and wrapped layers.
        self._unfinished = [u for u in self._unfinished if u.layer != gone]
        of_run = (self._source, self._current.layer if self._current else None)
        if self.is_on and gone is not None and gone in of_run:
            self._is_sourceless |= gone == self._source
            self.stop()


def describe_time_left(seconds: float) -> str:
    """Say how long something will take, as exactly as can be known.

    Parameters
    ----------
    seconds
        Estimated.

    Returns
    -------
    str
        Such as "about 40 s left".
    """
    if seconds < 10:
        return "a few seconds left"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s left"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"


def _outcome(result: Result | None, outcome: str) -> str:
    if result is None:
        return "Stopped before the first plane was done."
    if not result.is_complete:
        counts = f"{len(result.done)} of {result.n_planes} planes"
        if outcome == "done":  # no more were asked for
            return f"Done: {counts}, as asked for; Run can do all."
        return f"Stopped with {counts} done; Run does the rest."
    shape = " × ".join(map(str, result.levels[0].shape))
    parts = [f"Done: {shape} px"]
    if result.plan.noise is not None:
        parts.append(f"noise {_as_typed(asdict(result.plan.noise))}")
    if result.share_clipped:
        parts.append(f"{result.share_clipped:.2%} of pixels clipped")
    if result.plan.dtype_note:
        parts.append(result.plan.dtype_note)
    return f"{', '.join(parts)}."

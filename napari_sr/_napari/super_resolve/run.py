"""A run: planes appear as they are done; what is stopped can be completed.

This module alone knows how a run goes on from one request to the next: which results
are unfinished, what is said on the way, what ends it, and what takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from superqt.utils import QSignalThrottler

from napari_sr._napari.layers.roles import results_of
from napari_sr._napari.layers.view import plane_in_view
from napari_sr._napari.parts.background import Background
from napari_sr._napari.super_resolve.result_layer import (
    SUMMED,
    HiddenRecordings,
    ResultLayer,
)
from napari_sr.interactive.in_memory import Result, run
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.interactive.telling import done_in_words, facts_of, how_far, how_it_goes

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.interactive.prepared import Preparer
    from napari_sr.upscaling.flow import TileStep

    Asked = tuple[Image, UpscaleRequest]
    """A layer, with what is asked for of it."""

LONG_S = 60
"""A run of so many seconds is not thrown away without a question."""
REDRAW_MS = 250
"""The layer is drawn again at most so often while planes come in."""


@dataclass(eq=False, slots=True)
class _Made:
    """What a click on Run has made."""

    covered: HiddenRecordings
    layers: list[Image] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    """By recording: what came of those that are done."""


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
        self._request: UpscaleRequest | None = None
        self._current: ResultLayer | None = None
        self._unfinished: list[ResultLayer] = []
        self._first: tuple[float, int] | None = None
        self._waiting: list[Asked] = []
        self._left: list[UpscaleRequest] = []  # not begun when the run was stopped
        self._n_asked = 0
        self._only = False
        self._made: list[_Made] = []
        self._began = 0.0
        self._stop = Event()
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

    def rest_of(self, asked: list[Asked]) -> list[Asked]:
        """List what a run that was stopped has left of what is asked for."""
        return [
            (source, request)
            for source, request in asked
            if self._find(request) is not None or request in self._left
        ]

    @property
    def is_long(self) -> bool:
        """Whether something has been computed for so long that it would be a loss."""
        return self.is_on and monotonic() - self._began > LONG_S

    @property
    def last(self) -> list[Image]:
        """List the layers of the last run that are in the viewer."""
        made = self._newest
        return self._there(made) if made else []

    def made_with(self, layer: Image) -> list[Image]:
        """List the layers that one run made, this one among them; or it alone."""
        runs = (self._there(made) for made in self._made)
        return next((layers for layers in runs if layer in layers), [layer])

    @property
    def _newest(self) -> _Made | None:
        """The last run of which a layer is in the viewer."""
        return next(filter(self._there, reversed(self._made)), None)

    def _there(self, made: _Made) -> list[Image]:
        return [layer for layer in made.layers if layer in self._viewer.layers]

    def has_made_of(self, sources: list[Image]) -> bool:
        """Tell whether the last run is of these recordings, and still in the viewer."""
        made = self._newest
        return made is not None and any(one.name in made.told for one in sources)

    def undo(self) -> None:
        """Take the layers of the last run away; the recordings are as they were."""
        self._forget_what_is_gone()
        if self.is_on or not self._made:
            return
        removed = self.last
        made = self._made.pop()
        for layer in removed:
            self._viewer.layers.remove(layer)
        made.covered.show()
        self._left = []
        self.sentence = f"Undone, and removed: {_listed(removed)}."
        self._changed()

    def _forget_what_is_gone(self) -> None:
        """Forget runs of which the user has removed every layer."""
        self._made = [made for made in self._made if self._there(made)]

    def start_all(self, asked: list[Asked], *, only: bool = False) -> None:
        """Super-resolve layers one after the other, or what is missing of them.

        Parameters
        ----------
        asked
            Layers, with what is asked for of each.
        only
            Whether the plane in view is all that is done.
        """
        if self.is_on or not asked:
            return
        rest = [] if only else self.rest_of(asked)
        self._forget_what_is_gone()
        if rest and self._made:
            self._go_on_with(rest)
        else:
            self._made.append(_Made(HiddenRecordings(self._viewer)))
        self._only, self._left, self._began = only, [], monotonic()
        self._waiting = rest or asked
        self._n_asked = len(self._waiting)
        self._start(*self._waiting.pop(0))

    def _go_on_with(self, rest: list[Asked]) -> None:
        """Let the run that left something be the last again."""
        known = filter(None, (self._find(request) for _, request in rest))
        begun = [one.layer for one in known]
        for made in self._made:
            if any(layer in begun for layer in made.layers):
                self._made.remove(made)
                self._made.append(made)
                return

    def _start(self, source: Image, request: UpscaleRequest) -> None:
        """Super-resolve a layer, or what is missing of it."""
        self._made[-1].told.pop(source.name, None)
        self._source, self._request = source, request
        self._current = self._find(request)
        self._first, self._is_sourceless, self._stop = None, False, Event()
        self.progress, self.sentence = (0, 0), "Preparing: measuring the stack …"
        self._background.start(
            run,
            request,
            self._preparer,
            self._current.result if self._current else None,
            plane_in_view(source, self._viewer),
            self._only,
            self._stop,
            title=f"{source.name} [{request.model_name}]",
            step=self._show_step,
            end=self._end,
        )

    def stop(self) -> None:
        """Stop after the current tile and keep the planes that are done."""
        if self.is_on:
            self._stop.set()
            self._background.stop()
            self.sentence = "Stopping after this tile …"
            self._changed()

    def leave(self) -> None:
        """Stop, and emit nothing more: the panel is closed."""
        self._stop.set()
        self._background.leave()
        self._waiting = []
        self._made.clear()
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

    def _show_step(self, come: tuple[Result, TileStep] | None) -> None:
        if self._source is None or come is None:
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
            self._made[-1].layers.append(self._current.layer)
            if result.request.part is None and source.blending in SUMMED:
                made = self._made[-1]
                results = results_of(source, self._viewer.layers)
                earlier = [one for one in results if one not in made.layers]
                made.covered.hide(source, earlier)

    def _how_it_goes(self, result: Result, step: TileStep) -> str:
        now = (monotonic(), step.tiles_done)
        # From the first tile on: what comes before it, such as loading, comes once.
        began, first = self._first = self._first or now
        n = step.tiles_done - first
        return self._whose + how_it_goes(result, step, n and (now[0] - began) / n)

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

    @property
    def _whose(self) -> str:
        """Name the recording where several are run, and say which of them it is."""
        if self._source is None or self._n_asked < 2:
            return ""
        number = self._n_asked - len(self._waiting)
        return f"{self._source.name} ({number} of {self._n_asked}): "

    def _end(self, outcome: str) -> None:
        """Say what came of it, and be ready for the next run."""
        self._throttler.cancel()
        self._settle()
        result = self._current.result if self._current else None
        self.sentence = self._what_came(result, outcome)
        self._unfinished = [u for u in self._unfinished if not u.result.is_complete]
        if outcome != "done":
            self._keep_what_is_left()
        self._current = self._source = self._request = None
        self.progress = (0, 0)
        if self._waiting:
            self._start(*self._waiting.pop(0))

    def _keep_what_is_left(self) -> None:
        """Leave what was not begun to *Run the rest*, if there is anything to go on."""
        left = [request for _, request in self._waiting]
        is_begun = self._current is not None or self._is_sourceless
        if self._request is not None and not is_begun:
            left.insert(0, self._request)
        self._left = left if self._there(self._made[-1]) else []
        self._waiting = []

    def _what_came(self, result: Result | None, outcome: str) -> str:
        """Say what came of it, and of all recordings of this run that are done."""
        if self._is_gone():
            return "Stopped: the layer was removed."
        if self._is_sourceless:
            n_done = len(result.done) if result else 0
            return (
                f"Stopped: the recording was removed. Planes done: {n_done}; the "
                f"others cannot be done without it."
            )
        told = self._made[-1].told
        if outcome == "done" and result is not None and self._source is not None:
            told[self._source.name] = facts_of(result)
        done = done_in_words(told)
        if outcome == "done":
            return done
        left = [source.name for source, _ in self._waiting]
        how = "Failed" if outcome == "failed" else how_far(result, left)
        return f"{done} {self._whose}{how}".lstrip()

    def _on_removed(self, event: object) -> None:
        """End the run of a layer that is gone, be it the recording or the result."""
        gone = getattr(event, "value", None)
        # Equal, not the same: napari gives plugins a wrapped viewer and wrapped layers.
        self._unfinished = [u for u in self._unfinished if u.layer != gone]
        of_run = (self._source, self._current.layer if self._current else None)
        if self.is_on and gone is not None and gone in of_run:
            self._is_sourceless |= gone == self._source
            self.stop()


def _listed(layers: list[Image]) -> str:
    return ", ".join(layer.name for layer in layers)

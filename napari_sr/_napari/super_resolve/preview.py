"""A preview: what is in view, super-resolved, with a curtain to compare by.

This module alone knows when a preview is computed again: at most one at a time, and
always the newest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from superqt.utils import QSignalDebouncer

from napari_sr._napari.layers.roles import results_of
from napari_sr._napari.layers.view import (
    NotInViewError,
    changes_of_view,
    part_in_view,
)
from napari_sr._napari.parts.background import Background
from napari_sr._napari.super_resolve.preview_layer import PreviewLayer
from napari_sr._napari.super_resolve.result_layer import HiddenRecordings
from napari_sr.interactive.preview_pixels import Sight, View, preview_all
from napari_sr.interactive.telling import preview_in_words
from napari_sr.settings import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.interactive.prepared import Preparer
    from napari_sr.interactive.request import UpscaleRequest

    Wanted = tuple[Image, UpscaleRequest, View]

KEY = "B"
"""Held down on the canvas, it shows the recording."""
PAUSE_MS = 120
"""A preview is computed when nothing has changed for so long."""


class Preview:
    """Keeps layers up to date with what is in view: one for each channel.

    Parameters
    ----------
    viewer
        Gets the layers, and is listened to while the preview is on.
    preparer
        Shared with the run.
    ask
        Gives the layers and requests of this moment, the chosen one first; none where
        nothing can be shown.
    tell
        Called with one sentence when there is something to say.
    failed
        Called when it could not be computed; the preview is off then.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        preparer: Preparer,
        ask: Callable[[], list[tuple[Image, UpscaleRequest]]],
        tell: Callable[[str], None],
        failed: Callable[[], None],
    ) -> None:
        self._viewer, self._preparer = viewer, preparer
        self._ask, self._tell, self._failed = ask, tell, failed
        self.is_on = False
        self.pictures = [PreviewLayer(viewer)]
        """Of the chosen layer, then of its other channels."""
        self._background = Background()
        self._again = False
        self._sources: list[Image] = []
        self._covered = HiddenRecordings(viewer)
        self._curtain = 0.0
        self._is_held = False
        self._is_plane_alone = False  # and not finer along z
        self._debouncer = QSignalDebouncer()
        self._debouncer.setTimeout(PAUSE_MS)
        self._debouncer.triggered.connect(self.refresh)

    @property
    def layer(self) -> Image | None:
        """What is shown of the chosen layer, while something is."""
        return self.pictures[0].layer

    @property
    def is_busy(self) -> bool:
        """Whether a preview is being computed, or about to be."""
        return self._background.is_busy

    def start(self) -> None:
        """Show a preview from now on."""
        if self.is_on:
            return
        self.is_on = True
        for event in changes_of_view(self._viewer):
            event.connect(self.ask_again)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.bind_key(KEY, self._while_held, overwrite=True)
        self.refresh()

    def stop(self) -> None:
        """Show none any longer."""
        if not self.is_on:
            return
        self.is_on = False
        for event in changes_of_view(self._viewer):
            event.disconnect(self.ask_again)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.bind_key(KEY, None)
        self._debouncer.cancel()
        self._background.leave()
        self._again = False
        for picture in self.pictures:
            picture.hide()
        self._covered.show()

    def leave(self) -> None:
        """Remove the layers, and emit nothing more: the panel is closed."""
        self.stop()
        self._ask = list
        for picture in self.pictures:
            picture.forget()

    def _on_removed(self, event: object) -> None:
        """End the preview of which the user has removed a layer."""
        gone = getattr(event, "value", None)
        of_it = [one for one in self.pictures if one.layer and one.layer == gone]
        for picture in of_it:
            picture.forget()
        if of_it:
            self.stop()
            self._failed()

    def ask_again(self, _event: object = None) -> None:
        """Compute it again soon, since something has changed."""
        if self.is_on:
            self._debouncer.throttle()

    def set_curtain(self, share: float) -> None:
        """Show the recording from the left up to a share of the width."""
        self._curtain = share
        self._draw()

    def hold(self, is_held: bool) -> None:
        """Show the recording alone while something is held."""
        self._is_held = is_held
        self._draw()

    def refresh(self) -> None:
        """Compute what is in view now, unless it is shown already."""
        asked = self._ask() if self.is_on else []
        if not asked:
            return
        self._is_plane_alone = asked[0][1].in_plane != asked[0][1]
        try:
            wanted = [
                (source, request.in_plane, part_in_view(source, self._viewer))
                for source, request in asked
            ]
        except NotInViewError as error:
            self._tell(explain(error))
            return
        if self.is_busy:
            self._background.stop()
            self._again = True
            return
        self._make_room(wanted)
        missing = [
            (picture, one)
            for picture, one in zip(self.pictures, wanted, strict=False)
            if not picture.has(*one)
        ]
        if not missing:
            self._tell(self._sentence(wanted[0]))
            return
        self._tell("Computing the preview …")
        self._background.start(
            preview_all,
            [(request, view) for _, (_, request, view) in missing],
            self._preparer,
            title=None,
            step=partial(self._show, missing),
            end=self._end,
        )

    def _make_room(self, wanted: list[Wanted]) -> None:
        """Have a picture for each recording, and show what others had covered."""
        sources = [source for source, *_ in wanted]
        if self._sources != sources:
            self._covered.show()
        self._sources = sources
        while len(self.pictures) < len(wanted):
            self.pictures.append(PreviewLayer(self._viewer))
        for picture in self.pictures[len(wanted) :]:
            picture.hide()

    def _show(
        self,
        missing: list[tuple[PreviewLayer, Wanted]],
        come: tuple[int, Sight | None],
    ) -> None:
        number, sight = come
        if sight is None or self._background.is_stopping:
            return
        picture, (source, request, _) = missing[number]
        picture.take(source, request, sight)
        self._draw(picture)
        self._covered.hide(source, results_of(source, self._viewer.layers))
        if number == len(missing) - 1:
            self._tell(self._sentence((source, request, sight.view)))

    def _draw(self, *pictures: PreviewLayer) -> None:
        for picture in pictures or self.pictures:
            picture.draw(1.0 if self._is_held else self._curtain)

    def _end(self, outcome: str) -> None:
        again, self._again = self._again, False
        if outcome == "failed":
            self.stop()
            self._failed()
        elif again:
            self.refresh()

    def _sentence(self, shown: Wanted) -> str:
        _, request, view = shown
        n, is_plane_alone = len(self._sources), self._is_plane_alone
        return preview_in_words(view, request, n, is_plane_alone)

    def _while_held(self, _viewer: object) -> Generator[None, None, None]:
        self.hold(True)
        yield
        self.hold(False)

"""A preview: what is in view, super-resolved, with a curtain to compare by.

This module alone knows when a preview is computed again (at most one at a time, and
always the newest) and how it is shown.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.experimental import link_layers
from superqt.utils import QSignalDebouncer

from napari_sr._napari.layers.geometry import upscaled_look, upscaled_placement
from napari_sr._napari.layers.view import (
    NotInViewError,
    View,
    changes_of_view,
    part_in_view,
)
from napari_sr._napari.parts.background import Background
from napari_sr._napari.super_resolve.preview_pixels import Sight, preview_steps
from napari_sr.settings import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sr._napari.super_resolve.prepared import Preparer
    from napari_sr._napari.super_resolve.request import UpscaleRequest

KEY = "B"
"""Held down on the canvas, it shows the recording."""
PAUSE_MS = 120
"""A preview is computed when nothing has changed for so long."""
LOOK = ("contrast_limits", "gamma", "colormap")


class Preview:
    """Keeps a layer up to date with what is in view.

    Parameters
    ----------
    viewer
        Gets the layer, and is listened to while the preview is on.
    preparer
        Shared with the run.
    ask
        Gives the layer and request of this moment; None when there is none.
    tell
        Called with one sentence when there is something to say.
    failed
        Called when it could not be computed; the preview is off then.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        preparer: Preparer,
        ask: Callable[[], tuple[Image, UpscaleRequest] | None],
        tell: Callable[[str], None],
        failed: Callable[[], None],
    ) -> None:
        self._viewer, self._preparer = viewer, preparer
        self._ask, self._tell, self._failed = ask, tell, failed
        self.is_on = False
        self.layer: Image | None = None
        """What is shown, while something is."""
        self._background = Background()
        self._again = False
        self._shown: tuple[UpscaleRequest, Sight] | None = None
        self._source: Image | None = None
        self._curtain = 0.0
        self._is_held = False
        self._debouncer = QSignalDebouncer()
        self._debouncer.setTimeout(PAUSE_MS)
        self._debouncer.triggered.connect(self.refresh)

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
        self._viewer.bind_key(KEY, self._while_held, overwrite=True)
        self.refresh()

    def stop(self) -> None:
        """Show none any longer."""
        if not self.is_on:
            return
        self.is_on = False
        for event in changes_of_view(self._viewer):
            event.disconnect(self.ask_again)
        self._viewer.bind_key(KEY, None)
        self._debouncer.cancel()
        self._background.leave()
        self._again = False
        layer, self.layer, self._shown, self._source = self.layer, None, None, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def leave(self) -> None:
        """Stop, and say nothing more: nobody is there to listen."""
        self.stop()
        self._ask = _nothing_is_asked

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
        asked = self._ask() if self.is_on else None
        if asked is None:
            return
        source, request = asked
        try:
            view = part_in_view(source, self._viewer)
        except NotInViewError as error:
            self._tell(explain(error))
            return
        if self.is_busy:
            self._background.stop()
            self._again = True
        elif not self._has(request, view):
            self._source = source
            self._tell("Computing the preview …")
            self._background.start(
                preview_steps,
                request,
                self._preparer,
                view,
                title=None,
                step=partial(self._show, request),
                end=self._end,
            )

    def _has(self, request: UpscaleRequest, view: View) -> bool:
        if self._shown is None or self.layer not in self._viewer.layers:
            return False
        known, sight = self._shown
        return known == request and sight.view.covers(view)

    def _show(self, request: UpscaleRequest, sight: Sight | None) -> None:
        if sight is not None and not self._background.is_stopping:
            self._shown = (request, sight)
            self._draw()
            self._tell(_sentence(sight))

    def _draw(self) -> None:
        """Put before and after into the layer, on either side of the curtain."""
        if self._shown is None or self._source is None:
            return
        sight = self._shown[1]
        share = 1.0 if self._is_held else self._curtain
        column = math.ceil(share * sight.after.shape[1])
        pixels = sight.after.copy()
        pixels[:, :column] = sight.before[:, :column]
        pixels = pixels[(np.newaxis,) * len(sight.view.index)]
        place = upscaled_placement(self._source, sight.factor, sight.view.first)
        if self.layer is None or self.layer not in self._viewer.layers:
            self.layer = self._add(pixels, place)
        else:
            self.layer.data = pixels
            for name, value in place.items():
                setattr(self.layer, name, value)

    def _add(self, pixels: NDArray, place: dict[str, Any]) -> Image:
        """Add the layer, and leave the selection as it is."""
        source, layers = self._source, self._viewer.layers
        if source is None:
            raise AssertionError("a preview has a source")
        selected = set(layers.selection)
        layer = self._viewer.add_image(
            pixels,
            name=f"preview of {source.name}",
            rgb=False,
            multiscale=False,
            metadata={"napari_sr": {"is_preview": True}},
            **upscaled_look(source),
            **place,
        )
        layer.contrast_limits_range = source.contrast_limits_range
        link_layers([source, layer], LOOK)
        layers.selection = selected
        return layer

    def _end(self, outcome: str) -> None:
        again, self._again = self._again, False
        if outcome == "failed":
            self.stop()
            self._failed()
        elif again:
            self.refresh()

    def _while_held(self, _viewer: object) -> Generator[None, None, None]:
        self.hold(True)
        yield
        self.hold(False)


def _nothing_is_asked() -> None:
    """Nobody is there to ask for anything."""


def _sentence(sight: Sight) -> str:
    height, width = sight.after.shape
    if sight.view.is_middle:
        return (
            f"Preview of the middle of the view, {height} × {width} px: zoom in to "
            f"see all that is in view."
        )
    return f"Preview of what is in view, {height} × {width} px."

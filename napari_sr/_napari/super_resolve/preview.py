"""A preview: what is in view, super-resolved, with a curtain to compare by.

This module alone knows when a preview is computed again (at most one at a time, and
always the newest) and how it is shown.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.experimental import link_layers, unlink_layers
from superqt.utils import QSignalDebouncer

from napari_sr._napari.layers.geometry import upscaled_look, upscaled_placement
from napari_sr._napari.layers.view import (
    NotInViewError,
    changes_of_view,
    part_in_view,
)
from napari_sr._napari.parts.background import Background
from napari_sr._napari.super_resolve.result_layer import HiddenRecordings
from napari_sr.interactive.preview_pixels import Sight, View, preview_steps
from napari_sr.interactive.telling import preview_in_words
from napari_sr.settings import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sr.interactive.prepared import Preparer
    from napari_sr.interactive.request import UpscaleRequest

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
        self._covered = HiddenRecordings(viewer)
        self._placed: tuple[Image, int, tuple[int, ...]] | None = None
        self._curtain = 0.0
        self._is_held = False
        self._is_plane_alone = False  # and not finer along z
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
        self._shown = None
        if (layer := self._kept()) is not None:
            layer.visible = False  # and not removed: some drivers crash at it
        self._covered.show()

    def leave(self) -> None:
        """Remove the layer, and emit nothing more: the panel is closed."""
        self.stop()
        self._ask = _nothing_is_asked
        self._forget_layer()

    def _kept(self) -> Image | None:
        """Give the layer, if it is in the viewer."""
        return self.layer if self.layer in self._viewer.layers else None

    def _forget_layer(self) -> None:
        layer, self.layer, self._placed = self.layer, None, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_removed(self, event: object) -> None:
        """End the preview whose layer the user has removed."""
        if self.layer is not None and getattr(event, "value", None) == self.layer:
            self.layer = self._placed = None
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
        asked = self._ask() if self.is_on else None
        if asked is None:
            return
        source, request = asked[0], asked[1].in_plane
        self._is_plane_alone = request != asked[1]
        try:
            view = part_in_view(source, self._viewer)
        except NotInViewError as error:
            self._tell(explain(error))
            return
        if self.is_busy:
            self._background.stop()
            self._again = True
        elif self._has(request, view):
            self._tell(self._sentence(view, request))
        else:
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
        if self._shown is None or self._kept() is None:
            return False
        known, sight = self._shown
        return known == request and sight.view.covers(view)

    def _show(self, request: UpscaleRequest, sight: Sight | None) -> None:
        if sight is not None and not self._background.is_stopping:
            self._shown = (request, sight)
            self._draw()
            self._tell(self._sentence(sight.view, request))

    def _draw(self) -> None:
        """Put before and after into the layer, on either side of the curtain."""
        if self._shown is None or self._source is None:
            return
        sight = self._shown[1]
        share = 1.0 if self._is_held else self._curtain
        column = math.ceil(share * sight.after.shape[1])
        pixels = sight.after.copy()
        pixels[:, :column] = sight.before[:, :column]
        if 0 < share < 1:
            pixels[:, max(0, column - 1) : column] = self._line_value(pixels.dtype)
        pixels = pixels[(np.newaxis,) * len(sight.view.index)]
        wanted = (self._source, sight.factor, sight.view.first)
        layer = self._kept()
        if layer is not None and layer.ndim != self._source.ndim:
            self._forget_layer()
            layer = None
        if layer is None:
            self.layer = layer = self._add(pixels, upscaled_placement(*wanted))
        elif self._placed == wanted and layer.data.shape == pixels.shape:
            # Only the pixels: to place it anew costs the viewer three times as much.
            layer.data[...] = pixels
            layer.refresh(extent=False, highlight=False, thumbnail=False)
        else:
            layer.data = pixels
            for name, value in upscaled_placement(*wanted).items():
                setattr(layer, name, value)
            self._look_like_source(layer, self._source)
        self._placed = wanted
        if not layer.visible:  # napari draws anew whatever it is set to
            layers = self._viewer.layers
            layers.move(layers.index(layer), len(layers))
            layer.visible = True
        self._covered.hide(self._source)

    def _look_like_source(self, layer: Image, source: Image) -> None:
        """Let the layer of another recording look as this one from now on."""
        if self._placed is None or self._placed[0] is source:
            return
        self._covered.show()
        unlink_layers([self._placed[0], layer], LOOK)
        for name in LOOK:
            setattr(layer, name, getattr(source, name))
        layer.name = f"preview of {source.name}"
        layer.contrast_limits_range = source.contrast_limits_range
        link_layers([source, layer], LOOK)

    def _line_value(self, dtype: np.dtype[Any]) -> NDArray:
        """Give the counts that are drawn brightest, for the line of the curtain."""
        high = self._source.contrast_limits[1] if self._source is not None else 0
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            high = min(max(round(high), limits.min), limits.max)
        return np.asarray(high, dtype)

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
        layer.bounding_box.points = False
        layer.bounding_box.visible = True  # where the preview is
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

    def _sentence(self, view: View, request: UpscaleRequest) -> str:
        rest = " Run makes it finer along z." if self._is_plane_alone else ""
        return preview_in_words(view, request) + rest

    def _while_held(self, _viewer: object) -> Generator[None, None, None]:
        self.hold(True)
        yield
        self.hold(False)


def _nothing_is_asked() -> None:
    """Ask for nothing: the panel is closed."""

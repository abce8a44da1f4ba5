"""The maps of an assessment as layers, where their pixels lie.

This module alone knows what a map looks like in the viewer, and that maps are those of
the plane in view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from superqt.utils import QSignalDebouncer

from napari_sr._napari.layers.geometry import upscaled_placement
from napari_sr._napari.layers.view import plane_in_view
from napari_sr._napari.parts.background import Background
from napari_sr.interactive.judging import map_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.image.stack import Stack
    from napari_sr.trust.assessment import Assessment, Map, Place

    Stacks = tuple[Stack, Stack, Stack | None]
    """Result, recording and reference."""

PAUSE_MS = 250
"""Another plane is mapped when it has been in view for so long."""
SHOWN = ("out_of_band", "interval", "disagreement", "texture", "error")
"""Maps that become layers, as far as there are any; the last one lies on top."""
MOST_DEVIATIONS = 10.0
"""Ends of the scale where 5 is already more than noise explains."""


class MapLayers:
    """Layers of the maps of a result; they follow the plane in view.

    Parameters
    ----------
    viewer
        Gets the layers, and is listened to while there are some.
    tell
        Called with what is going on, in a sentence, or with none.
    """

    def __init__(self, viewer: ViewerModel, tell: Callable[[str], None]) -> None:
        self._viewer, self._tell = viewer, tell
        self._background = Background()
        self._layers: dict[str, Image] = {}
        self._about: tuple[Image, Assessment, Stacks] | None = None
        self._shown: tuple[int, ...] = ()
        self._debouncer = QSignalDebouncer()
        self._debouncer.setTimeout(PAUSE_MS)
        self._debouncer.triggered.connect(self._follow)

    @property
    def is_busy(self) -> bool:
        """Whether a plane is being mapped."""
        return self._background.is_busy

    def show(
        self,
        recording: Image,
        assessment: Assessment,
        stacks: Stacks,
    ) -> None:
        """Show the maps of an assessment, and from then on those of the plane in view.

        Parameters
        ----------
        recording
            Layer that the result was made from: it says where pixels lie.
        assessment
            The assessment.
        stacks
            Result, recording and reference that it is about.
        """
        self.forget()
        self._about = (recording, assessment, stacks)
        self._put(assessment.maps, assessment.place)
        self._viewer.dims.events.current_step.connect(self._moved)
        self._moved()

    def forget(self) -> None:
        """Follow no longer; layers that are there stay."""
        if self._about is not None:
            self._viewer.dims.events.current_step.disconnect(self._moved)
        self._about, self._layers = None, {}
        self._debouncer.cancel()
        self._background.stop()

    def leave(self) -> None:
        """Follow no longer: the widget is closed."""
        self.forget()
        self._background.leave()

    def _moved(self, _event: object = None) -> None:
        self._debouncer.throttle()

    def _follow(self) -> None:
        """Map the plane in view, unless it is mapped, or no map is shown."""
        if self._about is None:
            return
        recording, _, (result, recorded, reference) = self._about
        present = [layer for layer in self._layers.values() if self._is_there(layer)]
        if not present or not self._is_there(recording):
            self.forget()
            return
        index = plane_in_view(recording, self._viewer)
        if index == self._shown:
            return
        if self.is_busy:
            self._background.stop()
            self._debouncer.throttle()
            return
        self._tell(f"Mapping plane {', '.join(map(str, index))} …")
        self._background.start(
            map_plane,
            recorded,
            result,
            reference,
            index,
            title=None,
            result=self._take,
            end=self._end,
        )

    def _take(self, found: tuple[Mapping[str, Map], Place]) -> None:
        if self._about is not None:
            self._put(*found)
            self._tell("")
            self._moved()

    def _end(self, outcome: str) -> None:
        if outcome != "done":
            self._tell("")

    def _is_there(self, layer: Image) -> bool:
        return layer in self._viewer.layers

    def _put(self, maps: Mapping[str, Map], place: Place) -> None:
        """Put maps into their layers; those that have none yet get one on top."""
        if self._about is None:
            return
        recording, assessment, _ = self._about
        self._shown = place.index
        for name in (name for name in SHOWN if name in maps):
            one = maps[name]
            leading = [1] * (recording.ndim - 2)
            pixels = one.pixels.reshape(*leading, *one.pixels.shape)
            where = _placement_of(one, recording, assessment.factor, place)
            layer = self._layers.get(name)
            if layer is None:
                self._layers[name] = self._viewer.add_image(
                    pixels,
                    name=f"{name.replace('_', ' ')}: {assessment.name}",
                    visible=name == "disagreement",
                    metadata={"napari_sr": {**assessment.provenance, "map": name}},
                    **_look_of(one),
                    **where,
                )
            elif self._is_there(layer):
                layer.data = pixels
                for key, value in where.items():
                    setattr(layer, key, value)


def _look_of(quality_map: Map) -> dict[str, Any]:
    """Colour a map so that nothing to see is white, and 0 the middle or the end."""
    if quality_map.kind == "amount":
        most = max(float(np.percentile(quality_map.pixels, 99.7)), 1e-6)
        return {"colormap": "gray_r", "contrast_limits": (0, most), "rgb": False}
    most = MOST_DEVIATIONS
    if quality_map.unit != "deviations":
        most = max(float(np.percentile(np.abs(quality_map.pixels), 99.7)), 1e-6)
    return {"colormap": "PiYG", "contrast_limits": (-most, most), "rgb": False}


def _placement_of(
    quality_map: Map, recording: Image, factor: int, place: Place
) -> dict[str, Any]:
    """Put a map where the part lies that was looked at."""
    top, left = quality_map.corner
    start = (*place.index, place.top + top, place.left + left)
    return upscaled_placement(recording, factor // quality_map.factor, start)

"""The layer of a result, from its first plane to its last.

This module alone knows how a result appears: where the recording lies, in its look, and
marked for as long as planes are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr._napari.layers.geometry import upscaled_look, upscaled_placement
from napari_sr.interactive.telling import counts_of, of_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.interactive.in_memory import Result

SUMMED = ("additive", "minimum", "multiplicative")
"""Ways of blending in which a layer does not cover what lies below it."""


class HiddenRecordings:
    """Recordings that would shine through what was made of them.

    Parameters
    ----------
    viewer
        Where they are shown again.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: list[Image] = []

    def hide(self, source: Image, results: Sequence[Image] = ()) -> None:
        """Hide a recording, if its result is added to what lies below, and results.

        Each once: what the user shows again meanwhile stays so.
        """
        for layer in (*results, *([source] if source.blending in SUMMED else [])):
            if layer.visible and layer not in self._hidden:
                layer.visible = False
                self._hidden.append(layer)

    def show(self) -> None:
        """Show again what was hidden, and is still there."""
        for layer in self._hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        self._hidden = []


class ResultLayer:
    """A result in the viewer; to be used in the main thread.

    Parameters
    ----------
    viewer
        Gets the layer.
    source
        The recording's layer.
    result
        With its first plane done.
    """

    def __init__(self, viewer: ViewerModel, source: Image, result: Result) -> None:
        self.result = result
        part, levels = result.request.part, result.levels
        self._name = f"{source.name} [{result.plan.model}]{of_part(part)}"
        first = None
        if part is not None:
            first = (*[0] * (source.ndim - 2), *(cut.start for cut in part))
        self.layer: Image = viewer.add_image(
            levels if len(levels) > 1 else levels[0],
            name=self._name,
            rgb=False,
            multiscale=len(levels) > 1,
            metadata={"napari_sr": dict(result.provenance)},
            # The recording's, and so set once: the planes to come change nothing.
            **upscaled_look(source),
            **upscaled_placement(source, result.finer, first),
        )
        self.layer.contrast_limits_range = source.contrast_limits_range
        self._mark()

    def refresh(self) -> None:
        """Draw what has been done since the last time."""
        # The thumbnail waits for the end: it costs as much as all the rest.
        self.layer.refresh(extent=False, highlight=False, thumbnail=False)
        self._mark()

    def settle(self) -> None:
        """Draw everything that is done, and say in the name what is missing."""
        self.layer.refresh(extent=False)
        self._mark()
        missing = "" if self.result.is_complete else f" ({counts_of(self.result)})"
        self.layer.name = f"{self._name}{missing}"

    def _mark(self) -> None:
        """Say which planes are done for as long as some are missing."""
        provenance = self.layer.metadata["napari_sr"]
        if self.result.is_complete:
            provenance.pop("partial", None)
        else:
            done = [list(index) for index in self.result.done]
            provenance["partial"] = {"planes_done": done}

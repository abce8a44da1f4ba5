"""The pixel size that the file says and the layer lacks, for one click.

This module alone knows what is said about it, and how it is taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_sr._napari.layers.pixel_size import (
    file_behind,
    split_channels,
    use_axes,
)
from napari_sr._napari.layers.roles import images_in
from napari_sr._napari.parts.panel import Form, button, text
from napari_sr.interactive.pixel_size import lengths_of, size_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sr.image.axis import Axis


class PixelSizeRow(Form):
    """Offers to take the pixel size from the file, and to take that back.

    Parameters
    ----------
    viewer
        Whose layers get it: all of the same pixels and file, which lie over each other.
    choose
        Called with the first of the layers into which channels were opened.
    """

    def __init__(self, viewer: ViewerModel, choose: Callable[[Layer], None]) -> None:
        self._viewer, self._choose = viewer, choose
        self._layer: Image | None = None
        self._axes: Sequence[Axis] = ()
        self._before: WeakKeyDictionary[Image, tuple[Any, Any]] = WeakKeyDictionary()
        self.about, self.use_button = (
            text(name="pixel_size"),
            button("Use it", self.use_or_take_back),
        )
        super().__init__(self.about, self.use_button)

    def offer(self, layer: Image | None, axes: Sequence[Axis] = ()) -> None:
        """Say what the file says of a layer that does not say it; or nothing."""
        if layer is not self._layer or axes:
            self._layer, self._axes = layer, axes
        is_used = layer in self._before
        size = size_in_words(lengths_of(self._axes)) if self._axes else ""
        self.about.value = f"Pixel size in the file: {size}"
        self.use_button.text, self.use_button.tooltip = (
            ("Undo", "Set the pixel size back to one unit of the viewer.")
            if is_used
            else (
                "Split its channels",
                "One layer for each channel, with pixel size, name and colour.",
            )
            if self._has_channels
            else ("Use it", "Set scale and units, which napari's reader leaves out.")
        )
        for row in (self.about, self.use_button):
            self.show_row(row, bool(size))

    def use_or_take_back(self) -> None:
        """Give the layers the pixel size of their file, or the one that they had."""
        chosen = self._layer
        if chosen is None or not self._axes:
            return
        if self._has_channels:
            self.split(chosen)
            return
        if chosen in self._before:
            for layer, (scale, units) in self._before.items():
                layer.scale, layer.units = scale, units
            self._before.clear()
        else:
            for layer in images_in(self._viewer.layers):
                is_same = layer.source.path == chosen.source.path
                if is_same and layer.ndim == chosen.ndim and file_behind(layer):
                    self._before[layer] = (layer.scale, layer.units)
                    use_axes(layer, self._axes)
        self._viewer.reset_view()
        self.offer(chosen)
        self.changed.emit(self)

    @property
    def _has_channels(self) -> bool:
        return any(axis.name == "c" for axis in self._axes)

    def split(self, together: Image) -> None:
        """Put its channels in the place of a layer, and choose the first."""
        self._choose(split_channels(self._viewer, together)[0])

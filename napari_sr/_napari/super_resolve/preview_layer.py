"""The layer of a preview: before and after, on either side of a curtain.

This module alone knows how a preview lies in the viewer and looks like its recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.experimental import link_layers, unlink_layers

from napari_sr._napari.layers.geometry import upscaled_look, upscaled_placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sr.interactive.preview_pixels import Sight, View
    from napari_sr.interactive.request import UpscaleRequest

LOOK = ("contrast_limits", "gamma", "colormap")


class PreviewLayer:
    """Shows what is in view of one recording at a time.

    Parameters
    ----------
    viewer
        Gets the layer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Image | None = None
        """What is shown, while something is."""
        self.shown: tuple[Image, UpscaleRequest, Sight] | None = None
        """Of which recording, as what was asked for, and its pixels."""
        self._placed: tuple[Image, int, tuple[int, ...]] | None = None

    def has(self, source: Image, request: UpscaleRequest, view: View) -> bool:
        """Tell whether this is shown already."""
        if self.shown is None or self._kept() is None:
            return False
        known, same, sight = self.shown
        return known is source and same == request and sight.view.covers(view)

    def take(self, source: Image, request: UpscaleRequest, sight: Sight) -> None:
        """Show this from the next `draw` on."""
        self.shown = (source, request, sight)

    def hide(self) -> None:
        """Show nothing; the layer is kept: some drivers crash where one is removed."""
        self.shown = None
        if (layer := self._kept()) is not None:
            layer.visible = False

    def forget(self) -> None:
        """Remove the layer, if it is in the viewer."""
        layer = self._kept()
        self.layer = self._placed = None
        if layer is not None:
            self._viewer.layers.remove(layer)

    def _kept(self) -> Image | None:
        """Give the layer, if it is in the viewer."""
        return self.layer if self.layer in self._viewer.layers else None

    def draw(self, share: float) -> None:
        """Put before and after into the layer, on either side of the curtain."""
        if self.shown is None:
            return
        source, _, sight = self.shown
        pixels = sight.behind_curtain(share, source.contrast_limits[1])
        wanted = (source, sight.factor, sight.view.first)
        layer = self._kept()
        if layer is not None and layer.ndim != source.ndim:
            self.forget()
            layer = None
        if layer is None:
            self.layer = layer = self._add(source, pixels, upscaled_placement(*wanted))
        elif self._placed == wanted and layer.data.shape == pixels.shape:
            # Only the pixels: to place it anew costs the viewer three times as much.
            layer.data[...] = pixels
            layer.refresh(extent=False, highlight=False, thumbnail=False)
        else:
            layer.data = pixels
            for name, value in upscaled_placement(*wanted).items():
                setattr(layer, name, value)
            self._look_like(source, layer)
        self._placed = wanted
        if not layer.visible:  # napari draws anew whatever it is set to
            layers = self._viewer.layers
            layers.move(layers.index(layer), len(layers))
            layer.visible = True

    def _look_like(self, source: Image, layer: Image) -> None:
        """Let the layer of another recording look as this one from now on."""
        if self._placed is None or self._placed[0] is source:
            return
        unlink_layers([self._placed[0], layer], LOOK)
        for name in (*LOOK, "blending"):
            setattr(layer, name, getattr(source, name))
        layer.name = f"preview of {source.name}"
        layer.contrast_limits_range = source.contrast_limits_range
        link_layers([source, layer], LOOK)

    def _add(self, source: Image, pixels: NDArray, place: dict[str, Any]) -> Image:
        """Add the layer, and leave the selection as it is."""
        layers = self._viewer.layers
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

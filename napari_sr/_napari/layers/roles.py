"""The image layers of a viewer, and which of them belong together.

This module alone knows which layers can be computed with. What each of them is is
guessed in `interactive.roles`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image

from napari_sr.interactive.roles import (
    are_of_one_recording,
    guess_recording,
    is_only_looked_at,
    is_result,
    is_truth,
    same_field,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer


def channels_of(layer: Image, layers: Iterable[Layer]) -> list[Image]:
    """List the other channels of a recording: the same pixels, elsewhere coloured.

    Those of which it is known, else all layers of the same size and place.
    """
    images = images_in(layers)
    alike = [
        other
        for other in images
        if other is not layer
        and not is_result(other)
        and other.data.shape == layer.data.shape
        and other.data.dtype == layer.data.dtype
        and same_field(other, layer)
        and not is_truth(other, images)
    ]
    return [other for other in alike if are_of_one_recording(layer, other)] or alike


def results_of(source: Image, layers: Iterable[Layer]) -> list[Image]:
    """List what was made of a recording, be it of a part: by name, or by its field."""
    images = images_in(layers)
    return [
        layer
        for layer in images
        if is_result(layer)
        and (
            layer.name.startswith(f"{source.name} [")
            or guess_recording(layer, images) == source
        )
    ]


def result_to_save(layers: Iterable[Layer], active: object) -> Image | None:
    """Find the active layer if it is a result, else the newest result."""
    results = [layer for layer in images_in(layers) if is_result(layer)]
    chosen = [layer for layer in results if layer == active]
    return next(iter([*chosen, *reversed(results)]), None)


def images_in(layers: Iterable[Layer], *, colours: bool = False) -> list[Image]:
    """List the layers that can be computed with; those in colours where asked for."""
    images = [layer for layer in layers if isinstance(layer, Image)]
    return [
        layer
        for layer in images
        if (colours or not layer.rgb) and not is_only_looked_at(layer)
    ]

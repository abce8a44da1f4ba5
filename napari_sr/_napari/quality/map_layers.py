"""The maps of an assessment as layers, where their pixels lie.

This module alone knows what a map looks like in the viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr._napari.layers.geometry import upscaled_placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.trust.assessment import Assessment, Map

SHOWN = ("out_of_band", "interval", "disagreement", "texture", "error")
"""Maps that become layers, as far as there are any; the last one lies on top."""
MOST_DEVIATIONS = 10.0
"""Ends of the scale where 5 is already more than noise explains."""


def add_maps(
    viewer: ViewerModel, recording: Image, assessment: Assessment
) -> list[Image]:
    """Add the maps of a result above everything; only the first is visible.

    Parameters
    ----------
    viewer
        Gets the layers.
    recording
        Layer that the result was made from: it says where pixels lie.
    assessment
        The assessment.
    """
    added = []
    for name in (name for name in SHOWN if name in assessment.maps):
        quality_map = assessment.maps[name]
        added.append(
            viewer.add_image(
                quality_map.pixels.reshape(
                    *[1] * (recording.ndim - 2), *quality_map.pixels.shape
                ),
                name=f"{name.replace('_', ' ')}: {assessment.name}",
                visible=name == "disagreement",
                metadata={"napari_sr": {**assessment.provenance, "map": name}},
                **_look_of(quality_map),
                **_placement_of(quality_map, recording, assessment),
            )
        )
    return added


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
    quality_map: Map, recording: Image, assessment: Assessment
) -> dict[str, Any]:
    """Put a map where the part lies that was looked at."""
    place = assessment.place
    top, left = quality_map.corner
    start = (*place.index, place.top + top, place.left + left)
    return upscaled_placement(recording, assessment.factor // quality_map.factor, start)

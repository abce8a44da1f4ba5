"""Sample data: each phantom as it was recorded, with its truth as a second layer.

This module alone knows how a phantom is shown. A phantom is drawn when it is opened;
nothing is loaded before that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr._napari.layers.geometry import placement_of
from napari_sr._napari.parts.waiting import wait_for
from napari_sr.interactive.heavy_imports import load

if TYPE_CHECKING:
    from napari_sr.phantoms import Phantom

SampleLayer = tuple[np.ndarray, dict[str, Any], str]

SHOWN = (0.1, 99.9)
"""Percentiles of the recording that are black and white."""


def open_phantom(name: str) -> list[SampleLayer]:
    """Draw a phantom, for napari to show.

    Parameters
    ----------
    name
        One of `napari_sr.phantoms.PHANTOM_NAMES`.

    Returns
    -------
    list of layer data tuples
        The recording, then the truth, which is hidden at first. Both cover the same
        field and have the same contrast limits.
    """
    phantom = wait_for(f"Drawing {name}", _draw, name)
    limits = np.percentile(phantom.recorded, SHOWN).tolist()
    recorded: dict[str, Any] = {
        "name": name,
        "contrast_limits": limits,
        "metadata": {"napari_sr": {"content": phantom.title, "origin": "synthetic"}},
        **placement_of(phantom.axes),
    }
    truth: dict[str, Any] = {
        **recorded,
        "name": f"{name} (truth)",
        "visible": False,
        **placement_of(phantom.truth_axes),
    }
    return [(phantom.recorded, recorded, "image"), (phantom.truth, truth, "image")]


def _draw(name: str) -> Phantom:
    """Draw it, in a thread: torch is loaded for its noise."""
    load("napari_sr.phantoms")
    from napari_sr.phantoms import make_phantom

    return make_phantom(name)


filaments, nuclei, foam, mammogram, surface = (
    partial(open_phantom, name)
    for name in ("filaments", "nuclei", "foam", "mammogram", "surface")
)
"""As the manifest names them."""

"""Lattices, stripes and rings in a result: which there are, and who made them.

This module alone decides which of them are named. They are measured by `metrics`; the
same of bicubic interpolation tells what the recording has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sr.metrics import SCALE, lattice, rings, stripes
from napari_sr.metrics.quality import most_on_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sr.trust.assessment import PlaneFigures

_NOTICEABLE = 1e-3
"""Share of the intensity range."""
_MORE = 1.5
"""Times as strong as in bicubic: then it is the result's own."""
_NAMES = {
    "lines_along_y": "stripes along y",
    "lines_along_x": "stripes along x",
    "rings": "rings around the middle",
}


def periodic_figures(
    picture: NDArray, span: float, factor: int | None = None
) -> dict[str, float]:
    """Measure what is periodic in a picture, as shares of the intensity range.

    Parameters
    ----------
    picture
        `(y, x)` counts, the middle of a plane.
    span
        The intensity range in counts.
    factor
        Of a picture as fine as the result, which can have a lattice of it.
    """
    middle = ((picture.shape[0] - 1) / 2, (picture.shape[1] - 1) / 2)
    along_y, along_x = stripes(picture)
    found = {
        "lines_along_y": along_y,
        "lines_along_x": along_x,
        "rings": rings(picture, middle),
    }
    if factor is not None and min(picture.shape) >= 3 * factor:
        found["lattice_share"] = lattice(picture, factor)
    return {name: value / span for name, value in found.items()}


def span_of(low: NDArray) -> float:
    """Tell the intensity range of a recording, without its extremes."""
    darkest, brightest = np.percentile(low, (0.1, 99.9))
    return max(float(brightest - darkest), float(np.finfo(np.float32).tiny))


def artefacts_of(figures: Mapping[str, PlaneFigures]) -> tuple[str, ...]:
    """Name what is periodic in a result, each in a sentence."""
    own, beside = figures["result"], figures["bicubic"]
    named = []
    most = most_on_images(SCALE * (beside.lattice_share or 0.0)) / SCALE
    if (own.lattice_share or 0.0) > most:
        named.append(
            "The result has a lattice with the period of the recorded pixels, "
            f"{own.lattice_share:.2%} of the intensity range, an artefact of its "
            "model."
        )
    for name, words in _NAMES.items():
        strength, before = getattr(own, name) or 0.0, getattr(beside, name) or 0.0
        if strength > _NOTICEABLE:
            whose = (
                "which the recording does not have"
                if strength > _MORE * before
                else "which are also in the recording"
            )
            named.append(
                f"The result has {words}, {strength:.2%} of the intensity range, "
                f"{whose}."
            )
    return tuple(named)

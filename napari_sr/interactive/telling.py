"""How a run or a preview goes, in sentences.

This module alone knows how exactly that is said.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from napari_sr.runs.summary import _as_typed

if TYPE_CHECKING:
    from napari_sr.interactive.in_memory import Result
    from napari_sr.interactive.preview_pixels import View
    from napari_sr.interactive.request import UpscaleRequest


def describe_time_left(seconds: float) -> str:
    """Say how long something will take, as exactly as can be known.

    Parameters
    ----------
    seconds
        Estimated.

    Returns
    -------
    str
        Such as "about 40 s left".
    """
    if seconds < 10:
        return "a few seconds left"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s left"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"


def how_far(result: Result | None) -> str:
    """Say how far a run came that was stopped."""
    if result is None:
        return "Stopped before the first plane was done."
    return f"Stopped with {counts_of(result)} done; Run does the rest."


def counts_of(result: Result) -> str:
    """Say how many planes are done, of how many."""
    return f"{len(result.done)} of {result.n_planes} planes"


def facts_of(result: Result) -> str:
    """Say what was made, as far as it was asked for."""
    if not result.is_complete:
        return f"{counts_of(result)}, as asked for; Run can do all"
    shape = " × ".join(map(str, result.levels[0].shape))
    parts = [f"{shape} px"]
    if result.plan.noise is not None:
        parts.append(f"noise {_as_typed(asdict(result.plan.noise))}")
    if result.share_clipped:
        parts.append(f"{result.share_clipped:.2%} of pixels clipped")
    if result.plan.dtype_note:
        parts.append(result.plan.dtype_note)
    return ", ".join(parts)


def preview_in_words(view: View, request: UpscaleRequest) -> str:
    """Say of what a preview is, and how large it is."""
    model = request.model
    factor = (request.factor or 1) if isinstance(model, str) else model.factor
    sides = (view.rows, view.columns)
    height, width = (factor * (side.stop - side.start) for side in sides)
    if view.is_middle:
        return (
            f"Preview of the middle of the view, {height} × {width} px, in the frame: "
            f"zoom in to see all that is in view."
        )
    return f"Preview of what is in view, {height} × {width} px."

"""How a run or a preview goes, in sentences.

This module alone knows how exactly that is said.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from napari_sr.runs.summary import noise_as_typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sr.interactive.in_memory import Result
    from napari_sr.interactive.preview_pixels import View
    from napari_sr.interactive.request import UpscaleRequest
    from napari_sr.upscaling.flow import TileStep


REST = "Run the rest"
"""What stands on the button where a run can go on."""


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


def how_it_goes(result: Result, step: TileStep, seconds: float) -> str:
    """Say how a run goes.

    Parameters
    ----------
    result
        So far.
    step
        The last one.
    seconds
        That a tile takes; 0 while that is not known.
    """
    number = min(result.n_planes, len(result.done) + 1)
    parts = [f"Plane {number} of {result.n_planes}"]
    if seconds:
        left = seconds * (step.n_tiles - step.tiles_done)
        parts.append(describe_time_left(left))
    if step.tile is not None and step.tile < result.plan.tile:
        parts.append(f"out of memory, so tiles are now {step.tile} px")
    return ", ".join(parts)


def done_in_words(told: Mapping[str, str]) -> str:
    """Say what came of each recording that is done; nothing where none is."""
    done = "; ".join(f"{name} ({facts})" for name, facts in told.items())
    return f"Done: {done}." if told else ""


def of_part(part: tuple[slice, slice] | None) -> str:
    """Say in a name which recorded pixels it is of, the first and the last."""
    if part is None:
        return ""
    rows, columns = (f"{cut.start}–{cut.stop - 1}" for cut in part)
    return f" rows {rows}, columns {columns}"


def how_far(result: Result | None, left: Sequence[str]) -> str:
    """Say how far a run came that was stopped, and what it had not begun."""
    if result is None:
        return "Stopped before the first plane was done."
    others = ["the others", *left]
    if result.is_complete:
        others = [*left]
    rest = f"; {REST} computes {' and '.join(others)}" if others else ""
    return f"Stopped with {counts_of(result)} done{rest}."


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
        typed = noise_as_typed(asdict(result.plan.noise))
        parts.append(f"noise {typed.replace(',', ', ')}")
    if result.share_clipped:
        parts.append(f"{result.share_clipped:.2%} of pixels clipped")
    if result.plan.dtype_note:
        parts.append(result.plan.dtype_note)
    return ", ".join(parts)


def preview_in_words(
    view: View, request: UpscaleRequest, n_channels: int, is_plane_alone: bool
) -> str:
    """Say of what a preview is, how large it is, and what more a run does."""
    more = f" All {n_channels} channels." if n_channels > 1 else ""
    more += " Run makes it finer along z." if is_plane_alone else ""
    model = request.model
    factor = (request.factor or 1) if isinstance(model, str) else model.factor
    sides = (view.rows, view.columns)
    height, width = (factor * (side.stop - side.start) for side in sides)
    if view.is_middle:
        return (
            f"Preview of the middle of the view, {height} × {width} px, in the frame: "
            f"zoom in to see all that is in view.{more}"
        )
    return f"Preview of what is in view, {height} × {width} px.{more}"


def next_step(
    layers: Sequence[str],
    *,
    can_take_one: bool,
    is_running: bool,
    is_model_missing: bool,
    is_previewing: bool,
    has_dial: bool,
    has_rest: bool,
    has_result: bool,
) -> str:
    """Say what to click next, for whoever is here for the first time.

    Parameters
    ----------
    layers
        Names of what would be run.
    can_take_one
        Whether they are channels of which one can be run alone.
    is_running, is_model_missing, is_previewing, has_dial, has_rest, has_result
        How things stand.
    """
    if not layers:
        return "Next: open a recording, or a sample by Layers › Filter › Get started."
    if is_running:
        return ""
    if is_model_missing:
        return "Next: choose another model."
    which = ""
    if len(layers) > 1:
        which = f" for {len(layers)} layers: {', '.join(layers)}"
        which += " (untick All channels to take one alone)" if can_take_one else ""
    if is_previewing:
        dial = "move the dial (Faithful … textured) and the curtain"
        return f"Next: {dial if has_dial else 'zoom, pan'}, then press Run{which}."
    if has_rest:
        return (
            f"Next: {REST} computes what is missing; Save result … writes what is done."
        )
    if has_result:
        return "Next: Save result … writes it to a file; Undo run takes it back."
    return f"Next: press Preview to look at what is in view, or Run{which}."

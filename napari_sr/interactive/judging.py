"""Results measured, mapped and set beside each other, in a thread.

This module alone knows what is loaded for that, and which methods can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.catalogue.lookup import list_cards
from napari_sr.interactive.heavy_imports import load
from napari_sr.methods.names import METHODS
from napari_sr.metrics.quality import BASELINE

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from napari_sr.evaluation.side_by_side import Named, SideBySide
    from napari_sr.image.stack import Stack
    from napari_sr.settings import UpscaleSettings
    from napari_sr.trust.assessment import Assessment, Map, Place

    Part = tuple[slice, slice]
    Steps = tuple[int, int]
    """How many are done, of how many."""


def assess(
    result: Stack, recording: Stack, reference: Stack | None, index: tuple[int, ...]
) -> Generator[Steps, None, Assessment]:
    """Assess a result, and map the plane at an index; see `trust.flow`."""
    load("napari_sr.trust.flow")
    from napari_sr.trust.flow import assess_steps

    return (yield from assess_steps(recording, result, reference, None, index))


def map_plane(
    recording: Stack, result: Stack, reference: Stack | None, index: tuple[int, ...]
) -> Generator[int, None, tuple[Mapping[str, Map], Place]]:
    """Map another plane of a result that was assessed."""
    from napari_sr.trust.flow import map_steps

    return (yield from map_steps(recording, result, reference, index))


def compare(
    recording: Stack,
    reference: Stack | None,
    named: list[Named],
    factor: int,
    settings: UpscaleSettings,
) -> Generator[Steps, None, tuple[SideBySide, Part]]:
    """Compare methods; give their pictures with the part that has most to see."""
    load("napari_sr.evaluation.side_by_side", "napari_sr.trust.report.contact_sheet")
    from napari_sr.evaluation.side_by_side import compare_side_by_side, load_methods
    from napari_sr.trust.report.contact_sheet import most_detailed

    upscalers = load_methods(named, factor)
    compared = yield from compare_side_by_side(
        recording, upscalers, reference, settings
    )
    return compared, most_detailed(compared)


def comparable(factor: int, kept: Sequence[Named] = ()) -> list[tuple[str, str, Named]]:
    """List what can be compared: text, explanation, and name with options.

    A model's ends are two. Of what is to be kept, that which is gone is listed as
    missing.
    """
    offered: list[tuple[str, str, Named]] = []
    for card in list_cards():
        if card.factor != factor:
            continue
        about = card.description
        dials: list[tuple[str, dict[str, float | str]]] = [("", {})]
        if "textured" in card.digests:
            dials = [(", dial 0", {"dial": 0.0}), (", dial 1", {"dial": 1.0})]
        offered += [(card.name + end, about, (card.name, on)) for end, on in dials]
    offered += [
        (name, method.description, (name, {}))
        for name, method in METHODS.items()
        if name != BASELINE and not method.needs_file
    ]
    known = [named for _, _, named in offered]
    return offered + [
        (f"{named[0]} (missing)", "Its file is missing or cannot be read.", named)
        for named in kept
        if named not in known
    ]


def part_seen(place: float, zoom: float, side: int) -> slice:
    """Say which pixels of a side are in sight at a zoom.

    Parameters
    ----------
    place
        Middle of what is seen, as a share of the side.
    zoom
        1 shows all.
    side
        In pixels.
    """
    length = max(1, round(side / zoom))
    start = min(max(0, round(place * side - length / 2)), side - length)
    return slice(start, start + length)

"""Flow C: a result, its recording and perhaps a reference → an `Assessment`.

This module alone knows the order of the steps: figures over the planes, then one plane
in detail: re-degraded, split at the recorded Nyquist, its rings correlated, beside the
faithful end of the model that made it, and beside what that model has seen.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_sr._version import __version__
from napari_sr.cards.descriptors import SMALLEST, describe_recording
from napari_sr.cards.suitability import suitability_of
from napari_sr.evaluation.comparison import compare, factor_of, read_plane
from napari_sr.evaluation.protocol import N_PLANES
from napari_sr.image.sampling import spread_indices
from napari_sr.metrics.quality import BASELINE
from napari_sr.trust.agreement import check, in_words, level_of
from napari_sr.trust.artefacts import artefacts_of
from napari_sr.trust.assessment import Assessment, Place
from napari_sr.trust.plane import (
    figures_of,
    interval_steps,
    maps_of,
    rings_of,
    spectra_of,
    with_interval,
)
from napari_sr.trust.result_origin import find_origin, on_cpu
from napari_sr.trust.uncertainty import N_TURNS
from napari_sr.upscaling.flow import opened
from napari_sr.upscaling.progress import run_to_end, with_progress
from napari_sr.upscaling.provenance import NOTICE

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from napari_sr.cards.suitability import Suitability
    from napari_sr.evaluation.comparison import ComparedPlane, Comparison
    from napari_sr.image.stack import Stack
    from napari_sr.trust.agreement import Check
    from napari_sr.trust.assessment import Map
    from napari_sr.trust.result_origin import ResultOrigin
    from napari_sr.upscaling.flow import ModelLike, StackLike

INVENTED = (
    "Hallucinated detail can look like resolution: only a comparison with a reference "
    "shows whether detail is in the right place."
)


def assess(
    low: StackLike,
    high: StackLike,
    reference: StackLike | None = None,
    model: ModelLike | None = None,
) -> Assessment:
    """Assess how far a result can be trusted.

    Parameters
    ----------
    low
        `(…, y, x)` the recording: a stack, a path or an array.
    high
        `(…, factor·y, factor·x)` the result. A file of this package states which model
        made it, with which noise and blur.
    reference
        The ground truth in the shape of the result, if it is known.
    model
        The model, if the result does not name it, or if it is not in the catalogue.

    Returns
    -------
    Assessment
        Write it with `write_report`, or read its metrics and maps.

    Raises
    ------
    StackError
        If the stacks do not belong together, or have nothing to compare.
    """
    with ExitStack() as stack:
        recording, result = (
            stack.enter_context(opened(source)) for source in (low, high)
        )
        truth = None if reference is None else stack.enter_context(opened(reference))
        return run_to_end(assess_steps(recording, result, truth, model))


def assess_steps(
    recording: Stack,
    result: Stack,
    reference: Stack | None = None,
    model: ModelLike | None = None,
    index: tuple[int, ...] | None = None,
) -> Generator[tuple[int, int], None, Assessment]:
    """Do what `assess` does, step by step.

    Parameters
    ----------
    recording, result, reference, model
        As for `assess`.
    index
        The plane that is taken apart; the middle one when not given.

    Yields
    ------
    tuple of int
        Steps done, and how many there are.
    """
    n_before = len(spread_indices(result, N_PLANES)) + 2
    factor = factor_of(result, recording, reference)
    if index is None:
        index = tuple(length // 2 for length in recording.leading_shape)
    plane = read_plane(recording, result, reference, index, factor)
    comparison = yield from with_progress(
        compare(result, recording, reference, plane), lambda step: (step[0], n_before)
    )
    origin = find_origin(result, recording, model)
    n_steps = n_before + (0 if origin.interval is None else N_TURNS)
    yield n_before - 1, n_steps
    checked = {name: _checked(plane, name, origin) for name in plane.fine}
    suitability = _suitability(origin, recording)
    maps = yield from with_progress(
        _maps(plane, origin, checked["result"]), lambda n: (n_before + n, n_steps)
    )
    of_plane = figures_of(plane, checked, origin.has_heights)
    if "interval" in maps:
        of_plane = with_interval(plane, of_plane, maps["interval"])
    own, artefacts = checked["result"], artefacts_of(of_plane)
    place = Place(plane.index, plane.top, plane.left)
    decibels = comparison.figures["result"].agreement
    level = level_of(own.chi_square, own.share_beyond, decibels)
    return Assessment(
        name=result.name,
        factor=plane.factor,
        comparison=comparison,
        level=level,
        badge=in_words(level, own.share_beyond, decibels, own.share_of_pixels),
        remarks=(
            *_about_scope(comparison, place),
            *origin.remarks,
            *artefacts,
            *_remarks(suitability, has_reference=reference is not None),
        ),
        artefacts=artefacts,
        figures=of_plane,
        pictures={"recording": plane.low, **plane.fine},
        maps=maps,
        spectra=spectra_of(plane),
        rings=rings_of(plane),
        interval=origin.interval,
        uncertainty=origin.uncertainty,
        suitability=suitability,
        place=place,
        pixel=(result.axes[-1].spacing, result.axes[-1].unit or "px"),
        provenance=_provenance(plane, result, origin),
    )


def map_steps(
    recording: Stack,
    result: Stack,
    reference: Stack | None,
    index: tuple[int, ...],
) -> Generator[int, None, tuple[Mapping[str, Map], Place]]:
    """Make the maps of another plane, as `assess_steps` makes them of one.

    Parameters
    ----------
    recording, result, reference
        As for `assess`.
    index
        Which plane.

    Yields
    ------
    int
        Steps done.

    Returns
    -------
    tuple of dict and Place
        The maps by name, and where they lie.
    """
    factor = factor_of(result, recording, reference)
    plane = read_plane(recording, result, reference, index, factor)
    origin = find_origin(result, recording, None)
    maps = yield from _maps(plane, origin, _checked(plane, "result", origin))
    return maps, Place(plane.index, plane.top, plane.left)


def _checked(plane: ComparedPlane, name: str, origin: ResultOrigin) -> Check:
    """Record a picture again, beside the recording."""
    picture = plane.fine[name]
    return check(picture, plane.low, origin.noise, plane.factor, origin.psf_sigma)


def _maps(
    plane: ComparedPlane, origin: ResultOrigin, own: Check
) -> Generator[int, None, dict[str, Map]]:
    """Make the maps of a plane; its intervals turn by turn, where they can be known."""
    maps = maps_of(plane, own, origin.faithful(plane.low))
    yield 0
    if origin.interval is None or origin.plan is None or origin.model is None:
        return maps
    made = (origin.model.at_dial(0.0).to("cpu"), on_cpu(origin.plan))
    moved = maps["texture"].pixels if "texture" in maps else None
    maps["interval"] = yield from interval_steps(plane, origin.interval, made, moved)
    return maps


def _suitability(origin: ResultOrigin, recording: Stack) -> Suitability | None:
    """Compare the recording with what the model has seen, where that is known."""
    statistics = None if origin.card is None else origin.card.training_statistics
    if statistics is None or min(recording.plane_shape) < SMALLEST:
        return None
    return suitability_of(describe_recording(recording), statistics)


def _about_scope(comparison: Comparison, place: Place) -> list[str]:
    """Say which figures are of one plane, where there are others."""
    if not place.index:
        return []
    return [
        f"The table of quality metrics is the {comparison.scope}. Whether noise "
        "explains the differences, artefacts, maps and curves are of "
        f"{place.text} alone."
    ]


def _remarks(suitability: Suitability | None, *, has_reference: bool) -> list[str]:
    remarks = [] if has_reference else [INVENTED]
    if suitability is not None and not suitability.is_suited:
        remarks.insert(0, suitability.in_words())
    return remarks


def _provenance(
    plane: ComparedPlane, result: Stack, origin: ResultOrigin
) -> dict[str, Any]:
    """Say how the result came about and which pixels were looked at; no path."""
    return {
        **result.provenance,
        "notice": NOTICE,
        "assessed": {
            "software": f"napari-sr {__version__}",
            "noise": asdict(origin.noise),
            "noise_from": origin.noise_from,
            "psf_sigma": origin.psf_sigma,
            "model": None if origin.card is None else origin.card.name,
            "pixels_sha256": {
                name: _digest(pixels)
                for name, pixels in {"recording": plane.low, **plane.fine}.items()
                if name != BASELINE
            },
        },
    }


def _digest(pixels: NDArray) -> str:
    """SHA-256 of the pixels that were looked at, as little-endian float32."""
    return hashlib.sha256(pixels.astype("<f4").tobytes()).hexdigest()

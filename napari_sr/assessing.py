"""Flow C: a result, its recording and perhaps a reference → an `Assessment`.

This module alone knows the order of the steps: figures over the planes, then one plane
taken apart: recorded again, split at the recorded Nyquist, its rings correlated, beside
the faithful end of the model that made it, and beside what that model has seen.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import napari_sr
from napari_sr.agreement import Check, check, in_words, level_of
from napari_sr.assessment import Assessment, Curve, Map, Place, PlaneFigures
from napari_sr.batching import NOTICE
from napari_sr.catalogue import load_model
from napari_sr.comparing import LARGEST, compare, middle_of
from napari_sr.metrics import (
    bright_share,
    out_of_band_share,
    radial_spectrum,
    resolution_of,
    ring_correlation,
    roughness,
    slope_rmse,
    split_bands,
    split_pixels,
)
from napari_sr.origin import Origin, find_origin
from napari_sr.quality import BASELINE
from napari_sr.stack import Stack
from napari_sr.suitability import SMALLEST, describe_recording, suitability_of
from napari_sr.upscaling import opened, upscale

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_sr.suitability import Suitability
    from napari_sr.upscaling import ModelLike, StackLike

INVENTED = (
    "Detail that a model invents can look like resolution: only the comparison with a "
    "reference tells whether it is at its place."
)


def assess(
    low: StackLike,
    high: StackLike,
    reference: StackLike | None = None,
    model: ModelLike | None = None,
) -> Assessment:
    """Find out how far a result can be trusted.

    Parameters
    ----------
    low
        `(…, y, x)` the recording: a stack, a path or an array.
    high
        `(…, factor·y, factor·x)` the result. A file of this package says which model
        made it, with which noise and blur.
    reference
        What the result should be, in its shape, if that is known.
    model
        The model, where the result does not say, or the model is in no catalogue.

    Returns
    -------
    Assessment
        Write it with `write_report`, or look at its figures and maps.

    Raises
    ------
    StackError
        If the stacks do not fit each other, or hold nothing to compare.
    """
    with ExitStack() as stack:
        recording, result = (stack.enter_context(opened(one)) for one in (low, high))
        truth = None if reference is None else stack.enter_context(opened(reference))
        steps = assess_steps(recording, result, truth, model)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found: Assessment = end.value
                return found


def assess_steps(
    recording: Stack,
    result: Stack,
    reference: Stack | None = None,
    model: ModelLike | None = None,
) -> Generator[tuple[int, int], None, Assessment]:
    """Do what `assess` does, step by step.

    Yields
    ------
    tuple of int
        Steps done, and how many there are.
    """
    n_more = 2
    figures = compare(result, recording, reference)
    while True:
        try:
            done, n_planes = next(figures)
        except StopIteration as end:
            comparison = end.value
            break
        yield done, n_planes + n_more
    origin = find_origin(result, recording, model)
    yield n_planes + 1, n_planes + n_more
    view = _look(recording, result, reference)
    checked = {
        name: check(picture, view.low, origin.noise, view.factor, origin.psf_sigma)
        for name, picture in view.fine.items()
    }
    faithful = origin.faithful(view.low)
    suitability = _suitability(origin, recording)
    yield n_planes + 2, n_planes + n_more
    own = checked["result"]
    decibels = comparison.figures["result"].agreement
    level = level_of(own.chi_square, own.share_beyond, decibels)
    return Assessment(
        name=result.name,
        factor=view.factor,
        comparison=comparison,
        level=level,
        badge=in_words(level, own.share_beyond, decibels),
        remarks=(*origin.remarks, *_remarks(suitability)),
        figures=_figures(view, checked, origin.has_heights),
        pictures={"recording": view.low, **view.fine},
        maps=_maps(view, own, faithful),
        spectra=_spectra(view),
        rings=_rings(view),
        suitability=suitability,
        place=view.place,
        pixel=(result.axes[-1].spacing, result.axes[-1].unit or "px"),
        provenance=_provenance(view, result, origin),
    )


@dataclass(frozen=True, slots=True)
class _View:
    """The plane that is taken apart, as seen by everything."""

    place: Place
    factor: int
    low: NDArray
    """`(y, x)` float32 counts, recorded."""
    fine: dict[str, NDArray]
    """`(factor·y, factor·x)` float32 counts: result, bicubic, perhaps reference."""


def _look(recording: Stack, result: Stack, reference: Stack | None) -> _View:
    """Read the middle of the middle plane."""
    factor = result.plane_shape[0] // recording.plane_shape[0]
    index = tuple(length // 2 for length in recording.leading_shape)
    n_most = LARGEST // factor
    low = middle_of(recording, index, n_most)
    fine = {"result": middle_of(result, index, n_most, factor)}
    bicubic = load_model(BASELINE, factor=factor)
    fine[BASELINE] = upscale(low, bicubic, dtype="float32", device="cpu")
    if reference is not None:
        fine["reference"] = middle_of(reference, index, n_most, factor)
    top, left = (max(0, side - n_most) // 2 for side in recording.plane_shape)
    return _View(Place(index, top, left), factor, low, fine)


def _figures(
    view: _View, checked: dict[str, Check], has_heights: bool
) -> dict[str, PlaneFigures]:
    """Take the figures of each picture, the recording last."""
    truth = view.fine.get("reference")
    found = {}
    for name, picture in view.fine.items():
        one = PlaneFigures(
            chi_square=checked[name].chi_square,
            share_beyond=checked[name].share_beyond,
            out_of_band=out_of_band_share(picture, view.factor),
            own_resolution=_resolution(*_halves(picture, 1)),
            bright_share=bright_share(picture)[0],
            **_surface(picture, has_heights),
        )
        if truth is not None and name != "reference":
            added: dict[str, Any] = {
                "true_resolution": _resolution(*ring_correlation(picture, truth))
            }
            if has_heights:
                added["slope_rmse"] = slope_rmse(picture, truth)
            one = one.model_copy(update=added)
        found[name] = one
    found["recording"] = PlaneFigures(
        own_resolution=_resolution(*_halves(view.low, view.factor)),
        bright_share=bright_share(view.low)[0],
        **_surface(view.low, has_heights),
    )
    return found


def _surface(picture: NDArray, has_heights: bool) -> dict[str, float]:
    return (
        dict(zip(("sa", "sq"), roughness(picture), strict=True)) if has_heights else {}
    )


def _resolution(frequencies: NDArray, correlation: NDArray) -> float:
    """Give the resolution; where there is no crossing, that of the last ring."""
    found = resolution_of(frequencies, correlation)
    return float(1 / frequencies[-1]) if found is None else found


def _halves(picture: NDArray, unit: int) -> Curve:
    """Correlate both halves of a picture whose pixels are so many of the result's."""
    frequencies, correlation = ring_correlation(*split_pixels(picture))
    return Curve(frequencies / (2 * unit), correlation)


def _rings(view: _View) -> dict[str, Curve]:
    found = {
        "recording, pixels split": _halves(view.low, view.factor),
        "result, pixels split": _halves(view.fine["result"], 1),
    }
    if (truth := view.fine.get("reference")) is not None:
        for name in ("result", BASELINE):
            pair = ring_correlation(view.fine[name], truth)
            found[f"{name} with reference"] = Curve(*pair)
    return found


def _spectra(view: _View) -> dict[str, Curve]:
    """Measure power; of the recording per area of a pixel of the result."""
    found = {name: Curve(*radial_spectrum(one)) for name, one in view.fine.items()}
    frequencies, power = radial_spectrum(view.low)
    found["recording"] = Curve(frequencies / view.factor, power * view.factor**2)
    return found


def _maps(view: _View, own: Check, faithful: NDArray | None) -> dict[str, Map]:
    """Make the maps of the result."""
    result = view.fine["result"]
    in_band, out_of_band = split_bands(result, view.factor)
    maps = {
        "in_band": Map(
            "In band",
            "What the recording can confirm: the result up to the recorded Nyquist.",
            "counts", in_band, is_signed=False,
        ),
        "out_of_band": Map(
            "Out of band",
            "What no recording can confirm: the rest, from what the model has learnt.",
            "counts", out_of_band,
        ),
        "disagreement": Map(
            "Disagreement with the recording",
            "The result recorded again, less the recording, in standard deviations of "
            "noise: beyond ±5 it says something else than was recorded.",
            "deviations", own.deviations, view.factor,
        ),
        "residual": Map(
            "Residual",
            "The same difference in counts: noise that was removed looks like noise.",
            "counts", own.residual, view.factor,
        ),
    }  # fmt: skip
    if faithful is not None:
        maps["texture"] = Map(
            "Where the adversarial prior acted",
            "The result less the faithful end of its model.",
            "counts",
            result - faithful,
        )
    if (truth := view.fine.get("reference")) is not None:
        maps["error"] = Map(
            "Error", "The result less the reference.", "counts", result - truth
        )
    return maps


def _suitability(origin: Origin, recording: Stack) -> Suitability | None:
    """Compare the recording with what the model has seen, where that is known."""
    statistics = origin.card and origin.card.training_statistics
    if statistics is None or min(recording.plane_shape) < SMALLEST:
        return None
    return suitability_of(describe_recording(recording), statistics)


def _remarks(suitability: Suitability | None) -> list[str]:
    found = [INVENTED]
    if suitability is not None and not suitability.is_suited:
        found.insert(0, suitability.in_words())
    return found


def _provenance(view: _View, result: Stack, origin: Origin) -> dict[str, Any]:
    """Say how the result came about and which pixels were looked at; no path."""
    return {
        **result.provenance,
        "notice": NOTICE,
        "assessed": {
            "software": f"napari-sr {napari_sr.__version__}",
            "noise": {
                name: getattr(origin.noise, name) for name in ("gain", "read", "offset")
            },
            "noise_from": origin.noise_from,
            "psf_sigma": origin.psf_sigma,
            "model": None if origin.card is None else origin.card.name,
            "pixels_sha256": {
                name: _digest(one)
                for name, one in {"recording": view.low, **view.fine}.items()
                if name != BASELINE
            },
        },
    }


def _digest(pixels: NDArray) -> str:
    """SHA-256 of the pixels that were looked at, as little-endian float32."""
    return hashlib.sha256(pixels.astype("<f4").tobytes()).hexdigest()

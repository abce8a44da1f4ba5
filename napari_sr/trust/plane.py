"""One plane of a result taken apart: pictures, figures, curves and maps.

This module alone knows what is looked at in a plane. Arrays in counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.metrics import (
    BLOCK,
    bright_share,
    local_resolution,
    out_of_band_share,
    radial_spectrum,
    resolution_of,
    ring_correlation,
    roughness,
    slope_rmse,
    split_bands,
    split_pixels,
)
from napari_sr.metrics.quality import BASELINE
from napari_sr.trust.agreement import BEYOND, SCALES
from napari_sr.trust.artefacts import periodic_figures, span_of
from napari_sr.trust.assessment import Curve, Map, PlaneFigures
from napari_sr.trust.uncertainty import half_width, spread_steps

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_sr.cards.interval import Interval
    from napari_sr.evaluation.comparison import ComparedPlane
    from napari_sr.models.sr_model import SRModel
    from napari_sr.trust.agreement import Check
    from napari_sr.upscaling.plan import Plan

SURE_SIDE = 512
"""Side of the part whose intervals are found, in pixels of the result: it takes the
model eight times as long as the result did."""


def figures_of(
    plane: ComparedPlane, checked: dict[str, Check], has_heights: bool
) -> dict[str, PlaneFigures]:
    """Take the figures of each picture, the recording last."""
    truth, span = plane.fine.get("reference"), span_of(plane.low)
    figures = {}
    for name, picture in plane.fine.items():
        own = PlaneFigures(
            chi_square=checked[name].chi_square,
            share_of_pixels=checked[name].share_of_pixels,
            share_beyond=checked[name].share_beyond,
            out_of_band=out_of_band_share(picture, plane.factor),
            own_resolution=_resolution(*_halves(picture, 1)),
            bright_share=bright_share(picture)[0],
            **periodic_figures(picture, span, plane.factor),
            **_surface(picture, has_heights),
        )
        if truth is not None and name != "reference":
            added: dict[str, Any] = {
                "true_resolution": _resolution(*ring_correlation(picture, truth))
            }
            if has_heights:
                added["slope_rmse"] = slope_rmse(picture, truth)
            own = own.model_copy(update=added)
        figures[name] = own
    figures["recording"] = PlaneFigures(
        own_resolution=_resolution(*_halves(plane.low, plane.factor)),
        bright_share=bright_share(plane.low)[0],
        **periodic_figures(plane.low, span),
        **_surface(plane.low, has_heights),
    )
    return figures


def _surface(picture: NDArray, has_heights: bool) -> dict[str, float]:
    return (
        dict(zip(("sa", "sq"), roughness(picture), strict=True)) if has_heights else {}
    )


def _resolution(frequencies: NDArray, correlation: NDArray) -> float:
    """Give the resolution; where there is no crossing, that of the last ring."""
    resolution = resolution_of(frequencies, correlation)
    return float(1 / frequencies[-1]) if resolution is None else resolution


def _halves(picture: NDArray, unit: int) -> Curve:
    """Correlate both halves of a picture whose pixels are so many of the result's."""
    frequencies, correlation = ring_correlation(*split_pixels(picture))
    return Curve(frequencies / (2 * unit), correlation)


def rings_of(plane: ComparedPlane) -> dict[str, Curve]:
    """Correlate the rings of halves, and of result and bicubic with the reference.

    Of one picture split by pixels there is nothing beyond half of its own Nyquist.
    """
    rings = {
        "recording, pixels split": _halves(plane.low, plane.factor),
        "result, pixels split": _halves(plane.fine["result"], 1),
    }
    if (truth := plane.fine.get("reference")) is not None:
        for name in ("result", BASELINE):
            pair = ring_correlation(plane.fine[name], truth)
            rings[f"{name} with reference"] = Curve(*pair)
    return rings


def spectra_of(plane: ComparedPlane) -> dict[str, Curve]:
    """Measure power; that of the recording per area of a pixel of the result."""
    spectra = {
        name: Curve(*radial_spectrum(picture)) for name, picture in plane.fine.items()
    }
    frequencies, power = radial_spectrum(plane.low)
    spectra["recording"] = Curve(frequencies / plane.factor, power * plane.factor**2)
    return spectra


def maps_of(
    plane: ComparedPlane, own: Check, faithful: NDArray | None
) -> dict[str, Map]:
    """Make the maps of the result."""
    result = plane.fine["result"]
    in_band, out_of_band = split_bands(result, plane.factor)
    maps = {
        "in_band": Map(
            "In band",
            "What the recording can confirm: the result up to the Nyquist frequency "
            "of the recording.",
            "counts", in_band, kind="picture",
        ),
        "out_of_band": Map(
            "Out of band",
            "What the recording cannot confirm: the rest, from the prior of the model.",
            "counts", out_of_band,
        ),
        "disagreement": Map(
            "Disagreement with the recording",
            "The re-degraded result less the recording, in standard deviations of the "
            f"noise: beyond ±{BEYOND:g} the result contradicts the recording. Each "
            f"pixel shows the average over 0 to {SCALES[-1]:g} px around it at which "
            "the difference stands out most, so that wide faint differences are seen; "
            "a small strong one looks wider than it is. Beyond "
            f"±{BEYOND:g} are {own.share_beyond:.2%} of this map, and "
            f"{own.share_of_pixels:.2%} of the pixels without averaging.",
            "deviations", own.deviations, plane.factor,
        ),
        "residual": Map(
            "Residual",
            "The same difference in counts: removed noise looks like noise.",
            "counts", own.residual, plane.factor,
        ),
    }  # fmt: skip
    if faithful is not None:
        maps["texture"] = Map(
            "Effect of the adversarial prior",
            "The result less that of the faithful end (dial 0) of its model.",
            "counts",
            result - faithful,
        )
    truth = plane.fine.get("reference")
    if min(result.shape) >= BLOCK:
        maps["resolution"] = Map(
            "Local resolution",
            "Pixels per cycle down to which the result agrees with "
            + ("the reference" if truth is not None else "itself, its pixels split")
            + f", in blocks of {BLOCK} px: the smaller, the finer.",
            "px per cycle",
            local_resolution(result, truth),
            factor=BLOCK,
            kind="amount",
        )
    if truth is not None:
        maps["error"] = Map(
            "Error", "The result less the reference.", "counts", result - truth
        )
    return maps


def interval_steps(
    plane: ComparedPlane,
    interval: Interval,
    made: tuple[SRModel, Plan],
    moved: NDArray | None,
) -> Generator[int, None, Map]:
    """Map half the interval of each pixel, in the middle of the plane.

    Parameters
    ----------
    plane
        The plane.
    interval
        Of the model.
    made
        The model at the faithful end, and the plan of the result.
    moved
        `(factor·y, factor·x)` what the dial has changed; `None` at the faithful end.

    Yields
    ------
    int
        Turns done, of `N_TURNS`.
    """
    n_most = SURE_SIDE // plane.factor
    top, left = (max(0, side - n_most) // 2 for side in plane.low.shape)
    low = plane.low[top : top + n_most, left : left + n_most]
    _, deviation = yield from spread_steps(low, *made)
    half = half_width(deviation, interval, made[1])
    if moved is not None:
        half = half + np.abs(_part(moved, plane.factor, (top, left), half.shape))
    return Map(
        "Uncertainty of each pixel",
        f"Half the width of the {interval.level:.0%} prediction interval: the result, "
        "plus or minus this.",
        "counts", half, kind="amount", corner=(top, left),
    )  # fmt: skip


def with_interval(
    plane: ComparedPlane, figures: dict[str, PlaneFigures], half: Map
) -> dict[str, PlaneFigures]:
    """Add to the figures of the result how wide intervals are, and if they hold."""
    added: dict[str, float] = {"half_width": float(half.pixels.mean())}
    if (truth := plane.fine.get("reference")) is not None:
        error = _part(
            truth - plane.fine["result"], plane.factor, half.corner, half.pixels.shape
        )
        added["held"] = float(np.mean(np.abs(error) <= half.pixels))
    return {**figures, "result": figures["result"].model_copy(update=added)}


def _part(
    image: NDArray, factor: int, corner: tuple[int, int], shape: tuple[int, ...]
) -> NDArray:
    """Cut out of a result what begins at a recorded pixel."""
    top, left = (factor * start for start in corner)
    return image[top : top + shape[0], left : left + shape[1]]

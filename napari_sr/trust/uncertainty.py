"""Uncertainty: an interval for each pixel of a result.

The eight flips and turns of a recording are recordings as good as itself; where a
model's results differ between them, it does not know. This module alone knows how their
spread is taken; `interval` knows how it is scaled so that intervals keep what they
promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sr.cards.interval import doubt
from napari_sr.catalogue.lookup import load_trained
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import (
    as_upscaler,
    opened,
    upscale_plane,
    upscale_steps,
)
from napari_sr.upscaling.plan import make_plan
from napari_sr.upscaling.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_sr.cards.interval import Interval
    from napari_sr.models.sr_model import SRModel
    from napari_sr.upscaling.flow import ModelLike, StackLike
    from napari_sr.upscaling.plan import Plan

N_TURNS = 8


def turns(plane: NDArray) -> list[NDArray]:
    """Give the eight flips and quarter turns of a plane, itself first.

    Parameters
    ----------
    plane
        `(y, x)`.
    """
    return [np.rot90(side, k) for side in (plane, plane[:, ::-1]) for k in range(4)]


def turn_back(number: int, plane: NDArray) -> NDArray:
    """Undo one of `turns`, given by its number, also on a larger plane."""
    upright = np.rot90(plane, -(number % 4))
    return upright if number < 4 else upright[:, ::-1]


def spread(
    recorded: NDArray, faithful: SRModel, plan: Plan
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Tell how far the results of a plane's flips and turns lie apart.

    Parameters
    ----------
    recorded
        `(y, x)` counts.
    faithful
        At dial 0, on its device: texture that is made up differs with each turn.
    plan
        Of the stack.

    Returns
    -------
    result, spread : ndarray
        `(factor·y, factor·x)` float32 in counts: that of the plane as it is, and the
        standard deviation of all eight; NaN in gaps.
    """
    return run_to_end(spread_steps(recorded, faithful, plan))


def spread_steps(
    recorded: NDArray, faithful: SRModel, plan: Plan
) -> Generator[int, None, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Do what `spread` does, turn by turn.

    Yields
    ------
    int
        Turns done, of `N_TURNS`.
    """
    plan = plan.model_copy(update={"dtype": "float32", "dial": 0.0})
    # Welford's sums: eight results need not be in memory at a time.
    first, *others = turns(recorded)
    upright = mean = upscale_plane(first, faithful, plan)
    squares = np.zeros_like(mean)
    yield 1
    for number, turned in enumerate(others, start=1):
        plane = upscale_plane(np.ascontiguousarray(turned), faithful, plan)
        result = turn_back(number, plane)
        difference = result - mean
        mean = mean + difference / (number + 1)
        squares = squares + difference * (result - mean)
        yield number + 1
    return upright, np.sqrt(squares / N_TURNS)


def half_width(
    deviation: NDArray, interval: Interval, plan: Plan
) -> NDArray[np.float32]:
    """Make half an interval of a spread at the faithful end of the dial.

    Parameters
    ----------
    deviation
        `(y, x)` in counts, as `spread` gives it.
    interval
        Of the model.
    plan
        Of the stack: it knows the intensity range.

    Returns
    -------
    ndarray
        `(y, x)` float32 in counts; infinite in gaps.
    """
    floor = interval.floor * (plan.intensity.high - plan.intensity.low)
    width: NDArray[np.float32] = interval.scale * doubt(
        deviation, interval.smoothing, floor
    )
    return width


def interval_of(model: SRModel) -> Interval:
    """Give the calibrated interval of a model.

    Raises
    ------
    ValueError
        If its card holds none.
    """
    if model.card.interval is None:
        raise ValueError(
            f"Model {model.name!r} has not been calibrated, so it gives no intervals. "
            "Use another model, or leave the interval out."
        )
    return model.card.interval


def upscale_with_interval(
    stack: StackLike, model: ModelLike, **options: object
) -> tuple[NDArray, NDArray[np.float32]]:
    """Super-resolve a stack in memory, with a prediction interval for each pixel.

    Nine results are computed instead of one.

    Parameters
    ----------
    stack, model, **options
        As for `napari_sr.upscale`.

    Returns
    -------
    result : ndarray
        As `napari_sr.upscale` gives it.
    half_width : ndarray
        Of its shape, float32 in counts: result ± half_width is the interval. Away from
        dial 0 it is wider by the effect of the dial.

    Raises
    ------
    ValueError
        If the model has not been calibrated, or is an interpolation.
    """
    settings = UpscaleSettings.of(options)
    if settings.z is not None:
        raise ValueError("Intervals are computed for planes; leave z out.")
    upscaler = load_trained(as_upscaler(model, settings), "have an interval")
    interval, faithful = interval_of(upscaler), upscaler.at_dial(0.0)
    results, widths = [], []
    with opened(stack) as recording:
        plan = make_plan(recording, upscaler, settings)
        for index in recording.indices():
            *_, last = upscale_steps(recording, upscaler, plan, [index])
            assert last.plane is not None
            plain, apart = spread(recording.plane(index), faithful, plan)
            # Where there are gaps, both hold no number and nothing is known anyway.
            moved = np.nan_to_num(np.abs(last.plane.astype(np.float32) - plain))
            results.append(last.plane)
            wide = half_width(apart, interval, plan)
            widths.append(wide + (moved if upscaler.dial > 0 else 0))
        shape = (*recording.leading_shape, *results[0].shape)
    return np.stack(results).reshape(shape), np.stack(widths).reshape(shape)

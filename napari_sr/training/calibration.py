"""Intervals for a model, from recordings of which the truth is known.

This module alone knows which recordings an interval is found on: the held-out ones of a
training, or what else is given. `interval` knows how; `uncertainty` how a spread is
taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_sr.cards.interval import (
    SMOOTHING,
    doubt,
    floor_for,
    mean_coverage,
    scale_for,
)
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.stack import Stack
from napari_sr.models.sr_model import SRModel
from napari_sr.settings import UpscaleSettings
from napari_sr.trust.uncertainty import spread
from napari_sr.upscaling.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_sr.cards.interval import Interval
    from napari_sr.training.session import Training
    from napari_sr.training.validation import HeldOut

BORDER = 8
"""Pixels at each edge of the sharp image that are not looked at."""
SMALLEST = 4 * BORDER
"""Side of the smallest image that is looked at, in sharp pixels."""
SIDE = 192
"""Of images, so many pixels a side are enough: what counts is how many there are."""

Pairs = tuple[list["NDArray[np.float32]"], list["NDArray[np.float32]"]]


@dataclass(frozen=True, slots=True)
class Known:
    """A recording of which the truth is known."""

    image: int
    """Number of the sharp image; all planes of a file or volume have one number."""
    low: NDArray
    """`(y, x)` counts."""
    sharp: NDArray
    """`(factor·y, factor·x)` counts."""
    noise: NoiseLevel | Literal["auto"] = "auto"
    intensity_range: tuple[float, float] | None = None
    """Measured when not given."""
    dataset: str = ""
    """To which the image belongs."""


def find_interval(
    model: SRModel, held_out: Iterable[Known], learnt: Iterable[Known]
) -> Interval:
    """Find the interval that keeps its promise for images like those held out.

    Parameters
    ----------
    model
        On its device; looked at at dial 0.
    held_out
        Recordings of images that the model did not learn from, ten or more for a
        guarantee: see `interval.scale_for`.
    learnt
        Of others, to choose the floor by.

    Returns
    -------
    Interval
        Without coverage and widths, which only further images can tell.
    """
    faithful = model.at_dial(0.0)
    floor = floor_for(*errors_and_spreads(faithful, learnt))
    errors, apart = errors_and_spreads(faithful, held_out)
    scale = scale_for(errors, [spread + floor for spread in apart])
    return scale.model_copy(update={"floor": floor, "smoothing": SMOOTHING})


def tried(interval: Interval, model: SRModel, further: Iterable[Known]) -> Interval:
    """See on further images what share an interval holds, and how wide it is.

    Parameters
    ----------
    interval
        As `find_interval` gives it.
    model
        The same.
    further
        Recordings of images that it was not found on.
    """
    further = list(further)
    errors, apart = errors_and_spreads(model.at_dial(0.0), further)
    doubts = [spread + interval.floor for spread in apart]
    ratios = [np.sort(e / d) for e, d in zip(errors, doubts, strict=True)]
    coverage = mean_coverage(ratios, interval.scale)
    datasets = {known.image: known.dataset for known in further}
    of_dataset: dict[str, list[NDArray]] = {}
    for dataset, ratio in zip(datasets.values(), ratios, strict=True):
        of_dataset.setdefault(dataset, []).append(ratio)
    typical = float(np.mean([spread.mean() for spread in doubts]))
    constant = float(np.quantile(np.concatenate(errors), coverage))
    return interval.model_copy(
        update={
            "coverage": coverage,
            "coverage_by_dataset": {
                dataset: mean_coverage(own, interval.scale)
                for dataset, own in of_dataset.items()
                if len(of_dataset) > 1
            },
            "mean_width": 2 * interval.scale * typical,
            "constant_width": 2 * constant,
        }
    )


def errors_and_spreads(faithful: SRModel, recordings: Iterable[Known]) -> Pairs:
    """Super-resolve recordings and turns of them.

    Returns
    -------
    errors, spreads : list of ndarray
        `(pixels,)` for each image, of all recordings of its planes: |error|, and what
        `doubt` makes of the spread without a floor; shares of the intensity range.
    """
    of_image: dict[int, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {}
    for known in recordings:
        of_image.setdefault(known.image, []).append(_looked_at(faithful, known))
    errors = [
        np.concatenate([error for error, _ in pairs]) for pairs in of_image.values()
    ]
    spreads = [
        np.concatenate([apart for _, apart in pairs]) for pairs in of_image.values()
    ]
    return errors, spreads


def _looked_at(
    faithful: SRModel, known: Known
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    settings = UpscaleSettings(
        noise=known.noise, intensity_range=known.intensity_range, dtype="float32"
    )
    plan = make_plan(Stack.from_array(known.low), faithful, settings)
    span = plan.intensity.high - plan.intensity.low
    result, apart = spread(known.low, faithful, plan)
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = np.abs(result - known.sharp)[inside].ravel() / span
    return error, doubt(apart / span, SMOOTHING, 0.0)[inside].ravel()


def middle(sharp: NDArray) -> NDArray:
    """Cut out the middle, `SIDE` pixels a side at most, on the grid of all factors."""
    starts = [max(0, (side - SIDE) // 2) // 4 * 4 for side in sharp.shape]
    return sharp[starts[0] : starts[0] + SIDE, starts[1] : starts[1] + SIDE]


def calibrated_model(training: Training) -> SRModel:
    """Give the best model of a training, with the interval found on what it held out.

    Parameters
    ----------
    training
        At its end; its generator runs some hundred times on small images. Without an
        interval where it learnt from recordings alone: no truth is known.
    """
    model = training.model
    is_of_planes = training.settings.for_z is None  # of which an interval is promised
    if training.learnt_recordings is None or not is_of_planes:
        return model
    kept = list(_known(training.judging, model))  # which chose nothing
    learnt = list(_known(training.learnt_recordings(), model))
    if not kept or not learnt:
        return model
    interval = find_interval(model.to(training.state.device), kept, learnt)
    return SRModel(model.card.model_copy(update={"interval": interval}), model.weights)


def _known(recorded: HeldOut, model: SRModel) -> Iterator[Known]:
    """Take the first recording of each plane that is large enough, in network range."""
    per_plane = len(recorded.recordings) // recorded.n_images
    firsts = recorded.recordings[::per_plane]
    for group, seen in zip(recorded.groups, firsts, strict=True):
        if min(seen.sharp.shape[-2:]) < SMALLEST:
            continue
        level = NoiseLevel(*(float(v) for v in (seen.gain, seen.read, seen.offset)))
        yield Known(
            image=group,
            low=seen.low[0, 0].numpy(),
            sharp=seen.sharp[0, 0].numpy(),
            noise=level if "noise" in model.conditions else "auto",
            intensity_range=(0.0, 1.0),
        )

"""Several methods on one recording: the same pixels, the same counts, one table.

This module alone decides what is computed for a comparison: a part of each plane that
stands for the stack, by the plan that the whole stack would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.catalogue.lookup import load_with_options
from napari_sr.evaluation.comparison import (
    LARGEST,
    Comparison,
    basis_of,
    measured,
    range_of,
)
from napari_sr.evaluation.protocol import SMALLEST, on_scale, recorded
from napari_sr.image.intensity import fill_gaps
from napari_sr.image.regions import Region
from napari_sr.image.sampling import spread_indices
from napari_sr.image.stack import Stack, StackError
from napari_sr.methods.names import METHODS
from napari_sr.metrics.quality import BASELINE
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import as_upscaler, region_steps
from napari_sr.upscaling.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sr.metrics.quality import Agreement
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.upscaling.plan import Plan

USUAL_FACTOR = 2
"""Where no model says another."""
MOST_PLANES = 4
"""Of a stack; each is super-resolved by every method."""
Named = tuple[str, "Mapping[str, float | str]"]
"""A name, and the options that go with it."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What several methods made of one recording."""

    name: str
    """Of the recording."""
    factor: int
    comparison: Comparison
    """Figures by method; means over the planes."""
    pictures: Mapping[str, NDArray]
    """The first plane that was looked at, `(y, x)` float32 counts: the recording, each
    method, and the reference where there is one."""
    plans: Mapping[str, dict[str, Any]]
    """What was decided for each method, as JSON has it."""
    region: Region
    """Of the recording, what the pictures show."""


def load_methods(
    named: Sequence[Named], factor: int | None = None
) -> dict[str, Upscaler]:
    """Load what is to be compared; bicubic is always among it.

    Parameters
    ----------
    named
        Names and options; of a trained model the option `dial` may be given.
    factor
        Super-resolution factor; that of the trained models, or 2, when not given.

    Returns
    -------
    dict
        By what is shown of each: its name, and its options where there are some.

    Raises
    ------
    ValueError
        If the factors differ, or an option cannot be used.
    """
    wanted = [(BASELINE, {}), *((n, o) for n, o in named if (n, o) != (BASELINE, {}))]
    trained = {
        _label(name, options): _at_dial(name, factor, dict(options))
        for name, options in wanted
        if name not in METHODS
    }
    factors = {model.factor for model in trained.values()} | {factor or 0} - {0}
    if len(factors) > 1:
        raise ValueError(
            "The compared models must have the same factor, but they have "
            f"{', '.join(map(str, sorted(factors)))}. Compare models of one factor."
        )
    chosen = factors.pop() if factors else USUAL_FACTOR
    others = {
        _label(name, options): load_with_options(name, chosen, options)
        for name, options in wanted
        if name in METHODS
    }
    labels = dict.fromkeys(_label(name, options) for name, options in wanted)
    return {label: (trained | others)[label] for label in labels}


def _at_dial(
    name: str, factor: int | None, options: dict[str, float | str]
) -> Upscaler:
    """Load a trained model; the dial is an option like any other."""
    dial = options.pop("dial", None)
    if not (dial is None or (isinstance(dial, float) and 0 <= dial <= 1)):
        raise ValueError(f"{name}: the option dial goes from 0 to 1, got {dial}.")
    # What computes it is decided later, when it is run.
    settings = UpscaleSettings(dial=dial, device="cpu")
    return as_upscaler(load_with_options(name, factor, options), settings)


def _label(name: str, options: Mapping[str, float | str]) -> str:
    noise = (
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {Path(value).name}"
        for key, value in options.items()
    )
    return ", ".join([Path(name).name, *noise])


def record_stack(
    sharp: Stack, factor: int, photons: float | None
) -> tuple[Stack, Stack]:
    """Record a sharp stack as all figures of this package are taken.

    Parameters
    ----------
    sharp
        Sharp images; at most `MOST_PLANES` of them are recorded.
    factor
        Super-resolution factor.
    photons
        At white; `None` for a recording without noise.

    Returns
    -------
    recording, reference : Stack
        In counts from 1,000 to 21,000.
    """
    planes = [
        on_scale(fill_gaps(sharp.plane(index))[0])
        for index in spread_indices(sharp, MOST_PLANES)
    ]
    sides = [side - side % (4 * factor) for side in planes[0].shape]
    cropped = [plane[: sides[0], : sides[1]] for plane in planes]
    low = [recorded(plane, factor, photons) for plane in cropped]
    noise = "without noise" if photons is None else f"with {photons:g} photons at white"
    return (
        Stack.from_array(np.stack(low), name=f"{sharp.name}, recorded {noise}"),
        Stack.from_array(np.stack(cropped), name=f"{sharp.name}, sharp"),
    )


def compare_side_by_side(
    recording: Stack,
    upscalers: Mapping[str, Upscaler],
    reference: Stack | None = None,
    settings: UpscaleSettings | None = None,
) -> Generator[tuple[int, int], None, SideBySide]:
    """Super-resolve a recording by several methods and measure each.

    Parameters
    ----------
    recording
        `(…, y, x)`.
    upscalers
        By name, of one factor.
    reference
        `(…, factor·y, factor·x)`: what the results should be; without one, only figures
        that need none are taken.
    settings
        As for `upscale`; results are float32 whatever they say.

    Yields
    ------
    tuple of int
        Results done, and how many there are.

    Returns
    -------
    SideBySide
        Figures and pictures.

    Raises
    ------
    StackError
        If the stacks do not fit each other, or hold nothing to compare.
    """
    factor = next(iter(upscalers.values())).factor
    _check_sides(recording, reference, factor)
    indices = spread_indices(recording, MOST_PLANES)
    data_range = range_of(recording if reference is None else reference, indices)
    wished = (settings or UpscaleSettings()).model_copy(update={"dtype": "float32"})
    figures: dict[str, list[Agreement]] = {name: [] for name in upscalers}
    regions = [_middle(recording, index, LARGEST // factor) for index in indices]
    shown: dict[str, NDArray] = {"recording": _part(recording, regions[0])}
    plans: dict[str, dict[str, Any]] = {}
    for number, (name, chosen) in enumerate(upscalers.items()):
        upscaler = as_upscaler(chosen, wished.model_copy(update={"dial": None}))
        plan = make_plan(recording, upscaler, wished)
        plans[name] = plan.model_dump(mode="json")
        for done, region in enumerate(regions):
            pixels = _computed(recording, upscaler, plan, region)
            low, truth = _part(recording, region), None
            if reference is not None:
                truth = _part(reference, region.times(factor))
            figures[name].append(measured(pixels, low, truth, data_range))
            if done == 0:
                shown[name] = pixels
            yield number * len(regions) + done + 1, len(upscalers) * len(regions)
    if reference is not None:
        shown["reference"] = _part(reference, regions[0].times(factor))
    means = {name: type(many[0]).mean(many) for name, many in figures.items()}
    shape = tuple(factor * side for side in recording.plane_shape)
    n_planes = (len(indices), recording.n_planes)
    basis = basis_of((shape[0], shape[1]), n_planes, data_range, reference is not None)
    comparison = Comparison(means, data_range, f"{recording.name}. {basis}", n_planes)
    return SideBySide(recording.name, factor, comparison, shown, plans, regions[0])


def _computed(
    recording: Stack, upscaler: Upscaler, plan: Plan, region: Region
) -> NDArray:
    """Super-resolve a part of a plane, as it would be in the whole."""
    *_, last = region_steps(recording, upscaler, plan, [region])
    if last.plane is None:
        raise AssertionError("the last step of a region brings its pixels")
    pixels, _ = fill_gaps(last.plane)  # as figures and pictures of a recording are
    return pixels


def _middle(stack: Stack, index: tuple[int, ...], n_most: int) -> Region:
    starts = [max(0, side - n_most) // 2 for side in stack.plane_shape]
    rows, columns = (
        slice(start, min(side, start + n_most))
        for start, side in zip(starts, stack.plane_shape, strict=True)
    )
    return Region(index, rows, columns)


def _part(stack: Stack, region: Region) -> NDArray[np.float32]:
    pixels, _ = fill_gaps(stack.window(region.index, (region.rows, region.columns)))
    part: NDArray[np.float32] = pixels.astype(np.float32)
    return part


def _check_sides(recording: Stack, reference: Stack | None, factor: int) -> None:
    fine = tuple(factor * side for side in recording.plane_shape)
    if min(fine) < SMALLEST:
        raise StackError(
            f"{recording.name}: results of {fine[0]} × {fine[1]} px are too small for "
            f"metrics; use recordings of {-(-SMALLEST // factor)} px a side."
        )
    if reference is not None and reference.shape != (*recording.leading_shape, *fine):
        raise StackError(
            f"The reference {reference.name} has the shape {reference.shape}, but "
            f"results of {recording.name} have {(*recording.leading_shape, *fine)}. "
            "Choose a reference on the pixel grid of the result, or none."
        )

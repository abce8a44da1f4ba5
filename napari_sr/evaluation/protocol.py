"""Models and their baselines on sharp images that are recorded in one fixed way.

This module alone knows how figures are taken: how a sharp image is scaled and recorded,
and what each model is asked for. Real images of the project are measured this way, and
so are a user's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.evaluation.baselines import baselines
from napari_sr.files import open_stack
from napari_sr.image.intensity import NoiseLevel, fill_gaps
from napari_sr.image.sampling import binned, spread_indices
from napari_sr.image.stack import StackError
from napari_sr.metrics.quality import (
    BASELINE,
    FlatField,
    Measured,
    lattice_on_scale,
    measure,
)
from napari_sr.upscaling.flow import upscale

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sr.evaluation.baselines import Method
    from napari_sr.models.sr_model import SRModel

BLACK, WHITE = 1_000.0, 21_000.0
"""Counts at which the 0.1 and 99.9 percentiles of a sharp image are placed."""
DATA_RANGE = WHITE - BLACK
"""Data range of all metrics, in counts."""
BORDER = 8
"""Pixels at each edge of the sharp image that no metric sees."""
PHOTONS = (None, 200.0, 50.0)
"""How recordings are made: without noise, and with so many photons at white."""
FLAT_PHOTONS, FLAT_SIDE = (None, 5000.0, 500.0, 200.0, 50.0), 160
"""Photons at white, and side in recorded pixels, of flat fields."""
N_PLANES = 8
"""So many planes of one stack are measured at most."""
SMALLEST = 64
"""Side of the smallest sharp image that is measured, in pixels."""
PROTOCOL = (
    "Sharp test images scaled to 1,000 … 21,000 counts (0.1 and 99.9 percentiles), "
    "binned by the factor, photon noise at the stated photons per 20,000 counts, "
    "uint16; data range 20,000 counts, outer 8 pixels left out; means over the images "
    "of each dataset, then over datasets. Noise given: the true level. Noise auto: "
    "estimated. At dial 0 unless stated."
)


@dataclass(frozen=True, slots=True)
class SharpPlane:
    """A sharp image to be recorded."""

    dataset: str
    sharp: NDArray
    """`(y, x)` float32 in counts, as `on_scale` gives it."""
    heights: bool = False
    """No photons are counted: Gaussian noise of the same size at mid-range instead."""
    group: str = ""
    """Of specimens that are not independent, such as slices of one volume, the same."""


def specimens_of(path: str | os.PathLike[str]) -> Iterator[SharpPlane]:
    """Read sharp images of a file, for figures on a user's own images.

    Parameters
    ----------
    path
        A stack; of a long one, `N_PLANES` planes evenly spread. The folder it lies in
        is the dataset.

    Raises
    ------
    StackError
        If it cannot be read, or its planes are too small.
    """
    with open_stack(path) as stack:
        if min(stack.plane_shape) < SMALLEST:
            raise StackError(
                f"{stack.name}: planes of {' × '.join(map(str, stack.plane_shape))} "
                f"px are too small for metrics. Use images of {SMALLEST} px a side."
            )
        for index in spread_indices(stack, N_PLANES):
            plane, _ = fill_gaps(stack.plane(index))
            yield SharpPlane(Path(path).absolute().parent.name, on_scale(plane))


def on_scale(plane: NDArray) -> NDArray:
    """Crop a sharp plane to multiples of 4 and place its percentiles.

    Parameters
    ----------
    plane
        `(y, x)` in any units, without gaps.

    Returns
    -------
    ndarray
        `(y, x)` float32 in counts.
    """
    height, width = (side - side % 4 for side in plane.shape)
    plane = plane[:height, :width].astype(np.float32)
    low, high = np.percentile(plane, (0.1, 99.9))
    scaled: NDArray = (plane - low) / max(high - low, 1e-9) * DATA_RANGE + BLACK
    return scaled.astype(np.float32)


def recorded(
    sharp: NDArray, factor: int, photons: float | None, *, heights: bool = False
) -> NDArray:
    """Record a sharp plane: binning, noise of so many photons at white, rounding.

    Parameters
    ----------
    sharp
        `(y, x)` float32 in counts, as `on_scale` gives it.
    factor
        Pixels per side of a block.
    photons
        Photons that `DATA_RANGE` counts above `BLACK` stand for; `None`: no noise.
    heights
        Gaussian noise of the size that mid-range would have, instead of photons.

    Returns
    -------
    ndarray
        `(y / factor, x / factor)` uint16.
    """
    low: NDArray = binned(sharp, factor).astype(np.float64)
    if photons is not None:
        random = np.random.default_rng(20_000 + int(photons))
        gain = DATA_RANGE / photons
        if heights:
            low += random.normal(0, np.sqrt(gain * DATA_RANGE / 2), low.shape)
        else:
            light = low - BLACK
            counted = random.poisson(np.maximum(light, 0) / gain) * gain
            low = counted + np.minimum(light, 0) + BLACK
    rounded: NDArray = np.clip(np.rint(low), 0, 65_535)
    return rounded.astype(np.uint16)


def noise_of(photons: float | None, *, heights: bool = False) -> NoiseLevel:
    """Tell the noise level of a recording that `recorded` made.

    Parameters
    ----------
    photons, heights
        As for `recorded`.
    """
    if photons is None:
        return NoiseLevel()
    gain = DATA_RANGE / photons
    if heights:
        return NoiseLevel(read=(gain * DATA_RANGE / 2) ** 0.5)
    return NoiseLevel(gain=gain, offset=BLACK)


def ways_of(
    model: SRModel, intensity_range: tuple[float, float] | None = None
) -> dict[str, Method]:
    """Give everything that a model is asked for, by name.

    A model that is not noise-conditioned is only run with `auto`.

    Parameters
    ----------
    model
        Of any factor.
    intensity_range
        Counts taken as 0 and 1; those of the recording when not given.
    """

    def at(dial: float, *, is_told: bool) -> Method:
        return way_at(model.at_dial(dial), intensity_range, is_told=is_told)

    name, told_too = model.name, "noise" in model.conditions
    ways = {f"{name} auto": at(0.0, is_told=False)}
    if told_too:
        ways = {f"{name} given": at(0.0, is_told=True), **ways}
    if "textured" in model.weights:
        dials = dict.fromkeys([model.card.recommended_dial, 1.0])
        way = f"{name} {'given' if told_too else 'auto'}"
        ways |= {f"{way}, dial {d:g}": at(d, is_told=told_too) for d in dials if d > 0}
    return ways


def way_at(
    placed: SRModel,
    intensity_range: tuple[float, float] | None = None,
    *,
    is_told: bool,
) -> Method:
    """Give one way of a model at its dial: with the noise level given or estimated."""
    return lambda low, noise: upscale(
        low,
        placed,
        noise=noise if is_told else "auto",
        intensity_range=intensity_range,
        dtype="float32",
    )


def methods_for(models: Sequence[SRModel]) -> dict[str, Method]:
    """Give the baselines, and every way of every model.

    Raises
    ------
    ValueError
        If the models have different factors.
    """
    factors = {model.factor for model in models}
    if len(factors) != 1:
        raise ValueError(
            f"Models are compared on the same recordings, but these have the factors "
            f"{', '.join(map(str, sorted(factors)))}. Evaluate one factor at a time."
        )
    methods = baselines(factors.pop())
    for model in models:
        methods |= ways_of(model)
    return methods


def flat_fields(
    methods: Mapping[str, Method],
    factor: int,
    photons: Sequence[float | None] = FLAT_PHOTONS,
) -> list[FlatField]:
    """Measure what each method makes of fields where there is nothing to be seen.

    Parameters
    ----------
    methods, factor
        As for `evaluate_specimen`; the baseline is among the methods.
    photons
        How to record.
    """
    side = factor * FLAT_SIDE
    flat = np.full((side, side), (BLACK + WHITE) / 2, np.float32)
    inside = slice(BORDER, -BORDER)
    fields = []
    for level in photons:
        low = recorded(flat, factor, level)
        results = {name: run(low, noise_of(level)) for name, run in methods.items()}
        noise = results[BASELINE][inside, inside].std()
        fields += [
            FlatField(
                photons=level,
                method=name,
                share=None
                if level is None
                else float(result[inside, inside].std() / noise),
                lattice=lattice_on_scale(result, factor, DATA_RANGE, BORDER),
            )
            for name, result in results.items()
        ]
    return fields


def flat_fields_of(
    models: Sequence[SRModel], photons: Sequence[float | None] = FLAT_PHOTONS
) -> list[FlatField]:
    """Measure what all ways of some models make of flat fields, beside bicubic.

    Nothing can be measured of the range of a flat field, so that of all figures is
    given: it stands for a flat part of an image.

    Parameters
    ----------
    models
        Of one factor.
    photons
        How to record.
    """
    factor = models[0].factor
    methods = {BASELINE: baselines(factor)[BASELINE]}
    for model in models:
        methods |= ways_of(model, (BLACK, WHITE))
    return flat_fields(methods, factor, photons)


def evaluate_specimen(
    specimen: SharpPlane,
    methods: Mapping[str, Method],
    factor: int,
    photons: Sequence[float | None] = PHOTONS,
) -> Iterator[Measured]:
    """Record a sharp image and measure what each method makes of it.

    Parameters
    ----------
    specimen
        The sharp image.
    methods
        By name, as `methods_for` gives them.
    factor
        Of the methods.
    photons
        How to record.

    Yields
    ------
    Measured
        Of one image; `napari_sr.metrics.quality.averaged` makes figures of a dataset.
    """
    for level in photons:
        low = recorded(specimen.sharp, factor, level, heights=specimen.heights)
        noise = noise_of(level, heights=specimen.heights)
        for name, method in methods.items():
            result = method(low, noise)
            yield Measured(
                dataset=specimen.dataset,
                photons=level,
                method=name,
                quality=measure(
                    result, specimen.sharp, low, data_range=DATA_RANGE, border=BORDER
                ),
                specimen=specimen.group,
            )

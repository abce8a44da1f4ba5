"""A result beside its recording, and beside a reference where there is one.

This module alone decides which planes of a stack stand for it and which data range the
figures refer to. Bicubic interpolation of the recording is measured with the result, so
that the figures can be compared with something.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.catalogue.lookup import load_model
from napari_sr.evaluation.belonging import axes_apart, by, not_its_recording
from napari_sr.evaluation.protocol import BORDER, N_PLANES, SMALLEST
from napari_sr.image.factor import FACTORS
from napari_sr.image.intensity import fill_gaps
from napari_sr.image.sampling import spread_indices
from napari_sr.image.stack import StackError
from napari_sr.metrics.descriptions import FIGURES, as_text
from napari_sr.metrics.quality import BASELINE, as_markdown, measure, measure_agreement
from napari_sr.upscaling.flow import upscale

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack
    from napari_sr.metrics.quality import Agreement

LARGEST = 2048
"""Side in pixels of the result; of larger planes the middle is measured."""
_PERCENTILES = (0.1, 99.9)
_STEP = 4
"""Every so many pixels along y and x are looked at for the data range."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of a result and of what it is compared with."""

    figures: dict[str, Agreement]
    """Means over the planes, by method; the result comes first."""
    data_range: float
    """In counts."""
    basis: str
    """What the data range was found in, and which pixels were measured."""
    n_planes: tuple[int, int] = (1, 1)
    """How many were measured, and how many there are."""

    @property
    def scope(self) -> str:
        """Say of which planes the figures are."""
        measured, there = self.n_planes
        if there == 1:
            return "the only plane"
        some = f"{measured} of {there}" if measured < there else f"all {there}"
        return f"mean of {some} planes"

    @property
    def names(self) -> list[str]:
        """List the figures that were taken, in the order of all tables."""
        first = next(iter(self.figures.values()))
        return [name for name in FIGURES if getattr(first, name, None) is not None]

    def rows(self) -> list[list[str]]:
        """Give a row of text for each figure: its title and a value of each method."""
        return [
            [FIGURES[name].title]
            + [as_text(name, getattr(means, name)) for means in self.figures.values()]
            for name in self.names
        ]

    def as_markdown(self) -> str:
        """Write everything as Markdown."""
        table = as_markdown([self.scope, *self.figures], self.rows())
        return f"{table}\n\n{self.basis}\n"

    def as_csv(self) -> str:
        """Write every figure in full as comma-separated values."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["figure", *self.figures])
        for name in self.names:
            values = [getattr(means, name) for means in self.figures.values()]
            writer.writerow([name, *values])
        writer.writerow(["data_range", *[self.data_range] * len(self.figures)])
        return text.getvalue()


@dataclass(frozen=True, slots=True)
class ComparedPlane:
    """The middle of a plane of a result, and what it is compared with."""

    index: tuple[int, ...]
    """Which plane, over the leading axes."""
    top: int
    """First row, in recorded pixels."""
    left: int
    """First column, in recorded pixels."""
    factor: int
    low: NDArray[np.float32]
    """`(y, x)` counts, recorded."""
    fine: dict[str, NDArray[np.float32]]
    """`(factor·y, factor·x)` counts: result, bicubic, perhaps reference."""


def read_plane(
    recording: Stack,
    result: Stack,
    reference: Stack | None,
    index: tuple[int, ...],
    factor: int,
) -> ComparedPlane:
    """Read the middle of a plane of all stacks, and interpolate the recorded one."""
    n_most = LARGEST // factor
    low = middle_of(recording, index, n_most)
    fine = {"result": middle_of(result, index, n_most, factor)}
    bicubic = load_model(BASELINE, factor=factor)
    fine[BASELINE] = upscale(low, bicubic, dtype="float32", device="cpu")
    if reference is not None:
        fine["reference"] = middle_of(reference, index, n_most, factor)
    top, left = (max(0, side - n_most) // 2 for side in recording.plane_shape)
    return ComparedPlane(index, top, left, factor, low, fine)


def compare(
    result: Stack,
    recording: Stack,
    reference: Stack | None = None,
    known: ComparedPlane | None = None,
) -> Generator[tuple[int, int], None, Comparison]:
    """Measure a result.

    Parameters
    ----------
    result
        `(…, factor·y, factor·x)`.
    recording
        `(…, y, x)`: what it was made from.
    reference
        What it should be, in the shape of the result; without one, only figures that
        need none are taken.
    known
        A plane that has been read already.

    Yields
    ------
    tuple of int
        After each plane: planes done, and how many there are.

    Returns
    -------
    Comparison
        Of the result and of bicubic interpolation.

    Raises
    ------
    StackError
        If the stacks do not fit each other, or hold nothing to compare.
    """
    factor = factor_of(result, recording, reference)
    indices = spread_indices(result, N_PLANES)
    standard = recording if reference is None else reference
    data_range = range_of(standard, indices)
    figures: dict[str, list[Agreement]] = {"result": [], BASELINE: []}
    for done, index in enumerate(indices, 1):
        plane = known
        if plane is None or plane.index != index:
            plane = read_plane(recording, result, reference, index, factor)
        truth = plane.fine.get("reference")
        for name, planes in figures.items():
            planes.append(measured(plane.fine[name], plane.low, truth, data_range))
        yield done, len(indices)
    n_planes = (len(indices), result.n_planes)
    basis = basis_of(result.plane_shape, n_planes, data_range, reference is not None)
    means = {name: type(many[0]).mean(many) for name, many in figures.items()}
    return Comparison(means, data_range, basis, n_planes)


def factor_of(result: Stack, recording: Stack, reference: Stack | None) -> int:
    """Find the factor; refuse what does not fit."""
    factor = result.plane_shape[0] // recording.plane_shape[0]
    expected = tuple(factor * side for side in recording.plane_shape)
    is_apart = bool(axes_apart(recording, result))
    if factor not in FACTORS or result.plane_shape != expected or is_apart:
        raise not_its_recording(recording, result)
    if reference is not None and reference.shape != result.shape:
        raise StackError(
            f"{reference.name} ({by(reference)}) does not have the pixels of "
            f"{result.name} ({by(result)}); choose a reference of the same shape, or "
            "none."
        )
    if min(result.plane_shape) < SMALLEST:
        raise StackError(
            f"{result.name}: planes of {by(result)} px are too small for metrics; "
            f"use results of {SMALLEST} px a side."
        )
    return factor


def range_of(stack: Stack, indices: Sequence[tuple[int, ...]]) -> float:
    """Measure the range between the percentiles of some planes, in counts."""
    seen = [fill_gaps(stack.plane(i))[0][::_STEP, ::_STEP].ravel() for i in indices]
    low, high = np.percentile(np.concatenate(seen).astype(np.float64), _PERCENTILES)
    if high <= low:
        raise StackError(
            f"{stack.name} has the same value everywhere, so there is nothing to "
            "compare; choose another image."
        )
    return float(high - low)


def middle_of(
    stack: Stack, index: tuple[int, ...], n_most: int, unit: int = 1
) -> NDArray[np.float32]:
    """Read the middle of a plane: so many recorded pixels a side, of `unit` pixels."""
    plane, _ = fill_gaps(stack.plane(index))
    side = n_most * unit
    starts = [max(0, length - side) // (2 * unit) * unit for length in plane.shape]
    rows, columns = (slice(start, start + side) for start in starts)
    middle: NDArray[np.float32] = plane[rows, columns].astype(np.float32)
    return middle


def measured(
    pixels: NDArray, low: NDArray, truth: NDArray | None, data_range: float
) -> Agreement:
    """Take the figures of one plane."""
    if truth is None:
        return measure_agreement(pixels, low, data_range=data_range, border=BORDER)
    return measure(pixels, truth, low, data_range=data_range, border=BORDER)


def basis_of(
    shape: tuple[int, int],
    n_planes: tuple[int, int],
    data_range: float,
    has_reference: bool,
) -> str:
    """Say what figures refer to.

    Parameters
    ----------
    shape
        Of a plane of the result.
    n_planes
        How many were measured, and how many there are.
    data_range
        In counts.
    has_reference
        Whether the data range is that of a reference, or of the recording.
    """
    low, high = _PERCENTILES
    origin = "reference" if has_reference else "recording"
    sides = [min(side, LARGEST) for side in shape]
    place = " × ".join(map(str, sides)) + " px"
    if max(shape) > LARGEST:
        place = f"the middle {place}"
    return (
        f"Data range {data_range:,.5g} counts ({low:g} to {high:g} % of the {origin}); "
        f"{place}, outer {BORDER} px left out, {n_planes[0]} of {n_planes[1]} "
        f"{'plane' if n_planes[1] == 1 else 'planes'}."
    )

"""Several methods that make a volume finer along z: the same voxels, one table.

This module alone decides which part of a volume is computed and looked at, and how a
sharp volume is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_sr.evaluation.protocol import BLACK, DATA_RANGE, noise_of, recorded
from napari_sr.image.intensity import fill_gaps
from napari_sr.image.sampling import means_between
from napari_sr.image.stack import Stack, StackError
from napari_sr.metrics.quality import as_markdown
from napari_sr.metrics.volumes import (
    BORDER,
    figure_meanings,
    figure_rows,
    figures_as_csv,
    measure_volume,
)
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import make_plan, upscale_steps
from napari_sr.upscaling.plan import axis_z, planes_along_z
from napari_sr.upscaling.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.metrics.volumes import VolumeFigures
    from napari_sr.models.upscaler import Upscaler

    Volume = NDArray[np.float32]
    """`(z, y, x)` counts."""

PLANES, SIDE = 32, 96
"""Recorded voxels at most, of the middle, that are looked at."""
_FEWEST = 2 * BORDER + 4
"""Recorded voxels along each axis, of which figures can be taken."""


@dataclass(frozen=True, slots=True)
class VolumeComparison:
    """What several methods made of one volume."""

    name: str
    """Of the recording."""
    ratio: float
    """Planes for each recorded one."""
    factor: int
    """In the plane."""
    part: tuple[int, int, int]
    """Recorded voxels that were looked at, of the middle."""
    unit: str
    figures: Mapping[str, VolumeFigures]
    """By method."""
    views: Mapping[str, Mapping[str, NDArray]]
    """`XZ` and `YZ`: recording, each method and perhaps reference, `(z, x)` or
    `(z, y)` counts."""

    def as_markdown(self) -> str:
        """Write everything as Markdown."""
        table = as_markdown(
            ["figure", *self.figures], figure_rows(self.figures, self.unit)
        )
        return (
            f"{table}\n\n{self.name}: {self.ratio:.4g} planes for each recorded one, "
            f"pixels ×{self.factor} in the plane. {scope_of(self.part)}\n\n"
            f"{listed(figure_meanings(self.figures))}\n"
        )

    def as_csv(self) -> str:
        """Write every figure in full as comma-separated values."""
        return figures_as_csv(self.figures)


def compare_volumes(
    recording: Stack,
    upscalers: Mapping[str, Upscaler],
    z: float | Literal["isotropic"],
    reference: Stack | None = None,
    *,
    factor: Literal[1] | None = 1,
    noise: NoiseLevel | Literal["auto"] = "auto",
) -> Generator[tuple[int, int], None, VolumeComparison]:
    """Make the middle of a volume finer along z by several methods; measure each.

    Parameters
    ----------
    recording
        `(…, z, y, x)`; of other axes the middle.
    upscalers
        By name, of one factor.
    z
        Planes for each recorded one, or `isotropic`.
    reference
        What the results should be, in their shape, if that is known.
    factor
        1 leaves the plane as it is; `None`: that of the methods.
    noise
        Level of the recording's noise; `auto` estimates it.

    Yields
    ------
    tuple of int
        Methods done, and how many there are.

    Returns
    -------
    VolumeComparison
        Figures and views.

    Raises
    ------
    StackError
        If there is no axis z, or too little, or the reference has another shape.
    """
    own = next(iter(upscalers.values())).factor
    ratio = planes_along_z(recording, own, UpscaleSettings(z=z, factor=factor))
    in_plane = factor or own
    part = _read(recording, reference, ratio, in_plane)
    shown = {"recording": as_fine(part.low, part.edges, in_plane)}
    figures = {}
    for done, (name, upscaler) in enumerate(upscalers.items(), start=1):
        made = make_finer(part.low, upscaler, ratio, in_plane, noise)
        shown[name] = made
        figures[name] = measure_volume(
            made, part.low, part.truth, part.edges, in_plane, part.steps
        )
        yield done, len(upscalers)
    if part.truth is not None:
        shown["reference"] = part.truth
    y, x = (side * in_plane // 2 for side in part.low.shape[1:])
    views = {
        "XZ": {name: volume[:, y] for name, volume in shown.items()},
        "YZ": {name: volume[:, :, x] for name, volume in shown.items()},
    }
    return VolumeComparison(
        name=recording.name,
        ratio=ratio,
        factor=in_plane,
        part=shape_of(part.low),
        unit=part.unit,
        figures=figures,
        views=views,
    )


def shape_of(volume: Volume) -> tuple[int, int, int]:
    """Give the planes, rows and columns of a volume."""
    planes, rows, columns = volume.shape
    return planes, rows, columns


def scope_of(part: tuple[int, int, int]) -> str:
    """Say of which voxels the figures of a volume are."""
    planes, rows, columns = part
    return (
        f"All figures are of the {planes} recorded planes in the middle, of "
        f"{rows} × {columns} recorded px, outer {BORDER} left out."
    )


def listed(meanings: Sequence[tuple[str, str]]) -> str:
    """Write what figures mean as a list in Markdown."""
    return "\n".join(f"- *{title}*: {meaning}" for title, meaning in meanings)


@dataclass(frozen=True, slots=True)
class _Part:
    """The middle of a recording, and of what its results should be."""

    low: Volume
    truth: Volume | None
    edges: NDArray[np.float64]
    """Where recorded planes begin and end, in planes of a result."""
    steps: tuple[float, ...]
    """Size of a voxel of a result along z, y and x."""
    unit: str


def _read(
    recording: Stack, reference: Stack | None, ratio: float, factor: int
) -> _Part:
    """Read the middle; from the first plane unless the ratio is a whole number."""
    axis = axis_z(recording)
    n = min(recording.leading_shape[axis], PLANES)
    if min(n, *recording.plane_shape) < _FEWEST:
        raise StackError(
            f"{recording.name} has {n} planes of "
            f"{' × '.join(map(str, recording.plane_shape))} px; metrics of a volume "
            f"need {_FEWEST} along each axis. Give a larger one."
        )
    first = (recording.leading_shape[axis] - n) // 2 if ratio % 1 == 0 else 0
    cuts = [middle_of_side(side, SIDE) for side in recording.plane_shape]
    low = read_part(recording, axis, range(first, first + n), cuts)
    truth = None
    if reference is not None:
        _check_shape(reference, recording, axis, ratio, factor)
        start = round(first * ratio)
        planes = range(start, start + _n_fine(n, ratio))
        finer = [slice(cut.start * factor, cut.stop * factor) for cut in cuts]
        truth = read_part(reference, axis, planes, finer)
    z, y, x = (recording.axes[place] for place in (axis, -2, -1))
    steps = (z.spacing / ratio, y.spacing / factor, x.spacing / factor)
    unit = z.unit or "px"
    if len({z.unit, y.unit, x.unit}) > 1:
        steps, unit = (1.0, 1.0, 1.0), "px"
    edges: NDArray[np.float64] = np.arange(n + 1, dtype=np.float64) * ratio
    return _Part(low, truth, edges, steps, unit)


def record_volume(
    sharp: Stack, ratio: int, photons: float | None, factor: int = 1
) -> tuple[Stack, Stack]:
    """Record the middle of a sharp volume with a longer step along z.

    Parameters
    ----------
    sharp
        `(…, z, y, x)`.
    ratio
        Planes that one recorded plane holds.
    photons
        At white; `None` for a recording without noise.
    factor
        Pixels of a block in the plane.

    Returns
    -------
    recording, reference : Stack
        In counts from 1,000 to 21,000.

    Raises
    ------
    StackError
        If there are too few planes.
    """
    axis = axis_z(sharp)
    n = min(sharp.leading_shape[axis] // ratio, PLANES) * ratio
    sides = [min(side // factor, SIDE) * factor for side in sharp.plane_shape]
    if n < _FEWEST * ratio:
        raise StackError(
            f"{sharp.name} has {sharp.leading_shape[axis]} planes; to simulate a step "
            f"{ratio} times as long it needs {_FEWEST * ratio}."
        )
    first = (sharp.leading_shape[axis] - n) // 2
    cuts = [
        middle_of_side(side, most)
        for side, most in zip(sharp.plane_shape, sides, strict=True)
    ]
    volume = read_part(sharp, axis, range(first, first + n), cuts)
    low, high = np.percentile(volume, (0.1, 99.9))
    scaled = (volume - low) / max(high - low, 1e-9) * DATA_RANGE + BLACK
    thick = means_between(scaled, np.arange(0, n + 1, ratio, dtype=np.float64), 0)
    rows = thick.reshape(-1, thick.shape[-1])  # all planes at once: one noise
    seen = recorded(rows.astype(np.float32), factor, photons)
    seen = seen.reshape(n // ratio, sides[0] // factor, sides[1] // factor)
    noise = "without noise" if photons is None else f"with {photons:g} photons at white"
    return (
        Stack.from_array(seen, name=f"{sharp.name}, recorded {noise}"),
        Stack.from_array(scaled.astype(np.float32), name=f"{sharp.name}, sharp"),
    )


def evaluate_volume(
    sharp: Stack,
    upscalers: Mapping[str, Upscaler],
    ratio: int,
    photons: float | None,
) -> Iterator[tuple[str, float]]:
    """Give the PSNR in dB of what each makes along z of a recorded sharp volume.

    Parameters
    ----------
    sharp, ratio, photons
        As for `record_volume`.
    upscalers
        By name; those that take the noise are also asked with its level given.
    """
    low, truth = record_volume(sharp, ratio, photons)
    told = {n: own for n, own in upscalers.items() if "noise" in own.conditions}
    ways: list[tuple[Mapping[str, Upscaler], NoiseLevel | Literal["auto"]]] = [
        (
            {f"{n} auto" if n in told else n: own for n, own in upscalers.items()},
            "auto",
        ),
        ({f"{n} given": own for n, own in told.items()}, noise_of(photons)),
    ]
    for asked, noise in ways:
        if asked:
            steps = compare_volumes(low, asked, ratio, truth, noise=noise)
            for name, figures in run_to_end(steps).figures.items():
                yield name, figures.psnr or 0.0


def make_finer(
    low: Volume,
    upscaler: Upscaler,
    ratio: float,
    factor: int,
    noise: NoiseLevel | Literal["auto"] = "auto",
) -> Volume:
    """Make a volume finer along z, and in the plane unless `factor` is 1."""
    settings = UpscaleSettings(
        z=ratio, factor=1 if factor == 1 else None, dtype="float32", noise=noise
    )
    stack = Stack.from_array(low)
    plan = make_plan(stack, upscaler, settings)
    made = np.empty(plan.shape_of(stack), np.float32)
    for step in upscale_steps(stack, upscaler, plan):
        if step.plane is not None:
            made[step.index] = step.plane
    return made


def read_part(stack: Stack, axis: int, planes: range, cuts: list[slice]) -> Volume:
    """Read a part of a volume, in the middle of the axes that are not of it."""
    middle = [length // 2 for length in stack.leading_shape]
    read = []
    for place in planes:
        index = (*middle[:axis], place, *middle[axis + 1 :])
        read.append(fill_gaps(stack.window(index, (cuts[0], cuts[1])))[0])
    return np.stack(read).astype(np.float32)


def middle_of_side(side: int, most: int) -> slice:
    """Give the middle of an axis."""
    start = max(0, (side - most) // 2)
    return slice(start, min(side, start + most))


def as_fine(low: Volume, edges: NDArray[np.float64], factor: int) -> Volume:
    """Repeat recorded voxels, to be seen beside those of the result."""
    n = int(np.ceil(edges[-1] - 1e-9))
    own = np.searchsorted(edges, np.arange(n) + 0.5) - 1
    planes = low[np.clip(own, 0, len(low) - 1)]
    return planes.repeat(factor, axis=1).repeat(factor, axis=2)


def _n_fine(n: int, ratio: float) -> int:
    return int(np.ceil(n * ratio - 1e-9))


def _check_shape(
    reference: Stack, recording: Stack, axis: int, ratio: float, factor: int
) -> None:
    leading = list(recording.leading_shape)
    leading[axis] = _n_fine(leading[axis], ratio)
    wanted = (*leading, *(side * factor for side in recording.plane_shape))
    if reference.shape != wanted:
        raise StackError(
            f"The reference {reference.name} has {reference.shape} voxels, and "
            f"results have {wanted}. Give one of the same shape."
        )

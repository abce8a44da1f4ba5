"""A result that is finer along z, beside its recording: what XZ and YZ planes show.

This module alone knows how volumes are judged: the middle of both is taken, made as
fine by interpolation and by Wiener, and compared along each axis.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.catalogue.lookup import load_model
from napari_sr.evaluation.belonging import not_its_recording
from napari_sr.evaluation.volumes import (
    PLANES,
    SIDE,
    as_fine,
    listed,
    make_finer,
    middle_of_side,
    read_part,
    scope_of,
    shape_of,
)
from napari_sr.image.sampling import means_between
from napari_sr.image.stack import StackError
from napari_sr.metrics.along_z import blur_along_z
from napari_sr.metrics.axes import line_correlation, split_lines
from napari_sr.metrics.quality import as_markdown
from napari_sr.metrics.volumes import (
    VolumeFigures,
    figure_meanings,
    figure_rows,
    measure_volume,
)
from napari_sr.trust.assessment import Curve
from napari_sr.upscaling.flow import opened
from napari_sr.upscaling.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack
    from napari_sr.upscaling.flow import StackLike

    Volume = NDArray[np.float32]
    """`(z, y, x)` counts."""

BASELINES = ("bilinear", "bicubic", "wiener")


@dataclass(frozen=True)
class VolumeAssessment:
    """What can be said about a result that is finer along z."""

    name: str
    ratio: float
    """Planes for each recorded one."""
    factor: int
    """In the plane."""
    part: tuple[int, int, int]
    """Recorded voxels that were looked at, of the middle."""
    unit: str
    figures: Mapping[str, VolumeFigures]
    """By way; the result first."""
    views: Mapping[str, Mapping[str, NDArray]]
    """`XZ` and `YZ`: recording, bicubic, result and perhaps reference, with square
    pixels, `(z, x)` or `(z, y)` counts."""
    curves: Mapping[str, Curve]
    """Correlation along z and in the plane, over cycles per unit."""
    remarks: tuple[str, ...]
    provenance: Mapping[str, Any]

    def rows(self) -> list[list[str]]:
        """Give a row of text for each figure: title, then each way."""
        return figure_rows(self.figures, self.unit)

    def as_markdown(self) -> str:
        """Write figures and remarks as Markdown."""
        table = as_markdown(["figure", *self.figures], self.rows())
        remarks = "".join(f"- {remark}\n" for remark in self.remarks)
        return (
            f"{self.name}, {self.ratio:.4g} planes for each recorded one. "
            f"{scope_of(self.part)}\n\n{table}\n\n"
            f"{listed(figure_meanings(self.figures))}\n{remarks}"
        )

    def as_json(self) -> dict[str, Any]:
        """Give all but the pictures in types that JSON has."""
        return {
            "name": self.name,
            "ratio": self.ratio,
            "factor": self.factor,
            "part": list(self.part),
            "unit": self.unit,
            "figures": {name: own.model_dump() for name, own in self.figures.items()},
            "curves": {
                name: [values.tolist() for values in curve]
                for name, curve in self.curves.items()
            },
            "remarks": list(self.remarks),
            "provenance": dict(self.provenance),
        }


def axis_made_finer(recording: Stack, result: Stack) -> int | None:
    """Tell along which of the leading axes a result has more planes, if along one."""
    low, high = recording.leading_shape, result.leading_shape
    if len(low) != len(high):
        return None
    differing = [i for i, (n, m) in enumerate(zip(low, high, strict=True)) if n != m]
    is_finer = len(differing) == 1 and high[differing[0]] > low[differing[0]] > 1
    return differing[0] if is_finer else None


def assess_volume(
    low: StackLike, high: StackLike, reference: StackLike | None = None
) -> VolumeAssessment:
    """Find out how far a result that is finer along z can be trusted.

    Parameters
    ----------
    low
        `(…, z, y, x)` the recording: a stack, a path or an array.
    high
        `(…, finer z, factor·y, factor·x)` the result.
    reference
        What the result should be, in its shape, if that is known.

    Returns
    -------
    VolumeAssessment
        Figures along each axis, beside interpolation and Wiener.

    Raises
    ------
    StackError
        If they do not fit each other.
    """
    with ExitStack() as stack:
        recording, result = (
            stack.enter_context(opened(source)) for source in (low, high)
        )
        truth = None if reference is None else stack.enter_context(opened(reference))
        return run_to_end(assess_volume_steps(recording, result, truth))


def assess_volume_steps(
    recording: Stack, result: Stack, reference: Stack | None = None
) -> Generator[tuple[int, int], None, VolumeAssessment]:
    """Do what `assess_volume` does, step by step.

    Parameters
    ----------
    recording, result, reference
        As for `assess_volume`.

    Yields
    ------
    tuple of int
        Ways done, and how many there are.
    """
    axis = axis_made_finer(recording, result)
    factor, rest = divmod(result.plane_shape[1], recording.plane_shape[1])
    wanted = tuple(side * factor for side in recording.plane_shape)
    if axis is None or rest or result.plane_shape != wanted:
        raise not_its_recording(recording, result, axis)
    if reference is not None and reference.shape != result.shape:
        raise StackError(
            f"The reference {reference.name} has {reference.shape} voxels, and the "
            f"result {result.shape}. Give one of the same shape."
        )
    ratio = _ratio(recording, result, axis)
    n = min(recording.leading_shape[axis], PLANES)
    first = (recording.leading_shape[axis] - n) // 2
    cuts = [middle_of_side(side, SIDE) for side in recording.plane_shape]
    low = read_part(recording, axis, range(first, first + n), cuts)
    finer = [slice(cut.start * factor, cut.stop * factor) for cut in cuts]
    edges = np.arange(first, first + n + 1, dtype=np.float64) * ratio
    last = min(int(np.ceil(edges[-1])), result.leading_shape[axis])
    planes = range(int(np.floor(edges[0])), last)
    fine = {"result": read_part(result, axis, planes, finer)}
    yield 1, len(BASELINES) + 1
    for done, baseline in enumerate(BASELINES, start=2):
        method = load_model(baseline, factor=max(2, factor))
        made = make_finer(low, method, ratio, factor)
        start = planes.start - first * ratio
        fine[baseline] = _on_grid(made, ratio, first, start, planes)
        yield done, len(BASELINES) + 1
    truth = None
    if reference is not None:
        truth = read_part(reference, axis, planes, finer)
    return _assessment(
        recording, result, axis, low, fine, truth, edges - planes.start, ratio, factor
    )


def _assessment(
    recording: Stack,
    result: Stack,
    axis: int,
    low: Volume,
    fine: dict[str, Volume],
    truth: Volume | None,
    edges: NDArray[np.float64],
    ratio: float,
    factor: int,
) -> VolumeAssessment:
    """Take the figures and pictures of what was read and made."""
    steps = [result.axes[i].spacing for i in (axis, -2, -1)]
    unit = result.axes[axis].unit or "px"
    if len({result.axes[i].unit for i in (axis, -2, -1)}) > 1:
        steps, unit = [1.0] * 3, "px"
    figures = {
        name: measure_volume(volume, low, truth, edges, factor, steps)
        for name, volume in fine.items()
    }
    curves = {}
    for name in ("result", "bicubic"):
        for i, where in ((0, "along z"), (2, "in the plane")):
            own, other = (
                split_lines(fine[name], i) if truth is None else (fine[name], truth)
            )
            frequencies, values = line_correlation(own, other, i)
            curves[f"{name}, {where}"] = Curve(frequencies / steps[i], values)
    shown = {"recording": as_fine(low, edges, factor), "bicubic": fine["bicubic"]}
    shown["result"] = fine["result"]
    if truth is not None:
        shown["reference"] = truth
    middle = [side // 2 for side in fine["result"].shape]
    note = blur_along_z(recording, axis)
    remarks = [f"{note.capitalize()}."] if note else []
    if truth is None:
        remarks.append(
            "Hallucinated detail counts as detail, too: only a comparison with a "
            "reference shows whether it is in the right place."
        )
    return VolumeAssessment(
        name=result.name,
        ratio=ratio,
        factor=factor,
        part=shape_of(low),
        unit=unit,
        figures=figures,
        views={
            "XZ": {name: volume[:, middle[1]] for name, volume in shown.items()},
            "YZ": {name: volume[:, :, middle[2]] for name, volume in shown.items()},
        },
        curves=curves,
        remarks=tuple(remarks),
        provenance=result.provenance,
    )


def _on_grid(
    made: Volume, ratio: float, first: int, start: float, planes: range
) -> Volume:
    """Bring planes that begin at the part that was read onto those of the result."""
    if float(start).is_integer() and len(made) - int(start) >= len(planes):
        return made[int(start) : int(start) + len(planes)]
    edges = start + np.arange(len(planes) + 1.0)
    return means_between(made, edges, 0).astype(np.float32)


def _ratio(recording: Stack, result: Stack, axis: int) -> float:
    """Tell how many planes there are for each: by their distances, else by number."""
    before, after = recording.axes[axis], result.axes[axis]
    counted = result.leading_shape[axis] / recording.leading_shape[axis]
    if before.unit == after.unit:
        ratio = before.spacing / after.spacing
        if abs(ratio * recording.leading_shape[axis] - result.leading_shape[axis]) < 1:
            return ratio
    return counted

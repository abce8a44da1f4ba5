"""A result that is finer along z, beside its recording: what XZ and YZ planes show.

This module alone knows how volumes are judged: the middle of both is taken, made as
fine by interpolation and by Wiener, and compared along each axis.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_sr.catalogue.lookup import load_model
from napari_sr.image.intensity import fill_gaps
from napari_sr.image.sampling import means_between
from napari_sr.image.stack import Stack, StackError
from napari_sr.metrics import resolution_of
from napari_sr.metrics.along_z import blur_along_z, detail_along_z
from napari_sr.metrics.axes import line_correlation, split_lines
from napari_sr.metrics.quality import as_markdown
from napari_sr.settings import UpscaleSettings
from napari_sr.trust.assessment import Curve
from napari_sr.upscaling.flow import make_plan, opened, upscale_steps
from napari_sr.upscaling.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from napari_sr.upscaling.flow import StackLike

    Volume = NDArray[np.float32]
    """`(z, y, x)` counts."""

BASELINES = ("bilinear", "bicubic", "wiener")
_PLANES, _SIDE = 32, 96
"""Recorded voxels at most, of the middle, that are looked at."""
_BORDER = 2
"""Recorded voxels on each side that no figure is taken of."""
_AXES = "zyx"


class VolumeFigures(BaseModel):
    """Figures of one way to make a volume finer; `None` where there can be none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agreement: float
    """Of the result binned back, with the recording; PSNR in dB."""
    stripes: float
    """Largest change of the mean of a plane, as a share of the range."""
    detail: float | None = None
    """Fine detail along z beside that of the planes; see `detail_along_z`."""
    psnr: float | None = None
    """With the reference, in dB."""
    true_resolution: tuple[float, float, float] | None = None
    """Up to which the reference agrees, along z, y and x in the unit of the voxels."""


@dataclass(frozen=True)
class VolumeAssessment:
    """What can be said about a result that is finer along z."""

    name: str
    ratio: float
    """Planes for each recorded one."""
    factor: int
    """In the plane."""
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
        rows = [
            ["Agreement with the recording, dB", *self._each("agreement", "{:.2f}")],
            ["Largest change of the mean of a plane", *self._each("stripes", "{:.2%}")],
        ]
        if all(own.psnr is not None for own in self.figures.values()):
            rows.append(["PSNR with the reference, dB", *self._each("psnr", "{:.2f}")])
        if all(own.detail is not None for own in self.figures.values()):
            title = "Fine detail along z, relative to the plane"
            rows.append([title, *self._each("detail", "{:.1%}")])
        found = [own.true_resolution for own in self.figures.values()]
        for i, axis in enumerate(_AXES):
            values = [f"{one[i]:.3g}" for one in found if one is not None]
            if len(values) == len(found):
                title = f"Agrees with the reference along {axis} to, {self.unit}"
                rows.append([title, *values])
        return rows

    def _each(self, name: str, form: str) -> list[str]:
        return [form.format(getattr(own, name)) for own in self.figures.values()]

    def as_markdown(self) -> str:
        """Write figures and remarks as Markdown."""
        table = as_markdown(["figure", *self.figures], self.rows())
        remarks = "".join(f"- {remark}\n" for remark in self.remarks)
        return f"{self.name}, {self.ratio:.4g} planes for each\n\n{table}\n\n{remarks}"

    def as_json(self) -> dict[str, Any]:
        """Give all but the pictures in types that JSON has."""
        return {
            "name": self.name,
            "ratio": self.ratio,
            "factor": self.factor,
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
        raise StackError(
            f"{result.name} is not a result of {recording.name} that is finer along "
            f"z: it has {result.shape} voxels, of {recording.shape}. Give the "
            "recording that it was made from."
        )
    if reference is not None and reference.shape != result.shape:
        raise StackError(
            f"The reference {reference.name} has {reference.shape} voxels, and the "
            f"result {result.shape}. Give one of the same shape."
        )
    ratio = _ratio(recording, result, axis)
    n = min(recording.leading_shape[axis], _PLANES)
    first = (recording.leading_shape[axis] - n) // 2
    cuts = [_middle(side, _SIDE) for side in recording.plane_shape]
    low = _part(recording, axis, range(first, first + n), cuts)
    finer = [slice(cut.start * factor, cut.stop * factor) for cut in cuts]
    edges = np.arange(first, first + n + 1, dtype=np.float64) * ratio
    last = min(int(np.ceil(edges[-1])), result.leading_shape[axis])
    planes = range(int(np.floor(edges[0])), last)
    fine = {"result": _part(result, axis, planes, finer)}
    yield 1, len(BASELINES) + 1
    for done, baseline in enumerate(BASELINES, start=2):
        made = _by_method(low, baseline, ratio, factor)
        start = planes.start - first * ratio
        fine[baseline] = _on_grid(made, ratio, first, start, planes)
        yield done, len(BASELINES) + 1
    truth = None
    if reference is not None:
        truth = _part(reference, axis, planes, finer)
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
        name: _figures(volume, low, truth, edges, factor, steps)
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
    shown = {"recording": _as_fine(low, edges, factor), "bicubic": fine["bicubic"]}
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


def _figures(
    volume: Volume,
    low: Volume,
    truth: Volume | None,
    edges: NDArray[np.float64],
    factor: int,
    steps: list[float],
) -> VolumeFigures:
    """Take the figures of the inner part."""
    again = means_between(volume, edges, 0)
    for i in (1, 2):
        again = means_between(again, np.arange(0, volume.shape[i] + 1, factor) * 1.0, i)
    span = float(np.ptp(np.percentile(low, (0.1, 99.9)))) or 1.0
    inner = (slice(_BORDER, -_BORDER),) * 3
    difference = (again - low)[inner]
    added: dict[str, Any] = {}
    if truth is not None:
        cut = int(np.ceil(_BORDER * edges[-1] / len(low)))
        whole = (slice(cut, -cut), *(slice(_BORDER * factor, -_BORDER * factor),) * 2)
        added["psnr"] = _decibels((volume - truth)[whole], span)
        added["true_resolution"] = tuple(
            _resolution(volume, truth, i, step) for i, step in enumerate(steps)
        )
    return VolumeFigures(
        agreement=_decibels(difference, span),
        stripes=float(np.abs(difference.mean(axis=(1, 2))).max() / span),
        detail=detail_along_z(volume, steps),
        **added,
    )


def _resolution(volume: NDArray, other: NDArray, axis: int, step: float) -> float:
    """Give the resolution along an axis; that of the highest frequency if all is."""
    frequencies, correlation = line_correlation(volume, other, axis)
    found = resolution_of(frequencies, correlation)
    return step * (float(1 / frequencies[-1]) if found is None else found)


def _decibels(difference: NDArray, span: float) -> float:
    error = float(np.mean(np.square(difference, dtype=np.float64)))
    return float(10 * np.log10(span**2 / max(error, 1e-9 * span**2)))


def _by_method(low: Volume, name: str, ratio: float, factor: int) -> Volume:
    """Make a volume as fine by a method without weights."""
    method = load_model(name, factor=max(2, factor))
    settings = UpscaleSettings(
        z=ratio, factor=1 if factor == 1 else None, device="cpu", dtype="float32"
    )
    stack = Stack.from_array(low)
    plan = make_plan(stack, method, settings)
    made = np.empty(plan.shape_of(stack), np.float32)
    for step in upscale_steps(stack, method, plan):
        if step.plane is not None:
            made[step.index] = step.plane
    return made


def _on_grid(
    made: Volume, ratio: float, first: int, start: float, planes: range
) -> Volume:
    """Bring planes that begin at the part that was read onto those of the result."""
    if float(start).is_integer() and len(made) - int(start) >= len(planes):
        return made[int(start) : int(start) + len(planes)]
    edges = start + np.arange(len(planes) + 1.0)
    return means_between(made, edges, 0).astype(np.float32)


def _as_fine(low: Volume, edges: NDArray[np.float64], factor: int) -> Volume:
    """Repeat recorded voxels, to be seen beside those of the result."""
    n = int(np.ceil(edges[-1] - 1e-9))
    own = np.searchsorted(edges, np.arange(n) + 0.5) - 1
    planes = low[np.clip(own, 0, len(low) - 1)]
    return planes.repeat(factor, axis=1).repeat(factor, axis=2)


def _part(stack: Stack, axis: int, planes: range, cuts: list[slice]) -> Volume:
    """Read a part of the volume in the middle of the other axes."""
    middle = [length // 2 for length in stack.leading_shape]
    read = []
    for place in planes:
        index = (*middle[:axis], place, *middle[axis + 1 :])
        read.append(fill_gaps(stack.window(index, (cuts[0], cuts[1])))[0])
    return np.stack(read).astype(np.float32)


def _ratio(recording: Stack, result: Stack, axis: int) -> float:
    """Tell how many planes there are for each: by their distances, else by number."""
    before, after = recording.axes[axis], result.axes[axis]
    counted = result.leading_shape[axis] / recording.leading_shape[axis]
    if before.unit == after.unit:
        ratio = before.spacing / after.spacing
        if abs(ratio * recording.leading_shape[axis] - result.leading_shape[axis]) < 1:
            return ratio
    return counted


def _middle(side: int, most: int) -> slice:
    start = max(0, (side - most) // 2)
    return slice(start, min(side, start + most))

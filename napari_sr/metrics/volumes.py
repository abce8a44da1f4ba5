"""Figures of a volume that was made finer along z, beside its recording.

This module alone knows which voxels are measured, and that the recording is what the
result holds once it is binned again.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_sr.image.sampling import means_between
from napari_sr.metrics.along_z import LITTLE, detail_along_z
from napari_sr.metrics.axes import line_correlation
from napari_sr.metrics.resolution import resolution_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Volume = NDArray[np.float32]
    """`(z, y, x)` counts."""

BORDER = 2
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
    true_detail: float | None = None
    """The same of the reference."""
    psnr: float | None = None
    """With the reference, in dB."""
    true_resolution: tuple[float, float, float] | None = None
    """Up to which the reference agrees, along z, y and x in the unit of the voxels."""


def measure_volume(
    volume: Volume,
    low: Volume,
    truth: Volume | None,
    edges: NDArray[np.float64],
    factor: int,
    steps: Sequence[float],
) -> VolumeFigures:
    """Take the figures of the inner part.

    Parameters
    ----------
    volume
        `(z, factor·y, factor·x)` counts, the result.
    low
        `(n, y, x)` counts, the recording.
    truth
        What the result should be, in its shape, if that is known.
    edges
        `(n + 1,)`: where recorded planes begin and end, in planes of the result.
    factor
        In the plane.
    steps
        Size of a voxel of the result along z, y and x.
    """
    again = means_between(volume, edges, 0)
    for i in (1, 2):
        again = means_between(again, np.arange(0, volume.shape[i] + 1, factor) * 1.0, i)
    span = float(np.ptp(np.percentile(low, (0.1, 99.9)))) or 1.0
    difference = (again - low)[(slice(BORDER, -BORDER),) * 3]
    added: dict[str, Any] = {}
    if truth is not None:
        cut = int(np.ceil(BORDER * edges[-1] / len(low)))
        whole = (slice(cut, -cut), *(slice(BORDER * factor, -BORDER * factor),) * 2)
        added["true_detail"] = detail_along_z(truth, steps)
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


_TITLES = {
    "agreement": ("Agreement with the recording, dB", "{:.2f}"),
    "stripes": ("Largest change of the mean of a plane", "{:.2%}"),
    "psnr": ("PSNR with the reference, dB", "{:.2f}"),
    "detail": ("Fine detail along z, relative to the plane", "{:.1%}"),
    "true_detail": ("The same of the reference", "{:.1%}"),
}
_RESOLUTION = "Agrees with the reference along {} to, {}"
_MEANINGS = {
    "agreement": "How well the result, binned to the recorded voxels, reproduces the "
    "recording including its noise: low where noise was removed, so not a merit for "
    "noisy recordings. 45 dB are enough in any case.",
    "stripes": "Of the result, binned along z again, from that of the recorded plane, "
    "as a share of the intensity range. 0 is best, and with data consistency it is a "
    "few hundredths of a percent; 1 % is seen as stripes in XZ and YZ planes.",
    "psnr": "Mean squared difference from the reference, on a logarithmic scale; "
    "higher is better, and 3 dB more is half the squared difference.",
    "detail": "Variance of structures of 2 to 5 planes along z, over that of equally "
    "fine ones in the plane. For a specimen that is alike in all directions 100 % is "
    f"best, less is blur along z, and below {LITTLE:.0%} there is no detail; "
    "interpolation by 4 leaves 2 to 15 %. In a specimen of layers or fibres another "
    "value is right, that of the reference. It counts invented detail, too.",
    "true_resolution": "Period at which the correlation with the reference falls below "
    "1/7: the smaller, the finer. As fine along z as along x and y is best.",
}


def figure_rows(figures: Mapping[str, VolumeFigures], unit: str) -> list[list[str]]:
    """Give a row of text for each figure: its title, then a value of each way."""
    rows = [
        [title, *(form.format(getattr(own, name)) for own in figures.values())]
        for name, (title, form) in _TITLES.items()
        if _has(figures, name)
    ]
    found = [own.true_resolution for own in figures.values()]
    for i, axis in enumerate(_AXES):
        values = [f"{one[i]:.3g}" for one in found if one is not None]
        if len(values) == len(found):
            rows.append([_RESOLUTION.format(axis, unit), *values])
    return rows


def figure_meanings(figures: Mapping[str, VolumeFigures]) -> list[tuple[str, str]]:
    """Say of each figure of the table what it is, and which values are good."""
    titles = {name: title for name, (title, _) in _TITLES.items()}
    titles["true_resolution"] = _RESOLUTION.format("an axis", "in that unit")
    return [
        (titles[name], meaning)
        for name, meaning in _MEANINGS.items()
        if _has(figures, name)
    ]


def _has(figures: Mapping[str, VolumeFigures], name: str) -> bool:
    return all(getattr(own, name) is not None for own in figures.values())


def figures_as_csv(figures: Mapping[str, VolumeFigures]) -> str:
    """Write every figure in full as comma-separated values, a line for each way."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    scalars = ("agreement", "stripes", "detail", "true_detail", "psnr")
    writer.writerow(["way", *scalars, *(f"true_resolution_{a}" for a in _AXES)])
    for way, own in figures.items():
        resolution = own.true_resolution or (None,) * 3
        writer.writerow([way, *(getattr(own, name) for name in scalars), *resolution])
    return text.getvalue()


def _resolution(volume: NDArray, other: NDArray, axis: int, step: float) -> float:
    """Give the resolution along an axis; that of the highest frequency if all is."""
    frequencies, correlation = line_correlation(volume, other, axis)
    found = resolution_of(frequencies, correlation)
    return step * (float(1 / frequencies[-1]) if found is None else found)


def _decibels(difference: NDArray, span: float) -> float:
    error = float(np.mean(np.square(difference, dtype=np.float64)))
    return float(10 * np.log10(span**2 / max(error, 1e-9 * span**2)))

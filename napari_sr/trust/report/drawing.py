"""The pictures of a report: what was seen, maps, and curves over frequency.

This module alone knows colours and sizes. Nothing opens a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from napari_sr.metrics import bright_share
from napari_sr.metrics.resolution import THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from napari_sr.trust.assessment import Assessment, Curve, Map

COLORS = {
    "result": "#c2410c",
    "bicubic": "#6b7280",
    "recording": "#0369a1",
    "reference": "#15803d",
}
"""One colour for each image, in all curves; distinguished in grey by their dashes."""
_DASHES = {"result": "-", "bicubic": "--", "recording": ":", "reference": "-."}
CLOSE_UP = 96
"""Side of what is shown enlarged, in pixels of the result."""
_MOST = 640
"""Side of the largest picture, in pixels: larger planes are averaged down."""
_N_BINS = 80


def draw_pictures(assessment: Assessment) -> Figure:
    """Show every picture whole, and below it where there is most detail."""
    names = list(assessment.pictures)
    figure = Figure(figsize=(2.7 * len(names), 5.6), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False)
    rows, columns = busiest(assessment.pictures["result"])
    limits = np.percentile(assessment.pictures["result"], (0.5, 99.8))
    for (name, picture), whole, part in zip(
        assessment.pictures.items(), axes[0], axes[1], strict=True
    ):
        unit = assessment.factor if name == "recording" else 1
        inside = tuple(
            slice(place.start // unit, place.stop // unit) for place in (rows, columns)
        )
        for place, pixels in ((whole, smaller(picture)), (part, picture[inside])):
            show(place, pixels, "gray", *limits)
        whole.set_title(name)
    axes[1][0].set_ylabel("enlarged")
    return figure


def draw_map(quality_map: Map) -> Figure:
    """Show a map with its scale."""
    pixels = smaller(quality_map.pixels, keep_peaks=quality_map.kind != "picture")
    if quality_map.kind == "difference":
        most = (
            10.0
            if quality_map.unit == "deviations"
            else _typical_peak(quality_map.pixels)
        )
        low, high, colors = -most, most, "RdBu_r"
    elif quality_map.kind == "amount":
        low, high, colors = 0.0, _typical_peak(quality_map.pixels), "Oranges"
    else:
        low, high = np.percentile(quality_map.pixels, (0.5, 99.8)).tolist()
        colors = "gray"
    height, width = pixels.shape
    figure = Figure(figsize=(4.6, 3.8 * min(1.4, height / width)), layout="constrained")
    axes = figure.subplots()
    image = show(axes, pixels, colors, low, high)
    figure.colorbar(image, ax=axes, label=quality_map.unit, shrink=0.8, pad=0.02)
    return figure


def draw_spectra(assessment: Assessment) -> Figure:
    """Show the power of all pictures in one plot, with the recorded Nyquist."""
    figure, axes = _curves_of(assessment, assessment.spectra)
    axes.set(yscale="log", ylabel="power / counts²")
    _mark_nyquist(axes, assessment.factor)
    return figure


def draw_rings(assessment: Assessment) -> Figure:
    """Show the Fourier ring correlations in one plot, with the threshold."""
    figure, axes = _curves_of(assessment, assessment.rings)
    axes.axhline(THRESHOLD, color="0.5", linewidth=0.8)
    axes.text(0.002, THRESHOLD + 0.02, "1/7", color="0.4", fontsize=8)
    axes.set(ylim=(-0.2, 1.05), ylabel="ring correlation")
    _mark_nyquist(axes, assessment.factor)
    return figure


def draw_histograms(assessment: Assessment) -> Figure:
    """Show how often each number of counts is, before and after."""
    figure = Figure(figsize=(6.6, 2.8), layout="constrained")
    axes = figure.subplots()
    whole = np.concatenate([pixels.ravel() for pixels in assessment.pictures.values()])
    low, high = np.percentile(whole, (0.05, 99.95)).tolist()
    edges = np.linspace(low, high, _N_BINS)
    for name, picture in assessment.pictures.items():
        share = np.histogram(picture, edges)[0] / picture.size
        style: dict[str, Any] = {"color": COLORS[name], "linestyle": _DASHES[name]}
        axes.step(edges[:-1], share, where="post", label=name, **style)
        if name in ("recording", "result"):
            axes.axvline(bright_share(picture)[1], linewidth=0.8, **style)
    axes.set(yscale="log", xlabel="counts (vertical line: Otsu's threshold)")
    axes.set_ylabel("share of the pixels")
    return _tidy(figure, axes)


def _curves_of(
    assessment: Assessment, curves: Mapping[str, Curve]
) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.6, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        kind = name.split(",")[0].split()[0]
        # one picture may have two curves: by itself, and with the reference
        width = 1.6 if "with" not in name else 2.6
        axes.plot(
            *curve, label=name, color=COLORS[kind], linestyle=_DASHES[kind],
            linewidth=width,
        )  # fmt: skip
    size, unit = assessment.pixel
    axes.set(xlim=(0, 0.5), xlabel=f"cycles per pixel of the result ({size:g} {unit})")
    return _tidy(figure, axes), axes


def _tidy(figure: Figure, axes: Axes) -> Figure:
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _mark_nyquist(axes: Axes, factor: int) -> None:
    axes.axvline(0.5 / factor, color="0.5", linewidth=0.8, linestyle="--")
    axes.text(
        0.5 / factor, 1.01, "Nyquist of the recording: beyond, the model's prior",
        color="0.4", fontsize=8, va="bottom", transform=axes.get_xaxis_transform(),
    )  # fmt: skip


def show(
    axes: Axes, pixels: NDArray, colors: str, low: float, high: float
) -> AxesImage:
    """Show pixels as they are, without ticks."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes.imshow(
        pixels, cmap=colors, vmin=low, vmax=high, interpolation="nearest"
    )


def mark(axes: Axes, part: tuple[slice, slice], step: float = 1.0) -> None:
    """Frame what is enlarged elsewhere, on a picture reduced by a step."""
    rows, columns = part
    corner = (columns.start / step - 0.5, rows.start / step - 0.5)
    width, height = (columns.stop - columns.start, rows.stop - rows.start)
    axes.add_patch(
        Rectangle(corner, width / step, height / step, fill=False, color="#f59e0b")
    )


def errors_of(pictures: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Subtract the reference from each result; without a reference there are none."""
    truth = pictures.get("reference")
    if truth is None:
        return {}
    made = (name for name in pictures if name not in ("recording", "reference"))
    return {name: pictures[name] - truth for name in made}


def draw_errors(
    cells: Mapping[str, Axes], errors: Mapping[str, NDArray], title: str = "error"
) -> None:
    """Show errors on one scale, and the scale where the reference has none.

    Parameters
    ----------
    cells
        By name; those without an error stay empty.
    errors
        From `errors_of`.
    title
        Of each picture.
    """
    most = _typical_peak(np.concatenate([error.ravel() for error in errors.values()]))
    for name, axes in cells.items():
        if name not in errors:
            axes.set_axis_off()
            continue
        image = show(axes, errors[name], "RdBu_r", -most, most)
        axes.set_title(title)
    scale = cells["reference"].inset_axes((0.05, 0.5, 0.9, 0.08))
    scale.figure.colorbar(
        image, cax=scale, orientation="horizontal", label="result − reference / counts"
    )


def step_of(pixels: NDArray) -> int:
    """Tell how many pixels along each axis become one of a picture."""
    longest: int = max(pixels.shape)
    return -(-longest // _MOST)


def smaller(pixels: NDArray, keep_peaks: bool = False) -> NDArray:
    """Reduce a large picture; of a map the strongest pixel of each block stays."""
    step = step_of(pixels)
    if step == 1:
        return pixels
    height, width = (side // step * step for side in pixels.shape)
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step)
    if not keep_peaks:
        means: NDArray = blocks.mean((1, 3))
        return means
    highest, lowest = blocks.max((1, 3)), blocks.min((1, 3))
    peaks: NDArray = np.where(highest > -lowest, highest, lowest)
    return peaks


def _typical_peak(pixels: NDArray) -> float:
    """Give a scale that shows the strong parts of a map and outlives a single pixel."""
    return max(float(np.percentile(np.abs(pixels), 99.7)), 1e-6)


def busiest(picture: NDArray, most: int = CLOSE_UP) -> tuple[slice, slice]:
    """Find the part with most detail, at most so many pixels a side, on a grid of 8."""
    side = min(most, *picture.shape)
    edges = np.hypot(*np.gradient(picture.astype(np.float32)))
    busy = ndimage.uniform_filter(edges, side, mode="constant")
    centre = np.unravel_index(np.argmax(busy), busy.shape)
    starts = [
        int(np.clip(middle - side // 2, 0, length - side)) // 8 * 8
        for middle, length in zip(centre, picture.shape, strict=True)
    ]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)

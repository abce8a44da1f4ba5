"""The main job on examples whose truth is known: table, files and one picture.

One example is a real microscopy image that comes with scikit-image, recorded at half
its resolution; the others are the synthetic stacks of the sample data. This module
alone decides what the demonstration shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from scipy import ndimage
from skimage import data

from napari_sr.catalogue.lookup import load_model
from napari_sr.files import create_stack, open_stack
from napari_sr.image.stack import Axis
from napari_sr.instrument.degradation import record
from napari_sr.metrics import psnr, ssim
from napari_sr.phantoms import PHANTOM_NAMES, write_samples
from napari_sr.runs.one_file import upscale_file
from napari_sr.upscaling.flow import upscale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.models.upscaler import Upscaler

MODEL = "general-x2"
BORDER = 8
_PHOTONS = 400
_CROP = 96
_COLORS = {"filaments": "magma", "nuclei": "magma", "surface": "cividis"}
_ROW = "{:10} {:>17} {:>9} {:>9} {:>9} {:>9} {:>8}"
HEADING = (
    f"{MODEL}, compared with bicubic and the ground truth\n\n"
    + _ROW.format("", "", "PSNR/dB", "", "SSIM", "", "")
    + "\n"
    + _ROW.format("image", "size", *("bicubic", "napari-sr") * 2, "seconds")
)


@dataclass(frozen=True, slots=True)
class Example:
    """A recording on disk and the truth that it was made from."""

    name: str
    recorded: Path
    truth: NDArray
    """`(n, factor·y, factor·x)` counts."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One example done."""

    name: str
    path: Path
    seconds: float
    stages: tuple[NDArray, NDArray, NDArray, NDArray]
    """First plane of recording, bicubic, result and truth."""
    psnr: tuple[float, float]
    """Of bicubic and of the result, in dB; data range from the truth's percentiles."""
    ssim: tuple[float, float]


def run_demo(folder: Path, samples: Path | None = None) -> Iterator[str]:
    """Run the main job on all examples.

    Parameters
    ----------
    folder
        Where results and picture go; those of an earlier run are replaced.
    samples
        Folder with the sample data; generated below `folder` when not given.

    Yields
    ------
    str
        Lines to show: one for each example, then where everything is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if samples is None:
        samples = folder / "samples"
        write_samples(samples, overwrite=True)
    model, outcomes = load_model(MODEL), []
    for example in (_real_example(folder), *_samples(samples)):
        outcome = _run(example, model, folder)
        outcomes.append(outcome)
        yield _line(outcome)
    picture = draw(outcomes, folder / "demo.png")
    yield ""
    yield f"Results: {len(outcomes)} OME-TIFF files in {folder}, beside the recordings"
    yield f"Picture: {picture}"


def _real_example(folder: Path) -> Example:
    """Record scikit-image's cell in saline (quantitative phase) at half resolution."""
    # 8 bits of a camera, moved to the upper end of 16.
    cell: NDArray = data.cell()  # type: ignore[no-untyped-call]
    truth = cell[:656, :548].astype(np.uint16) * 200 + 1000
    signal = torch.from_numpy((truth.astype(np.float32) - 1000) / 51_000)
    low = record(
        signal[None, None],
        2,
        gain=1 / _PHOTONS,
        generator=torch.Generator().manual_seed(0),
    )
    counts = np.rint(low[0, 0].numpy() * 51_000 + 1000).clip(0, 65_535)
    path = folder / "cell_recorded.ome.tif"
    with create_stack(
        path,
        shape=counts.shape,
        dtype=np.dtype(np.uint16),
        axes=(Axis("y"), Axis("x")),
        provenance={"content": f"skimage.data.cell, binned, {_PHOTONS} photons"},
        overwrite=True,
    ) as writer:
        writer.write((), counts.astype(np.uint16))
    return Example("cell", path, truth[None])


def _samples(folder: Path) -> Iterator[Example]:
    for name in PHANTOM_NAMES:
        truth = _planes_of(folder / f"{name}_truth.ome.tif")
        yield Example(name, folder / f"{name}_recorded.ome.tif", truth)


def _run(example: Example, model: Upscaler, folder: Path) -> DemoResult:
    path = folder / f"{example.name}_{MODEL}.ome.tif"
    started = perf_counter()
    upscale_file(example.recorded, path, model, overwrite=True)
    seconds = perf_counter() - started
    result = _planes_of(path)
    bicubic = upscale(example.recorded, load_model("bicubic", factor=model.factor))
    bicubic = bicubic.reshape(result.shape)
    return DemoResult(
        name=example.name,
        path=path,
        seconds=seconds,
        stages=(
            _planes_of(example.recorded)[0],
            bicubic[0],
            result[0],
            example.truth[0],
        ),
        psnr=(_mean(psnr, bicubic, example.truth), _mean(psnr, result, example.truth)),
        ssim=(_mean(ssim, bicubic, example.truth), _mean(ssim, result, example.truth)),
    )


def _planes_of(path: Path) -> NDArray:
    """Read all planes of a small file, `(n, y, x)`."""
    with open_stack(path) as stack:
        return np.stack([stack.plane(index) for index in stack.indices()])


def _mean(metric: Callable[..., float], planes: NDArray, truth: NDArray) -> float:
    """Average a metric over planes, with one data range for the whole stack."""
    low, high = np.percentile(truth, (0.1, 99.9))
    scale = {"data_range": float(high - low), "border": BORDER}
    pairs = zip(planes, truth, strict=True)
    return float(np.mean([metric(plane, true, **scale) for plane, true in pairs]))


def _line(outcome: DemoResult) -> str:
    size = " × ".join(map(str, outcome.stages[2].shape))
    return _ROW.format(
        outcome.name,
        size,
        f"{outcome.psnr[0]:.2f}",
        f"{outcome.psnr[1]:.2f}",
        f"{outcome.ssim[0]:.3f}",
        f"{outcome.ssim[1]:.3f}",
        f"{outcome.seconds:.2f}",
    )


def draw(outcomes: Sequence[DemoResult], path: Path) -> Path:
    """Draw recording, bicubic, result and truth of each example side by side.

    Parameters
    ----------
    outcomes
        One row each; the most structured part of the first plane is shown.
    path
        Where the PNG goes.

    Returns
    -------
    Path
        The picture.
    """
    titles = ("recorded", "bicubic", "napari-sr", "truth")
    close = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0.01)
    figure = Figure(figsize=(8.6, 2.12 * len(outcomes) + 0.3), layout=close)
    axes = figure.subplots(len(outcomes), len(titles), squeeze=False)
    for row, outcome in zip(axes, outcomes, strict=True):
        crops = _crops(outcome)
        low, high = np.percentile(crops[-1], (0.2, 99.8))
        color = _COLORS.get(outcome.name, "gray")
        scores = ("", f"{outcome.psnr[0]:.1f} dB", f"{outcome.psnr[1]:.1f} dB", "")
        for axis, crop, score in zip(row, crops, scores, strict=True):
            axis.imshow(crop, cmap=color, vmin=low, vmax=high, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.text(
                *(0.97, 0.04, score),
                transform=axis.transAxes,
                ha="right",
                color="white",
                fontsize=9,
                path_effects=[withStroke(linewidth=2, foreground="black")],
            )
        row[0].set_ylabel(outcome.name, fontsize=11)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=11)
    figure.savefig(path, dpi=150)
    return path


def _crops(outcome: DemoResult) -> list[NDArray]:
    """Cut the same field out of all four stages, where the truth has most detail."""
    recorded, *fine = outcome.stages
    factor = fine[0].shape[0] // recorded.shape[0]
    side = _CROP // factor
    edges = np.hypot(*np.gradient(fine[-1].astype(np.float64)))
    busy = ndimage.uniform_filter(edges, _CROP, mode="constant")[::factor, ::factor]
    y, x = np.unravel_index(np.argmax(busy), busy.shape)
    top = int(np.clip(y - side // 2, 0, recorded.shape[0] - side))
    left = int(np.clip(x - side // 2, 0, recorded.shape[1] - side))
    low = recorded[top : top + side, left : left + side]
    rows = slice(top * factor, (top + side) * factor)
    columns = slice(left * factor, (left + side) * factor)
    return [low, *(plane[rows, columns] for plane in fine)]

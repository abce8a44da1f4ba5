"""Super-resolution along z on volumes of known truth, beside what is used today.

    python -m benchmarks.accuracy.along_z --data DIR --write
    python -m benchmarks.accuracy.along_z --data DIR --picture

Blocks of the test role are binned along z and recorded with photon noise, as planes are
in `evaluate`; each way makes them fine again. PSNR in dB within 20,000 counts, without
the outermost two recorded planes and four pixels.
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    rows_of,
)
from benchmarks.accuracy.sections import replace_section
from napari_sr.evaluation.protocol import noise_of
from napari_sr.files import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Way = Callable[[NDArray, int, int | None], NDArray]
    """Of a recording, a ratio and the photons of its noise."""

RESULTS = Path(__file__).parents[1] / "results" / "along_z.md"
PICTURE, PICTURED = Path(__file__).parents[2] / "docs/images/along_z.png", (None, 200)
DATASETS = ("qim3d_bone", "qim3d_cement", "qim3d_fly", "qim3d_nt", "edsr_rock")
EM = "fibsem_isotropic"
RATIOS, PHOTONS = (2, 3, 4), (None, 200, 50)
SIDE = 64
"""Of the blocks, in pixels, at most: a volume is hundreds of planes."""


def volumes(root: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Give the test volumes on the scale of all figures, the low halves left out."""
    for row in rows_of(root, "test"):
        if row.dataset in (*DATASETS, EM) and not row.file.endswith("_low.tif"):
            with open_stack(root / row.file) as stack:
                planes = [stack.plane(index) for index in stack.indices()]
            if len(planes) < 24:
                continue
            volume = np.stack(planes)[:SIDE, :SIDE, :SIDE].astype(np.float32)
            low, high = np.percentile(volume, (0.1, 99.9))
            yield row.file, (volume - low) / (high - low) * DATA_RANGE + BLACK


def recorded(volume: NDArray, ratio: int, photons: int | None) -> NDArray[np.uint16]:
    """Bin along z, add the noise of so many photons at white, round."""
    low = volume.reshape(-1, ratio, *volume.shape[1:]).mean(axis=1, dtype=np.float64)
    if photons is not None:
        gain = DATA_RANGE / photons
        light = np.maximum(low - BLACK, 0)
        low = np.random.default_rng(photons).poisson(light / gain) * gain + BLACK
    return np.clip(np.rint(low), 0, 65_535).astype(np.uint16)


def cubic(low: NDArray, ratio: int, photons: int | None) -> NDArray:
    """Interpolate by a spline along z: what viewers and resampling tools do."""
    return CubicSpline(np.arange(len(low)), low.astype(float))(_places(low, ratio))


def _places(low: NDArray, ratio: int) -> NDArray:
    return (np.arange(len(low) * ratio) + 0.5) / ratio - 0.5


def by_method(
    low: NDArray, ratio: int, photons: int | None, name: str, *, is_told: bool = False
) -> NDArray:
    """Restore XZ and YZ planes by a model or a method."""
    options = {"noise": noise_of(photons)} if is_told else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sr.upscaling.flow.PixelTypeWarning)
        model = sr.load_model(name) if "-x" in name else sr.load_model(name, factor=2)
        return sr.upscale(low, model, z=ratio, factor=1, **options)


WAYS: dict[str, Way] = {
    "cubic": cubic,
    "wiener": partial(by_method, name="wiener"),
    "general-x2, noise given": partial(by_method, name="general-x2", is_told=True),
    "general-x2, auto": partial(by_method, name="general-x2"),
}


def psnr(result: NDArray, truth: NDArray, ratio: int) -> float:
    """Take the figure of the inner part."""
    inner = (slice(2 * ratio, -2 * ratio), slice(4, -4), slice(4, -4))
    error = np.mean((result.astype(np.float64) - truth)[inner] ** 2)
    return float(10 * np.log10(DATA_RANGE**2 / error))


def table(root: Path, ways: Mapping[str, Way]) -> str:
    """Measure all; give the tables, one for each ratio."""
    parts = []
    held = [*volumes(root)]
    for ratio in RATIOS:
        header = f"| ×{ratio} along z | photons | {' | '.join(ways)} | mean kept to |"
        lines = [header, f"| --- | --- | {'--- | ' * len(ways)}--- |"]
        for file, volume in held:
            sides = (side - side % (ratio if i == 0 else 1) for i, side in
                     enumerate(volume.shape))  # fmt: skip
            truth = volume[tuple(slice(0, side) for side in sides)]
            for photons in PHOTONS:
                low = recorded(truth, ratio, photons)
                results = {name: way(low, ratio, photons) for name, way in ways.items()}
                figures = [psnr(results[way], truth, ratio) for way in ways]
                best = max(figures)
                shown = " | ".join(
                    f"**{f:.2f}**" if f == best else f"{f:.2f}" for f in figures
                )
                own = [results[way] for way in ways if "-x" in way]
                kept = max(abs(each.mean() / low.mean() - 1) for each in own)
                name = "/".join(Path(file).parts[-2:]).removesuffix(".tif")
                lines.append(f"| {name} | {photons or 'none'} | {shown} | {kept:.1e} |")
                print(lines[-1], flush=True)
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def draw(root: Path) -> None:
    """Draw one XZ plane: recorded, cubic, general-x2, truth; without noise and with."""
    from matplotlib.figure import Figure

    file, ratio = "xray/qim3d_bone/bone_test.tif", 4
    truth = next(volume for name, volume in volumes(root) if name == file)
    truth = truth[: len(truth) // ratio * ratio]
    middle = truth.shape[1] // 2
    figure = Figure(figsize=(10, 1.8 * len(PICTURED)), layout="constrained")
    panes = figure.subplots(len(PICTURED), 4, squeeze=False)
    for row, photons in zip(panes, PICTURED, strict=True):
        low = recorded(truth, ratio, photons)
        shown = {
            f"recorded, z step of {ratio} px": low.repeat(ratio, axis=0),
            "cubic": cubic(low, ratio, photons),
            "general-x2": WAYS["general-x2, auto"](low, ratio, photons),
            "truth": truth,
        }
        for axes, (name, volume) in zip(row, shown.items(), strict=True):
            axes.imshow(
                volume[:, middle], cmap="gray", vmin=BLACK, vmax=BLACK + DATA_RANGE
            )
            figured = name not in ("truth", next(iter(shown)))
            below = f"\n{psnr(volume, truth, ratio):.1f} dB" if figured else "\n"
            axes.set_title(name + below, fontsize=10)
            axes.set_axis_off()
        noise = f"{photons} photons at white" if photons else "no noise"
        row[0].text(-0.06, 0.5, noise, rotation=90, va="center", ha="right",
                    transform=row[0].transAxes, fontsize=10)  # fmt: skip
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)
    print(PICTURE)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS}")
    parser.add_argument("--picture", action="store_true", help=f"draw {PICTURE}")
    add_data_argument(parser)
    arguments = parser.parse_args()
    if arguments.picture:
        draw(arguments.data)
        return
    text = table(arguments.data, {name: WAYS[name] for name in arguments.ways})
    if arguments.write:
        replace_section(RESULTS, "Test volumes", text)


if __name__ == "__main__":
    main()

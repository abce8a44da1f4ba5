"""A model that learns from the planes of a volume, beside that of the plane, along z.

    python -m benchmarks.studies.for_z --data DIR --write

Isotropic volumes are binned along z, so that the truth is known; `finetune` learns from
the binned volume alone (`for_z`), and both models make it finer again. Without noise.
"""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING

from scipy.ndimage import gaussian_filter1d

import napari_sr as sr
from benchmarks.accuracy.along_z import RESULTS, by_method, psnr, recorded, volumes
from benchmarks.accuracy.real_images import add_data_argument
from benchmarks.accuracy.sections import replace_section
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack
from napari_sr.settings import ForZ
from napari_sr.training.presets import for_z_of
from napari_sr.upscaling.flow import PixelTypeWarning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "general-x2"
TRIED = (
    ("xray/edsr_rock/26_high.tif", 2, 0.0),
    ("xray/edsr_rock/26_high.tif", 2, 2.0),
    ("em/fibsem_isotropic/test.tif", 2, 0.0),
    ("em/fibsem_isotropic/test.tif", 2, 2.0),
)
"""Volume, ratio, and blur along z before binning, in pixels."""


def rows(root: Path, iterations: int) -> Iterator[str]:
    """Measure each; give a row of the table."""
    held = dict(volumes(root))
    for file, ratio, blur in TRIED:
        volume = held[file][: len(held[file]) // ratio * ratio]
        low = recorded(
            gaussian_filter1d(volume, blur, axis=0) if blur else volume, ratio, None
        )
        axes = (Axis("z", ratio, "um"), Axis("y", 1, "um"), Axis("x", 1, "um"))
        found = for_z_of(Stack.from_array(low, axes=axes), blur="auto")
        model = sr.finetune(
            low,
            MODEL,
            settings=sr.settings_for(
                MODEL,
                iterations=iterations,
                for_z=ForZ(ratio=ratio, blur=found.blur),
                validate_every=50,
                device="cpu",
            ),
        )
        ways = {
            "wiener": by_method(low, ratio, None, "wiener"),
            "plane's": by_method(low, ratio, None, MODEL),
            "own": sr.upscale(low, model, z=ratio, factor=1),
        }
        figures = " | ".join(f"{psnr(r, volume, ratio):.2f}" for r in ways.values())
        name = "/".join(file.split("/")[-2:]).removesuffix(".tif")
        yield (
            f"| {name} | ×{ratio} | {blur:g} | {found.blur:g} | {figures} | "
            f"{model.card.verdict} |"
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS}")
    add_data_argument(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", PixelTypeWarning)
    warnings.simplefilter("ignore", sr.BlurAlongZWarning)
    head = ["volume", "along z", "blur, px", "found", "wiener", MODEL, "its own"]
    lines = [f"| {' | '.join(head)} | verdict |", "| --- " * 8 + "|"]
    for row in rows(arguments.data, arguments.iterations):
        lines.append(row)
        print(row, flush=True)
    if arguments.write:
        title = f"Learned from the volume itself, {arguments.iterations} steps"
        replace_section(RESULTS, title, "\n".join(lines))


if __name__ == "__main__":
    main()

"""The general models beside BM3D, the strongest classical denoiser.

    pip install bm3d  # non-commercial use only
    python -m benchmarks.accuracy.bm3d --data DIR --models general-x2 general-x4 --write

The middle of the first image of each test dataset, recorded at 200 and 50 photons;
noise given to both. BM3D denoises the recording (photon noise is given the same size
everywhere first), and Lanczos makes it finer. `--write` puts the table into
`benchmarks/results/bm3d.md`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy.evaluate import shipped, specimens
from benchmarks.accuracy.real_images import add_data_argument
from benchmarks.accuracy.sections import replace_section
from napari_sr.evaluation.baselines import BM3D, baselines
from napari_sr.evaluation.protocol import evaluate_specimen, way_at
from napari_sr.metrics.quality import BASELINE, as_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sr.evaluation.protocol import SharpPlane
    from napari_sr.models.sr_model import SRModel

PHOTONS = (200.0, 50.0)
LARGEST = 512
"""Side of what is cut from the middle of an image, in pixels: BM3D is slow."""
RESULTS = Path("benchmarks/results/bm3d.md")


def first_images(root: Path) -> Iterator[SharpPlane]:
    """Cut the middle from the first image of each test dataset."""
    seen = set()
    for _, specimen in specimens(root, "general", "test"):
        if specimen.dataset not in seen:
            seen.add(specimen.dataset)
            height, width = specimen.sharp.shape
            rows, columns = (
                slice(start := (side - min(side, LARGEST)) // 8 * 4, start + LARGEST)
                for side in (height, width)
            )
            yield replace(specimen, sharp=specimen.sharp[rows, columns])


def measure(model: SRModel, root: Path) -> list[list[str]]:
    """Give a row for each dataset: both gains over bicubic at each level, in dB."""
    known = baselines(model.factor)
    methods = {BASELINE: known[BASELINE], BM3D: known[BM3D]}
    methods["model"] = way_at(model.at_dial(0.0), is_told=True)
    rows, gains = [], []
    for specimen in first_images(root):
        found = {
            (one.photons, one.method): one.quality.psnr
            for one in evaluate_specimen(specimen, methods, model.factor, PHOTONS)
        }
        gain = [
            found[photons, method] - found[photons, BASELINE]
            for photons in PHOTONS
            for method in ("model", BM3D)
        ]
        gains.append(gain)
        rows.append([specimen.dataset, *(f"{value:+.2f}" for value in gain)])
        print(*rows[-1], flush=True)
    mean = np.mean(gains, axis=0)
    return [*rows, ["**mean**", *(f"{value:+.2f}" for value in mean)]]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["general-x2", "general-x4"])
    parser.add_argument("--write", action="store_true")
    add_data_argument(parser)
    arguments = parser.parse_args()
    for model in shipped(arguments.models):
        header = ["dataset"]
        for photons in PHOTONS:
            header += [f"{model.name}, {photons:g} photons", f"{BM3D}, {photons:g}"]
        table = as_markdown(header, measure(model, arguments.data))
        print(table, flush=True)
        if arguments.write:
            replace_section(RESULTS, model.name, table)


if __name__ == "__main__":
    main()

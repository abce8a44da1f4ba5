"""Fine-tune a shipped model on ten images of another modality; measure on others.

    python -m benchmarks.studies.finetune_modalities --data DIR [--minutes 9]

Ten images of the train role go in, evenly spread; figures are taken on the test role,
beside bicubic and the base, with the noise level given.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    add_data_argument,
    recorded,
    rows_of,
    sharp_planes,
)
from napari_sr.evaluation.protocol import BORDER, DATA_RANGE, noise_of
from napari_sr.metrics import psnr

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sr.models.upscaler import Upscaler

PHOTONS = (None, 200)

SCALE = {"data_range": DATA_RANGE, "border": BORDER}


def ten_images(root: Path, modality: str) -> list[Path]:
    """Choose ten training images, alike from each dataset."""
    by_dataset: dict[str, list[Path]] = defaultdict(list)
    for row in rows_of(root, "train", modality):
        if row.usable_as_target:
            by_dataset[row.dataset].append(root / row.file)
    chosen: list[Path] = []
    for number, files in enumerate(sorted(by_dataset.values(), key=len)):
        n = min(len(files), (10 - len(chosen)) // (len(by_dataset) - number))
        chosen += [
            files[i] for i in np.linspace(0, len(files) - 1, n).round().astype(int)
        ]
    return chosen


def gains(root: Path, modality: str, models: dict[str, Upscaler]) -> list[str]:
    """Measure PSNR by dataset: one Markdown row for each dataset and level of noise."""
    bicubic = sr.load_model("bicubic", factor=2)
    found: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for row in rows_of(root, "test", modality):
        for sharp in sharp_planes(root, row):
            for photons in PHOTONS:
                low = recorded(sharp, 2, photons)
                values = [
                    psnr(sr.upscale(low, bicubic, dtype="float32"), sharp, **SCALE)
                ]
                for model in models.values():
                    high = sr.upscale(
                        low, model, noise=noise_of(photons), dtype="float32"
                    )
                    values.append(psnr(high, sharp, **SCALE))
                label = f"{photons} photons" if photons else "clean"
                found[row.dataset, label].append(values)
    rows = []
    for (dataset, label), values in sorted(found.items()):
        first, *others = np.mean(values, axis=0)
        cells = " | ".join(f"{other - first:+.2f}" for other in others)
        rows.append(
            f"| {modality} | {dataset} | {len(values)} | {label} | {first:.2f} "
            f"| {cells} |"
        )
    return rows


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--base", default="general-x2")
    parser.add_argument("--modality", nargs="+", default=["em", "xray"])
    add_data_argument(parser)
    arguments = parser.parse_args()
    table = []
    for modality in arguments.modality:
        images = ten_images(arguments.data, modality)
        print(f"{modality}: {len(images)} images", flush=True)
        tuned = sr.finetune(
            images,
            arguments.base,
            minutes=None if arguments.iterations else arguments.minutes,
            iterations=arguments.iterations,
        )
        print(tuned.card.verdict, flush=True)
        base = sr.load_model(arguments.base).at_dial(0.0)
        models = {"base": base, "fine-tuned": tuned}
        table += gains(arguments.data, modality, models)
    print("| modality | dataset | images | recorded | bicubic | base | fine-tuned |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(table))


if __name__ == "__main__":
    main()

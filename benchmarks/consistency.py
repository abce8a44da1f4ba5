"""What agreement with the recording gains or costs: exact, auto and off.

    python -m benchmarks.consistency --data DIR [--models fluorescence-x2 …]

PSNR on the test role of each model's domain, relative to `consistency="off"`, noise
given: the mean over datasets, the worst and the best dataset. Without noise also the
PSNR of the exact result, recorded again, against the recording.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import napari_sr as sr
from benchmarks.evaluate import shipped, specimens
from benchmarks.real_images import add_data_argument
from napari_sr.evaluation import BORDER, DATA_RANGE, noise_of, recorded
from napari_sr.metrics import psnr
from napari_sr.quality import as_markdown
from napari_sr.sampling import binned

if TYPE_CHECKING:
    from napari_sr.model import SRModel

PHOTONS = (None, 1000.0, 200.0, 50.0)
N_PER_DATASET = 2
RESULTS = Path("benchmarks/results/consistency.md")

Gains = dict[tuple[str, str, str], dict[str, list[float]]]


def measure(model: SRModel, root: Path) -> tuple[Gains, float]:
    """Measure gains over `off` by dataset, and the lowest agreement of `exact`."""
    gains: Gains = defaultdict(lambda: defaultdict(list))
    seen: dict[str, int] = defaultdict(int)
    lowest = float("inf")
    for _, specimen in specimens(root, model.domain, "test"):
        seen[specimen.dataset] += 1
        if seen[specimen.dataset] > N_PER_DATASET:
            continue
        sharp = specimen.sharp[:512, :512]
        for photons in PHOTONS:
            low = recorded(sharp, model.factor, photons, heights=specimen.heights)
            noise = noise_of(photons, heights=specimen.heights)
            for dial in dials_of(model):
                results = {
                    how: sr.upscale(
                        low, model, noise=noise, dial=dial, consistency=how,
                        dtype="float32",
                    )
                    for how in ("off", "auto", "exact")
                }  # fmt: skip
                scores = {
                    how: psnr(high, sharp, data_range=DATA_RANGE, border=BORDER)
                    for how, high in results.items()
                }
                for how in ("auto", "exact"):
                    label = "clean" if photons is None else f"{photons:g} photons"
                    gain = scores[how] - scores["off"]
                    gains[label, f"{dial:g}", how][specimen.dataset].append(gain)
                if photons is None:
                    again = binned(results["exact"], model.factor)
                    lowest = min(lowest, psnr(again, low, data_range=DATA_RANGE))
    return gains, lowest


def dials_of(model: SRModel) -> list[float]:
    """List the ends of the dial and what the card recommends."""
    if "textured" not in model.weights:
        return [0.0]
    return sorted({0.0, model.card.recommended_dial, 1.0})


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    add_data_argument(parser)
    arguments = parser.parse_args()
    rows = []
    for model in shipped(arguments.models):
        gains, lowest = measure(model, arguments.data)
        print(f"{model.name}: exact agrees to {lowest:.1f} dB at least", flush=True)
        for (label, dial, how), by_dataset in gains.items():
            means = [float(np.mean(values)) for values in by_dataset.values()]
            figures = (np.mean(means), min(means), max(means))
            rows.append([model.name, label, dial, how, *(f"{x:+.3f}" for x in figures)])
    head = ["model", "recorded", "dial", "consistency", "mean/dB", "worst", "best"]
    table = as_markdown(head, rows)
    print(table)
    RESULTS.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What agreement with the recording gains or costs: exact, auto and off.

    python -m benchmarks.accuracy.consistency --data DIR [--models general-x2 …]

PSNR on the test role of each model's domain, relative to `consistency="off"`, noise
given: the mean over datasets, the worst dataset and its name, the best. Without noise
also the PSNR of the exact result, recorded again, against the recording. Up to two
images of each dataset, their first 384 pixels a side. The parts of
`benchmarks/results/trust/consistency.md` about these models are replaced.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import napari_sr as sr
from benchmarks.accuracy.evaluate import shipped, specimens
from benchmarks.accuracy.real_images import add_data_argument
from benchmarks.accuracy.sections import replace_section
from napari_sr.evaluation.protocol import BORDER, DATA_RANGE, noise_of, recorded
from napari_sr.image.sampling import binned
from napari_sr.metrics import psnr
from napari_sr.metrics.quality import as_markdown
from napari_sr.models.sr_model import SRModel

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sr.evaluation.protocol import SharpPlane

PHOTONS = (None, 1000.0, 200.0, 50.0)
N_PER_DATASET, LARGEST = 2, 384
WAYS = ("off", "exact", "auto")
RESULTS = Path("benchmarks/results/trust/consistency.md")

Gains = dict[tuple[str, str, str], dict[str, list[float]]]


class Remembering(SRModel):
    """A model that computes a batch once: the ways to agree share the network."""

    _last: tuple[Tensor, Tensor] | None = None

    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch, or give what came of it a moment ago."""
        if self._last is None or not self._last[0].equal(batch):
            self._last = (batch.clone(), super().__call__(batch))
        return self._last[1]


def measure(model: SRModel, root: Path) -> tuple[Gains, float]:
    """Measure gains over `off` by dataset, and the lowest agreement of `exact`."""
    gains: Gains = defaultdict(lambda: defaultdict(list))
    seen: dict[str, int] = defaultdict(int)
    lowest = float("inf")
    ends = {
        f"{dial:g}": Remembering(model.card, model.weights, dial=dial)
        for dial in dials_of(model)
    }
    for _, specimen in specimens(root, model.domain, "test"):
        seen[specimen.dataset] += 1
        if seen[specimen.dataset] > N_PER_DATASET:
            continue
        for photons in PHOTONS:
            label = "clean" if photons is None else f"{photons:g} photons"
            for dial, one in ends.items():
                scores, agreement = scores_of(specimen, one, photons)
                for how in WAYS[1:]:
                    gain = scores[how] - scores["off"]
                    gains[label, dial, how][specimen.dataset].append(gain)
                if photons is None:
                    lowest = min(lowest, agreement)
    return gains, lowest


def scores_of(
    specimen: SharpPlane, model: SRModel, photons: float | None
) -> tuple[dict[str, float], float]:
    """Give PSNR for each way to agree, and how well the exact result agrees, in dB."""
    sharp = specimen.sharp[:LARGEST, :LARGEST]
    low = recorded(sharp, model.factor, photons, heights=specimen.heights)
    noise = noise_of(photons, heights=specimen.heights)
    results = {
        how: sr.upscale(low, model, noise=noise, consistency=how, dtype="float32")
        for how in WAYS
    }
    again = binned(results["exact"], model.factor)
    scores = {
        how: psnr(high, sharp, data_range=DATA_RANGE, border=BORDER)
        for how, high in results.items()
    }
    return scores, psnr(again, low, data_range=DATA_RANGE)


def dials_of(model: SRModel) -> list[float]:
    """List the ends of the dial and what the card recommends."""
    if "textured" not in model.weights:
        return [0.0]
    return sorted({0.0, model.card.recommended_dial, 1.0})


def table(gains: Gains) -> str:
    """Write gains as a table: mean over datasets, worst, best."""
    rows = []
    for (label, dial, how), by_dataset in gains.items():
        means = {name: float(np.mean(values)) for name, values in by_dataset.items()}
        worst = min(means, key=lambda name: means[name])
        rows.append([
            label, dial, how, f"{np.mean([*means.values()]):+.3f}",
            f"{means[worst]:+.3f} ({worst})", f"{max(means.values()):+.3f}",
        ])  # fmt: skip
    head = ["recorded", "dial", "consistency", "mean/dB", "worst dataset", "best"]
    return as_markdown(head, rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    add_data_argument(parser)
    arguments = parser.parse_args()
    for model in shipped(arguments.models):
        gains, lowest = measure(model, arguments.data)
        text = (
            "Without noise, the exact result agrees with the recording to "
            f"{lowest:.1f} dB at least.\n\n{table(gains)}"
        )
        print(f"## {model.name}\n\n{text}", flush=True)
        replace_section(RESULTS, model.name, text)


if __name__ == "__main__":
    main()

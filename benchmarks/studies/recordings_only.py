"""Fine-tuning on recordings alone: what it brings, and whether its verdict is right.

    python -m benchmarks.studies.recordings_only --data DIR [--iterations 300] [--write]

Test images are recorded at a coarser scale, so that the truth of the recordings is
known; the fine-tuning sees the recordings only. Four kinds of recordings: with photon
noise as the base was trained for (200 and 50 photons at white), blurred by σ = 1.5 px
of the result (told), and with noise that is correlated (σ = 0.7 recorded pixels). Both
models estimate the noise, as in use.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    rows_of,
    sharp_planes,
)
from napari_sr.instrument.correlation import draw_correlation
from napari_sr.instrument.degradation import record
from napari_sr.instrument.ranges import Correlation
from napari_sr.metrics import psnr
from napari_sr.training.calibration import calibrated_model
from napari_sr.training.session import Training

if TYPE_CHECKING:
    from napari_sr.models.sr_model import SRModel

BASE, FACTOR = "general-x2", 2
N_IMAGES, SIDE = 6, 512
RESULTS = Path(__file__).parents[1] / "results" / "recordings_only.md"


@dataclass(frozen=True, slots=True)
class Kind:
    """What recordings are like."""

    name: str
    photons: float
    psf_sigma: float = 0.0
    correlation: float = 0.0


KINDS = (
    Kind("200 photons", 200),
    Kind("50 photons", 50),
    Kind("blurred by 1.5 px, 200 photons", 200, psf_sigma=1.5),
    Kind("noise correlated by 0.7 px, 200 photons", 200, correlation=0.7),
)
Known = tuple[list[np.ndarray], list[np.ndarray]]


def recordings_of(root: Path, dataset: str, kind: Kind) -> Known:
    """Record the test images of a dataset; give sharp planes and recordings, counts."""
    rows = [row for row in rows_of(root, "test") if row.dataset == dataset]
    planes = [plane for row in rows for plane in sharp_planes(root, row)]
    random = torch.Generator().manual_seed(0)
    known: Known = ([], [])
    for number in np.unique(np.linspace(0, len(planes) - 1, N_IMAGES).round()):
        plane = planes[int(number)][:SIDE, :SIDE]
        sharp = torch.from_numpy((plane - BLACK) / DATA_RANGE)[None, None].float()
        drawn = None
        if kind.correlation:
            same = (kind.correlation, kind.correlation)
            drawn = draw_correlation(Correlation(share=1, sigma=same), 1, random)
        low = record(
            sharp,
            FACTOR,
            psf_sigma=kind.psf_sigma,
            gain=1 / kind.photons,
            correlation=drawn,
            generator=random,
        )
        known[0].append(plane)
        known[1].append((low[0, 0] * DATA_RANGE + BLACK).numpy())
    return known


def decibels(model: SRModel, known: Known) -> float:
    """Measure a model at its faithful end on recordings of which the truth is known."""
    model = model.at_dial(0.0)
    return float(
        np.mean(
            [
                psnr(
                    sr.upscale(low, model, dtype="float32"),
                    sharp,
                    data_range=DATA_RANGE,
                    border=8,
                )
                for sharp, low in zip(*known, strict=True)
            ]
        )
    )


def row_of(root: Path, dataset: str, kind: Kind, iterations: int) -> str:
    """Fine-tune on the recordings of a dataset alone; write a line of the table."""
    known = recordings_of(root, dataset, kind)
    settings = sr.settings_for(
        BASE, iterations=iterations, psf_sigma=kind.psf_sigma or None
    )
    training = Training(known[1], settings, base=BASE, recordings_only=True)
    for _ in training:
        pass
    tuned, base = calibrated_model(training), training.base
    assert base is not None
    before, after = decibels(base, known), decibels(tuned, known)
    written = "yes" if tuned.card.is_better else "no"
    return (
        f"| {dataset} | {len(known[1])} | {kind.name} | {before:.2f} | "
        f"{after - before:+.2f} | {written} | {tuned.card.verdict} |"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_argument(parser)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--datasets", nargs="+", required=True)
    parser.add_argument("--kinds", nargs="+", type=int, default=range(len(KINDS)))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    lines = [
        "| dataset | images | recordings | base, dB | gain | written | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for dataset in arguments.datasets:
        for number in arguments.kinds:
            lines.append(
                row_of(arguments.data, dataset, KINDS[number], arguments.iterations)
            )
            print(lines[-1], flush=True)
    if arguments.write:
        RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""Fine-tuning on recordings alone: what it brings, and whether its verdict is right.

    python -m benchmarks.studies.recordings_only --data DIR --write
    python -m benchmarks.studies.recordings_only --data DIR --picture

Test images are recorded at a coarser scale, so that the truth of the recordings is
known; the fine-tuning sees the recordings only. Five kinds of recordings: with photon
noise as the base was trained for (200 and 50 photons at white), blurred by σ = 1.5 px
of the result (told), with noise that is correlated (σ = 0.7 recorded pixels), and by a
camera with a gain of its own for each column (3 % standard deviation). Both models
estimate the noise, as in use.
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
from benchmarks.accuracy.sections import replace_section
from napari_sr.instrument.correlation import draw_correlation
from napari_sr.instrument.degradation import record
from napari_sr.instrument.ranges import Correlation
from napari_sr.metrics import psnr
from napari_sr.training.calibration import calibrated_model
from napari_sr.training.session import Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sr.models.sr_model import SRModel

BASE, FACTOR = "general-x2", 2
N_IMAGES, SIDE = 6, 512
RESULTS = Path(__file__).parents[1] / "results" / "recordings_only.md"
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "recordings_only.png"


@dataclass(frozen=True, slots=True)
class Kind:
    """What recordings are like."""

    name: str
    photons: float
    psf_sigma: float = 0.0
    correlation: float = 0.0
    columns: float = 0.0
    """Standard deviation of the gain between columns."""


KINDS = (
    Kind("200 photons", 200),
    Kind("50 photons", 50),
    Kind("blurred by 1.5 px, 200 photons", 200, psf_sigma=1.5),
    Kind("noise correlated by 0.7 px, 200 photons", 200, correlation=0.7),
    Kind("gain per column, 200 photons", 200, columns=0.03),
)
DATASETS = (
    "qim3d_bone",
    "qim3d_cement",
    "qim3d_fly",
    "edsr_rock",
    "cbis_ddsm",
    "biosr_sim_microtubules",
    "biosr_sim_er",
    "bbbc039_u2os_hoechst",
    "fibsem_medulla_validation",
    "neubias_em",
)
"""The rules of the verdict were chosen on bone, cement, microtubules, nuclei (bbbc039)
and FIB-SEM; the other five were measured afterwards."""
CHOSEN_ON = {
    "qim3d_bone", "qim3d_cement", "biosr_sim_microtubules", "bbbc039_u2os_hoechst",
    "fibsem_medulla_validation",
}  # fmt: skip
Known = tuple[list[np.ndarray], list[np.ndarray]]


def recordings_of(root: Path, dataset: str, kind: Kind) -> Known:
    """Record the test images of a dataset; give sharp planes and recordings, counts."""
    rows = [
        row
        for row in rows_of(root, "test")
        if row.dataset == dataset and not row.file.endswith("_low.tif")
    ]
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
        seen = low[0, 0].numpy()
        if kind.columns:
            gains = np.random.default_rng(1).normal(1, kind.columns, seen.shape[1])
            seen = seen * gains.astype(np.float32)
        known[0].append(plane)
        known[1].append(seen * DATA_RANGE + BLACK)
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


@dataclass(frozen=True, slots=True)
class Row:
    """What a fine-tuning brought on one dataset and kind of recordings."""

    dataset: str
    kind: str
    n_images: int
    base: float
    gain: float
    is_written: bool
    verdict: str

    def __str__(self) -> str:
        """Write a line of the table."""
        return (
            f"| {self.dataset} | {self.n_images} | {self.kind} | {self.base:.2f} | "
            f"{self.gain:+.2f} | {'yes' if self.is_written else 'no'} | "
            f"{self.verdict} |"
        )


def tuned(known: Known, kind: Kind, iterations: int) -> tuple[SRModel, SRModel]:
    """Fine-tune on recordings alone; give the base and what became of it."""
    settings = sr.settings_for(
        BASE, iterations=iterations, psf_sigma=kind.psf_sigma or None
    )
    training = Training(known[1], settings, base=BASE, recordings_only=True)
    for _ in training:
        pass
    assert training.base is not None
    return training.base, calibrated_model(training)


def row_of(root: Path, dataset: str, kind: Kind, iterations: int) -> Row:
    """Fine-tune on the recordings of a dataset alone, and measure."""
    known = recordings_of(root, dataset, kind)
    base, model = tuned(known, kind, iterations)
    before, after = decibels(base, known), decibels(model, known)
    return Row(
        dataset,
        kind.name,
        len(known[1]),
        before,
        after - before,
        bool(model.card.is_better),
        model.card.verdict,
    )


def summary(rows: Sequence[Row]) -> str:
    """Compare the verdict without a truth with the truth, by kind of recordings."""
    lines = [
        "| recordings | datasets | mean gain, dB | at least +0.2 dB | written | least "
        "gain of those written | written and below −0.05 dB | not written and above "
        "+0.2 dB |",
        "| --- " * 8 + "|",
    ]
    groups = {
        kind.name: [row for row in rows if row.kind == kind.name] for kind in KINDS
    }
    groups["all, on the five datasets that were measured last"] = [
        row for row in rows if row.dataset not in CHOSEN_ON
    ]
    for name, own in groups.items():
        written = [row.gain for row in own if row.is_written]
        missed = [row for row in own if not row.is_written and row.gain > 0.2]
        if own:
            lines.append(
                f"| {name} | {len({row.dataset for row in own})} | "
                f"{np.mean([row.gain for row in own]):+.2f} | "
                f"{sum(row.gain >= 0.2 for row in own)} | {len(written)} | "
                f"{f'{min(written):+.2f}' if written else ''} | "
                f"{sum(gain < -0.05 for gain in written)} | {len(missed)} |"
            )
    return "\n".join(lines)


def draw(root: Path, iterations: int) -> None:
    """Draw a case that it helps, and one that it does not, beside the truth."""
    from matplotlib.figure import Figure

    cases = (("qim3d_bone", KINDS[2]), ("qim3d_cement", KINDS[0]))
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    for line, (dataset, kind) in zip(figure.subplots(2, 4), cases, strict=True):
        known = recordings_of(root, dataset, kind)
        base, model = tuned(known, kind, iterations)
        sharp, low = known[0][0], known[1][0]
        made = [sr.upscale(low, each, dtype="float32") for each in (base, model)]
        figures = [psnr(m, sharp, data_range=DATA_RANGE, border=8) for m in made]
        middle = slice(sharp.shape[0] // 2 - 64, sharp.shape[0] // 2 + 64)
        coarse = slice(middle.start // 2, middle.stop // 2)
        low_end, high_end = np.percentile(sharp, (0.5, 99.5))
        titles = (
            f"{dataset}, {kind.name}",
            f"{BASE}, {figures[0]:.2f} dB",
            f"after recordings alone, {figures[1]:.2f} dB",
            "truth",
        )
        pictures = (low[coarse, coarse], *(m[middle, middle] for m in (*made, sharp)))
        for axes, title, picture in zip(line, titles, pictures, strict=True):
            axes.imshow(picture, cmap="gray", vmin=low_end, vmax=high_end)
            axes.set_title(title, fontsize=8)
            axes.set_axis_off()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_argument(parser)
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--kinds", nargs="+", type=int, default=range(len(KINDS)))
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS}")
    parser.add_argument("--picture", action="store_true", help=f"only {PICTURE}")
    arguments = parser.parse_args()
    if arguments.picture:
        draw(arguments.data, arguments.iterations)
        return
    head = "| dataset | planes | recordings | base, dB | gain, dB | written | verdict |"
    rows = []
    for number in arguments.kinds:
        for dataset in arguments.datasets:
            rows.append(
                row_of(arguments.data, dataset, KINDS[number], arguments.iterations)
            )
            print(rows[-1], flush=True)
    tables = "\n".join([summary(rows), "", head, "| --- " * 7 + "|", *map(str, rows)])
    print(summary(rows))
    if arguments.write:
        replace_section(RESULTS, "figures", tables)


if __name__ == "__main__":
    main()

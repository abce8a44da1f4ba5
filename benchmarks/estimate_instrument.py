"""Measure how well the instrument of known recordings is found again.

    python -m benchmarks.estimate_instrument --data DIR [--role calibrate] [--black]

Test images are recorded with known settings (blur, photons at white, read noise); the
sharp images are the training images of the same dataset, which are other images, and
never the same field. For each setting: blur and photons found, their intervals, and
whether the images are said to determine them; then, for each dataset, how many of the
figures are determined, how many of those are within the bounds of 15 % and 20 %, and
how many of all intervals hold the truth. Without `--black` the counts without light are
not given. Of heights, read noise takes the place of photons.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.real_images import (
    BLACK,
    DATA_RANGE,
    WHITE,
    add_data_argument,
    rows_of,
    sharp_planes,
)
from napari_sr.image.intensity import IntensityRange
from napari_sr.instrument.degradation import record
from napari_sr.instrument.estimation import InstrumentEstimator

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.instrument.estimation import Estimated

SETTINGS = (
    (0.6, 50, 0.0),
    (0.6, 500, 0.01),
    (0.8, 200, 0.0),
    (0.8, 1000, 0.02),
    (1.0, 100, 0.02),
    (1.0, 2000, 0.0),
    (1.2, 50, 0.0),
    (1.3, 500, 0.01),
    (1.6, 200, 0.02),
    (1.6, 1000, 0.0),
    (2.0, 100, 0.0),
    (2.0, 2000, 0.01),
)
"""σ of the blur in sharp pixels, photons at white, read noise over the data range."""
SIGMA_BOUND, PHOTON_BOUND = 0.15, 0.2
N_RECORDINGS, N_SHARP = 12, 40
FACTOR = 2
_LINE = "{:24} {:>17} | {:>5} {:>13} {:>5} {:3} | {:>6} {:>13} {:>5} {:3} | {:>5}"


@dataclass(frozen=True, slots=True)
class Score:
    """How one figure was found at one setting."""

    determined: bool
    within: bool
    """Whether the value is within its bound of the truth."""
    held: bool
    """Whether the interval holds the truth."""

    @classmethod
    def of(cls, found: Estimated, truth: float, bound: float) -> Score:
        """Compare a figure with the truth."""
        within = abs(found.value / truth - 1) <= bound
        return cls(found.determined, within, found.low <= truth <= found.high)


def heights_noise(photons: float) -> float:
    """Give heights noise of the size that so many photons have at mid-range."""
    return (0.5 / photons) ** 0.5


def planes_with(root: Path, dataset: str, role: str, most: int) -> list[NDArray]:
    """Read up to so many planes of a dataset, evenly spread."""
    rows = [row for row in rows_of(root, role) if row.dataset == dataset]
    rows = [row for row in rows if row.usable_as_target]
    planes = [plane for row in _some(rows, most) for plane in sharp_planes(root, row)]
    return _some(planes, most)


def _some(items: list, most: int) -> list:
    n = min(most, len(items))
    return [items[i] for i in np.linspace(0, len(items) - 1, n).round().astype(int)]


def recorded(
    sharp: NDArray,
    sigma: float,
    photons: float,
    read: float,
    *,
    seed: int,
    heights: bool = False,
) -> NDArray:
    """Record a sharp plane with known settings, as uint16."""
    signal = torch.from_numpy((sharp - BLACK) / DATA_RANGE)[None, None]
    low = record(
        signal,
        FACTOR,
        psf_sigma=sigma,
        gain=0 if heights else 1 / photons,
        read=heights_noise(photons) if heights else read,
        generator=torch.Generator().manual_seed(seed),
    )
    counts = low[0, 0].numpy() * DATA_RANGE + BLACK
    return np.rint(counts).clip(0, 65_535).astype(np.uint16)


def measure(
    root: Path, dataset: str, role: str, black: float | None, heights: bool
) -> tuple[list[Score], list[Score]]:
    """Estimate the instrument of one dataset at all settings; print each."""
    estimator = InstrumentEstimator(planes_with(root, dataset, "train", N_SHARP))
    originals = planes_with(root, dataset, role, N_RECORDINGS)
    sigmas, noises = [], []
    for number, setting in enumerate(SETTINGS):
        low = [
            recorded(plane, *setting, seed=1000 * number + i, heights=heights)
            for i, plane in enumerate(originals)
        ]
        found = estimator.estimate(
            low,
            photon_noise=not heights,
            black=black,
            intensity=IntensityRange(BLACK, WHITE),
        )
        noise, truth = found.photons, float(setting[1])
        if heights:
            noise, truth = found.read, DATA_RANGE * heights_noise(setting[1])
        sigmas.append(Score.of(found.psf_sigma, setting[0], SIGMA_BOUND))
        noises.append(Score.of(noise, truth, PHOTON_BOUND))
        cells = _cells(found.psf_sigma, setting[0], sigmas[-1])
        cells += _cells(noise, truth, noises[-1])
        name, settings = dataset[:24], "{} {:5} {:5}".format(*setting)
        print(_LINE.format(name, settings, *cells, f"{found.misfit:.1f}"), flush=True)
    return sigmas, noises


def _cells(figure: Estimated, truth: float, score: Score) -> list[str]:
    digits = ".2f" if truth < 10 else ".0f"
    return [
        f"{figure.value:{digits}}",
        f"{figure.low:{digits}}-{figure.high:{digits}}",
        f"{100 * (figure.value / truth - 1):+.0f}%",
        ("yes" if figure.determined else "no") + ("" if score.within else "!"),
    ]


def _summary(name: str, sigmas: list[Score], photons: list[Score]) -> str:
    cells = [name, str(len(sigmas))]
    for scores in (sigmas, photons):
        determined = [score for score in scores if score.determined]
        cells += [
            f"{len(determined)}",
            f"{sum(score.within for score in determined)}",
            f"{sum(score.within for score in scores)}",
            f"{sum(score.held for score in scores)}",
        ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", help="all that have both roles")
    parser.add_argument("--role", default="test", help="of the images to record")
    parser.add_argument("--black", action="store_true", help="give the dark level")
    add_data_argument(parser)
    arguments = parser.parse_args()
    root, role = arguments.data, arguments.role
    names = arguments.datasets
    if not names:
        have = {row.dataset for row in rows_of(root, role) if row.usable_as_target}
        names = [row.dataset for row in rows_of(root, "train") if row.usable_as_target]
        names = [name for name in dict.fromkeys(names) if name in have]
    black = BLACK if arguments.black else None
    print(_LINE.format("dataset", "σ photons read", *("found", "interval", "", "det") * 2, "misfit"))  # fmt: skip  # noqa: E501
    tall = {row.dataset for row in rows_of(root, role, "topography")}
    scores = {
        name: measure(root, name, role, black, heights=name in tall) for name in names
    }
    both = "determined | of those within | all within | interval holds"
    print(f"\n| dataset | settings | σ: {both} | photons: {both} |")
    print("|" + " --- |" * 10)
    for name, (sigmas, photons) in scores.items():
        print(_summary(name, sigmas, photons))
    everything = [[s for pair in scores.values() for s in pair[i]] for i in (0, 1)]
    print(_summary("**all**", *everything))


if __name__ == "__main__":
    main()

"""How well `noise="auto"` does beside the true level, by kind of noise.

    python -m benchmarks.accuracy.noise --data DIR --models general-x2 general-x4

Sharp images of a role are recorded with white and with correlated noise, photons or
read noise alone, or none, and super-resolved with the level given, and estimated.
Printed as tables: gains over bicubic in dB, means of datasets; the dataset for which
`auto` is worst; noise and correlation as estimated, over the true ones. `--write` puts
them into `benchmarks/results/noise.md`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

import napari_sr as sr
from benchmarks.accuracy.evaluate import specimens
from benchmarks.accuracy.real_images import BLACK, DATA_RANGE, add_data_argument
from napari_sr.evaluation.baselines import baselines
from napari_sr.evaluation.protocol import BORDER
from napari_sr.image.intensity import IntensityRange, NoiseLevel
from napari_sr.image.sampling import binned
from napari_sr.image.stack import Stack
from napari_sr.metrics.quality import BASELINE, as_markdown
from napari_sr.metrics.similarity import psnr
from napari_sr.models.sr_model import SRModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_sr.evaluation.protocol import SharpPlane

RESULT = Path("benchmarks/results/noise.md")
MOST_PER_DATASET, LARGEST = 2, 512
"""Images of a dataset that are measured, and their largest side."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of noise."""

    name: str
    photons: float | None = None
    """At white."""
    read: float = 0.0
    """Counts."""
    sigma: float = 0.0
    """Recorded pixels of the Gaussian through which it went."""
    is_ramp: bool = False
    """Of a slice reconstructed by filtered back-projection."""

    @property
    def level(self) -> NoiseLevel:
        """What a model can be told."""
        gain = DATA_RANGE / self.photons if self.photons else 0.0
        return NoiseLevel(gain, self.read, BLACK)

    def record(self, light: NDArray, seed: int, *, heights: bool = False) -> NDArray:
        """Record `(y, x)` counts; of heights, read noise of the size at mid-range."""
        random = np.random.default_rng(seed)
        noise = self.read * random.standard_normal(light.shape)
        if gain := self.level.gain:
            signal = np.maximum(light - BLACK, 0)
            if heights:
                deviation = np.sqrt(gain * DATA_RANGE / 2)
                noise = noise + deviation * random.standard_normal(light.shape)
            else:
                noise = noise + random.poisson(signal / gain) * gain - signal
        recorded = np.clip(np.rint(light + self._filtered(noise)), 0, 65_535)
        return recorded.astype(np.uint16)

    def _filtered(self, noise: NDArray) -> NDArray:
        """Correlate white noise; its variance stays."""
        point = np.zeros(noise.shape)
        point[tuple(side // 2 for side in noise.shape)] = 1
        filtered = []
        for image in (noise, point):
            if self.is_ramp:
                frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, noise.shape)))
                image = np.fft.ifft2(np.fft.fft2(image) * np.sqrt(frequency.T)).real
            if self.sigma:
                image = ndimage.gaussian_filter(image, self.sigma, mode="wrap")
            filtered.append(image)
        correlated: NDArray = filtered[0] / np.sqrt(np.sum(filtered[1] ** 2))
        return correlated


KINDS = (
    Kind("none"),
    Kind("white, 200 photons", 200),
    Kind("white, 50 photons", 50),
    Kind("σ 0.4 px, 200 photons", 200, sigma=0.4),
    Kind("σ 0.5 px, 200 photons", 200, sigma=0.5),
    Kind("σ 0.7 px, 200 photons", 200, sigma=0.7),
    Kind("σ 1.0 px, 200 photons", 200, sigma=1.0),
    Kind("σ 0.7 px, 50 photons", 50, sigma=0.7),
    Kind("reconstructed, σ 0.5 px, 200 photons", 200, sigma=0.5, is_ramp=True),
    Kind("read noise alone, 1,000 counts", read=1000.0),
    Kind("read noise alone, 250 counts", read=250.0),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recording."""

    given: float
    """Gain over bicubic in dB, told the level."""
    auto: float
    """The same, left to estimate it."""
    ratio: float
    """Noise as estimated over the true one; as estimated, in counts, without any."""
    correlation: float
    """As estimated, in pixels."""


def measured(specimen: SharpPlane, kind: Kind, model: SRModel, seed: int) -> Outcome:
    """Record a specimen, and see what a model makes of it."""
    sharp = specimen.sharp[:LARGEST, :LARGEST]
    light = binned(sharp, model.factor).astype(np.float64)
    low = kind.record(light, seed, heights=specimen.heights)
    level = kind.level
    if specimen.heights:
        level = NoiseLevel(read=(level.read**2 + level.gain * DATA_RANGE / 2) ** 0.5)

    def figure(result: NDArray) -> float:
        return psnr(result, sharp, data_range=DATA_RANGE, border=BORDER)

    estimate = estimated(low, model)
    bicubic = figure(baselines(model.factor)[BASELINE](low, level))
    given, auto = (
        figure(sr.upscale(low, model, noise=noise, dtype="float32"))
        for noise in (level, estimate)
    )
    found, true = (_typical(noise, light) for noise in (estimate, level))
    return Outcome(
        given=given - bicubic,
        auto=auto - bicubic,
        ratio=found / true if true else found,
        correlation=getattr(estimate, "correlation", 0.0),
    )


def estimated(low: NDArray, model: SRModel) -> NoiseLevel:
    """Estimate the noise of a recording, in counts."""
    stack = Stack.from_array(low)
    intensity = IntensityRange.measure(stack, model.intensity_policy)
    level = model.prepare(stack, intensity, "auto").noise
    assert level is not None
    return level


def _typical(level: NoiseLevel, light: NDArray) -> float:
    """Give the root mean square of the noise of a recording, in counts."""
    signal = np.maximum(light - level.offset, 0)
    return float(np.sqrt(np.mean(level.gain * signal + level.read**2)))


def table(of: Callable[[Kind, str], list[Outcome]], datasets: Iterable[str]) -> str:
    """Write a row for each kind of noise."""
    rows = []
    for kind in KINDS:
        means = {name: _mean(of(kind, name)) for name in datasets if of(kind, name)}
        whole = _mean(list(means.values()))
        worst = min(means, key=lambda name: means[name].auto)
        short = max(means, key=lambda name: means[name].given - means[name].auto)
        lost = means[short].given - means[short].auto
        is_counts = kind.level == NoiseLevel(offset=BLACK)
        rows.append(
            [
                kind.name,
                f"{whole.given:+.2f}",
                f"{whole.auto:+.2f}",
                f"{lost:.2f} ({short})",
                f"{means[worst].auto:+.2f} ({worst})",
                f"{whole.ratio:.0f} counts" if is_counts else f"{whole.ratio:.2f}",
                f"{whole.correlation:.2f}",
            ]
        )
    return as_markdown(
        ["noise", "given", "auto", "most lost", "lowest auto", "found", "px"],
        rows,
    )


def _mean(outcomes: list[Outcome]) -> Outcome:
    names = ("given", "auto", "ratio", "correlation")
    return Outcome(
        *(float(np.mean([getattr(one, name) for one in outcomes])) for name in names)
    )


def chosen(root: Path, role: str) -> dict[str, list[SharpPlane]]:
    """Take a few specimens of each dataset."""
    many: dict[str, list[SharpPlane]] = defaultdict(list)
    for _, specimen in specimens(root, "general", role):
        many[specimen.dataset].append(specimen)
    return {
        name: found[:: max(1, len(found) // MOST_PER_DATASET)][:MOST_PER_DATASET]
        for name, found in many.items()
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=["general-x2", "general-x4"])
    parser.add_argument("--role", default="test", choices=["test", "calibrate"])
    parser.add_argument("--write", action="store_true", help=f"into {RESULT}")
    add_data_argument(parser)
    arguments = parser.parse_args()
    by_dataset = chosen(arguments.data, arguments.role)
    parts = []
    for name in arguments.models:
        model = sr.load_model(name)
        assert isinstance(model, SRModel)
        model = model.at_dial(0.0)
        found = {
            (kind, dataset): [
                measured(specimen, kind, model, seed)
                for seed, specimen in enumerate(many)
            ]
            for kind in KINDS
            for dataset, many in by_dataset.items()
        }
        written = table(lambda kind, name: found[kind, name], by_dataset)  # noqa: B023
        parts.append(f"## {model.name}, role {arguments.role}\n\n{written}")
        print(parts[-1], flush=True)
    if arguments.write:
        RESULT.write_text(INTRODUCTION + "\n\n".join(parts) + "\n", encoding="utf-8")


INTRODUCTION = """# Noise: estimated beside given

`python -m benchmarks.accuracy.noise --write`: up to two images of each dataset, at
most 512 px a side. Gains over bicubic in dB, means of datasets, dial 0; "most lost" is
the dataset where `auto` is furthest below the level given, "lowest auto" that where it
is worst against bicubic. "found" is the noise that was estimated, over the true one
(root mean square over the image); px the correlation that was estimated.

"""


if __name__ == "__main__":
    main()

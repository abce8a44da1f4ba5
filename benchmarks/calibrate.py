"""Calibrate the intervals of shipped models, and see how they do on test images.

    python -m benchmarks.calibrate --data DIR [--models NAME …] [--write]

On the middle of images of a model's domain, recorded in four ways, noise given, at dial
0. The floor is learnt on the train role, the scale found on the calibrate role;
coverage and widths are those on the test role. Widths are in per cent of the intensity
range. `--write` puts the interval into the card. The parts of
`benchmarks/results/trust/intervals.md` about these models are replaced.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.evaluate import shipped, specimens
from benchmarks.real_images import add_data_argument
from benchmarks.sections import replace_section
from napari_sr.catalogue import SHIPPED
from napari_sr.evaluation import BORDER, noise_of, recorded
from napari_sr.interval import SMOOTHING, doubt, floor_for, mean_coverage, scale_for
from napari_sr.model import SRModel, save_model
from napari_sr.planning import make_plan
from napari_sr.quality import as_markdown
from napari_sr.settings import UpscaleSettings
from napari_sr.stack import Stack
from napari_sr.uncertainty import spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.evaluation import Specimen
    from napari_sr.interval import Interval

PHOTONS = (None, 1000.0, 200.0, 50.0)
SIDE = 192
N_PER_DATASET = {"train": 1, "calibrate": 3, "test": 3}
RESULTS = Path("benchmarks/results/trust/intervals.md")

Pairs = tuple[list["NDArray[np.float32]"], list["NDArray[np.float32]"]]


def pairs(model: SRModel, root: Path, role: str) -> Pairs:
    """Give |error| and spread of each image, all its recordings in one."""
    seen: Counter[str] = Counter()
    errors, deviations = [], []
    for _, specimen in specimens(root, model.domain, role):
        seen[specimen.dataset] += 1
        if seen[specimen.dataset] > N_PER_DATASET[role]:
            continue
        sharp = middle(specimen.sharp)
        found = [of_recording(model, specimen, sharp, one) for one in PHOTONS]
        errors.append(np.concatenate([error for error, _ in found]))
        deviations.append(np.concatenate([apart for _, apart in found]))
    return errors, deviations


def middle(sharp: NDArray) -> NDArray:
    """Cut the middle out, on the grid of all factors."""
    starts = [max(0, (side - SIDE) // 2) // 4 * 4 for side in sharp.shape]
    return sharp[starts[0] : starts[0] + SIDE, starts[1] : starts[1] + SIDE]


def of_recording(
    model: SRModel, specimen: Specimen, sharp: NDArray, photons: float | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Record, super-resolve; |error| and spread as shares of the range, `(pixels,)`."""
    low = recorded(sharp, model.factor, photons, heights=specimen.heights)
    noise = noise_of(photons, heights=specimen.heights)
    settings = UpscaleSettings(noise=noise, dtype="float32")
    plan = make_plan(Stack.from_array(low), model, settings)
    span = plan.intensity.high - plan.intensity.low
    result, apart = spread(low, model, plan)
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = np.abs(result - sharp)[inside].ravel() / span
    return error, doubt(apart / span, SMOOTHING, 0.0)[inside].ravel()


def calibrate(model: SRModel, root: Path) -> Interval:
    """Learn the floor, find the scale, and see coverage and widths on test images."""
    faithful = model.at_dial(0.0)
    floor = floor_for(*pairs(faithful, root, "train"))
    errors, apart = pairs(faithful, root, "calibrate")
    interval = scale_for(errors, [one + floor for one in apart])
    errors, apart = pairs(faithful, root, "test")
    doubts = [one + floor for one in apart]
    ratios = [np.sort(e / d) for e, d in zip(errors, doubts, strict=True)]
    coverage = mean_coverage(ratios, interval.scale)
    typical = float(np.mean([one.mean() for one in doubts]))
    constant = float(np.quantile(np.concatenate(errors), coverage))
    return interval.model_copy(
        update={
            "floor": floor,
            "smoothing": SMOOTHING,
            "coverage": coverage,
            "mean_width": 2 * interval.scale * typical,
            "constant_width": 2 * constant,
        }
    )  # fmt: skip


def table(interval: Interval) -> str:
    """Write what was found as a table of one row."""
    assert interval.coverage is not None
    assert interval.mean_width is not None
    assert interval.constant_width is not None
    row = [
        str(interval.n_images), "yes" if interval.is_guaranteed else "no",
        f"{interval.floor:.1%}", f"{interval.scale:.2f}", f"{interval.coverage:.1%}",
        f"{interval.mean_width:.2%}", f"{interval.constant_width:.2%}",
    ]  # fmt: skip
    head = ["images", "guaranteed", "floor", "scale", "coverage on test images",
            "mean width", "constant width of that coverage"]  # fmt: skip
    return as_markdown(head, [row])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--write", action="store_true", help="into the model's card")
    add_data_argument(parser)
    arguments = parser.parse_args()
    for model in shipped(arguments.models):
        found = calibrate(model, arguments.data)
        print(f"## {model.name}\n\n{table(found)}", flush=True)
        replace_section(RESULTS, model.name, table(found))
        if arguments.write:
            card = model.card.model_copy(update={"interval": found})
            path = SHIPPED / f"{model.name}.safetensors"
            save_model(SRModel(card, model.weights), path)


if __name__ == "__main__":
    main()

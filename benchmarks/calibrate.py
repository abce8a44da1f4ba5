"""Calibrate the intervals of shipped models, and see how they do on test images.

    python -m benchmarks.calibrate --data DIR [--models NAME …] [--write]

On the middle of calibrate images of a model's domain, recorded in four ways, noise
given, at dial 0. Coverage and widths are those on test images; widths in per cent of
the data range. `--write` puts the interval into the card.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.evaluate import shipped, specimens
from benchmarks.real_images import add_data_argument
from napari_sr.catalogue import SHIPPED
from napari_sr.evaluation import BORDER, DATA_RANGE, noise_of, recorded
from napari_sr.interval import mean_coverage, scale_for
from napari_sr.model import SRModel, save_model
from napari_sr.planning import make_plan
from napari_sr.quality import as_markdown
from napari_sr.settings import UpscaleSettings
from napari_sr.stack import Stack
from napari_sr.uncertainty import spread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.evaluation import Specimen
    from napari_sr.interval import Interval

PHOTONS = (None, 1000.0, 200.0, 50.0)
SIDE, N_PER_DATASET = 192, 3


def pairs(
    model: SRModel, root: Path, role: str
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Give |error| and spread of each image, all its recordings in one."""
    seen: Counter[str] = Counter()
    for _, specimen in specimens(root, model.domain, role):
        seen[specimen.dataset] += 1
        if seen[specimen.dataset] > N_PER_DATASET:
            continue
        sharp = middle(specimen.sharp)
        found = [of_recording(model, specimen, sharp, one) for one in PHOTONS]
        yield (
            np.concatenate([e for e, _ in found]),
            np.concatenate([s for _, s in found]),
        )


def middle(sharp: NDArray) -> NDArray:
    """Cut the middle out, on the grid of all factors."""
    starts = [max(0, (side - SIDE) // 2) // 4 * 4 for side in sharp.shape]
    return sharp[starts[0] : starts[0] + SIDE, starts[1] : starts[1] + SIDE]


def of_recording(
    model: SRModel, specimen: Specimen, sharp: NDArray, photons: float | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Record, super-resolve, and give |error| and spread, `(pixels,)` each."""
    low = recorded(sharp, model.factor, photons, heights=specimen.heights)
    noise = noise_of(photons, heights=specimen.heights)
    settings = UpscaleSettings(noise=noise, dtype="float32")
    plan = make_plan(Stack.from_array(low), model, settings)
    result, apart = spread(low, model, plan)
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = np.abs(result - sharp)[inside].ravel()
    return error, apart[inside].ravel()


def calibrate(model: SRModel, root: Path) -> Interval:
    """Find the scale on the calibrate role; coverage and widths on the test role."""
    faithful = model.at_dial(0.0)
    interval = scale_for(*zip(*pairs(faithful, root, "calibrate"), strict=True))
    tested = list(pairs(faithful, root, "test"))
    coverage = mean_coverage([np.sort(e / s) for e, s in tested], interval.scale)
    width = 2 * interval.scale * float(np.mean([s.mean() for _, s in tested]))
    constant = 2 * float(np.quantile(np.concatenate([e for e, _ in tested]), coverage))
    return interval.model_copy(
        update={
            "coverage": coverage,
            "mean_width": width / DATA_RANGE,
            "constant_width": constant / DATA_RANGE,
        }
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--write", action="store_true", help="into the model's card")
    add_data_argument(parser)
    arguments = parser.parse_args()
    rows = []
    for model in shipped(arguments.models):
        found = calibrate(model, arguments.data)
        assert found.coverage is not None
        assert found.mean_width is not None
        assert found.constant_width is not None
        rows.append([
            model.name, str(found.n_images), "yes" if found.is_guaranteed else "no",
            f"{found.scale:.2f}", f"{found.coverage:.1%}", f"{found.mean_width:.2%}",
            f"{found.constant_width:.2%}",
        ])  # fmt: skip
        if arguments.write:
            card = model.card.model_copy(update={"interval": found})
            save_model(
                SRModel(card, model.weights), SHIPPED / f"{model.name}.safetensors"
            )
    head = ["model", "images", "guaranteed", "scale", "coverage on test images",
            "mean width", "constant width of that coverage"]  # fmt: skip
    print(as_markdown(head, rows))


if __name__ == "__main__":
    main()

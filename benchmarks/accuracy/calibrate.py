"""Calibrate the intervals of shipped models, and see how they do on test images.

    python -m benchmarks.accuracy.calibrate --data DIR [--models NAME …] [--write]

On the middle of images of a model's domain, recorded in four ways, noise given, at dial
0. The floor is learnt on the train role, the scale found on the calibrate role;
coverage and widths are those on the test role. Slices of one volume and channels of one
field are one image. Widths are in per cent of the intensity
range. `--write` puts the interval into the card. The parts of
`benchmarks/results/trust/intervals.md` about these models are replaced.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.accuracy.evaluate import shipped, specimens
from benchmarks.accuracy.real_images import add_data_argument
from benchmarks.accuracy.sections import replace_section
from napari_sr.catalogue.lookup import SHIPPED
from napari_sr.evaluation.protocol import noise_of, recorded
from napari_sr.metrics.quality import as_markdown
from napari_sr.models.sr_model import SRModel, save_model
from napari_sr.training.calibration import Known, find_interval, middle, tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sr.cards.interval import Interval

PHOTONS = (None, 1000.0, 200.0, 50.0)
N_PER_DATASET = {"train": 1, "calibrate": 3, "test": 3}
RESULTS = Path("benchmarks/results/trust/intervals.md")


def recordings(model: SRModel, root: Path, role: str) -> Iterator[Known]:
    """Record the middles of the images of a model's domain in all ways."""
    seen: Counter[str] = Counter()
    numbers: dict[str, int] = {}
    for _, specimen in specimens(root, model.domain, role):
        seen[specimen.dataset] += 1
        if seen[specimen.dataset] > N_PER_DATASET[role]:
            continue
        number = numbers.setdefault(specimen.group, len(numbers))
        sharp, heights = middle(specimen.sharp), specimen.heights
        for photons in PHOTONS:
            low = recorded(sharp, model.factor, photons, heights=heights)
            told = (
                noise_of(photons, heights=heights)
                if "noise" in model.conditions
                else "auto"
            )
            yield Known(number, low, sharp, told, dataset=specimen.dataset)


def calibrate(model: SRModel, root: Path) -> Interval:
    """Learn the floor, find the scale, and see coverage and widths on test images."""
    held_out, learnt, further = (
        recordings(model, root, role) for role in ("calibrate", "train", "test")
    )
    return tried(find_interval(model, held_out, learnt), model, further)


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
    by_dataset = [
        [name, f"{share:.1%}", "" if 0.85 <= share <= 0.95 else "outside 85 to 95 %"]
        for name, share in sorted(interval.coverage_by_dataset.items())
    ]
    parts = [as_markdown(head, [row])]
    if by_dataset:
        parts.append(as_markdown(["test images of", "coverage", ""], by_dataset))
    return "\n\n".join(parts)


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

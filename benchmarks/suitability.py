"""What a model's training images are like, and whether others are told apart by it.

    python -m benchmarks.suitability --data DIR             # the table
    python -m benchmarks.suitability --data DIR --write     # into the shipped cards

Sharp images of the train role of a domain are recorded at several levels of noise and
described; the limit is set on the calibrate role, and the test role is only looked at
for the table in `benchmarks/results/trust/`: which share is flagged, by domain. A
domain without calibrate images gets no statistics; a general model is meant for all.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.evaluate import shipped, specimens
from benchmarks.real_images import add_data_argument
from napari_sr.catalogue import SHIPPED
from napari_sr.descriptors import SMALLEST, describe_plane
from napari_sr.evaluation import recorded
from napari_sr.model import SRModel, save_model
from napari_sr.quality import as_markdown
from napari_sr.suitability import TrainingStatistics

DOMAINS = ("fluorescence", "em", "xray", "topography", "brightfield")
PHOTONS = (None, 1000.0, 200.0, 50.0)
LARGEST = 1024
FEWEST = 8
"""Recordings of calibrate images below which no limit can be set."""
RESULTS = Path("benchmarks/results/trust")

Described = list[dict[str, float]]


@cache
def described(root: Path, domain: str, role: str, factor: int) -> tuple[Described, int]:
    """Describe recordings of the images of a domain, and count the images."""
    found, n_images = [], 0
    for _, specimen in specimens(root, domain, role):
        sharp = specimen.sharp[:LARGEST, :LARGEST]
        if min(sharp.shape) < SMALLEST * factor:
            continue
        n_images += 1
        found += [
            describe_plane(recorded(sharp, factor, level, heights=specimen.heights))
            for level in PHOTONS
        ]
    return found, n_images


def statistics_of(root: Path, domain: str, factor: int) -> TrainingStatistics | None:
    """Gather the statistics of a domain; `None` where too little is held out."""
    known, n_images = described(root, domain, "train", factor)
    held_out, _ = described(root, domain, "calibrate", factor)
    if len(held_out) < FEWEST:
        return None
    return TrainingStatistics.of(known, n_images).with_limit(held_out)


def table(root: Path, role: str, factor: int = 2) -> str:
    """Say which share of each domain's recordings is flagged, by the model's domain."""
    rows = []
    for domain in DOMAINS:
        statistics = statistics_of(root, domain, factor)
        if statistics is None:
            rows.append([domain, "–", "too few calibrate images", *[""] * len(DOMAINS)])
            continue
        cells, others = [], []
        for other in DOMAINS:
            seen, n_images = described(root, other, role, factor)
            flags = [statistics.distance(one) > statistics.limit for one in seen]
            cells.append(f"{np.mean(flags):.0%} of {n_images}" if flags else "–")
            others += flags if other != domain else []
        rows.append(
            [domain, str(statistics.n_images), f"{np.mean(others):.0%}", *cells]
        )
    head = ["trained on", "images", "others flagged", *DOMAINS]
    return as_markdown(head, rows)


def write(root: Path) -> None:
    """Put the statistics into the cards of the shipped models of one domain."""
    for model in shipped():
        if model.domain not in DOMAINS:
            print(f"{model.name}: meant for all, so nothing is written")
            continue
        statistics = statistics_of(root, model.domain, model.factor)
        card = model.card.model_copy(update={"training_statistics": statistics})
        path = SHIPPED / f"{model.name}.safetensors"
        print(save_model(SRModel(card, model.weights), path))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", default="test", choices=["test", "calibrate"])
    parser.add_argument("--write", action="store_true", help="into the models' cards")
    add_data_argument(parser)
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.data)
        return
    found = table(arguments.data, arguments.role)
    print(found)
    if arguments.role == "test":
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "suitability.md").write_text(found + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

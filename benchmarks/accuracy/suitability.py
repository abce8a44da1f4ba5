"""What a model's training images are like, and whether others are told apart by it.

    python -m benchmarks.accuracy.suitability --data DIR             # the table
    python -m benchmarks.accuracy.suitability --data DIR --write  # into the cards

Sharp images of the train role, up to 20 of each dataset, are recorded at several levels
of noise and described; those of the other domains are what a recording could be taken
for. Limits are set on the calibrate role; the test role and some photographs, of which
nothing was learnt, are only looked at for the table in `benchmarks/results/trust/`:
which share is flagged, by domain. A domain with too few calibrate images gets no
statistics; a general model is meant for all.
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from skimage import color, data

from benchmarks.accuracy.evaluate import shipped, specimens
from benchmarks.accuracy.real_images import add_data_argument
from napari_sr.cards.descriptors import SMALLEST, describe_plane
from napari_sr.cards.suitability import TrainingStatistics, suitability_of
from napari_sr.catalogue.lookup import SHIPPED
from napari_sr.evaluation.protocol import SharpPlane, on_scale, recorded
from napari_sr.metrics.quality import as_markdown
from napari_sr.models.sr_model import SRModel, save_model

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAINS = ("fluorescence", "em", "xray", "topography", "brightfield")
PHOTONS = (None, 1000.0, 200.0, 50.0)
LARGEST, N_PER_DATASET = 1024, 20
PHOTOGRAPHS = ("astronaut", "camera", "cat", "coffee", "rocket", "stereo_motorcycle")
"""Of those that come with scikit-image."""
FEWEST = 8
"""Recordings of calibrate images below which no limit can be set."""
RESULTS = Path("benchmarks/results/trust")

Described = list[dict[str, float]]


@cache
def described(root: Path, domain: str, role: str, factor: int) -> tuple[Described, int]:
    """Describe recordings of the images of a domain, and count the images."""
    found, seen = [], Counter[str]()
    for specimen in specimens_of(root, domain, role):
        sharp = specimen.sharp[:LARGEST, :LARGEST]
        if min(sharp.shape) < SMALLEST * factor or (
            seen[specimen.dataset] == N_PER_DATASET and role == "train"
        ):
            continue
        seen[specimen.dataset] += 1
        found += [
            describe_plane(recorded(sharp, factor, level, heights=specimen.heights))
            for level in PHOTONS
        ]
    return found, seen.total()


def specimens_of(root: Path, domain: str, role: str) -> Iterator[SharpPlane]:
    """Read the sharp images of a domain, or photographs."""
    if domain != "photographs":
        yield from (specimen for _, specimen in specimens(root, domain, role))
        return
    for name in PHOTOGRAPHS:
        image = getattr(data, name)()
        image = image[0] if isinstance(image, tuple) else image
        grey = color.rgb2gray(image) if image.ndim == 3 else image
        yield SharpPlane("photographs", on_scale(grey))


def statistics_of(root: Path, domain: str, factor: int) -> TrainingStatistics | None:
    """Gather the statistics of a domain; `None` where too little is held out."""
    known, n_images = described(root, domain, "train", factor)
    held_out, _ = described(root, domain, "calibrate", factor)
    if len(held_out) < FEWEST:
        return None
    others = [
        described(root, other, "train", factor)[0]
        for other in DOMAINS
        if other != domain
    ]
    return TrainingStatistics.of(known, n_images, others).with_limits(held_out)


def table(root: Path, role: str, factor: int = 2) -> str:
    """Say which share of each domain's recordings is flagged, by the model's domain."""
    rows, own_flags, other_flags = [], [], []
    shown = (*DOMAINS, "photographs")
    models = {model.domain for model in shipped() if model.factor == factor}
    for domain in (one for one in DOMAINS if one in models):
        statistics = statistics_of(root, domain, factor)
        if statistics is None:
            rows.append([domain, "–", "too few calibrate images", *[""] * len(shown)])
            continue
        cells, others = [], []
        for other in shown:
            seen, n_images = described(root, other, role, factor)
            flags = [not suitability_of(one, statistics).is_suited for one in seen]
            cells.append(f"{np.mean(flags):.0%} of {n_images}" if flags else "–")
            (own_flags if other == domain else others).extend(flags)
        other_flags += others
        rows.append(
            [domain, str(statistics.n_images), f"{np.mean(others):.0%}", *cells]
        )
    head = ["trained on", "images", "others flagged", *shown]
    return (
        f"Of all models together, {np.mean(own_flags):.1%} of the recordings of their "
        f"own domain are flagged, and {np.mean(other_flags):.1%} of all others.\n\n"
        + as_markdown(head, rows)
    )


def write(root: Path) -> None:
    """Put the statistics into the cards of the shipped models of one domain."""
    for model in shipped():
        if model.domain not in DOMAINS:
            print(f"{model.name}: meant for all, so nothing is written")
            continue
        statistics = statistics_of(root, model.domain, model.factor)
        if statistics is None:
            print(f"{model.name}: too few calibrate images, so nothing is written")
            continue
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

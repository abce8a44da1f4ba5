"""Whether recordings are told apart by what the training images of a kind are like.

    python -m benchmarks.accuracy.suitability --data DIR

Sharp images of the train role, up to 20 of each dataset, are recorded at several levels
of noise and described; those of the other domains are what a recording could be taken
for. Limits are set on the calibrate role, so that 5 % lie beyond; where that has fewer
than three datasets, by each dataset of both beside all others. The test role and some
photographs, of which nothing was learnt, are only looked at for the table in
`benchmarks/results/trust/`: which share is flagged, by what was trained for and kind,
another kind by statistics that know nothing of it. A domain of too few datasets gets no
statistics. A general model is meant for all kinds, and flags what is like none of them.

The second table is of trainings on one dataset, as a user's are: the statistics that
they write (`napari_sr.training.auxiliary.statistics`), of the images of the train role
alone.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from skimage import color, data

from benchmarks.accuracy.evaluate import specimens
from benchmarks.accuracy.real_images import BLACK, DATA_RANGE, add_data_argument
from napari_sr.cards.descriptors import SMALLEST, describe_plane
from napari_sr.cards.suitability import USUAL, TrainingStatistics, suitability_of
from napari_sr.evaluation.protocol import SharpPlane, on_scale, recorded
from napari_sr.metrics.quality import as_markdown
from napari_sr.training.auxiliary.statistics import simulated_recordings, statistics_of
from napari_sr.training.presets import settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

DOMAINS = ("fluorescence", "em", "xray", "topography", "brightfield")
PHOTONS = (None, 1000.0, 200.0, 50.0)
LARGEST, N_PER_DATASET = 1024, 20
PHOTOGRAPHS = ("astronaut", "camera", "cat", "coffee", "rocket", "stereo_motorcycle")
"""Of those that come with scikit-image."""
FEWEST = 3
"""Datasets below which no limit can be set."""
TRAINED_FOR = (
    ("em", 2),
    ("em", 4),
    ("fluorescence", 2),
    ("general", 2),
    ("general", 4),
)
"""Domain and factor of which statistics are gathered."""
RESULTS = Path("benchmarks/results/trust")

Described = list[dict[str, float]]
Kind = dict[str, Described]
"""Recordings by dataset."""


@cache
def described(root: Path, domain: str, role: str, factor: int) -> Kind:
    """Describe recordings of the images of a domain, dataset by dataset."""
    found: Kind = defaultdict(list)
    for specimen in specimens_of(root, domain, role):
        sharp = specimen.sharp[:LARGEST, :LARGEST]
        known = found[specimen.dataset]
        if min(sharp.shape) < SMALLEST * factor or (
            len(known) == N_PER_DATASET * len(PHOTONS) and role == "train"
        ):
            continue
        known += [
            describe_plane(recorded(sharp, factor, level, heights=specimen.heights))
            for level in PHOTONS
        ]
    return {dataset: known for dataset, known in found.items() if known}


def together(kind: Kind) -> Described:
    """Give the recordings of all datasets."""
    return [recording for known in kind.values() for recording in known]


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


def statistics_of_domain(
    root: Path, domain: str, factor: int, without: str = ""
) -> TrainingStatistics | None:
    """Gather the statistics of a domain, or of all for a general model.

    Parameters
    ----------
    root
        Of the images.
    domain
        One of `DOMAINS`, or `general`.
    factor
        By which images are recorded.
    without
        Another kind of images of which nothing is known, to be tried afterwards.

    Returns
    -------
    TrainingStatistics or None
        `None` where too little is held out.
    """
    own = DOMAINS if domain == "general" else (domain,)
    others = [
        together(described(root, other, "train", factor))
        for other in DOMAINS
        if other not in (*own, without)
    ]
    learnt, held_out = (
        {
            name: known
            for kind in own
            for name, known in described(root, kind, role, factor).items()
        }
        for role in ("train", "calibrate")
    )
    if len(held_out) >= FEWEST:
        seen = together(learnt)
        statistics = TrainingStatistics.of(seen, len(seen) // len(PHOTONS), others)
        return statistics.with_limits(together(held_out))
    return _by_datasets_apart(
        {**learnt, **{f"{name}, calibrate": held_out[name] for name in held_out}},
        others,
    )


def _by_datasets_apart(
    known: Kind, others: Sequence[Described]
) -> TrainingStatistics | None:
    """Set limits by each dataset as one that nobody has seen, beside all others."""
    if len(known) < FEWEST:
        return None
    apart = []
    for name, held_out in known.items():
        rest = [r for dataset, k in known.items() if dataset != name for r in k]
        statistics = TrainingStatistics.of(rest, 1, others)
        apart += [
            (statistics.distance(each), statistics.otherness(each), 1 / len(held_out))
            for each in held_out
        ]
    distances, othernesses, weights = np.array(apart).T
    seen = together(known)
    statistics = TrainingStatistics.of(seen, len(seen) // len(PHOTONS), others)
    return statistics.model_copy(
        update={
            "limit": _quantile(distances, weights),
            "border": _quantile(othernesses, weights),
        }
    )


def _quantile(values: NDArray, weights: NDArray) -> float:
    """Give the value that all but a few of the datasets' recordings stay below."""
    order = np.argsort(values)
    passed = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(passed, USUAL)])


def table(root: Path, role: str) -> str:
    """Say for each domain which share of the recordings of each kind is flagged.

    Those of another kind are flagged by statistics that were gathered without it: a
    user's images of another kind are of one that nobody has seen.
    """
    rows = []
    for domain, factor in TRAINED_FOR:
        own = DOMAINS if domain == "general" else (domain,)
        cells = []
        for kind in (*DOMAINS, "photographs"):
            statistics = statistics_of_domain(root, domain, factor, kind)
            found = together(
                described(root, kind, "test" if kind == "photographs" else role, factor)
            )
            n_images = len(found) // len(PHOTONS)
            if statistics is None or not found:
                cells.append("–")
                continue
            flags = [not suitability_of(each, statistics).is_suited for each in found]
            share = f"{np.mean(flags):.0%} of {n_images}"
            cells.append(f"*{share}*" if kind in own else share)
        known = statistics_of_domain(root, domain, factor)
        n_known = "too few datasets" if known is None else str(known.n_images)
        rows.append([f"{domain} ×{factor}", n_known, *cells])
        print(" | ".join(rows[-1]), flush=True)
    return (
        "Share of the recordings (each image without noise and with 1000, 200 and 50 "
        "photons) that are flagged as unlike the training images of a domain, and the "
        "number of images. In italics those of the domain itself: false alarms. For "
        "every other kind the statistics were gathered without any image of it.\n\n"
        + as_markdown(
            ["trained for", "training images", *DOMAINS, "photographs"],
            rows,
        )
    )


def trained_table(root: Path, base: str) -> str:
    """Say which share of recordings a model flags that is trained on one dataset."""
    settings = settings_for(base)
    rows, without = [], []
    for domain in DOMAINS:
        learnt: dict[str, list[SharpPlane]] = defaultdict(list)
        for plane in specimens_of(root, domain, "train"):
            learnt[plane.dataset].append(plane)
        for dataset, planes in learnt.items():
            groups = [plane.group for plane in planes]
            statistics = statistics_of(
                [(plane.sharp - BLACK) / DATA_RANGE for plane in planes],
                groups,
                partial(simulated_recordings, settings=settings),
            )
            if statistics is None:
                without.append(f"{dataset} ({len(set(groups))})")
                continue
            rows.append(
                [
                    dataset,
                    str(statistics.n_images),
                    f"{statistics.limit:.1f}",
                    *_flagged(root, domain, dataset, settings.factor, statistics),
                ]
            )
            print(" | ".join(rows[-1]), flush=True)
    kinds = ("same dataset", "same domain, other datasets", "other domains")
    return (
        f"The same for trainings on one dataset each from {base}, with the statistics "
        "that they write, tried on the images of the roles calibrate and test. Nothing "
        "is written for the other datasets, which have too few independent images "
        f"(number), too small ones, or many kinds: {', '.join(without)}. Of the "
        "three flagged images of cp_illumcorr two show other specimens (worms, a ring "
        "of tissue) and one a cell far brighter than all others.\n\n"
        + as_markdown(["trained on", "images", "limit", *kinds], rows)
    )


def _flagged(
    root: Path, domain: str, dataset: str, factor: int, statistics: TrainingStatistics
) -> list[str]:
    """Give the shares of the same dataset, the same domain and others, as text."""
    found: dict[str, list[bool]] = defaultdict(list)
    for kind in DOMAINS:
        for role in ("calibrate", "test"):
            for name, known in described(root, kind, role, factor).items():
                near = "domain" if kind == domain else "other"
                found["dataset" if name == dataset else near] += [
                    not suitability_of(each, statistics).is_suited for each in known
                ]
    return [
        f"{np.mean(flags):.0%} of {len(flags) // len(PHOTONS)}" if flags else "–"
        for flags in (found["dataset"], found["domain"], found["other"])
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", default="test", choices=["test", "calibrate"])
    add_data_argument(parser)
    arguments = parser.parse_args()
    found = table(arguments.data, arguments.role)
    found += "\n\n" + trained_table(arguments.data, "general-x2")
    print(found)
    if arguments.role == "test":
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "suitability.md").write_text(found + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

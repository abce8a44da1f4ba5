"""Count how often a fine-tuned model is called better and is not so on fresh images.

    python -m benchmarks.studies.verdicts --data DIR [--trainings 50]

Many short fine-tunings, each on a few images of one dataset, half of them for
recordings as the base knows them (there is nothing to gain) and half for blurred ones.
The verdict of each is compared with the gain on sixteen other images of the dataset.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

import napari_sr as sr
from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr.cards.model_card import Instrument
from napari_sr.datasets import gather_images
from napari_sr.training.presets import settings_for
from napari_sr.training.session import Training
from napari_sr.training.validation import held_out

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BASE = "general-x2"
NUMBERS, N_FRESH, SIDE = (10, 20, 30), 16, 160
"""Of images to fine-tune with and to judge by again, and the side that is used."""
BLURRED = Instrument(psf_sigma=(0.8, 0.8))


def datasets(root: Path) -> dict[str, list[NDArray]]:
    """Read the datasets that have enough images, one plane of each group."""
    groups: dict[str, dict[str, NDArray]] = defaultdict(dict)
    for role in ("train", "calibrate", "test"):
        for row in rows_of(root, role):
            if row.usable_as_target and row.group not in groups[row.dataset]:
                plane = next(iter(sharp_planes(root, row)))
                tops = [max(0, side - SIDE) // 8 * 4 for side in plane.shape]
                part = plane[tops[0] :, tops[1] :][:SIDE, :SIDE]
                groups[row.dataset][row.group] = part
    enough = min(NUMBERS) + N_FRESH
    return {
        name: list(planes.values())
        for name, planes in groups.items()
        if len(planes) >= enough
    }


def tried(images: list[NDArray], number: int, seed: int) -> tuple[Training, float]:
    """Fine-tune, and find the mean gain over the base on images it has not seen."""
    random = np.random.default_rng(seed)
    chosen = [images[i] for i in random.permutation(len(images))]
    base = sr.load_model(BASE)
    settings = settings_for(
        base, iterations=40, batch=4, patch=20, validate_every=10, seed=seed,
        device="cpu", **({"instrument": BLURRED} if seed % 2 else {}),
    )  # fmt: skip
    training = Training(chosen[:number], settings, base=base)
    for _ in training:
        pass
    fresh = gather_images(chosen[number : number + N_FRESH], training.policy)
    judge = held_out(fresh, settings, range(len(fresh)))
    gain = np.subtract(
        judge.by_image(training.model.network), judge.by_image(base.network)
    )
    return training, float(gain.mean())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, default=50)
    add_data_argument(parser)
    arguments = parser.parse_args()
    known = datasets(arguments.data)
    print(f"datasets: {', '.join(known)}", flush=True)
    counts: Counter[tuple[bool, bool]] = Counter()
    for seed in range(arguments.trainings):
        name = list(known)[seed // 2 % len(known)]
        most = len(known[name]) - N_FRESH
        number = max(n for n in NUMBERS[: 1 + seed // 2 % 3] if n <= most)
        training, gain = tried(known[name], number, seed)
        card = training.model.card
        counts[bool(card.is_better), gain > 0] += 1
        print(f"{name}, {number} images: {gain:+.3f} dB fresh. {card.verdict}",
              flush=True)  # fmt: skip
    n_better = counts[True, True] + counts[True, False]
    print(
        f"Of {arguments.trainings} fine-tunings {n_better} were called better, "
        f"{counts[True, False]} of them wrongly; {counts[False, True]} that gained on "
        "fresh images were not called so."
    )


if __name__ == "__main__":
    main()

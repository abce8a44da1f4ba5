"""Train the content features that come with the package, and say how good they are.

    python -m tools.zoo.train_features --data DIR [--measure-only]

Trained on the train role of all modalities, about two minutes on one thread of a CPU.
Then a table is taken on patches of the calibrate role, beside untrained features and
plain pixels. Each patch is compared with versions of itself that have *one and the same
mean squared error*, that of what `general-x2` makes of a recording at half the
resolution, clean or with 200 photons:

- smooth: that result;
- textured: the smooth result, half of what it lacks, and texture of the same local size
  from elsewhere, so that the power spectrum is right again; and one with none of what
  it lacks, "made up", of twice the error;
- shifted by part of a pixel, more contrast, white noise added.

A content loss should find smooth further than textured, shifted and more contrast, and
made-up texture further than textured: given are the share of patches where it does, and
the median ratio of the two distances. Of noise there is no right or wrong. More blur is
to be further, also between patches: `blur order` is the rank correlation of distance
with blur over all patches together.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import shift
from scipy.stats import spearmanr

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    recorded,
    rows_of,
    sharp_planes,
    training_images,
)
from napari_sr.cards.model_card import TrainingImage
from napari_sr.evaluation.protocol import noise_of
from napari_sr.instrument.degradation import blur
from napari_sr.models.feature_file import (
    SHIPPED,
    FeatureCard,
    load_features,
    read_features,
    save_features,
)
from napari_sr.networks.features import DomainFeatures
from napari_sr.training.auxiliary.features import (
    FeatureSettings,
    FeatureTraining,
    bring_level,
    train_features,
)
from napari_sr.training.losses import content_loss
from napari_sr.training.patches import PatchSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

SIDE, MARGIN = 96, 8
"""Side of a measured patch, and pixels around it that only make its versions."""
PER_DATASET, PER_IMAGE = 4, 3
SIGMAS = (0.3, 0.6, 1.0, 1.5, 2.2)
LAYERS = ("1_2", "2_2", "3_2", "4_2")
N_LEVEL = 256
"""Patches on which the layers are brought to one level."""

# ── training ────────────────────────────────────────────────────────────────────────


def trained(root: Path, settings: FeatureSettings) -> DomainFeatures:
    """Train a feature network on all modalities, as precise as its file will be."""
    images, weights = training_images(root, None, smallest=settings.patch)
    training = FeatureTraining(settings)
    for step in train_features(training, images, weights):
        if step.iteration % 100 == 0:
            print(
                f"{step.iteration} recording {step.recording_loss:.3f} detail "
                f"{step.detail_loss:.3f} {step.seconds_left / 60:.0f} min left",
                flush=True,
            )
    typical = PatchSource(images, settings.patch, weights, settings.seed + 1)
    bring_level(training.network, typical.batch(0, N_LEVEL))
    return training.network.half().float().eval()


def card_of(root: Path, settings: FeatureSettings, quality: str) -> FeatureCard:
    """Write down what the network has seen."""
    return FeatureCard(
        name="domain",
        description="Content features for grey 16-bit images, self-supervised.",
        training_settings=settings.model_dump(mode="json"),
        training_images=tuple(
            TrainingImage(file=row.file, licence=row.licence, source=row.source)
            for row in rows_of(root, "train")
            if row.usable_as_target
        ),
        quality=quality,
    )


# ── what is compared ────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Case:
    """A sharp patch and its versions, `(1, 1, SIDE, SIDE)` in network range."""

    domain: str
    sharp: Tensor
    versions: dict[str, Tensor]


def gathered_cases(root: Path) -> list[Case]:
    """Make the versions of structured patches of the calibrate role."""
    model = sr.load_model("general-x2")
    cases: list[Case] = []
    seen: Counter[str] = Counter()
    for row in rows_of(root, "calibrate"):
        if not row.usable_as_target or seen[row.dataset] == PER_DATASET:
            continue
        seen[row.dataset] += 1
        sharp = next(iter(sharp_planes(root, row)))[:512, :512]
        places = _structured_places(sharp)
        for photons in (None, 200):
            heights = row.domain == "topography"
            low = recorded(sharp, 2, photons, heights=heights)
            noise = noise_of(photons, heights=heights)
            smooth = sr.upscale(low, model, noise=noise, dtype="float32")
            for place in places:
                versions = _versions(_network(sharp[place]), _network(smooth[place]))
                cases.append(Case(row.domain, _inner(_network(sharp[place])), versions))
    return cases


def _structured_places(plane: NDArray) -> list[tuple[slice, slice]]:
    random = np.random.default_rng(0)
    side = SIDE + 2 * MARGIN
    corners = [
        [int(random.integers(n - side + 1)) for n in plane.shape] for _ in range(12)
    ]
    places = [(slice(y, y + side), slice(x, x + side)) for y, x in corners]
    return sorted(places, key=lambda place: -plane[place].std())[:PER_IMAGE]


def _network(counts: NDArray) -> Tensor:
    image = (np.asarray(counts, np.float32) - BLACK) / DATA_RANGE
    return torch.from_numpy(image)[None, None]


def _inner(image: Tensor) -> Tensor:
    return image[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def _versions(sharp: Tensor, smooth: Tensor) -> dict[str, Tensor]:
    """Make all versions of one patch, from it and its margin."""
    truth, result = _inner(sharp), _inner(smooth)
    lacking, other = _inner(sharp - smooth), _texture_of_size(sharp - smooth)
    error = lacking.square().mean()
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    contrast = truth - truth.mean()
    versions = {f"blur {sigma}": _inner(blur(sharp, sigma)) for sigma in SIGMAS}
    return versions | {
        "smooth": result,
        "textured": result + lacking / 2 + other * math.sqrt(3 / 4),
        "made up": result + other,
        "shifted": _inner(_shifted(sharp, float(error))),
        "contrast": truth + contrast * torch.sqrt(error / contrast.square().mean()),
        "noise": truth + noise * torch.sqrt(error / noise.square().mean()),
    }


def _texture_of_size(lacking: Tensor) -> Tensor:
    """Move texture here from elsewhere: same size at each place, no correlation."""

    def local_size(image: Tensor) -> Tensor:
        return torch.sqrt(blur(image.square(), 3.0)) + 1e-4

    elsewhere = torch.roll(torch.rot90(lacking, 2, (2, 3)), (5, -7), (2, 3))
    texture = _inner(elsewhere / local_size(elsewhere) * local_size(lacking))
    own = _inner(lacking)
    texture = texture - own * (texture * own).sum() / own.square().sum()
    return texture * own.norm() / texture.norm()


def _shifted(sharp: Tensor, error: float) -> Tensor:
    """Shift as far as makes the error, at most three pixels."""

    def at(distance: float) -> Tensor:
        moved = shift(sharp[0, 0].numpy(), (0.6 * distance, 0.8 * distance), order=5)
        return torch.from_numpy(moved)[None, None]

    low, high = 0.0, 3.0
    for _ in range(12):
        middle = (low + high) / 2
        is_less = float(_inner(at(middle) - sharp).square().mean()) < error
        low, high = (middle, high) if is_less else (low, middle)
    return at(low)


# ── the table ───────────────────────────────────────────────────────────────────────

Distances = dict[str, float]


@torch.inference_mode()
def distances(features: Callable[[Tensor], dict[str, Tensor]], case: Case) -> Distances:
    """Measure how far each version is, in the one layer that the features give."""
    truth = features(case.sharp)
    weights = dict.fromkeys(truth, 1.0)
    return {
        name: float(content_loss(features(version), truth, weights))
        for name, version in case.versions.items()
    }


HEAD = (
    "| features | patches | blur order | textured | shifted | contrast | noise "
    "| made up / textured |\n" + "| --- " * 8 + "|"
)


def table_row(label: str, measured: list[Distances]) -> str:
    """Write the share of patches in the wanted order, and the median ratio."""
    far = [one[f"blur {sigma}"] for one in measured for sigma in SIGMAS]
    order = spearmanr(far, SIGMAS * len(measured)).statistic
    pairs = [("smooth", n) for n in ("textured", "shifted", "contrast", "noise")]
    cells = [
        _share_and_ratio(measured, *pair) for pair in [*pairs, ("made up", "textured")]
    ]
    return f"| {label} | {len(measured)} | {order:.3f} | " + " | ".join(cells) + " |"


def _share_and_ratio(measured: list[Distances], farther: str, nearer: str) -> str:
    ratios = [one[farther] / max(one[nearer], 1e-15) for one in measured]
    share = np.mean([ratio > 1.01 for ratio in ratios])  # beyond rounding
    return f"{share:.0%} ×{np.median(ratios):.2g}"


def quality_table(cases: list[Case], network: DomainFeatures) -> str:
    """Compare trained with untrained features and pixels, layer by layer."""
    torch.manual_seed(0)
    untrained = DomainFeatures().eval()
    pixels = [distances(lambda image: {"pixels": image}, case) for case in cases]
    lines = [HEAD, table_row("pixels", pixels)]
    for label, one in (("untrained", untrained), ("domain", network)):
        for layer in LAYERS:
            one.layers = (layer,)
            measured = [distances(one, case) for case in cases]
            lines.append(table_row(f"{label} {layer}", measured))
    network.layers = ("3_2",)
    for domain in sorted({case.domain for case in cases}):
        measured = [distances(network, c) for c in cases if c.domain == domain]
        lines.append(table_row(f"domain 3_2, {domain}", measured))
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure-only", action="store_true")
    add_data_argument(parser)
    arguments = parser.parse_args()
    settings = FeatureSettings()
    if arguments.measure_only:
        network = DomainFeatures()
        network.load_state_dict(load_features("domain", network.layers).state_dict())
    else:
        network = trained(arguments.data, settings)
    table = quality_table(gathered_cases(arguments.data), network)
    print(table)
    if not arguments.measure_only:
        save_features(network, card_of(arguments.data, settings, table), SHIPPED)
        card, _ = read_features(SHIPPED)
        print(SHIPPED, len(card.training_images), "training images")


if __name__ == "__main__":
    main()

"""Fine-tuning on very few images: all weights, fewer of them, or a low-rank change.

    python -m benchmarks.studies.few_images --data DIR [--images 2] [--iterations 400]
    python -m benchmarks.studies.few_images --data DIR --adversarial [--iterations 200]

Each starts from the same model and sees the same batches; measured on test images of
the modality, noise given. With `--adversarial` the textured end is trained, by the
whole of the base's discriminator or with its way down held still (FreezeD, Mo et al.,
2020). What loses in both is not offered by the package.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    DATA_RANGE,
    add_data_argument,
    recorded,
    rows_of,
    sharp_planes,
)
from benchmarks.studies.finetune_modalities import ten_images
from napari_sr.datasets import gather_images
from napari_sr.evaluation.protocol import BORDER, noise_of
from napari_sr.metrics import psnr, spectrum_error
from napari_sr.models.sr_model import SRModel
from napari_sr.networks import build_generator
from napari_sr.training.batches import SimulatedExamples
from napari_sr.training.losses import mean_absolute_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

BASE, RANK = "general-x2", 4
PHOTONS = (None, 200.0)
N_TEST = 6


class LowRank(nn.Module):
    """Add a product of two thin matrices to a weight (Hu et al., ICLR 2022)."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.left = nn.Parameter(torch.zeros(rows, RANK))
        self.right = nn.Parameter(torch.randn(RANK, columns) / columns**0.5)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Change a weight."""
        return weight + (self.left @ self.right).view_as(weight)


def all_weights(network: nn.Module) -> None:
    """Change nothing: everything is trained."""


def upper_layers(network: nn.Module) -> None:
    """Keep the head and the first three of five blocks as they are."""
    for part in (network.head, *network.body[:3]):
        part.requires_grad_(False)


def low_rank(network: nn.Module) -> None:
    """Keep all weights, and learn a low-rank change of each convolution."""
    network.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            parametrize.register_parametrization(
                module, "weight", LowRank(module.weight)
            )


WAYS = {
    "all weights": (all_weights, 5e-4),
    "upper layers": (upper_layers, 5e-4),
    "low rank": (low_rank, 2e-3),
}


def fine_tuned(way: str, files: list[Path], iterations: int) -> SRModel:
    """Train for so many steps, the rate falling along a cosine."""
    base = sr.load_model(BASE)
    assert isinstance(base, SRModel)
    settings = sr.settings_for(base, iterations=iterations)
    torch.manual_seed(0)
    network = build_generator(
        settings.architecture, settings.factor, base.card.arguments
    )
    network.load_state_dict(base.weights["faithful"])
    prepare, rate = WAYS[way]
    prepare(network)
    learnt = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learnt, rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    examples = SimulatedExamples(
        gather_images([str(file) for file in files], base.intensity_policy), settings
    )
    for position in range(iterations):
        seen = examples.batch(position)
        result = network(torch.cat([seen.low, seen.noise_map()], dim=1))
        inner = (..., slice(4, -4), slice(4, -4))
        loss = mean_absolute_error(result[inner], seen.sharp[inner])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    for module in network.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    weights = {
        "faithful": network.state_dict(),
        "noise_estimator": base.weights["noise_estimator"],
    }
    print(way, sum(p.numel() for p in learnt), "numbers learnt", flush=True)
    return SRModel(base.card.model_copy(update={"recommended_dial": 0.0}), weights)


def textured(learns: str, files: list[Path], iterations: int) -> SRModel:
    """Train the adversarial stage alone, with all of the discriminator or its end."""
    settings = sr.settings_for(BASE, iterations=0, adversarial=True, patience=1000)
    assert settings.adversarial is not None
    adversarial = settings.adversarial.model_copy(
        update={"iterations": iterations, "discriminator_learns": learns}
    )
    settings = settings.model_copy(update={"adversarial": adversarial})
    training = sr.train(files, settings, base=BASE)
    for _ in training:
        pass
    # The end of the training, kept or not: the question is where it leads.
    parts = {**training.model.weights, "faithful": training.state.averaged_weights()}
    return SRModel(training.model.card, parts).at_dial(0.0)


Scores = tuple[float, float]


def gains(model: SRModel, root: Path, modality: str) -> list[Scores]:
    """PSNR and spectrum error minus those of the base, means over test images."""
    base = sr.load_model(BASE).at_dial(0.0)
    found = []
    for photons in PHOTONS:
        differences = []
        for row in rows_of(root, "test", modality)[:N_TEST]:
            sharp = next(iter(sharp_planes(root, row)))[:512, :512]
            low = recorded(sharp, 2, photons)
            scores = [
                score(
                    sr.upscale(low, one, noise=noise_of(photons), dtype="float32"),
                    sharp,
                )
                for one in (model, base)
            ]
            differences.append(np.subtract(*scores))
        psnr_gain, error_gain = np.mean(differences, axis=0)
        found.append((float(psnr_gain), float(error_gain)))
    return found


def score(result: NDArray, sharp: NDArray) -> Scores:
    """Take PSNR in dB and the error of the spectrum."""
    return (
        psnr(result, sharp, data_range=DATA_RANGE, border=BORDER),
        spectrum_error(result, sharp, factor=2, border=BORDER),
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--modality", nargs="+", default=["em", "xray"])
    parser.add_argument("--adversarial", action="store_true")
    add_data_argument(parser)
    arguments = parser.parse_args()
    ways: dict[str, Callable[[list[Path]], SRModel]] = {
        way: partial(fine_tuned, way, iterations=arguments.iterations) for way in WAYS
    }
    if arguments.adversarial:
        ways = {
            "all of D": partial(textured, "all", iterations=arguments.iterations),
            "end of D": partial(textured, "end", iterations=arguments.iterations),
        }
    print("| modality | images | learnt | clean | spectrum | 200 photons | spectrum |")
    print("| --- " * 7 + "|")
    for modality in arguments.modality:
        for n_images in arguments.images:
            files = ten_images(arguments.data, modality)[:n_images]
            for way, trained in ways.items():
                scores = gains(trained(files), arguments.data, modality)
                cells = [f"{gain:+.2f} dB | {error:+.3f}" for gain, error in scores]
                row = [modality, str(n_images), way, *cells]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

"""Train what is only meant for comparison, from a recipe, into a file of its own.

    python -m benchmarks.train_methods recipes/scn-x2.toml --data DIR [--output FILE]

As `benchmarks.train_shipped`, but the model file is put with the package's networks for
comparison unless told otherwise. It has no noise estimator: these networks are not told
the noise. Of a blind model, predictor and corrector follow.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.real_images import add_data_argument, training_images
from benchmarks.train_shipped import domain_of, trained, with_sources
from napari_sr.catalogue.lookup import FOR_COMPARISON
from napari_sr.models.sr_model import SRModel, save_model
from napari_sr.networks.generators.ikc import Sftmd
from napari_sr.recipes import Recipe
from napari_sr.training.auxiliary.kernel_predictor import KernelTraining

if TYPE_CHECKING:
    from napari_sr.networks.weights import Weights

N_PREDICTING, N_CORRECTING = 12_000, 4000


def kernel_estimators(
    generator: Sftmd, recipe: Recipe, root: Path
) -> dict[str, Weights]:
    """Train what finds out the blur, with as many channels as the generator has."""
    images, chances = training_images(root, domain_of(recipe), smallest=96)
    channels = recipe.settings.arguments["channels"]
    training = KernelTraining(generator, images, chances, recipe.settings, channels)
    losses: list[float] = []
    for name, steps in (
        ("predictor", training.predictor_steps(N_PREDICTING)),
        ("corrector", training.corrector_steps(N_CORRECTING)),
    ):
        for n, loss in enumerate(steps, 1):
            losses.append(loss)
            if n % 50 == 0:
                print(name, n, f"{sum(losses[-50:]) / 50:.4f}", flush=True)
    return {
        "predictor": training.predictor.state_dict(),
        "corrector": training.corrector.state_dict(),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path)
    add_data_argument(parser)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = Recipe.model_validate(tomllib.loads(arguments.recipe.read_text()))
    model = trained(arguments.recipe, recipe, arguments.data)
    n_weights = sum(one.numel() for one in model.network.parameters())
    print(f"{recipe.name}: a generator of {n_weights:,} weights", flush=True)
    card = with_sources(model.card, arguments.data, None)
    weights = dict(model.weights)
    if isinstance(model.network, Sftmd):
        weights |= kernel_estimators(model.network, recipe, arguments.data)
    path = arguments.output or FOR_COMPARISON / f"{recipe.name}.safetensors"
    print(save_model(SRModel(card, weights), path))


if __name__ == "__main__":
    main()

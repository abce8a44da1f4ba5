"""Train a shipped model from its recipe, in pieces that can be interrupted.

    python -m tools.zoo.train_shipped recipes/general-x2.toml --data DIR

A checkpoint is kept in `training_runs/`; the same command goes on from there. It is
judged by the calibrate role. At the end the noise estimator is taken from the base, or
trained (see `noise_estimators`), and the model file written to the package's zoo.
Figures are measured and written into the card by
`python -m benchmarks.accuracy.evaluate`. A model of one domain is shipped only where it
gains 0.1 dB over the general one of its factor on its own test images.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    phantoms_for,
    rows_of,
    sharp_planes,
    training_images,
)
from napari_sr.cards.model_card import TrainingImage
from napari_sr.catalogue.lookup import SHIPPED
from napari_sr.cli.training import describe_step
from napari_sr.models.sr_model import SRModel, save_model
from napari_sr.recipes import Recipe
from tools.zoo.noise_estimators import trained_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.cards.model_card import ModelCard

RUNS = Path("training_runs")
N_JUDGED_BY = 8
MOST_LOST = 0.01
"""Decibels on the calibrate role that half precision may cost."""


def domain_of(recipe: Recipe) -> str | None:
    """Tell which images a recipe is for; `None` for all."""
    return None if recipe.domain == "general" else recipe.domain


def trained(path: Path, recipe: Recipe, root: Path) -> SRModel:
    """Train, or go on with a training, to its end; halved if that is free."""
    RUNS.mkdir(exist_ok=True)
    images, weights = training_images(root, domain_of(recipe), smallest=96)
    print(f"{len(images)} images", flush=True)
    training = sr.train(
        [image * DATA_RANGE + BLACK for image in images],
        recipe.settings,
        base=recipe.base,
        checkpoint=RUNS / f"{path.stem}.pt",
        name=recipe.name,
        domain=recipe.domain,
        description=recipe.description,
        weights=weights,
        judged_by=images_to_judge_by(root, domain_of(recipe)),
    )
    for step in training:
        if step.validation is not None or step.message:
            print(describe_step(step), flush=True)
    model = training.model
    half = halved(model)
    losses = [
        training.held_out.judge(model.at_dial(dial).network).psnr
        - training.held_out.judge(half.at_dial(dial).network).psnr
        for dial in ([0.0, 1.0] if "textured" in model.weights else [0.0])
    ]
    print("half precision costs", ", ".join(f"{loss:.4f} dB" for loss in losses))
    return half if max(losses) < MOST_LOST else model


def halved(model: SRModel) -> SRModel:
    """Round everything but the noise estimator to half precision."""
    parts = {
        part: {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in model.weights[part].items()
        }
        if part != "noise_estimator"
        else model.weights[part]
        for part in model.weights
    }
    return SRModel(model.card, parts)


def images_to_judge_by(root: Path, domain: str | None) -> list[NDArray]:
    """Take a few calibrate images, alike from all there are."""
    rows = [row for row in rows_of(root, "calibrate", domain) if row.usable_as_target]
    chosen = rows[:: max(1, len(rows) // N_JUDGED_BY)]
    return [next(iter(sharp_planes(root, row))) for row in chosen]


def with_sources(card: ModelCard, root: Path, base: ModelCard | None) -> ModelCard:
    """Name every image that something in the model file has seen."""
    is_of_one = base is not None and card.domain != "general"
    domain = card.domain if is_of_one else None  # noise is learnt from all of them
    own = [
        TrainingImage(
            file=row.file, licence=row.licence, source=row.source, specimen=row.group
        )
        for row in rows_of(root, "train", domain)
        if row.usable_as_target
    ]
    own += [
        TrainingImage(
            file=f"phantom {name} {seed}",
            licence="BSD-3-Clause",
            source="napari-sr",
            specimen=f"phantom {name} {seed}",
        )
        for name, seed, _ in phantoms_for(domain)
    ]
    before = () if base is None else base.training_images
    seen = {image.file: image for image in (*own, *before)}
    return card.model_copy(update={"training_images": tuple(seen.values())})


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--threads", type=int)
    add_data_argument(parser)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = Recipe.model_validate(tomllib.loads(arguments.recipe.read_text()))
    path = SHIPPED / f"{recipe.name}.safetensors"
    model = trained(arguments.recipe, recipe, arguments.data)
    base = sr.load_model(recipe.base) if recipe.base else None
    assert base is None or isinstance(base, SRModel)
    parts = {part: dict(model.weights[part]) for part in model.weights}
    if base is None:
        parts["noise_estimator"] = trained_for(recipe.settings.factor, arguments.data)
    card = with_sources(model.card, arguments.data, base.card if base else None)
    print(save_model(SRModel(card, parts), path))


if __name__ == "__main__":
    main()

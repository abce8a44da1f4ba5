"""Train a shipped model from its recipe, in pieces that can be interrupted.

    python -m benchmarks.train_shipped recipes/fluorescence-x2.toml --data DIR

A checkpoint is kept in `training_runs/`; the same command goes on from there. At the
end the noise estimator is trained and the model file written to the package's zoo.
Figures are measured and written into the card by `python -m benchmarks.evaluate`.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import torch

from benchmarks.gains import gains_over_bicubic
from benchmarks.real_images import add_data_argument, rows_of, training_images
from napari_sr.card import ModelCard, TrainingImage
from napari_sr.catalogue import SHIPPED
from napari_sr.model import SRModel, save_model
from napari_sr.noise_training import train_noise_estimator
from napari_sr.settings import TrainingSettings
from napari_sr.training import TrainingState, train

RUNS = Path("training_runs")
SAVE_EVERY, SHOW_EVERY, VALIDATE_EVERY = 250, 100, 1000


def trained_state(
    recipe: dict[str, Any], root: Path, images: list[Any], weights: list[float]
) -> TrainingState:
    """Train, or go on with a training, to its end."""
    RUNS.mkdir(exist_ok=True)
    checkpoint = RUNS / f"{recipe['name']}.pt"
    settings = TrainingSettings(**recipe["settings"])
    state = TrainingState(settings)
    if checkpoint.exists():
        state = TrainingState.load(checkpoint)
        if state.settings != settings:
            raise SystemExit(f"{checkpoint} has other settings; remove it to restart.")
    total = 0.0
    for step in train(state, images, weights):
        total += step.loss
        if step.iteration % SHOW_EVERY == 0:
            print(
                f"{step.iteration} loss {total / SHOW_EVERY:.5f} "
                f"{step.seconds_left / 60:.0f} min left",
                flush=True,
            )
            total = 0.0
        if step.iteration % SAVE_EVERY == 0:
            state.save(checkpoint)
        if step.iteration % VALIDATE_EVERY == 0:
            domain = None if recipe["domain"] == "general" else recipe["domain"]
            gains = gains_over_bicubic(state.trained_generator, root, domain)
            print("calibrate role:", gains, flush=True)
    state.save(checkpoint)
    return state


def shipped_model(
    recipe: dict[str, Any], root: Path, images: list[Any], weights: list[float]
) -> SRModel:
    """Train everything that goes into the model file, and write its card."""
    state = trained_state(recipe, root, images, weights)
    # Noise is told from texture best by what has seen many textures: all domains.
    everything = training_images(root, None, smallest=96)
    estimator = train_noise_estimator(*everything, state.settings)
    generator = state.trained_generator
    settings = state.settings
    card = ModelCard(
        name=recipe["name"],
        description=recipe["description"],
        domain=recipe["domain"],
        factor=settings.factor,
        architecture=settings.architecture,
        arguments=settings.arguments,
        halo=generator.halo,
        instrument=settings.instrument,
        training_settings=settings.model_dump(mode="json"),
        training_images=tuple(
            TrainingImage(file=row.file, licence=row.licence, source=row.source)
            for row in rows_of(root, "train")  # the estimator has seen them all
            if row.usable_as_target
        ),
    )
    return SRModel(
        card,
        {
            "faithful": generator.state_dict(),
            "noise_estimator": estimator.state_dict(),
        },
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--threads", type=int)
    add_data_argument(parser)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = tomllib.loads(arguments.recipe.read_text())
    domain = None if recipe["domain"] == "general" else recipe["domain"]
    images, weights = training_images(arguments.data, domain, smallest=96)
    print(f"{len(images)} images", flush=True)
    model = shipped_model(recipe, arguments.data, images, weights)
    print(save_model(model, SHIPPED / f"{recipe['name']}.safetensors"))


if __name__ == "__main__":
    main()

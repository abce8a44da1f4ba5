"""Whether images of random overlapping shapes help beside real ones, or replace them.

    python -m benchmarks.studies.dead_leaves --data DIR [--steps 2500]

Dead leaves (Lee, Mumford, Huang 2001; for restoration: Achddou et al. 2023): ellipses
of random size, brightness, texture and shading cover each other; sizes follow r⁻³, as
in natural images. The network of general-x4 is trained from nothing on real images, on
both in equal shares, and on leaves alone, with all kinds of noise; printed is the mean
gain over bicubic on the first image of each test dataset, noise given, and the dataset
that is worst beside real images alone.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

import napari_sr as sr
from benchmarks.accuracy.bm3d import first_images
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    training_images,
)
from napari_sr.evaluation.baselines import baselines
from napari_sr.evaluation.protocol import PHOTONS, evaluate_specimen, way_at
from napari_sr.metrics.quality import BASELINE, as_markdown
from napari_sr.recipes import Recipe
from tools.zoo.train_shipped import images_to_judge_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.models.sr_model import SRModel

RECIPE = Path("recipes/general-x4-noise.toml")
N_IMAGES, SIDE = 120, 256
SMALLEST, LARGEST = 2.0, 120.0
"""Half axes of the leaves, in pixels."""


def dead_leaves(seed: int) -> NDArray[np.float32]:
    """Draw one image of `SIDE` pixels a side, in network range."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    image = np.zeros((SIDE, SIDE), np.float32)
    is_free = np.ones((SIDE, SIDE), bool)
    texture = _texture(random)
    while is_free.mean() > 0.002:  # from the front to the back: what is covered stays
        # By inversion: the density of sizes falls as r⁻³.
        share = random.random()
        size = (SMALLEST**-2 - share * (SMALLEST**-2 - LARGEST**-2)) ** -0.5
        y, x = random.uniform(-size, SIDE + size, 2)
        top, left = (int(max(0, place - 2 * size)) for place in (y, x))
        part = np.s_[top : int(y + 2 * size) + 1, left : int(x + 2 * size) + 1]
        free = is_free[part]
        if not free.any():
            continue
        angle, ratio = random.uniform(0, np.pi), random.uniform(0.5, 1)
        along = (rows[part] - y) * np.cos(angle) + (columns[part] - x) * np.sin(angle)
        across = (columns[part] - x) * np.cos(angle) - (rows[part] - y) * np.sin(angle)
        leaf = free & ((along / size) ** 2 + (across / (ratio * size)) ** 2 < 1)
        bright = random.random() + random.normal(0, 0.2) * along / size
        bright = bright + random.exponential(0.05) * texture[part]
        image[part][leaf] = np.broadcast_to(bright, leaf.shape)[leaf]
        is_free[part] = free & ~leaf
    image = gaussian_filter(image, random.uniform(0.3, 1.5))
    low, high = np.percentile(image, (0.1, 99.9))
    return ((image - low) / (high - low)).astype(np.float32)


def _texture(random: np.random.Generator) -> NDArray[np.float32]:
    """Add noise of several scales, with unit deviation."""
    texture = np.zeros((SIDE, SIDE))
    for scale in (1, 2, 4, 8, 16):
        coarse = random.standard_normal((SIDE // scale, SIDE // scale))
        texture += random.random() * zoom(coarse, scale, order=1)
    scaled: NDArray[np.float32] = (texture / texture.std()).astype(np.float32)
    return scaled


def trained(
    images: list[NDArray], weights: list[float], root: Path, n_steps: int
) -> SRModel:
    """Train the network from nothing."""
    recipe = Recipe.model_validate(tomllib.loads(RECIPE.read_text()))
    settings = recipe.settings.model_copy(
        update={"iterations": n_steps, "minutes": None, "validate_every": n_steps // 2}
    )
    training = sr.train(
        [image * DATA_RANGE + BLACK for image in images],
        settings,
        weights=weights,
        judged_by=images_to_judge_by(root, None),
    )
    for _ in training:
        pass
    return training.model


def gains(model: SRModel, root: Path) -> dict[tuple[float | None, str], float]:
    """Give the gain over bicubic by photons and dataset, noise given."""
    methods = {
        BASELINE: baselines(model.factor)[BASELINE],
        "model": way_at(model.at_dial(0.0), is_told=True),
    }
    found = {}
    for specimen in first_images(root):
        psnr = {
            (one.photons, one.method): one.quality.psnr
            for one in evaluate_specimen(specimen, methods, model.factor)
        }
        for photons in PHOTONS:
            gain = psnr[photons, "model"] - psnr[photons, BASELINE]
            found[photons, specimen.dataset] = gain
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2500)
    add_data_argument(parser)
    arguments = parser.parse_args()
    real, weights = training_images(arguments.data, None, smallest=96)
    leaves = [dead_leaves(seed) for seed in range(N_IMAGES)]
    equal = [sum(weights) / N_IMAGES] * N_IMAGES
    sets = {
        "real images": (real, weights),
        "both": (real + leaves, weights + equal),
        "dead leaves": (leaves, equal),
    }
    head = ["trained on", "clean", "200 photons", "50 photons", "worst, beside real"]
    rows, first = [], {}
    for name, (images, often) in sets.items():
        model = trained(images, often, arguments.data, arguments.steps)
        found = gains(model, arguments.data)
        first = first or found
        means = [
            np.mean([gain for (level, _), gain in found.items() if level == photons])
            for photons in PHOTONS
        ]
        worst = min(found, key=lambda key: found[key] - first[key])
        lost = f"{found[worst] - first[worst]:+.2f} ({worst[1]})"
        rows.append([name, *(f"{mean:+.2f}" for mean in means), lost])
        print(*rows[-1], flush=True)
    print(as_markdown(head, rows))


if __name__ == "__main__":
    main()

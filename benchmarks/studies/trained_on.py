"""What helps general-x4 when it is trained on: a wider reach, or other images.

    python -m benchmarks.studies.trained_on --data DIR [--steps 3000] [NAME …]

The shipped network reaches 12 recorded pixels far. To it are added blocks whose
convolutions are dilated, so that it stays purely local and its tiles stay exact; their
last layers start at zero, so that it starts as the shipped network. Or to its training
images are added the photographs that come with scikit-image, or dead leaves, with a
small share. All are trained for the same number of steps with all kinds of noise, the
shipped network as well. Printed are the mean gains over bicubic on the calibrate role,
noise given, what is gained by dataset beside the shipped network trained on, and the
time that each takes, as a ratio.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import skimage.data
import torch
from skimage.color import rgb2gray
from torch import nn
from torch.nn import functional

import napari_sr as sr
from benchmarks.accuracy.gains import gains_by_dataset, means_of
from benchmarks.accuracy.real_images import add_data_argument, training_images
from benchmarks.studies.dead_leaves import dead_leaves
from napari_sr.image.sampling import binned
from napari_sr.models.sr_model import SRModel
from napari_sr.networks.generators.fast import Fast
from napari_sr.recipes import Recipe
from napari_sr.training.batches import SimulatedExamples
from napari_sr.training.checkpoint import TrainingState
from napari_sr.training.flow import train_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from benchmarks.accuracy.gains import Gains

RECIPE = Path("recipes/general-x4-noise.toml")
RESULTS = Path(__file__).parents[1] / "results" / "trained_on"
PHOTONS = (None, 200, 50)
N_LEAVES = 120
NATURAL = (
    "astronaut brick camera cat clock coffee coins grass gravel hubble_deep_field moon "
    "retina rocket"
).split()


class Candidate(NamedTuple):
    """What differs from the shipped network and its images."""

    dilations: tuple[int, ...] = ()
    images: Callable[[], list[NDArray]] = list
    """More images, in network range."""
    share: float = 0.1
    """How often they are drawn."""


def natural_images() -> list[NDArray]:
    """Read the photographs, grey, and binned: cameras interpolate colours."""
    read = (getattr(skimage.data, name)() for name in NATURAL)
    grey = (rgb2gray(one) if one.ndim == 3 else one / 255 for one in read)
    return [binned(one.astype(np.float32), 2) for one in grey]


def leaves() -> list[NDArray]:
    """Draw images of random overlapping shapes."""
    return [dead_leaves(seed) for seed in range(N_LEAVES)]


CANDIDATES = {
    "as shipped": Candidate(),
    "reach 40": Candidate((2, 4, 8)),
    "natural images": Candidate(images=natural_images),
    "dead leaves": Candidate(images=leaves),
}


class DilatedBlock(nn.Module):
    """Two dilated 3×3 convolutions added to their input; adds nothing at first."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
            for _ in range(2)
        )
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape."""
        added: Tensor = self.second(functional.relu(self.first(features)))
        return features + added


def widened(dilations: tuple[int, ...]) -> Fast:
    """Take general-x4's faithful network and add blocks that do nothing yet."""
    model = sr.load_model("general-x4")
    assert isinstance(model, SRModel)
    network = Fast(4)
    network.load_state_dict(
        {key: value.float() for key, value in model.weights["faithful"].items()}
    )
    for dilation in dilations:
        network.body.append(DilatedBlock(48, dilation))
        network.halo += 2 * dilation
    return network


def trained_on(candidate: Candidate, root: Path, n_steps: int) -> nn.Module:
    """Train for some steps."""
    recipe = Recipe.model_validate(tomllib.loads(RECIPE.read_text()))
    settings = recipe.settings.model_copy(
        update={"iterations": n_steps, "minutes": None, "precision": "bfloat16"}
    )
    images, weights = training_images(root, None, smallest=96)
    if more := candidate.images():
        of_each = candidate.share / (1 - candidate.share) * sum(weights) / len(more)
        images, weights = images + more, weights + [of_each] * len(more)
    torch.manual_seed(0)
    state = TrainingState(settings, network=widened(candidate.dilations))
    for step in train_steps(state, SimulatedExamples(images, settings, weights)):
        if step.iteration % 500 == 0:
            print(step.iteration, flush=True)
    assert state.faithful is not None
    network = widened(candidate.dilations)
    network.load_state_dict(state.faithful)
    return network.eval()


@torch.inference_mode()
def seconds(network: nn.Module) -> float:
    """Take the best processor time of five for 256² recorded pixels."""
    network = network.to(memory_format=torch.channels_last)
    batch = torch.rand(1, 2, 256, 256).contiguous(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(5):
        began = process_time()
        network(batch)
        best = min(best, process_time() - began)
    return best


def print_table() -> None:
    """Print what is known of each candidate."""
    plain = seconds(widened(()))
    found: dict[str, Gains] = {}
    for path in RESULTS.glob("*.json"):
        gains = json.loads(path.read_text())
        found[path.stem] = {(kind, name): gain for kind, name, gain in gains}
    beside = found["as shipped"]
    for name, gains in found.items():
        ratio = seconds(widened(CANDIDATES[name].dilations)) / plain
        print(f"{name}: {means_of(gains)}, {ratio:.1f} times the time")
        more = {key: gain - beside[key] for key, gain in gains.items()}
        for kind, dataset in sorted(more, key=lambda key: more[key]):
            print(f"    {more[kind, dataset]:+.2f} dB  {kind}, {dataset}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(CANDIDATES))
    parser.add_argument("--steps", type=int, default=3000)
    add_data_argument(parser)
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.names:
        network = trained_on(CANDIDATES[name], arguments.data, arguments.steps)
        gains = gains_by_dataset(network, arguments.data, PHOTONS)
        text = json.dumps([[*key, round(gain, 3)] for key, gain in gains.items()])
        (RESULTS / f"{name}.json").write_text(text + "\n")
    print_table()


if __name__ == "__main__":
    main()

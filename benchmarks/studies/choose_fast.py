"""Choose the fast generator: PSNR after the same training time, and speed.

    python -m benchmarks.studies.choose_fast train NAME --data DIR  (once per candidate)
    python -m benchmarks.studies.choose_fast table                     (speed beside it)

Candidates are trained for the same processor time on one thread at factor 2, on the
training role of all domains, and compared on the calibrate role with the noise given.
Speed is that of factor 4 against the generator of the SRGAN paper, plain PyTorch on a
whole plane, in one run. The results stay in `benchmarks/results/choose_fast/`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchmarks.accuracy.gains import gains_over_bicubic
from benchmarks.accuracy.real_images import add_data_argument, training_images
from napari_sr.networks.generator import Generator
from napari_sr.networks.generators.fast import NOISE_GAIN, Fast
from napari_sr.networks.generators.srresnet import SRResNet
from napari_sr.networks.resampling import resample
from napari_sr.settings import TrainingSettings
from napari_sr.training.batches import SimulatedExamples
from napari_sr.training.checkpoint import TrainingState
from napari_sr.training.flow import train_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

RESULTS = Path(__file__).parents[1] / "results" / "choose_fast"
BATCH = 8


class AttentionBlock(nn.Module):
    """Three convolutions and parameter-free attention (Wan et al., SPAN, 2024)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape."""
        first = functional.silu(self.layers[0](features))
        second = functional.silu(self.layers[1](first))
        third = self.layers[2](second)
        return (third + features) * (torch.sigmoid(third) - 0.5)


class Span(Generator):
    """SPAN with its branches merged, told the noise, on top of bicubic."""

    in_channels = 2

    def __init__(self, factor: int, channels: int, n_blocks: int) -> None:
        super().__init__()
        self.factor, self.halo = factor, 3 + 3 * n_blocks
        self.head = nn.Conv2d(2, channels, 3, padding=1)
        self.blocks = nn.ModuleList(AttentionBlock(channels) for _ in range(n_blocks))
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.join = nn.Conv2d(4 * channels, channels, 1)
        self.tail = nn.Conv2d(channels, factor * factor, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def raw_output(self, batch: Tensor) -> Tensor:
        """Map `(n, 2, h, w)` to `(n, 1, factor·h, factor·w)`."""
        image, noise = batch[:, :1], batch[:, 1:]
        head = self.head(torch.cat([image, noise * NOISE_GAIN], 1))
        outputs, features = [], head
        for block in self.blocks:
            features = block(features)
            outputs.append(features)
        joined = self.join(
            torch.cat([head, self.last(features), outputs[0], outputs[-2]], 1)
        )
        return resample(image, self.factor, "bicubic") + functional.pixel_shuffle(
            self.tail(joined), self.factor
        )


CANDIDATES: dict[str, Callable[[int], nn.Module]] = {
    "plain-64x6": lambda factor: Fast(factor, channels=64, n_blocks=3),
    "plain-48x10": lambda factor: Fast(factor, channels=48, n_blocks=5),
    "plain-32x24": lambda factor: Fast(factor, channels=32, n_blocks=12),
    "span-28": lambda factor: Span(factor, channels=28, n_blocks=6),
    "paper": SRResNet,
    "paper-noise": lambda factor: SRResNet(factor, in_channels=2),
}


def train_candidate(name: str, root: Path, budget: float) -> None:
    """Train one candidate for `budget` seconds of processor time and write its PSNR."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, weights = training_images(root, None, smallest=96)
    pace = _pace(name, images)
    settings = TrainingSettings(iterations=int(budget / pace), batch=BATCH)
    torch.manual_seed(0)
    state = TrainingState(settings, network=CANDIDATES[name](2))
    started = process_time()
    for _ in train_steps(state, SimulatedExamples(images, settings, weights)):
        pass
    result = {
        "iterations": settings.iterations,
        "processor_seconds": round(process_time() - started),
        "gain_db": gains_over_bicubic(_trained(state, CANDIDATES[name](2)), root),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _trained(state: TrainingState, network: nn.Module) -> nn.Module:
    """Put what was learnt into a network."""
    assert state.faithful is not None
    network.load_state_dict(state.faithful)
    return network.eval()


def _pace(name: str, images: list[np.ndarray]) -> float:
    """Measure processor seconds per training step."""
    settings = TrainingSettings(iterations=8, batch=BATCH)
    state = TrainingState(settings, network=CANDIDATES[name](2))
    started = process_time()
    for step in train_steps(state, SimulatedExamples(images, settings)):
        if step.iteration == 2:  # the first steps allocate
            started = process_time()
    return (process_time() - started) / 6


def print_table(side: int = 512) -> None:
    """Print gains and speed side by side."""
    torch.manual_seed(0)
    paper = _seconds(SRResNet(4).eval(), side, channels_last=False)
    print(
        "| candidate | parameters (×4) | steps | gain clean | gain 200 photons |"
        " times faster than the paper's, ×4 |"
    )
    print("|---|---|---|---|---|---|")
    for name, build in CANDIDATES.items():
        network = build(4).eval()
        result = json.loads((RESULTS / f"{name}.json").read_text())
        gain = result["gain_db"]
        ratio = paper / _seconds(network, side, channels_last=True)
        n_parameters = sum(p.numel() for p in network.parameters())
        print(
            f"| {name} | {n_parameters / 1e3:.0f} K | {result['iterations']} | "
            f"{gain['clean']:+.2f} dB | {gain['200 photons']:+.2f} dB | {ratio:.1f} |"
        )


@torch.inference_mode()
def _seconds(network: nn.Module, side: int, *, channels_last: bool) -> float:
    """Best of three runs on one plane: whole, or in tiles of 128 for the fast ones."""
    batch = torch.rand(1, network.in_channels, side, side)
    parts = [batch]
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
        parts = [
            part.contiguous(memory_format=torch.channels_last)
            for rows in batch.split(128, 2)
            for part in rows.split(128, 3)
        ]
    best = float("inf")
    for _ in range(3):
        started = perf_counter()
        for part in parts:
            network(part)
        best = min(best, perf_counter() - started)
    return best


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("name", choices=CANDIDATES)
    training.add_argument("--seconds", type=float, default=600)
    add_data_argument(training)
    commands.add_parser("table")
    arguments = parser.parse_args()
    if arguments.command == "train":
        train_candidate(arguments.name, arguments.data, arguments.seconds)
    else:
        print_table()


if __name__ == "__main__":
    main()

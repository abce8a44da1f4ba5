"""Flow B: sharp images → recordings → a trained generator.

Sharp patches are drawn, recorded by a simulated instrument and given to the generator
together with the noise that was drawn; the loss compares what comes out with the sharp
patch. This module alone trains a generator. `train` is a generator: iterate to go on,
stop iterating to stop; the state can be saved at any time and gone on with later, and
then ends with the same weights as if it had never stopped.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_sr.losses import mean_absolute_error
from napari_sr.networks import build_generator
from napari_sr.patches import PatchSource
from napari_sr.settings import TrainingSettings
from napari_sr.simulation import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_sr.simulation import Recording

WARM_UP = 200
"""Steps over which the learning rate rises from zero."""
CLIP = 0.5
"""Largest norm of a gradient; a longer one is shortened to it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one training step tells whoever watches."""

    iteration: int
    """Steps done so far, this one included."""
    loss: float
    """Mean absolute error of this batch, in network units."""
    seconds_left: float
    """Estimated from the steps of this run."""


class TrainingState:
    """Everything a training needs to go on: networks, optimiser, position.

    Parameters
    ----------
    settings
        How to train.
    network
        A generator to train instead of the one that the settings describe.
    """

    def __init__(
        self, settings: TrainingSettings, network: nn.Module | None = None
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.generator = network or build_generator(
            settings.architecture, settings.factor, settings.arguments
        )
        self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        averaging = get_ema_multi_avg_fn(settings.averaging)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.generator, multi_avg_fn=averaging)
        self.optimizer = torch.optim.Adam(
            self.generator.parameters(), settings.learning_rate, betas=(0.9, 0.99)
        )
        self.iteration = 0

    @property
    def trained_generator(self) -> nn.Module:
        """The averaged generator, in evaluation mode."""
        return self.average.module.eval()

    def save(self, path: Path) -> None:
        """Write a checkpoint aside and rename it, so that it is whole or absent."""
        partial = path.with_name(path.name + ".partial")
        content: dict[str, Any] = {
            "settings": self.settings.model_dump_json(),
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "iteration": self.iteration,
        }
        torch.save(content, partial)
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Read a checkpoint that `save` wrote."""
        content = torch.load(path, weights_only=True)
        state = cls(TrainingSettings.model_validate_json(content["settings"]))
        state.generator.load_state_dict(content["generator"])
        state.average.load_state_dict(content["average"])
        state.optimizer.load_state_dict(content["optimizer"])
        state.iteration = content["iteration"]
        return state


def train(
    state: TrainingState,
    images: Sequence[NDArray],
    weights: Sequence[float] | None = None,
) -> Iterator[Step]:
    """Train a generator for fidelity, from wherever the state stands.

    Parameters
    ----------
    state
        What is trained; changed in place, consistent after every step.
    images
        `(y, x)` float32 sharp images in network range, without gaps.
    weights
        How often each image is drawn, relative to the others.

    Yields
    ------
    Step
        After each training step.
    """
    settings = state.settings
    source = PatchSource(
        images, settings.patch * settings.factor, weights, settings.seed
    )
    started, first = monotonic(), state.iteration
    state.generator.train()
    while state.iteration < settings.iterations:
        random = _random_of(state)
        sharp = source.batch(state.iteration, settings.batch)
        seen = simulated(sharp, settings, random)
        result = state.generator(_network_input(state.generator, seen))
        loss = _inner_loss(result, seen.sharp, 2 * settings.factor)
        _take_step(state, loss)
        pace = (monotonic() - started) / (state.iteration - first)
        left = pace * (settings.iterations - state.iteration)
        yield Step(state.iteration, loss.item(), left)


def _random_of(state: TrainingState) -> torch.Generator:
    """Seed by position, so that a resumed training draws what it would have drawn."""
    return torch.Generator().manual_seed(
        (state.settings.seed << 32) + state.iteration + 1
    )


def _network_input(network: nn.Module, seen: Recording) -> Tensor:
    told = [seen.noise_map()] if network.in_channels == 2 else []
    batch = torch.cat([seen.low, *told], dim=1)
    return batch.contiguous(memory_format=torch.channels_last)


def _inner_loss(result: Tensor, truth: Tensor, border: int) -> Tensor:
    """Leave out the border, where the network sees the zeros around the patch."""
    inner = (..., slice(border, -border), slice(border, -border))
    return mean_absolute_error(result[inner], truth[inner])


def _take_step(state: TrainingState, loss: Tensor) -> None:
    settings = state.settings
    progress = state.iteration / settings.iterations
    rate = settings.learning_rate * min(1, (state.iteration + 1) / WARM_UP)
    rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.generator.parameters(), CLIP)
    state.optimizer.step()
    state.average.update_parameters(state.generator)
    state.iteration += 1

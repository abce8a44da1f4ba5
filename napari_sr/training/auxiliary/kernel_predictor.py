"""Flow B for blind models: recordings of known blur → predictor and corrector.

This module alone trains them, on the recordings that their generator was trained for:
the predictor from a recording, the corrector from what the generator, held fixed, made
with a wrong code (Gu et al., CVPR 2019). Adam, squared errors of the codes, each number
as large as it stands in the kernels: most of them say next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.networks.generators.ikc import (
    Corrector,
    Predictor,
    Sftmd,
    as_kernel,
    with_code,
)
from napari_sr.training.patches import PatchSource
from napari_sr.training.simulation import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.datasets import SharpImage
    from napari_sr.settings import TrainingSettings

RATE = 1e-3
N_UNROLLED = 3
"""Corrections made in a row in each step; in use there are more."""


class KernelTraining:
    """Train what finds out the blur: iterate over its steps, then take the networks.

    Parameters
    ----------
    generator
        Trained; it stays as it is.
    images, weights
        As for `train`.
    settings
        The settings that the generator was trained with.
    channels
        Of predictor and corrector.
    """

    def __init__(
        self,
        generator: Sftmd,
        images: Sequence[NDArray | SharpImage],
        weights: Sequence[float] | None,
        settings: TrainingSettings,
        channels: int = 64,
    ) -> None:
        self._generator = generator.eval().requires_grad_(False)
        side = settings.patch * settings.factor
        self._source = PatchSource(images, side, weights, settings.seed + 1)
        self._settings = settings.model_copy(update={"share_flat": 0.0})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.predictor, self.corrector = Predictor(channels), Corrector(channels)
        last = self.corrector.both[-1]
        assert isinstance(last, torch.nn.Conv2d)
        torch.nn.init.zeros_(last.weight)

    def predictor_steps(self, n_steps: int) -> Iterator[float]:
        """Train the predictor; give the mean squared error of each step."""
        optimizer, schedule = _optimizer(self.predictor, n_steps)
        for step in range(n_steps):
            low, code = self._examples(step, self._settings.batch)
            loss = self._error(self.predictor(low), code)
            _learn(optimizer, loss)
            schedule.step()
            yield loss.item()

    def corrector_steps(self, n_steps: int) -> Iterator[float]:
        """Train the corrector; give the mean squared error after the corrections."""
        optimizer, schedule = _optimizer(self.corrector, n_steps)
        for step in range(n_steps):
            low, code = self._examples(
                100_000 + step, max(self._settings.batch // 2, 2)
            )
            with torch.no_grad():
                guess = self.predictor(low)
            # Half of them start far off, or the corrector would learn to do nothing.
            guess[::2] = guess[::2] + torch.randn_like(guess[::2])
            for _ in range(N_UNROLLED):
                with torch.no_grad():
                    fine = self._generator(with_code(low, guess))
                better = guess + self.corrector(fine, guess)
                loss = self._error(better, code)
                _learn(optimizer, loss)
                guess = better.detach()
            schedule.step()
            yield loss.item()

    def _error(self, predicted: Tensor, code: Tensor) -> Tensor:
        size = self._generator.code_size
        return functional.mse_loss(predicted * size, code * size) / size.square().mean()

    def _examples(self, step: int, n: int) -> tuple[Tensor, Tensor]:
        """Record patches; give them with the codes of their blurs."""
        random = torch.Generator().manual_seed((self._settings.seed << 32) + step)
        seen = simulated(self._source.batch(step, n), self._settings, random)
        assert seen.psf is not None
        return seen.low, self._generator.code_of(as_kernel(seen.psf))


def _optimizer(
    network: torch.nn.Module, n_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.Adam(network.parameters(), RATE, betas=(0.9, 0.99))
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)


def _learn(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()

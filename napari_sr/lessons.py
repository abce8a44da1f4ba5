"""One training step: what the networks are told about one batch.

This module alone computes gradients and changes weights. A lesson is called with a
batch and gives the losses by name; `accuracy` is the discriminator's, chance 0.5.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.content import BORDER, build_content
from napari_sr.device import choose_precision
from napari_sr.losses import (
    adversarial_loss,
    charbonnier,
    discriminator_loss,
    gradient_penalty,
    lattice_loss,
    mean_absolute_error,
    mean_squared_error,
    perceptual_loss,
)
from napari_sr.networks.discriminators import frozen
from napari_sr.pace import drop, head_start, ramp, schedule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_sr.settings import AdversarialSettings
    from napari_sr.simulation import Recording
    from napari_sr.training_state import TrainingState

PIXEL_LOSSES = {
    "l1": mean_absolute_error,
    "mse": mean_squared_error,
    "charbonnier": charbonnier,
}


class FidelityLesson:
    """One step of the generator towards the truth, pixel by pixel."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self.loss = PIXEL_LOSSES[state.settings.fidelity_loss]
        self.dtype = choose_precision(state.settings.precision, state.device)

    def __call__(self, seen: Recording) -> dict[str, float]:
        """Teach with one batch; give the losses."""
        seen = seen.to(self.state.device)
        result, truth = self.generated(seen)
        losses = {"pixels": self.loss(result, truth)}
        weight = self.state.settings.lattice_weight
        total = losses["pixels"] + self.against_lattice(result, truth, weight, losses)
        rate = self.state.settings.learning_rate * schedule(self.state)
        _take_step(self.state, self.state.optimizer, rate, total)
        self.state.average.update_parameters(self.state.generator)
        return {name: loss.item() for name, loss in losses.items()}

    def against_lattice(
        self, result: Tensor, truth: Tensor, weight: float, losses: dict[str, Tensor]
    ) -> Tensor | float:
        """Weigh the penalty on a lattice, and note it among the losses."""
        if not weight:
            return 0.0
        factor = self.state.settings.factor
        losses["lattice"] = lattice_loss(result, truth, factor)
        return weight * losses["lattice"]

    def generated(
        self, seen: Recording, *, exact: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Super-resolve; leave out the border, where the network sees zeros.

        A discriminator must not learn to tell rounding: for one it is done `exact`ly.
        """
        network = self.state.generator
        batch = seen.inputs_of(network)
        batch = batch.contiguous(memory_format=torch.channels_last)
        network.train()
        with nullcontext() if exact else self.autocast():
            result = network(batch)
        return _inner(result, network.factor), _inner(seen.sharp, network.factor)

    def autocast(self) -> torch.autocast:
        """Compute in the precision that was asked for."""
        reduced = self.dtype != torch.float32
        return torch.autocast(self.state.device.type, self.dtype, enabled=reduced)


class AdversarialLesson(FidelityLesson):
    """One step of the discriminator, then one of the generator through it."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__(state)
        assert state.settings.adversarial is not None
        self.settings: AdversarialSettings = state.settings.adversarial
        self.content = build_content(self.settings, state.settings.factor, state.device)

    def __call__(self, seen: Recording) -> dict[str, float]:
        """Teach both networks with one batch; give the losses."""
        seen = seen.to(self.state.device)
        is_head_start = self.state.iteration < head_start(self.state)
        with torch.set_grad_enabled(not is_head_start):
            result, truth = self.generated(seen, exact=True)
        told = _inner(
            _repeated(seen.noise_map(), seen.sharp), self.state.generator.factor
        )
        losses = self._teach_discriminator(result.detach(), truth, told)
        if not is_head_start:
            losses |= self._teach_generator(result, truth, told)
        return losses

    def _teach_discriminator(
        self, result: Tensor, truth: Tensor, told: Tensor
    ) -> dict[str, float]:
        judge = self.state.discriminator
        if judge is None or self.state.discriminator_optimizer is None:
            return {}
        judge.train()
        penalty = self.settings.gradient_penalty
        truth = truth.detach().requires_grad_(penalty > 0)
        with self.autocast():
            on_truth = _judged(judge, truth, told)
            on_result = _judged(judge, result, told)
        loss = discriminator_loss(on_truth, on_result, self.settings.real_label)
        losses = {"discriminator": loss}
        if penalty:
            losses["gradient_penalty"] = gradient_penalty(on_truth, truth)
            loss = loss + penalty * losses["gradient_penalty"]
        rate = self.settings.discriminator_rate * self.state.rate_scale
        rate *= drop(self.state)
        _take_step(self.state, self.state.discriminator_optimizer, rate, loss)
        right = (on_truth > 0).float().mean() + (on_result < 0).float().mean()
        losses["accuracy"] = right / 2
        return {name: value.item() for name, value in losses.items()}

    def _teach_generator(
        self, result: Tensor, truth: Tensor, told: Tensor
    ) -> dict[str, float]:
        settings, judge = self.settings, self.state.discriminator
        losses = {"pixels": mean_absolute_error(result, truth)}
        total = settings.pixel_weight * losses["pixels"]
        total = total + self.against_lattice(
            result, truth, settings.lattice_weight, losses
        )
        with self.autocast():
            if self.content is not None:
                losses["content"] = self.content(result, truth)
                total = total + settings.content_weight * losses["content"]
            if judge is not None:
                with frozen(judge):
                    fooled = adversarial_loss(_judged(judge, result, told))
                losses["adversarial"] = fooled
                weight = settings.weight * ramp(self.state)
                total = perceptual_loss(total, fooled, weight)
        rate = settings.learning_rate * schedule(self.state)
        _take_step(self.state, self.state.optimizer, rate, total)
        self.state.average.update_parameters(self.state.generator)
        return {name: loss.item() for name, loss in losses.items()}


def _judged(judge: nn.Module, image: Tensor, told: Tensor) -> Tensor:
    """Ask a discriminator; the paper's is not told the noise."""
    logits: Tensor = judge(image, told) if judge.is_told_noise else judge(image)
    return logits


def _inner(image: Tensor, factor: int) -> Tensor:
    """Leave out the border of a patch."""
    border = BORDER * factor
    return image[..., border:-border, border:-border]


def _repeated(low: Tensor, sharp: Tensor) -> Tensor:
    """Bring a map to the size of the sharp patches."""
    return functional.interpolate(low, size=sharp.shape[-2:], mode="nearest")


def _take_step(
    state: TrainingState, optimizer: torch.optim.Optimizer, rate: float, loss: Tensor
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    state.scaler.unscale_(optimizer)
    if state.settings.largest_gradient is not None:
        for group in optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(
                group["params"], state.settings.largest_gradient
            )
    state.scaler.step(optimizer)
    state.scaler.update()

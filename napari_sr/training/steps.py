"""One training step: what the networks learn from one batch.

This module alone computes gradients and changes weights. A lesson is called with a
batch and gives the losses by name, not yet read from the device; `accuracy` is the
discriminator's, chance 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.device import choose_precision, full_precision
from napari_sr.networks.discriminators import frozen
from napari_sr.training.content_losses import BORDER, build_content
from napari_sr.training.losses import (
    adversarial_loss,
    charbonnier,
    discriminator_loss,
    gradient_penalty,
    lattice_loss,
    mean_absolute_error,
    mean_squared_error,
    perceptual_loss,
)
from napari_sr.training.schedule import drop, head_start, ramp, schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

    from napari_sr.settings import AdversarialSettings
    from napari_sr.training.checkpoint import TrainingState
    from napari_sr.training.simulation import Recording

PIXEL_LOSSES = {
    "l1": mean_absolute_error,
    "mse": mean_squared_error,
    "charbonnier": charbonnier,
}


Losses = dict[str, "Tensor"]
"""By name, a number each."""
Compared = tuple[int, "Tensor", Losses]
"""Of a part of a batch: its patches, what is to be lowered, and the losses in it."""
Made = tuple["Tensor", "Tensor", "Tensor"]
"""Of a part of a batch: results, the truth, and the noise map."""


class FidelityStep:
    """One step of the generator towards the truth, pixel by pixel."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self.loss = PIXEL_LOSSES[state.settings.fidelity_loss]
        self.dtype = choose_precision(state.settings.precision, state.device)

    def __call__(self, seen: Recording) -> Losses:
        """Teach with one batch; give the losses, on the device."""
        parts = seen.to(self.state.device).parts(self.state.n_parts)
        rate = self.state.settings.learning_rate * schedule(self.state)
        losses = _take_step(
            self.state,
            self.state.optimizer,
            rate,
            map(self._compared, parts),
            len(seen.low),
        )
        self.state.average.update_parameters(self.state.generator)
        return losses

    def _compared(self, seen: Recording) -> Compared:
        result, truth = self.generated(seen)
        losses = {"pixels": self.loss(result, truth)}
        weight = self.state.settings.lattice_weight
        total = losses["pixels"] + self.against_lattice(result, truth, weight, losses)
        return len(seen.low), total, losses

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
        with full_precision() if exact else self.autocast():
            result = seen.comparable(network(batch))
        return _inner(result, network.factor), _inner(seen.sharp, network.factor)

    def autocast(self) -> torch.autocast:
        """Compute in the precision that was asked for."""
        reduced = self.dtype != torch.float32
        return torch.autocast(self.state.device.type, self.dtype, enabled=reduced)


class AdversarialStep(FidelityStep):
    """One step of the discriminator, then one of the generator through it."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__(state)
        assert state.settings.adversarial is not None
        self.settings: AdversarialSettings = state.settings.adversarial
        self.content = build_content(self.settings, state.settings.factor, state.device)

    def __call__(self, seen: Recording) -> Losses:
        """Teach both networks with one batch; give the losses, on the device.

        What the generator makes of a whole batch serves both. Of parts it is made again
        for the second step: all of them would not fit with what gradients need.
        """
        parts = seen.to(self.state.device).parts(self.state.n_parts)
        is_head_start = self.state.iteration < head_start(self.state)
        serves_both = len(parts) == 1 and not is_head_start
        with torch.set_grad_enabled(serves_both):
            made = [self._made(part) for part in parts]
        losses = self._train_discriminator(made, len(seen.low))
        if not is_head_start:
            again = made if serves_both else map(self._made, parts)
            losses |= self._train_generator(again, len(seen.low))
        return losses

    def _made(self, seen: Recording) -> Made:
        result, truth = self.generated(seen, exact=True)
        noise = _repeated(seen.noise_map(), seen.sharp)
        return result, truth, _inner(noise, self.state.generator.factor)

    def _train_discriminator(self, made: Iterable[Made], n_patches: int) -> Losses:
        judge = self.state.discriminator
        if judge is None or self.state.discriminator_optimizer is None:
            return {}
        judge.train()
        rate = self.settings.discriminator_rate * self.state.rate_scale
        rate *= drop(self.state)
        compared = (
            self._discriminator_loss(judge, result.detach(), truth, noise)
            for result, truth, noise in made
        )
        optimizer = self.state.discriminator_optimizer
        return _take_step(self.state, optimizer, rate, compared, n_patches)

    def _discriminator_loss(
        self, judge: nn.Module, result: Tensor, truth: Tensor, noise: Tensor
    ) -> Compared:
        penalty = self.settings.gradient_penalty
        truth = truth.detach().requires_grad_(penalty > 0)
        with self.autocast():
            on_truth = _judged(judge, truth, noise)
            on_result = _judged(judge, result, noise)
        loss = discriminator_loss(on_truth, on_result, self.settings.real_label)
        losses = {"discriminator": loss}
        if penalty:
            losses["gradient_penalty"] = gradient_penalty(on_truth, truth)
            loss = loss + penalty * losses["gradient_penalty"]
        right = (on_truth > 0).float().mean() + (on_result < 0).float().mean()
        losses["accuracy"] = right / 2
        return len(result), loss, losses

    def _train_generator(self, made: Iterable[Made], n_patches: int) -> Losses:
        rate = self.settings.learning_rate * schedule(self.state)
        compared = (self._compared_with_truth(*triple) for triple in made)
        losses = _take_step(self.state, self.state.optimizer, rate, compared, n_patches)
        self.state.average.update_parameters(self.state.generator)
        return losses

    def _compared_with_truth(
        self, result: Tensor, truth: Tensor, noise: Tensor
    ) -> Compared:
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
                    fooled = adversarial_loss(_judged(judge, result, noise))
                losses["adversarial"] = fooled
                weight = settings.weight * ramp(self.state)
                total = perceptual_loss(total, fooled, weight)
        return len(result), total, losses


def _judged(judge: nn.Module, image: Tensor, noise: Tensor) -> Tensor:
    """Apply a discriminator; the paper's is not noise-conditioned."""
    logits: Tensor = judge(image, noise) if judge.is_told_noise else judge(image)
    return logits


def _inner(image: Tensor, factor: int) -> Tensor:
    """Leave out the border of a patch."""
    border = BORDER * factor
    return image[..., border:-border, border:-border]


def _repeated(low: Tensor, sharp: Tensor) -> Tensor:
    """Bring a map to the size of the sharp patches."""
    return functional.interpolate(low, size=sharp.shape[-2:], mode="nearest")


def _take_step(
    state: TrainingState,
    optimizer: torch.optim.Optimizer,
    rate: float,
    parts: Iterable[Compared],
    n_patches: int,
) -> Losses:
    """Change weights by a batch whose parts count by their patches; mean the losses.

    Nothing is read: that would wait until a device has computed everything.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    means: Losses = {}
    for n_of_part, loss, losses in parts:
        share = n_of_part / n_patches
        state.scaler.scale(loss * share).backward()  # type: ignore[no-untyped-call]
        for name, value in losses.items():
            means[name] = means.get(name, 0.0) + share * value.detach().float()
    state.scaler.unscale_(optimizer)
    if state.settings.largest_gradient is not None:
        for group in optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(
                group["params"], state.settings.largest_gradient
            )
    state.scaler.step(optimizer)
    state.scaler.update()
    return means

"""Sharp images → a network whose feature maps are fit for a content loss.

This module alone knows what `DomainFeatures` learns from, without labels. Each patch is
recorded twice, and the network has two tasks. How differently were the two recorded, in
blur and noise? That makes it see sharpness, which a content loss is for; only the
difference is asked, since a patch has some blur and noise of its own. And what did the
sharp patch look like, pixel by pixel? That keeps structure in the features, and the
deepest channels alive. Telling patches apart (NT-Xent, Chen et al., ICML 2020) was
measured as a third task and left out: it teaches not to see the recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn import functional

from napari_sr.cards.model_card import Instrument
from napari_sr.instrument.degradation import blur, draw_noise, record
from napari_sr.networks.features import CHANNELS, DomainFeatures
from napari_sr.networks.resampling import kernel_radius, resample
from napari_sr.training.losses import content_loss
from napari_sr.training.patches import PatchSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Generator, Tensor

INSTRUMENT = Instrument(
    psf_sigma=(0.0, 2.0), photons=(20, 10_000), read=(0.001, 0.05), share_clean=0.3
)
"""The instruments that patches are recorded with, by pixels of `BINNING` a side."""
BINNING = (1, 1, 2, 3, 4)
_ALIKE = 4
"""Patches that share one blur, as recordings of one batch do."""
_SPAN, _BLACK = (-0.3, 0.3), (-0.05, 0.05)
"""Ranges of the log scale and of the black level of a recording, in network units."""
_WARM_UP = 100


class FeatureSettings(BaseModel):
    """How to train a feature network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    iterations: int = Field(default=400, ge=1)
    """Not many: later the features grow so fit for their tasks that they tell smooth
    from textured no better than untrained ones."""
    batch: int = Field(default=16, ge=1)
    """Patches in each step."""
    patch: int = Field(default=48, ge=24, multiple_of=24)
    """Side of a patch: a multiple of the binnings and of the max-pools."""
    learning_rate: float = Field(default=2e-3, gt=0)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FeatureStep:
    """What one training step tells whoever watches."""

    iteration: int
    """Steps done so far, this one included."""
    recording_loss: float
    """Error of the difference in recording: pixels of blur, logarithm of noise."""
    detail_loss: float
    """Mean absolute error of the sharp detail, summed over blocks; its size is 1."""
    seconds_left: float


class FeatureTraining:
    """A feature network in training, and the heads that are thrown away after it.

    Parameters
    ----------
    settings
        How to train; the seed fixes the untrained network.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.network = DomainFeatures()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recording_head = nn.Sequential(
            nn.Linear(2 * sum(CHANNELS), 64), nn.ReLU(), nn.Linear(64, 2)
        )
        self.detail_heads = nn.ModuleDict(
            {  # the sharp pixels that lie under each pixel of the feature map
                f"{block + 1}_2": nn.Conv2d(CHANNELS[block], 4**block, 1)
                for block in range(1, len(CHANNELS))
            }
        )
        parts = (self.network, self.recording_head, self.detail_heads)
        self.parameters = [p for part in parts for p in part.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.parameters, settings.learning_rate, weight_decay=1e-4
        )
        self.iteration = 0

    def recording_loss(self, features: dict[str, Tensor], recorded: Tensor) -> Tensor:
        """Compare the predicted difference of both halves with the true one.

        Parameters
        ----------
        features
            All feature maps of `2 n` images.
        recorded
            `(2 n, 2)` as `degraded` gives it.
        """
        predicted = self.recording_head(_summary(features))
        (predicted, told_too), (true, true_too) = predicted.chunk(2), recorded.chunk(2)
        return functional.smooth_l1_loss(predicted - told_too, true - true_too)

    def detail_loss(self, features: dict[str, Tensor], sharp: Tensor) -> Tensor:
        """Compare the detail that each block tells with that of the sharp patch."""
        detail = sharp - blur(sharp, 2.0)
        # where there is next to no detail, little is asked
        detail = detail / (detail.std((1, 2, 3), keepdim=True) + 0.02)
        errors = [
            (functional.pixel_shuffle(head(features[name]), 2**block) - detail).abs()
            for block, (name, head) in enumerate(self.detail_heads.items(), start=1)
        ]
        return torch.stack([error.mean() for error in errors]).sum()


def train_features(
    training: FeatureTraining,
    images: Sequence[NDArray],
    weights: Sequence[float] | None = None,
) -> Iterator[FeatureStep]:
    """Train a feature network, from wherever it stands.

    Parameters
    ----------
    training
        What is trained; changed in place, consistent after every step.
    images
        `(y, x)` float32 sharp images in network range, without gaps.
    weights
        How often each image is drawn, relative to the others.

    Yields
    ------
    FeatureStep
        After each training step.
    """
    settings = training.settings
    source = PatchSource(images, settings.patch, weights, settings.seed)
    started, first = monotonic(), training.iteration
    while training.iteration < settings.iterations:
        random = torch.Generator().manual_seed(
            (settings.seed << 32) + training.iteration + 1
        )
        sharp = source.batch(training.iteration, settings.batch).repeat(2, 1, 1, 1)
        seen, recorded = degraded(sharp, random)
        features = training.network(seen)
        recording_loss = training.recording_loss(features, recorded)
        detail_loss = training.detail_loss(features, sharp)
        _take_step(training, recording_loss + detail_loss)
        pace = (monotonic() - started) / (training.iteration - first)
        yield FeatureStep(
            training.iteration,
            recording_loss.item(),
            detail_loss.item(),
            pace * (settings.iterations - training.iteration),
        )


def degraded(sharp: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """Record sharp patches with instruments drawn at random, on the grid that they had.

    Parameters
    ----------
    sharp
        `(n, 1, h, w)` float32 in network range; sides are multiples of `BINNING`.
    random
        Source of everything that is drawn.

    Returns
    -------
    seen
        `(n, 1, h, w)` float32: recorded, interpolated, a little brighter or darker.
    recorded
        `(n, 2)` float32: standard deviation of the blur in sharp pixels, that of the
        pixel area included; natural logarithm of that of the noise, in network units,
        where little noise counts as none, and coarse noise for less.
    """
    seen, recorded = [], []
    for some in torch.split(sharp, _ALIKE):
        n = len(some)
        factor = BINNING[int(torch.randint(len(BINNING), (1,), generator=random))]
        drawn = draw_noise(INSTRUMENT, n, random)
        low = record(
            some,
            factor,
            psf_sigma=drawn.psf_sigma,
            gain=drawn.gain,
            read=drawn.read,
            generator=random,
        )
        span = torch.exp(torch.empty(n, 1, 1, 1).uniform_(*_SPAN, generator=random))
        black = torch.empty(n, 1, 1, 1).uniform_(*_BLACK, generator=random)
        seen.append(_interpolated(low, factor) * span + black)
        light = some.mean((1, 2, 3), keepdim=True).clamp_min(0)
        # Coarse noise can hardly be told from structure: features that try lose the
        # fine texture from sight. So binned noise counts for its share per pixel side.
        noise = span * torch.sqrt(drawn.gain * light + drawn.read.square()) / factor
        width = math.sqrt(drawn.psf_sigma**2 + (factor**2 - 1) / 12)
        labels = [torch.full((n,), width), torch.log(noise.flatten() + 0.003)]
        recorded.append(torch.stack(labels, dim=1))
    return torch.cat(seen), torch.cat(recorded)


@torch.no_grad()
def bring_level(network: DomainFeatures, sharp: Tensor) -> None:
    """Scale the layers so that the paper's weight fits each of them.

    Ledig et al. scale the loss of a feature map to the size of the mean squared error.
    Afterwards `content_loss` of every layer, with the paper's weight, equals the mean
    squared error of patches recorded with pixels twice as large and interpolated. A
    factor passes through a ReLU and is undone in the next layer, so that nothing else
    changes.

    Parameters
    ----------
    network
        Changed in place; it gives all its layers.
    sharp
        `(n, 1, h, w)` float32 typical sharp patches in network range.
    """
    smooth = _interpolated(record(sharp, 2), 2)
    error = (smooth - sharp).square().mean()
    of_smooth, wanted = network(smooth), network(sharp)
    convolutions = [layer for layer in network.stack if isinstance(layer, nn.Conv2d)]
    before = torch.ones(())
    for name, convolution in zip(network.layers, convolutions, strict=True):
        loss = content_loss({name: of_smooth[name]}, {name: wanted[name]})
        scale = torch.sqrt(error / loss)
        convolution.weight.mul_(scale / before)
        convolution.bias.mul_(scale)  # type: ignore[union-attr]
        before = scale


def _interpolated(low: Tensor, factor: int) -> Tensor:
    """Interpolate back to the sharp grid, the border repeated."""
    if factor == 1:
        return low
    margin = kernel_radius("bicubic")
    padded = functional.pad(low, (margin,) * 4, mode="replicate")
    inner = slice(margin * factor, -margin * factor)
    return resample(padded, factor, "bicubic")[..., inner, inner]


def _summary(features: dict[str, Tensor]) -> Tensor:
    """Average the last feature map of each block, and their spread; no places."""
    last = [features[f"{block + 1}_2"] for block in range(len(CHANNELS))]
    spread = [torch.sqrt(maps.var((2, 3)) + 1e-8) for maps in last]
    return torch.cat([*(maps.mean((2, 3)) for maps in last), *spread], dim=1)


def _take_step(training: FeatureTraining, loss: Tensor) -> None:
    settings = training.settings
    progress = training.iteration / settings.iterations
    rate = settings.learning_rate * min(1, (training.iteration + 1) / _WARM_UP)
    rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(training.parameters, 1.0)
    training.optimizer.step()
    training.iteration += 1

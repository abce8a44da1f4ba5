"""What content is, by name: a measure of two images that does not count single pixels.

This module alone turns the settings of a content loss into something that computes it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from napari_sr.models.feature_file import load_features
from napari_sr.training.losses import (
    content_loss,
    gradient_loss,
    ms_ssim_loss,
    spectrum_loss,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_sr.settings import AdversarialSettings, TrainingSettings

BORDER = 2
"""Recorded pixels at each edge of a patch that no loss sees: the network sees zeros
beyond them."""


def check_losses(settings: TrainingSettings) -> None:
    """Refuse, before the first step, losses that a training could not compute.

    Parameters
    ----------
    settings
        Of the training; its patch as it will be.

    Raises
    ------
    ValueError
        If the weights or a layer of a feature network are missing, or a patch is too
        small for a loss.
    """
    if settings.adversarial is None:
        return
    content = build_content(settings.adversarial, settings.factor, torch.device("cpu"))
    if content is not None:
        side = compared_side(settings)
        patch = torch.zeros(1, 1, side, side)
        content(patch, patch)


def compared_side(settings: TrainingSettings) -> int:
    """Side of what is compared of a patch, in sharp pixels: its border is left out."""
    return (settings.patch - 2 * BORDER) * settings.factor


def build_content(
    settings: AdversarialSettings, factor: int, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Build what compares the content of a result with that of the truth.

    Parameters
    ----------
    settings
        Which content, and which feature maps of it.
    factor
        Super-resolution factor: what was recorded ends at one over it of Nyquist.
    device
        Where it is computed.

    Returns
    -------
    callable or None
        `(result, truth)`, each `(n, 1, h, w)` in network range, to a scalar.

    Raises
    ------
    ValueError
        If a network's weights or a layer are not there.
    """
    if settings.content is None or settings.content_weight == 0:
        return None
    if settings.content == "gradient":
        return gradient_loss
    if settings.content == "ms-ssim":
        return ms_ssim_loss
    if settings.content == "spectrum":
        band = (1 / factor, min(2 / factor, 1.0))
        return partial(spectrum_loss, band=band)
    layers = settings.content_layers
    features = load_features(settings.content, tuple(layers)).to(device)

    def compared(result: Tensor, truth: Tensor) -> Tensor:
        return content_loss(features(result), features(truth), layers)

    return compared

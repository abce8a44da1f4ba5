"""The file of a feature network: its weights in half precision beside its card.

This module alone writes and reads it. The card holds the digest of the weights, and
nothing in the file is ever executed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

import napari_sr
from napari_sr.aside import written_aside
from napari_sr.card import ModelFormatError, TrainingImage

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from napari_sr.networks.weights import Weights

_CARD = "napari_sr_features"


class FeatureCard(BaseModel):
    """What the file of a feature network says about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    training_settings: dict[str, Any] = Field(default_factory=dict)
    training_images: tuple[TrainingImage, ...] = ()
    quality: str = ""
    """How well it orders degradations, as a Markdown table."""
    licence: str = "BSD-3-Clause"
    package_version: str = napari_sr.__version__
    digest: str = ""
    """SHA-256 of the weights; filled in when the file is written."""


def save_features(network: nn.Module, card: FeatureCard, path: Path) -> None:
    """Write a feature network in half precision; the file is whole or absent."""
    weights = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in network.state_dict().items()
    }
    card = card.model_copy(update={"digest": _digest_of(weights)})
    with written_aside(path) as partial:
        partial.write_bytes(save(weights, metadata={_CARD: card.model_dump_json()}))


def read_features(path: Path) -> tuple[FeatureCard, Weights]:
    """Read the file of a feature network.

    Parameters
    ----------
    path
        A file that `save_features` wrote.

    Returns
    -------
    FeatureCard
        What the network was trained on.
    dict
        Its weights by name, float16.

    Raises
    ------
    ModelFormatError
        If the file is missing, cut off, changed, or something else.
    """
    if not path.is_file():
        raise ModelFormatError(
            f"The content features have no weight file {path}. Install napari-sr again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            card = FeatureCard.model_validate_json(file.metadata()[_CARD])
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, TypeError, KeyError, ValidationError) as error:
        raise ModelFormatError(
            f"{path} is cut off or no file of content features. Install napari-sr "
            f"again."
        ) from error
    if _digest_of(weights) != card.digest:
        raise ModelFormatError(
            f"The weights in {path} have been changed. Install napari-sr again."
        )
    return card, weights


def _digest_of(weights: Weights) -> str:
    content = [weights[name].numpy().tobytes() for name in sorted(weights)]
    return hashlib.sha256(b"".join(content)).hexdigest()

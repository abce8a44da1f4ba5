"""The file of a feature network, and feature networks by name.

This module alone writes and reads such a file, weights in half precision beside a card
with their digest, and knows where the weights of VGG-19 lie. Nothing in a file is ever
executed, and nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from napari_sr._version import __version__
from napari_sr.cards.model_card import ModelFormatError, TrainingImage
from napari_sr.files.atomic import written_atomically
from napari_sr.networks.features import IMAGENET, DomainFeatures, FeatureNetwork
from napari_sr.networks.weights import fitting

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    package_version: str = __version__
    digest: str = ""
    """SHA-256 of the weights; filled in when the file is written."""


def save_features(network: nn.Module, card: FeatureCard, path: Path) -> None:
    """Write a feature network in half precision; the file is whole or absent."""
    weights = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in network.state_dict().items()
    }
    card = card.model_copy(update={"digest": _digest_of(weights)})
    with written_atomically(path) as partial:
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
            f"{path} is cut off or not a file of content features. Install napari-sr "
            "again."
        ) from error
    if _digest_of(weights) != card.digest:
        raise ModelFormatError(
            f"The weights in {path} have been changed. Install napari-sr again."
        )
    return card, weights


def _digest_of(weights: Weights) -> str:
    content = [weights[name].numpy().tobytes() for name in sorted(weights)]
    return hashlib.sha256(b"".join(content)).hexdigest()


SHIPPED = Path(__file__).parents[1] / "zoo_features" / "domain.safetensors"


def load_features(name: str, layers: Sequence[str]) -> FeatureNetwork:
    """Load a trained feature network, ready for a content loss.

    Parameters
    ----------
    name
        `domain`, which comes with the package, or `vgg19`, torchvision's, whose weights
        the user has fetched.
    layers
        Names of the feature maps to give.

    Returns
    -------
    FeatureNetwork
        In evaluation mode; its weights need no gradient, and gradients reach the image.

    Raises
    ------
    ValueError
        For an unknown name or layer, or if something that it needs is not there.
    """
    builders = {"domain": _load_domain, "vgg19": _load_vgg19}
    if name not in builders:
        raise ValueError(
            f"There are no content features {name!r}. Use one of {', '.join(builders)}."
        )
    return builders[name](layers).requires_grad_(False).eval()


def _load_domain(layers: Sequence[str]) -> FeatureNetwork:
    network = DomainFeatures(layers)
    _, weights = read_features(SHIPPED)
    network.load_state_dict(fitting(network, weights, SHIPPED.name))
    return network


def _load_vgg19(layers: Sequence[str]) -> FeatureNetwork:
    try:
        models = importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:  # the latter: made for another torch
        raise ValueError(
            f"The content features 'vgg19' need torchvision, which cannot be loaded: "
            f"{error}. Run `pip install 'napari-sr[vgg]'`, or use 'domain'."
        ) from error
    address = models.VGG19_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", address.rpartition("/")[2])
    with torch.device("meta"):  # without memory: most of the weights are not needed
        stack = models.vgg19(weights=None).features
    network = FeatureNetwork(stack, layers, *IMAGENET)
    weights = fitting(stack, _vgg19_weights(path), "vgg19")
    stack.load_state_dict(weights, assign=True)
    return network


def _vgg19_weights(path: Path) -> Weights:
    """Read the convolutions of the weight file, under their names in the stack."""
    fetch = "torchvision.models.vgg19(weights='IMAGENET1K_V1')"
    if not path.is_file():
        raise ValueError(
            f"The content features 'vgg19' need the file {path}, which does not exist "
            f"and is not downloaded automatically. Run `{fetch}` once in Python to "
            "get it."
        )
    try:
        everything = torch.load(path, map_location="cpu", weights_only=True)
        named = [(name.partition("."), tensor) for name, tensor in everything.items()]
    except (RuntimeError, OSError, EOFError, AttributeError, UnpicklingError) as error:
        raise ModelFormatError(
            f"{path} is damaged or not a weight file. Remove it and run `{fetch}` "
            "once in Python to get it again."
        ) from error
    return {name: tensor for (part, _, name), tensor in named if part == "features"}

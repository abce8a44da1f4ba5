"""From named tensors to what a network loads: what fits, what lies between two ends.

This module alone decides whether weights belong to a network. Nothing is left out,
ignored or stretched to fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from napari_sr.cards.model_card import ModelFormatError

if TYPE_CHECKING:
    from torch import Tensor, nn

Weights = Mapping[str, "Tensor"]


def fitting(network: nn.Module, weights: Weights, name: str) -> Weights:
    """Give the weights that a network is to load, in its own types.

    Parameters
    ----------
    network
        Any network.
    weights
        Tensors by name, as its state dict has them.
    name
        Whose weights they are, for the refusal.

    Raises
    ------
    ModelFormatError
        If a tensor is missing, surplus or of another shape.
    """
    expected = network.state_dict()
    wrong = sorted(
        key
        for key in expected.keys() | weights.keys()
        if key not in expected
        or key not in weights
        or expected[key].shape != weights[key].shape
    )
    if wrong:
        raise ModelFormatError(
            f"The weights of model {name!r} do not fit its card: missing, surplus or "
            f"of another shape: {', '.join(wrong[:5])}. Get the file again."
        )
    return {key: weights[key].to(expected[key].dtype) for key in expected}


def between(faithful: Weights, textured: Weights, dial: float) -> Weights:
    """Interpolate two ends linearly; whole numbers are those of the faithful one.

    Parameters
    ----------
    faithful, textured
        Tensors by name, alike in shape and type.
    dial
        0 gives the faithful end, 1 the textured one, bit for bit.
    """
    return {
        key: torch.lerp(end, textured[key], dial) if end.is_floating_point() else end
        for key, end in faithful.items()
    }

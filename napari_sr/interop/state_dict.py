"""The paper's network → a state dict that another repository loads as its own.

This module alone knows how the tensors of our SRResNet are called in
Lornatang/SRGAN-PyTorch, of which `interop.layouts` reads the same names. There the
output is cut off at 0 and 1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_sr.files.atomic import written_atomically
from napari_sr.interop.single_network import weights_at_dial

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from napari_sr.models.sr_model import SRModel

_ARCHITECTURE = "srresnet"
_NAMES = (
    (r"head\.(\d+)", r"conv1.\1"),
    (r"blocks\.(\d+)\.layers\.(\d+)", r"trunk.\1.rcb.\2"),
    (r"middle\.(\d+)", r"conv2.\1"),
    (r"tail", "conv3"),
)
_UPSAMPLING = re.compile(r"upsampling\.(\d+)")


def export_state_dict(model: SRModel, path: str | os.PathLike[str]) -> Path:
    """Write the weights of the paper's network, at its dial, with `torch.save`.

    Parameters
    ----------
    model
        Of the architecture "srresnet".
    path
        Ends in `.pth`; an existing file is replaced, by a whole one.

    Returns
    -------
    Path
        The file: tensors by name, which `SRResNet(in_channels=1, out_channels=1, …)` of
        Lornatang/SRGAN-PyTorch loads strictly, and this package imports.

    Raises
    ------
    ValueError
        If the model has another architecture, or is noise-conditioned.
    """
    if model.card.architecture != _ARCHITECTURE:
        raise ValueError(
            f"Model {model.name!r} is not the SRResNet of the paper but "
            f"{model.card.architecture!r}, so there is no plain state dict that other "
            "programs can load. Export it as .onnx."
        )
    if model.card.arguments.get("in_channels", 1) != 1:
        raise ValueError(
            f"Model {model.name!r} takes a noise map beside the image, which "
            "third-party implementations do not. Export it as .onnx."
        )
    path = Path(path)
    weights = dict(weights_at_dial(model))
    scale, offset = model.card.output_scale, model.card.output_offset
    weights["tail.weight"] = weights["tail.weight"] * scale
    weights["tail.bias"] = weights["tail.bias"] * scale + offset
    named: dict[str, Tensor] = {
        _name_of(key): tensor.clone() for key, tensor in weights.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as partial:
        torch.save(named, partial)
    return path


def _name_of(key: str) -> str:
    layer, _, tensor = key.rpartition(".")
    if match := _UPSAMPLING.fullmatch(layer):
        # Each step is a convolution, a shuffle and a PReLU.
        step, place = divmod(int(match[1]), 3)
        return f"upsampling.{step}.upsample_block.{place}.{tensor}"
    for ours, theirs in _NAMES:
        if re.fullmatch(ours, layer):
            return f"{re.sub(ours, theirs, layer)}.{tensor}"
    raise AssertionError(f"{key} is in no network of the paper")

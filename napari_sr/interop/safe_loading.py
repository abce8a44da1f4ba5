"""A checkpoint of PyTorch → named tensors; nothing in it is ever executed.

This module alone opens files that may be hostile, and knows in what the weights of a
network are usually wrapped.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from typing import TYPE_CHECKING

import torch

from napari_sr.cards.model_card import ModelFormatError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_WRAPPERS = (
    *("model_state_dict", "state_dict", "params_ema", "params-ema", "params"),
    *("model", "net", "generator", "netG", "ema_state_dict", "g"),
)
_PREFIXES = ("module.", "_orig_mod.", "netG.", "generator.", "net.")
_DEEPEST = 4
_COPIES, _BESIDES = 4, 2**20
"""Tensors may share what is stored: so many bytes for each of the file, and a few."""


def read_weights(path: Path, *, only_floats: bool = True) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name, floats in float32.

    Parameters
    ----------
    path
        What `torch.save` wrote of a state dict, bare or in one of the usual wrappers.
    only_floats
        Whether tensors of integers are refused; else they are kept as they are.

    Returns
    -------
    dict of str to Tensor
        Common prefixes are taken off, counters of batch norms left out.

    Raises
    ------
    ModelFormatError
        If it is missing, damaged, holds code or no weights, in one sentence.
    """
    if not path.is_file():
        raise ModelFormatError(f"There is no checkpoint {path}. Check the path.")
    try:
        _refuse_unpacked(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = torch.load(path, map_location="cpu", weights_only=True)
    except ModelFormatError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelFormatError(
            f"{path.name}: is damaged, or holds more than weights, such as a whole "
            f"module or code; nothing of it was run. Save its state_dict() instead."
        ) from error
    except Exception as error:  # a damaged file can raise anything
        raise ModelFormatError(
            f"{path.name}: not a readable checkpoint of PyTorch "
            f"({type(error).__name__}). Get it again."
        ) from error
    tensors = {
        key: tensor
        for key, tensor in _without_prefixes(_unwrapped(path.name, held)).items()
        if key.rpartition(".")[2] not in ("num_batches_tracked", "n_averaged")
    }
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if n_bytes > _COPIES * path.stat().st_size + _BESIDES:
        raise ModelFormatError(
            f"{path.name}: its tensors claim {n_bytes / 1e6:.0f} MB, far more than is "
            "stored. Get the file again."
        )
    checked = {key: _checked(path.name, key, value) for key, value in tensors.items()}
    integers = [key for key, value in checked.items() if not value.is_floating_point()]
    if only_floats and integers:
        raise ModelFormatError(
            f"{path.name}: {integers[0]} is not a dense tensor of floats. Export float "
            "weights."
        )
    return checked


def _refuse_unpacked(path: Path) -> None:
    """Refuse an archive that is more than its file: torch packs none."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        n_bytes = sum(held.file_size for held in archive.infolist())
    if n_bytes > path.stat().st_size:
        raise ModelFormatError(
            f"{path.name}: unpacks to {n_bytes / 1e6:.0f} MB, more than its size, "
            "which no checkpoint of PyTorch does. Get the file again."
        )


def _unwrapped(name: str, held: object) -> dict[str, Tensor]:
    """Find the state dict in what was read."""
    for _ in range(_DEEPEST):
        if not isinstance(held, dict) or not held:
            break
        if all(
            isinstance(key, str) and isinstance(value, torch.Tensor)
            for key, value in held.items()
        ):
            return held
        held = next((held[key] for key in _WRAPPERS if key in held), None)
    raise ModelFormatError(
        f"{name}: holds no state dict of one network, bare or under one of "
        f"{', '.join(_WRAPPERS)}. Save the generator's state_dict()."
    )


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what all names begin with, as wrappers of modules add it."""
    has_prefix = True
    while has_prefix:
        has_prefix = False
        for prefix in _PREFIXES:
            named = [key for key in tensors if key != "n_averaged"]
            if named and all(key.startswith(prefix) for key in named):
                tensors = {key.removeprefix(prefix): tensors[key] for key in named}
                has_prefix = True
    return tensors


def _checked(name: str, key: str, tensor: Tensor) -> Tensor:
    """Refuse what cannot be a weight: not dense, not finite, stretched over memory."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise ModelFormatError(
            f"{name}: {key} is not a dense tensor of floats. Export float weights."
        )
    n_bytes = tensor.numel() * tensor.element_size()
    # A tensor of no numbers can have any other side.
    is_hollow = max(tensor.shape, default=1) > max(tensor.numel(), 1)
    if is_hollow or n_bytes > tensor.untyped_storage().nbytes():
        raise ModelFormatError(
            f"{name}: {key} claims more numbers than are stored. Get the file again."
        )
    if not torch.isfinite(tensor).all():
        raise ModelFormatError(
            f"{name}: {key} holds NaN or infinity. Use an earlier checkpoint."
        )
    tensor = tensor.detach().clone()
    return tensor.float() if tensor.is_floating_point() else tensor

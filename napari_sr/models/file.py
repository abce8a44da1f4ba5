"""The model file: the tensors of a model's parts beside its card.

This module alone reads model weights (`sr_model.save_model` writes them). Parts that
are not needed are not read, each part is checked against the digest in the card, and
nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from napari_sr.cards.model_card import PARTS, ModelFormatError
from napari_sr.networks.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sr.cards.model_card import ModelCard


def digest_of(weights: Weights) -> str:
    """SHA-256 over the names, types, shapes and bytes of some tensors."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        sha.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def digests_of(weights: Mapping[str, Weights]) -> dict[str, str]:
    """Tell the digest of each part; of a file's parts without reading them."""
    if isinstance(weights, PartsOnDisk):
        return weights.digests
    return {part: digest_of(weights[part]) for part in PARTS if part in weights}


class PartsOnDisk(Mapping[str, Weights]):
    """The parts of a model file, each read and checked when it is first asked for.

    Parameters
    ----------
    path
        The model file.
    card
        Its card.

    Raises
    ------
    ModelFormatError
        If the file does not hold exactly the parts that its card lists, or one of
        them, once asked for, is not what was saved.
    """

    def __init__(self, path: Path, card: ModelCard) -> None:
        self._path = path
        self._read: dict[str, Weights] = {}
        self.digests = dict(card.digests)
        listed = set(self.digests)
        with _opened(path) as file:
            held = {key.partition(".")[0] for key in file.keys()}
        wrong = (listed ^ held) | (listed - set(PARTS)) | ({"faithful"} - listed)
        if wrong:
            raise ModelFormatError(
                f"{path.name}: its parts are not those listed in its card; missing, "
                f"surplus or unknown: {', '.join(sorted(wrong)[:5])}. Get the file "
                "again."
            )

    def __iter__(self) -> Iterator[str]:
        """Name the parts; nothing is read."""
        return iter(self.digests)

    def __len__(self) -> int:
        """Count the parts."""
        return len(self.digests)

    def __contains__(self, part: object) -> bool:
        """Tell whether there is such a part; nothing is read."""
        return part in self.digests

    def __getitem__(self, part: str) -> Weights:
        """Read a part, or give it again."""
        if part not in self.digests:
            raise KeyError(part)
        if part not in self._read:
            weights = self._tensors_of(part)
            if digest_of(weights) != self.digests[part]:
                raise ModelFormatError(
                    f"{self._path.name}: the weights of its {part!r} part are not "
                    f"those that were saved. Get the file again."
                )
            self._read[part] = weights
        return self._read[part]

    def _tensors_of(self, part: str) -> Weights:
        prefix = f"{part}."
        with _opened(self._path) as file:
            # Copies: a mapped file that is overwritten later would change under us.
            return {
                key.removeprefix(prefix): file.get_tensor(key).clone()
                for key in file.keys()
                if key.startswith(prefix)
            }


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file whose card has been read before."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise ModelFormatError(
            f"{path.name}: cannot be read any more ({error}). Get it again."
        ) from error

"""A network is built for weights that are there, and is never larger than they are.

This module alone bounds what a description of a network can cost: a small file may name
a billion blocks, and memory would be gone before shapes could be compared.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from napari_sr.cards.model_card import ModelFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_sr.networks.weights import Weights

_MAKERS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
_BESIDES = 2_000_000
"""Numbers that a network may need for a while beside twice its weights."""
_LEAST = 8
"""An argument up to this needs no tensor that is as large: views, say."""


@contextmanager
def no_larger_than(
    weights: Weights, name: str, arguments: Mapping[str, int] | None = None
) -> Iterator[None]:
    """Refuse, in its context, to build a network that needs more than its weights.

    Parameters
    ----------
    weights
        The tensors that the network is to load.
    name
        Whose they are, for the refusal.
    arguments
        What the network is built with: numbers of channels, blocks, pixels of a kernel.

    Raises
    ------
    ModelFormatError
        Before the memory is asked for.
    """
    # A side beside one of length 0 is nothing that is held.
    held_in = [tensor for tensor in weights.values() if tensor.numel()]
    sizes = [size for tensor in held_in for size in tensor.shape]
    largest = max([*sizes, len(weights), _LEAST])
    for argument, value in (arguments or {}).items():
        if value > largest:
            raise ModelFormatError(
                f"Model {name!r} states {argument} {value}, but no dimension of its "
                f"weights is above {largest}. Get the file again."
            )
    held = sum(tensor.numel() for tensor in weights.values())
    with _Counting(2 * held + _BESIDES, name):
        yield


class _Counting(TorchFunctionMode):
    """Counts the numbers of all tensors that are made, and refuses too many."""

    def __init__(self, most: int, name: str) -> None:
        super().__init__()
        self._left, self._name = most, name

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function gives
        """Call a function of torch, unless it would make too much."""
        if function in _MAKERS:
            shape = args[0] if args and not isinstance(args[0], int) else args
            self._left -= prod(size for size in shape if isinstance(size, int))
            if self._left < 0:
                raise ModelFormatError(
                    f"Model {self._name!r} describes a network with more parameters "
                    "than its weights hold. Get the file again."
                )
        return function(*args, **(kwargs or {}))

"""What a user would otherwise run: the same weights and plane, other ways to compute.

Written afresh from what these tools are known to do. A way is made from a network and
its halo, and maps a plane `(1, c, y, x)` to `(1, 1, f·y, f·x)`.

- Plain PyTorch: the whole plane at once. What Real-ESRGAN does unless told a tile
  (its default is 0), and spandrel, which loads networks but brings no tiles (and none
  of the paper's shape), comes to the same.
- Tile loop: Real-ESRGAN's, with tiles cut with a margin that is thrown away. Its
  margin of 10 pixels is less than these networks see, so there are seams.
- MONAI: `sliding_window_inference`, by default with a quarter of each window
  overlapping and averaged, which does not hide where windows were cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_sr.networks import Generator

    Way = Callable[[Tensor], Tensor]


def plain(network: Generator) -> Way:
    """Run the network on all of the plane."""
    return network


def in_tiles(network: Generator, tile: int, margin: int) -> Way:
    """Run it on tiles with a margin, and paste what is inside."""

    def way(plane: Tensor) -> Tensor:
        height, width = plane.shape[-2:]
        factor = network.factor
        out = plane.new_zeros(1, 1, factor * height, factor * width)
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                bottom, right = min(top + tile, height), min(left + tile, width)
                first_row, first_column = max(top - margin, 0), max(left - margin, 0)
                seen = plane[
                    ...,
                    first_row : min(bottom + margin, height),
                    first_column : min(right + margin, width),
                ]
                fine = network(seen)
                rows = slice(factor * (top - first_row), factor * (bottom - first_row))
                columns = slice(
                    factor * (left - first_column), factor * (right - first_column)
                )
                out[
                    ...,
                    factor * top : factor * bottom,
                    factor * left : factor * right,
                ] = fine[..., rows, columns]
        return out

    return way


def monai(network: Generator, window: int, n_at_once: int, overlap: float) -> Way:
    """Run it in MONAI's sliding windows."""
    from monai.inferers import sliding_window_inference

    def way(plane: Tensor) -> Tensor:
        found: Tensor = sliding_window_inference(
            plane, (window, window), n_at_once, network, overlap=overlap
        )
        return found

    return way


WAYS: dict[str, tuple[bool, Callable[[Generator], Way]]] = {
    "plain PyTorch": (False, plain),
    "plain PyTorch, channels_last": (True, plain),
    "tile loop, tile 256, margin 10": (False, lambda one: in_tiles(one, 256, 10)),
    "tile loop, tile 256, margin 40, channels_last": (
        True,
        lambda one: in_tiles(one, 256, 40),
    ),
    "tile loop, tile 96, margin 40, channels_last": (
        True,
        lambda one: in_tiles(one, 96, 40),
    ),
    "MONAI, window 96, 4 at once, overlap 0.25": (
        False,
        lambda one: monai(one, 96, 4, 0.25),
    ),
    "MONAI, window 256, 1 at once, no overlap, channels_last": (
        True,
        lambda one: monai(one, 256, 1, 0.0),
    ),
}
"""Name → whether the network is in channels_last, and how it is run."""


def way_named(name: str, network: Generator) -> Way:
    """Make a way ready to run."""
    is_channels_last, make = WAYS[name]
    if is_channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[attr-defined]
    run = make(network)

    def way(plane: Tensor) -> Tensor:
        with torch.inference_mode(is_channels_last), torch.no_grad():
            if is_channels_last:
                plane = plane.contiguous(memory_format=torch.channels_last)
            return run(plane)

    return way

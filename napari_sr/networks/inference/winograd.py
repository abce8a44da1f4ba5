"""3×3 convolutions with fewer multiplications, on a processor.

This module alone knows Winograd's minimal filtering, as Lavin and Gray (CVPR 2016)
brought it to networks: of each 6×6 pixels, 4×4 results come from 36 products in place
of 144. Everything is a matrix product, which processors are best at. What is computed
is the same function; results differ by a few units of float rounding.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

_MADE = 4
"""Side of what one block gives."""
_SEEN = _MADE + 2
"""Side of what it sees."""
_N_BLOCKS = 160
"""At a time: what they are turned into fits in a cache."""
_FEWEST_CHANNELS = 64
"""With fewer, turning costs what it saves."""

# Of F(4, 3), with the points 0, 1, -1, 2, -2 and infinity.
_SEE = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_WEIGH = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
_MAKE = torch.tensor(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    dtype=torch.float64,
)
_AT_ONE = _SEEN + 1
"""Of the 36 products, the one at the point (1, 1): it goes into all results alike."""


def is_worth_it(convolution: nn.Conv2d) -> bool:
    """Say whether a convolution is of a kind that this makes faster."""
    n_out, n_in, *side = convolution.weight.shape
    return side == [3, 3] and min(n_in, n_out) >= _FEWEST_CHANNELS


class Winograd(nn.Module):
    """A 3×3 convolution without padding; as it is on a GPU or in half precision.

    Parameters
    ----------
    convolution
        Without padding or stride.
    """

    see: Tensor
    make: Tensor
    weights: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.plain = convolution
        self.out_channels = convolution.out_channels
        turned = _WEIGH @ convolution.weight.detach().double().cpu() @ _WEIGH.T
        by_product = turned.permute(2, 3, 1, 0).flatten(0, 1).float().contiguous()
        self.register_buffer("weights", by_product, persistent=False)
        self.register_buffer("see", torch.kron(_SEE, _SEE).float(), persistent=False)
        self.register_buffer("make", torch.kron(_MAKE, _MAKE).float(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, c, h + 2, w + 2)` to `(n, c', h, w)`."""
        is_plain = torch.is_autocast_enabled(features.device.type)
        if is_plain or features.device.type != "cpu" or features.dtype != torch.float32:
            plain: Tensor = self.plain(features)
            return plain
        height, width = (side - 2 for side in features.shape[-2:])
        down, across = -(-height // _MADE), -(-width // _MADE)
        out = torch.empty(
            len(features), _MADE * down, _MADE * across, self.out_channels
        )
        n_rows = max(1, _N_BLOCKS // across)
        images = features.permute(0, 2, 3, 1)
        for i, row in product(range(len(out)), range(0, down, n_rows)):
            n, top = min(n_rows, down - row), _MADE * row
            seen = images[i, top : top + _MADE * n + 2]
            self._blocks(seen, out[i, top:], n, across)
        return out[:, :height, :width].permute(0, 3, 1, 2)

    def _blocks(self, seen: Tensor, found: Tensor, down: int, across: int) -> None:
        """Fill `down` by `across` blocks of `(4·down, 4·across, c')` at the top."""
        missing = [
            _MADE * n + 2 - side
            for n, side in zip((down, across), seen.shape, strict=False)
        ]
        if any(missing):
            seen = functional.pad(seen, (0, 0, 0, missing[1], 0, missing[0]))
        y, x, c = seen.stride()
        blocks = seen.as_strided(
            (_SEEN, _SEEN, down, across, seen.shape[-1]),
            (y, x, _MADE * y, _MADE * x, c),
            seen.storage_offset(),
        ).reshape(_SEEN**2, -1)
        turned = torch.mm(self.see, blocks).view(_SEEN**2, -1, seen.shape[-1])
        products = torch.bmm(turned, self.weights)
        if self.plain.bias is not None:
            products[_AT_ONE] += self.plain.bias
        made = torch.mm(self.make, products.view(_SEEN**2, -1))
        place = found[: _MADE * down].view(down, _MADE, across, _MADE, -1)
        place.permute(1, 3, 0, 2, 4).copy_(
            made.view(_MADE, _MADE, down, across, self.out_channels)
        )

"""Exact rewrites of a trained network for inference.

This module alone knows which layers can be replaced by cheaper ones that compute the
same function. Nothing here changes a result beyond float rounding.
"""

from __future__ import annotations

from itertools import product
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(network: Network) -> Network:
    """Merge each batch norm into the convolution right before it.

    Parameters
    ----------
    network
        Any network in evaluation mode whose norms directly follow a convolution inside
        an `nn.Sequential`. It is changed in place.

    Returns
    -------
    nn.Module
        The same network; its norms have become identities.
    """
    for sequence in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(sequence) - 1):
            convolution, norm = sequence[i], sequence[i + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[i] = fuse_conv_bn_eval(convolution, norm)
                sequence[i + 1] = nn.Identity()
    return network


@torch.no_grad()
def before_shuffle(convolution: nn.Conv2d, step: int) -> nn.Conv2d:
    """Move a convolution that follows a pixel shuffle to before it.

    A fine pixel is a phase of a coarse one, so a convolution over fine pixels is one
    over coarse pixels that has a channel for each phase: 9×9 over pixels twice as fine
    becomes 5×5. There are a few more multiplications, but over many channels at once,
    which is what processors are fast at; one output channel leaves them idle.

    Parameters
    ----------
    convolution
        Of odd size, without stride or dilation; it follows `nn.PixelShuffle(step)`.
    step
        How many times finer the shuffle makes the pixels.

    Returns
    -------
    nn.Conv2d
        Without padding. Followed by `nn.PixelShuffle(step)`, it gives the same pixels,
        save where `convolution` reaches over the border.
    """
    n_out, n_in, side, _ = convolution.weight.shape
    reach = side // 2
    radius = -(-reach // step)
    weight = convolution.weight.new_zeros(
        n_out, step, step, n_in, step, step, 2 * radius + 1, 2 * radius + 1
    )
    # Row phase `to` takes its input `offset` rows away: whole coarse rows and a phase.
    moves = [
        (to, offset + reach, *divmod(to + offset, step))
        for to, offset in product(range(step), range(-reach, reach + 1))
    ]
    for (row, i, rows, from_row), (column, j, columns, from_column) in product(
        moves, moves
    ):
        weight[
            :, row, column, :, from_row, from_column, radius + rows, radius + columns
        ] = convolution.weight[:, :, i, j]
    moved = nn.Conv2d(n_in * step**2, n_out * step**2, 2 * radius + 1)
    moved.weight.copy_(weight.reshape(moved.weight.shape))
    assert moved.bias is not None
    if convolution.bias is None:
        moved.bias.zero_()
    else:
        moved.bias.copy_(convolution.bias.repeat_interleave(step**2))
    return moved.to(convolution.weight)

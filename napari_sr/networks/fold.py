"""Exact rewrites of a trained network for inference.

This module alone knows which layers can be replaced by cheaper ones that compute the
same function. Nothing here changes a result beyond float rounding.
"""

from __future__ import annotations

from typing import TypeVar

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

"""What all generators share: their output ends in network range.

A network may give its output in a range of its own (the SRGAN paper's lies in [−1, 1]).
This module alone takes it from there to network range. What is trained, judged and run
is always the network composed with this step, so the three cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

Condition = Literal["noise", "blur"]
"""What a network may be conditioned on, in channels besides the image."""
OutputStep = tuple[float, float]
"""Scale and offset from a network's raw output to network range."""


def to_network_range(output: Tensor, step: OutputStep) -> Tensor:
    """Take a raw output to network range: scale × output + offset.

    Parameters
    ----------
    output
        Any shape, in the range of a network's last layer.
    step
        Scale and offset. `(1, 0)` returns the output itself.
    """
    if step == (1.0, 0.0):
        return output
    scale, offset = step
    return output.float() * scale + offset  # half precision would round away detail


class Generator(nn.Module):
    """A generator: low-resolution images in, high-resolution images out.

    A subclass computes `raw_output`. Calling the network gives network range.
    """

    factor: int
    in_channels: int
    """1: the image. 2: the image and the map of the noise to remove. 11: the image
    and the code of the blur."""
    halo: int
    """Receptive radius in low-resolution pixels, rounded up."""
    conditions: tuple[Condition, ...] = ()
    """What the channels after the first tell."""
    output_step: OutputStep = (1.0, 0.0)
    """Of a newly built network; a model's card may hold another."""

    def raw_output(self, batch: Tensor) -> Tensor:
        """Map `(n, in_channels, h, w)` to `(n, 1, factor·h, factor·w)`, own range."""
        raise NotImplementedError

    def forward(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, in_channels, h, w)` float in network range, [0, 1] for typical counts.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """
        return to_network_range(self.raw_output(batch), self.output_step)


@torch.no_grad()
def start_without_lattice(layer: nn.Module, step: int) -> None:
    """Give all sub-pixels of a channel the same weights, so that none stands out.

    Drawn one by one, the weights before a pixel shuffle paint a regular pattern of
    `step` × `step` pixels that training only slowly removes (Aitken et al., 2017,
    arXiv 1707.02937).

    Parameters
    ----------
    layer
        The convolution before `nn.PixelShuffle(step)`; changed in place.
    step
        Sub-pixels along a side.
    """
    assert isinstance(layer, nn.Conv2d)
    layer.weight.copy_(_as_the_first(layer.weight, step))
    if layer.bias is not None:
        layer.bias.copy_(_as_the_first(layer.bias, step))


def _as_the_first(values: Tensor, step: int) -> Tensor:
    """Repeat the first of each `step` · `step` output channels."""
    return values[:: step * step].repeat_interleave(step * step, dim=0)

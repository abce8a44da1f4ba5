"""What a training has come to, in numbers and in plain words.

This module alone decides whether a model is better than what there was, and how much of
its texture is recommended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sr.networks.weights import between

if TYPE_CHECKING:
    from torch import nn

    from napari_sr.networks.weights import Weights
    from napari_sr.validation import HeldOut

NOTICEABLE = 0.05
"""Decibels of PSNR below which two results are called equal."""
DIAL_LOSS = 0.3
"""Decibels of PSNR that the recommended dial may cost."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Gains in PSNR on held-out images, in decibels."""

    over_bicubic: float
    over_base: float | None
    """`None` where there was no base."""
    n_images: int

    @property
    def is_better(self) -> bool:
        """Whether the model is worth having."""
        rivals = [
            self.over_bicubic,
            *([] if self.over_base is None else [self.over_base]),
        ]
        return min(rivals) >= NOTICEABLE

    def __str__(self) -> str:
        """Say it in one sentence."""
        images = f"{self.n_images} held-out image{'s' if self.n_images > 1 else ''}"
        parts = [_compared(self.over_bicubic, "bicubic")]
        if self.over_base is not None:
            parts.insert(0, _compared(self.over_base, "the base"))
        text = " and ".join(parts) + f" on {images}"
        if self.is_better:
            return text[0].upper() + text[1:] + "."
        return f"Not better: {text}."


def _compared(gain: float, rival: str) -> str:
    if abs(gain) < NOTICEABLE:
        return f"equal to {rival} ({gain:+.2f} dB)"
    return f"{'better' if gain > 0 else 'worse'} than {rival} by {abs(gain):.2f} dB"


def judge(network: nn.Module, held_out: HeldOut, base: nn.Module | None) -> Verdict:
    """Compare a generator with bicubic and with the one it started from."""
    found = held_out.judge(network).psnr
    return Verdict(
        over_bicubic=found - held_out.judge_bicubic().psnr,
        over_base=None if base is None else found - held_out.judge(base).psnr,
        n_images=held_out.n_images,
    )


def recommended_dial(
    network: nn.Module, faithful: Weights, textured: Weights, held_out: HeldOut
) -> float:
    """Find the most texture that costs no more than `DIAL_LOSS` on held-out images.

    Parameters
    ----------
    network
        A generator of the same shape; its weights are changed.
    faithful, textured
        The two ends.
    held_out
        What is looked at.

    Returns
    -------
    float
        From 0 to 1 in tenths.
    """
    network.load_state_dict(faithful)
    lowest = held_out.judge(network).psnr - DIAL_LOSS
    for tenths in range(10, 0, -1):
        network.load_state_dict(between(faithful, textured, tenths / 10))
        if held_out.judge(network).psnr >= lowest:
            return tenths / 10
    return 0.0

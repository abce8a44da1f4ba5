"""What goes wrong in a detector: bad pixels and lines, rings, stripes, slow drift.

This module alone knows what these faults look like. They are drawn for training, so
that a generator sees them; it gets no other information about them. Everything is in
network units, on recorded pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator, Tensor

    from napari_sr.instrument.ranges import Defects, Range

_STUCK = (-0.5, 1.5)
"""A bad pixel holds any value between these."""
_LINE = 0.1
"""Standard deviation of the offsets of bad lines."""
_AXIS = 1.0
"""How far outside a patch the axis of rotation may lie, in sides of the patch."""


@dataclass(frozen=True, slots=True)
class DrawnDefects:
    """How strong each fault is in each recording of a batch, `(n, 1, 1, 1)`."""

    bad_pixels: Tensor
    """Share of the pixels."""
    bad_lines: Tensor
    """Share of the rows and of the columns."""
    ring: Tensor
    """Standard deviation between rings."""
    flat_drift: Tensor
    """Largest relative change of the illumination."""
    stripes: Tensor
    """Standard deviation between rows, or between columns."""


def draw_defects(defects: Defects, n: int, generator: Generator) -> DrawnDefects | None:
    """Draw how strong the faults are in `n` recordings; None for a perfect detector."""
    ranges = (defects.bad_pixels, defects.bad_lines, defects.ring, defects.flat_drift)
    if not any(high for _, high in (*ranges, defects.stripes)):
        return None

    def strength(ends: Range) -> Tensor:
        low, high = ends
        drawn = low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)
        if defects.share == 1:
            return drawn
        return drawn * (torch.rand(n, 1, 1, 1, generator=generator) < defects.share)

    # Without stripes nothing is drawn for them, as before there were any.
    bad_pixels, bad_lines, ring, flat_drift = map(strength, ranges)
    none = torch.zeros(n, 1, 1, 1)
    stripes = strength(defects.stripes) if defects.stripes[1] else none
    return DrawnDefects(bad_pixels, bad_lines, ring, flat_drift, stripes)


def with_flat_drift(
    light: Tensor, drift: Tensor, generator: Generator | None
) -> Tensor:
    """Brighten and darken a field slowly, by at most `drift` of its light.

    Parameters
    ----------
    light
        `(n, 1, h, w)`, 0 where there is no light.
    drift
        `(n, 1, 1, 1)`.
    generator
        Source of the random numbers.

    Returns
    -------
    Tensor
        `(n, 1, h, w)`; the mean of a flat field is kept.
    """
    n, _, height, width = light.shape
    wave = _uniform((3, n, 1, 1, 1), light, generator)
    y = torch.linspace(-0.5, 0.5, height, device=light.device).view(-1, 1)
    x = torch.linspace(-0.5, 0.5, width, device=light.device)
    # Half a wave at most fits into the field.
    slow = torch.sin(2 * pi * ((wave[0] - 0.5) * y + (wave[1] - 0.5) * x + wave[2]))
    slow = slow - slow.mean((2, 3), keepdim=True)
    slow = slow / slow.abs().amax((2, 3), keepdim=True).clamp_min(1e-12)
    return light * (1 + drift * slow)


def with_defects(
    low: Tensor, drawn: DrawnDefects, generator: Generator | None
) -> Tensor:
    """Add rings, stripes, bad lines and bad pixels to `(n, 1, h, w)` recordings."""
    if (drawn.ring > 0).any():
        low = low + drawn.ring * _rings(low, generator)
    if (drawn.stripes > 0).any():
        low = low + drawn.stripes * _stripes(low, generator)
    if (drawn.bad_lines > 0).any():
        low = low + _LINE * _lines(low, drawn.bad_lines, generator)
    if (drawn.bad_pixels > 0).any():
        bad = _uniform(low.shape, low, generator) < drawn.bad_pixels
        share = _uniform(low.shape, low, generator)
        low = torch.where(bad, _STUCK[0] + (_STUCK[1] - _STUCK[0]) * share, low)
    return low


def _rings(low: Tensor, generator: Generator | None) -> Tensor:
    """Draw rings one pixel wide of unit standard deviation around an axis anywhere."""
    n, _, height, width = low.shape
    axis = (1 + 2 * _AXIS) * _uniform((2, n, 1, 1, 1), low, generator) - _AXIS
    y = torch.arange(height, device=low.device).view(-1, 1) - axis[0] * height
    x = torch.arange(width, device=low.device) - axis[1] * width
    radius = torch.hypot(y, x).round().long()  # (n, 1, h, w)
    profile = _normal((n, int(radius.max()) + 1), low, generator)
    return torch.gather(profile, 1, radius.flatten(1)).view(low.shape)


def _stripes(low: Tensor, generator: Generator | None) -> Tensor:
    """Draw offsets of unit standard deviation for all rows, or for all columns."""
    n, _, height, width = low.shape
    are_rows = _uniform((n, 1, 1, 1), low, generator) < 0.5
    rows = _normal((n, 1, height, 1), low, generator)
    columns = _normal((n, 1, 1, width), low, generator)
    return torch.where(are_rows, rows, columns)


def _lines(low: Tensor, share: Tensor, generator: Generator | None) -> Tensor:
    """Draw offsets for some rows and some columns, 0 for the others."""
    n, _, height, width = low.shape
    offsets = torch.zeros_like(low)
    for line in ((n, 1, height, 1), (n, 1, 1, width)):
        bad = _uniform(line, low, generator) < share
        offsets = offsets + bad * _normal(line, low, generator)
    return offsets


def _uniform(shape: Sequence[int], like: Tensor, generator: Generator | None) -> Tensor:
    return torch.rand(*shape, generator=generator, device=like.device)


def _normal(shape: Sequence[int], like: Tensor, generator: Generator | None) -> Tensor:
    return torch.randn(*shape, generator=generator, device=like.device)

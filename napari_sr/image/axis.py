"""One dimension of a stack, and its place in the world.

This module alone knows what an axis may be called, that a smaller pixel keeps the
outer border where it is, and which places are evenly spaced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.image.units import normalize_unit

if TYPE_CHECKING:
    from collections.abc import Sequence


class StackError(ValueError):
    """Unusable input or output: one clear sentence, naming what it is about."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a stack: its name and its place in the world.

    The unit is normalized on construction; "pixel" becomes None.
    """

    name: str
    """One lower-case letter: t, z, y, x, p, ..."""
    spacing: float = 1.0
    """Distance between pixel centres, in `unit`."""
    unit: str | None = None
    """"um", "mm", "s", ...; None where the axis is not calibrated."""
    origin: float = 0.0
    """World coordinate of the centre of pixel 0, in `unit`."""

    def __post_init__(self) -> None:
        """Normalize the unit and the numbers; refuse what cannot be an axis."""
        if len(self.name) != 1 or not "a" <= self.name <= "z":
            raise StackError(
                f"An axis is named by one lower-case letter, not {self.name!r}; "
                "use t, z, y, x or p."
            )
        if not (math.isfinite(self.spacing) and self.spacing > 0):
            raise StackError(
                f"Axis {self.name} has the spacing {self.spacing}; "
                "give a positive number, or 1 where it is not known."
            )
        if not math.isfinite(self.origin):
            raise StackError(
                f"Axis {self.name} has the origin {self.origin}; give a finite number."
            )
        object.__setattr__(self, "unit", normalize_unit(self.unit))
        object.__setattr__(self, "spacing", float(self.spacing))
        object.__setattr__(self, "origin", float(self.origin))

    def upscaled(self, factor: float) -> Axis:
        """Give this axis with pixels `factor` times smaller.

        The outer border stays where it is, so the centre of pixel 0 moves by half a
        low pixel less half a high pixel.
        """
        shift = self.spacing * (1 / factor - 1) / 2
        return replace(self, spacing=self.spacing / factor, origin=self.origin + shift)


def is_even(places: Sequence[float], share: float = 0.01) -> bool:
    """Tell whether places follow each other at one distance, either way.

    Parameters
    ----------
    places
        In their order.
    share
        Of the distance, by which it may differ: headers round.
    """
    steps = np.diff(places)
    typical = np.median(steps) if len(steps) else 0.0
    return bool(np.all(np.abs(steps - typical) <= share * abs(typical)))


def check_axes(label: str, axes: Sequence[Axis], shape: Sequence[int]) -> None:
    """Refuse axes that do not name each dimension once, y and x last, one channel."""
    names = "".join(axis.name for axis in axes)
    if len(axes) != len(shape):
        raise StackError(
            f"{label} has {len(shape)} dimensions but {len(axes)} axes ({names}); "
            "name each dimension once."
        )
    if not names.endswith("yx") or len(set(names)) < len(names):
        raise StackError(
            f"{label} has the axes {names}; expected different letters with y, x last."
        )
    if "c" in names:
        raise StackError(f"{label} has a channel axis; give one channel at a time.")

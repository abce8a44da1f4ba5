"""Two methods on the same images: how much better one is, with an interval.

This module alone knows how a mean difference gets its interval. What it counts are
images, since those are what a further one is like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.9
"""How often an interval holds the mean of all images of the kind: zero lies below one
in 5 % of the cases in which nothing is gained."""


@dataclass(frozen=True, slots=True)
class Gain:
    """A mean difference with its interval, in the unit of the figure."""

    mean: float
    low: float
    high: float


def paired_gain(figures: Sequence[float], others: Sequence[float]) -> Gain:
    """Compare figures of the same images.

    Parameters
    ----------
    figures, others
        Of each image, by the one method and by the other.

    Returns
    -------
    Gain
        The mean of the differences with Student's interval at `LEVEL`; without end
        where there is a single image, of which nothing follows for others.
    """
    differences = np.subtract(figures, others, dtype=float)
    mean, n = float(differences.mean()), len(differences)
    if n < 2:
        return Gain(mean, -np.inf, np.inf)
    half = stdtrit(n - 1, (1 + LEVEL) / 2) * differences.std(ddof=1) / n**0.5
    return Gain(mean, mean - float(half), mean + float(half))

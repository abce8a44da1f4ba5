"""From a spread to an interval that holds the truth as often as it promises.

This module alone knows how intervals are calibrated: by conformal risk control
(Angelopoulos et al., ICLR 2024), with the share of missed pixels of an image as its
risk. For a further image of the same kind, the expected share is at most what was
promised. Neighbouring pixels are anything but independent, so images count, not pixels.
Nothing but numpy is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Interval(BaseModel):
    """How the spread of a model becomes an interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float = Field(gt=0, lt=1)
    """Share of pixels that lie inside."""
    scale: float = Field(gt=0)
    """Half an interval over the spread."""
    n_images: int
    """That it was found on, each recorded in several ways."""
    is_guaranteed: bool
    """Whether there were enough images for a guarantee; else it is their quantile."""
    coverage: float | None = None
    """Share of the pixels of test images that lay inside."""
    mean_width: float | None = None
    """Of the intervals on the test images, as a share of the data range."""
    constant_width: float | None = None
    """Of one interval for all pixels that holds as many of them."""


def scale_for(
    errors: Sequence[NDArray], spreads: Sequence[NDArray], level: float = 0.9
) -> Interval:
    """Find the scale at which intervals hold the truth as often as promised.

    Parameters
    ----------
    errors, spreads
        For each image: |result - truth| and the spread there, of one shape.
    level
        Share of pixels that are to lie inside.
    """
    ratios = [
        np.sort((np.abs(error) / wide).ravel())
        for error, wide in zip(errors, spreads, strict=True)
    ]
    n = len(ratios)
    # A further image may miss everything: so much risk is spent before any is seen.
    allowed = (n + 1) / n * (1 - level) - 1 / n
    is_guaranteed = allowed > 0
    scale = _smallest_scale(ratios, allowed if is_guaranteed else 1 - level)
    return Interval(level=level, scale=scale, n_images=n, is_guaranteed=is_guaranteed)


def _smallest_scale(ratios: Sequence[NDArray], allowed: float) -> float:
    """Halve the bracket of where the mean share of missed pixels is as allowed."""
    low, high = 0.0, max(float(ratio[-1]) for ratio in ratios)
    for _ in range(40):
        middle = (low + high) / 2
        if 1 - mean_coverage(ratios, middle) > allowed:
            low = middle
        else:
            high = middle
    return max(high, float(np.finfo(np.float32).tiny))


def mean_coverage(ratios: Sequence[NDArray], scale: float) -> float:
    """Give the share of ratios up to a scale, mean over images.

    Parameters
    ----------
    ratios
        For each image: |error| / spread, sorted.
    scale
        Half an interval over the spread.
    """
    inside = [np.searchsorted(ratio, scale, "right") / len(ratio) for ratio in ratios]
    return float(np.mean(inside))

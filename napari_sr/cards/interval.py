"""From a spread to an interval that holds the truth as often as it promises.

This module alone knows how intervals are calibrated: by conformal risk control
(Angelopoulos et al., ICLR 2024), with the share of missed pixels of an image as its
risk. For a further image of the same kind, the expected share is at most what was
promised. Neighbouring pixels are anything but independent, and so are the planes of one
volume: what counts is how many images there are, and all planes of a file or volume are
one. No torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


FLOORS = tuple(1e-3 * 2**step for step in range(7))
"""Among these a floor is chosen, as shares of the intensity range."""
SMOOTHING = 2.0
"""Width over which the spread is averaged, in pixels of the result: of eight numbers a
standard deviation is a rough guess."""


class Interval(BaseModel):
    """How the spread of a model becomes an interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float = Field(gt=0, lt=1)
    """Share of pixels that lie inside."""
    scale: float = Field(gt=0)
    """Half an interval over the doubt."""
    floor: float = Field(default=2e-3, ge=0)
    """Part of the doubt that is the same everywhere, as a share of the intensity
    range: where all results agree, none of them is exact."""
    smoothing: float = Field(default=0.0, ge=0)
    """Width over which the spread is averaged, in pixels of the result."""
    n_images: int
    """That it was found on, each recorded in several ways; all planes of a file or
    volume are one."""
    is_guaranteed: bool
    """Whether there were enough images for a guarantee; else it is their quantile."""
    coverage: float | None = None
    """Share of the pixels of test images that lay inside."""
    coverage_by_dataset: dict[str, float] = {}
    """The same for each dataset, where the test images are of several."""
    mean_width: float | None = None
    """Of the intervals on the test images, as a share of the intensity range."""
    constant_width: float | None = None
    """Of one interval for all pixels that holds as many of them."""

    def in_words(self) -> str:
        """Say what is promised, and what was found."""
        promise = (
            "for another image of the same kind, at least that share of the pixels is "
            "expected inside the interval"
            if self.is_guaranteed
            else "these are too few images for a guarantee"
        )
        reached = "" if self.coverage is None else (
            f" On test images they held {self.coverage:.1%} of the pixels"
            f"{self._ends()}."
        )  # fmt: skip
        return (
            f"Intervals at {self.level:.0%}, calibrated on {self.n_images} "
            f"image{'s' * (self.n_images > 1)} (all planes of a file or volume are "
            f"one): {promise}.{reached}"
        )

    def _ends(self) -> str:
        """Name the datasets of which they held least and most."""
        if len(self.coverage_by_dataset) < 2:
            return ""
        by_share = sorted(
            self.coverage_by_dataset, key=self.coverage_by_dataset.__getitem__
        )
        (least, most) = (
            f"{self.coverage_by_dataset[name]:.0%} ({name})"
            for name in (by_share[0], by_share[-1])
        )
        return f", by dataset {least} to {most}"


def doubt(deviation: NDArray, smoothing: float, floor: float) -> NDArray[np.float32]:
    """Make of a spread something that errors are in proportion to.

    Parameters
    ----------
    deviation
        `(y, x)` standard deviation of a model's results, NaN in gaps.
    smoothing, floor
        As of an `Interval`; the floor in the unit of the deviation.

    Returns
    -------
    ndarray
        `(y, x)` float32; infinite in gaps.
    """
    gaps = np.isnan(deviation)
    variance = np.where(gaps, 0, deviation).astype(np.float32) ** 2
    if smoothing > 0:
        # Gaps are left out of the mean of their surroundings.
        known = ndimage.gaussian_filter((~gaps).astype(np.float32), smoothing)
        variance = ndimage.gaussian_filter(variance, smoothing)
        variance = variance / np.maximum(known, 1e-6)
    error: NDArray[np.float32] = np.sqrt(np.maximum(variance, 0)) + np.float32(floor)
    return np.where(gaps, np.float32(np.inf), error)


def floor_for(
    errors: Sequence[NDArray], deviations: Sequence[NDArray], level: float = 0.9
) -> float:
    """Choose the floor with which intervals are narrowest, on other images.

    Parameters
    ----------
    errors, deviations
        For each image: |result - truth| and what `doubt` makes of the spread without a
        floor, of one shape, as shares of the intensity range. These images must not
        take part in `scale_for`, or its guarantee is lost.
    level
        Share of pixels that are to lie inside.
    """

    def width(floor: float) -> float:
        doubts = [deviation + floor for deviation in deviations]
        scale = _smallest_scale(_ratios(errors, doubts), 1 - level)
        return scale * float(np.mean([deviation.mean() for deviation in doubts]))

    return float(min(FLOORS, key=width))


def scale_for(
    errors: Sequence[NDArray], doubts: Sequence[NDArray], level: float = 0.9
) -> Interval:
    """Find the scale at which intervals hold the truth as often as promised.

    Parameters
    ----------
    errors, doubts
        For each image: |result - truth| and the doubt there, of one shape.
    level
        Share of pixels that are to lie inside.
    """
    ratios = _ratios(errors, doubts)
    n = len(ratios)
    # Conformal risk control (Angelopoulos et al., ICLR 2024): with losses Lᵢ(λ) ≤ B = 1
    # that fall with λ, the smallest λ with n/(n+1) · mean L(λ) + B/(n+1) ≤ α keeps E[L]
    # of the next image at or below α. Solved for the mean: (n+1)/n · α − 1/n.
    # A further image may miss everything: so much risk is spent before any is seen.
    allowed = (n + 1) / n * (1 - level) - 1 / n
    is_guaranteed = allowed > 0
    scale = _smallest_scale(ratios, allowed if is_guaranteed else 1 - level)
    return Interval(level=level, scale=scale, n_images=n, is_guaranteed=is_guaranteed)


def _ratios(errors: Sequence[NDArray], doubts: Sequence[NDArray]) -> list[NDArray]:
    """Divide and sort, image by image."""
    return [
        np.sort((np.abs(error) / doubt).ravel())
        for error, doubt in zip(errors, doubts, strict=True)
    ]


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
        For each image: |error| / doubt, sorted.
    scale
        Half an interval over the doubt.
    """
    inside = [np.searchsorted(ratio, scale, "right") / len(ratio) for ratio in ratios]
    return float(np.mean(inside))

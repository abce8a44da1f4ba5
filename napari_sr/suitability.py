"""Is this model meant for this image? A recording beside those of the training.

This module alone knows when a recording is unlike those that a model learnt from. No
torch: a model's card holds the statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_sr.descriptors import DESCRIPTORS, TINY, as_array, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_RANGE = (0.5, 99.5)
_SHRINK = 0.1
"""Share by which correlations between descriptors are not believed."""


class TrainingStatistics(BaseModel):
    """What the recordings that a model was trained for are like."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_images: int
    """So many sharp images, each recorded with several levels of noise."""
    low: dict[str, float]
    """Of each descriptor, the 0.5 percentile; `high` the 99.5."""
    high: dict[str, float]
    mean: dict[str, float]
    covariance: tuple[tuple[float, ...], ...]
    """Between the descriptors, in their order."""
    scales: tuple[float, float]
    """How far all but one in a hundred of the training recordings lie: outside the
    range of a descriptor (in its widths, plus 1), and in deviations from the mean."""
    limit: float = 1.0
    """Distance beyond which a recording is unlike them: 5 % of recordings of held-out
    images of the same kind lie beyond."""

    @classmethod
    def of(cls, recordings: Sequence[Mapping[str, float]], n_images: int) -> Self:
        """Gather the statistics of training recordings.

        Parameters
        ----------
        recordings
            As `describe_plane` gives them, of at least two.
        n_images
            How many sharp images they come from.
        """
        values = as_array(recordings)
        low, high = np.percentile(values, _RANGE, axis=0)
        found = cls(
            n_images=n_images,
            low=named(low),
            high=named(high),
            mean=named(values.mean(0)),
            covariance=tuple(
                tuple(float(f"{one:.5g}") for one in row) for row in np.cov(values.T)
            ),
            scales=(1.0, 1.0),
        )
        outside, deviations = np.percentile(found._distances(values), 99, axis=0)
        scales = (float(max(outside, TINY)), float(max(deviations, TINY)))
        return found.model_copy(update={"scales": scales})

    def with_limit(self, held_out: Sequence[Mapping[str, float]]) -> Self:
        """Set the limit so that 5 % of held-out recordings lie beyond it."""
        limit = float(np.percentile([self.distance(one) for one in held_out], 95))
        return self.model_copy(update={"limit": limit})

    def distance(self, recording: Mapping[str, float]) -> float:
        """Tell how far a recording is from the training's, about 1 at their edge."""
        found = self._distances(as_array([recording])) / self.scales
        return float(found.max())

    def outside(self, recording: Mapping[str, float]) -> tuple[str, ...]:
        """Name the descriptors outside of the training's range, the farthest first."""
        beyond = self._beyond(as_array([recording]))[0]
        names = list(DESCRIPTORS)
        return tuple(names[i] for i in np.argsort(-beyond) if beyond[i] > 0)

    def _distances(self, values: NDArray) -> NDArray:
        """Measure both distances: out of a range, and from the mean. `(n, 2)`."""
        covariance = np.array(self.covariance)
        covariance = (1 - _SHRINK) * covariance + _SHRINK * np.diag(
            np.diag(covariance) + TINY**2
        )
        away = values - as_array([self.mean])
        squares = np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away)
        return np.stack([self._beyond(values).max(1) + 1, np.sqrt(squares)], axis=1)

    def _beyond(self, values: NDArray) -> NDArray:
        """Measure how far values lie outside of their ranges, in widths of these."""
        low, high = as_array([self.low]), as_array([self.high])
        outside: NDArray = np.maximum(low - values, values - high)
        return outside / np.maximum(high - low, TINY)


class Suitability(BaseModel):
    """Whether a recording is like those that a model was trained for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    distance: float
    limit: float
    differs: tuple[str, ...]
    """Names of the descriptors outside of the training's range."""
    found: dict[str, float]
    usual: dict[str, tuple[float, float]]
    """Range of each descriptor over the training's recordings."""

    @property
    def is_suited(self) -> bool:
        """Whether nothing speaks against it."""
        return self.distance <= self.limit

    def in_words(self) -> str:
        """Say it, and what differs."""
        if self.is_suited:
            return "The recording is like the images that the model was trained on."
        which = ", ".join(DESCRIPTORS[name] for name in self.differs[:4])
        what = f"in {which}" if which else "in how its properties come together"
        return (
            "The recording is unlike the images that the model was trained on: it "
            f"differs {what}. Expect less of the model, and look closely."
        )

    def rows(self) -> list[list[str]]:
        """Give a row of text for each descriptor: its words, value and usual range."""
        return [
            [
                words + (" (differs)" if name in self.differs else ""),
                f"{self.found[name]:.2f}",
                f"{self.usual[name][0]:.2f} to {self.usual[name][1]:.2f}",
            ]
            for name, words in DESCRIPTORS.items()
        ]


def suitability_of(
    recording: Mapping[str, float], statistics: TrainingStatistics
) -> Suitability:
    """Judge a recording, described by `describe_recording`."""
    return Suitability(
        distance=statistics.distance(recording),
        limit=statistics.limit,
        differs=statistics.outside(recording),
        found=dict(recording),
        usual={
            name: (statistics.low[name], statistics.high[name]) for name in DESCRIPTORS
        },
    )

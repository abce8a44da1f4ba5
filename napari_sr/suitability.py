"""Is this model meant for this image? A recording beside those of the training.

This module alone knows when a recording is unlike those that a model learnt from. No
torch: a model's card holds the statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import ndtri

from napari_sr.descriptors import DESCRIPTORS, TINY, as_array, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVELS = (0.005, 0.02, 0.05, *np.linspace(0.1, 0.9, 9).round(1).tolist(), 0.95, 0.98,
          0.995)  # fmt: skip
"""Shares of the training's recordings that lie below the quantiles of a descriptor."""
UNUSUAL = 2.0
"""Scores beyond which a descriptor is named: one in twenty of the training's own."""


class TrainingStatistics(BaseModel):
    """What the recordings that a model was trained for are like."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_images: int
    """So many sharp images, each recorded with several levels of noise."""
    quantiles: dict[str, tuple[float, ...]]
    """Of each descriptor, at `LEVELS`."""
    limit: float = 2.0
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
        found = np.quantile(as_array(recordings), LEVELS, axis=0)
        rounded = [tuple(named(row).values()) for row in found]
        columns = zip(*rounded, strict=True)
        return cls(
            n_images=n_images,
            quantiles=dict(zip(DESCRIPTORS, columns, strict=True)),
        )

    def with_limit(self, held_out: Sequence[Mapping[str, float]]) -> Self:
        """Set the limit so that 5 % of held-out recordings lie beyond it."""
        limit = float(np.quantile([self.distance(one) for one in held_out], 0.95))
        return self.model_copy(update={"limit": limit})

    def scores(self, recording: Mapping[str, float]) -> dict[str, float]:
        """Give each descriptor the score that it would have were it normal.

        0 is the middle of the training, ±2 is exceeded by one in twenty of its
        recordings; beyond the outermost quantiles a score goes on in proportion.
        """
        return {
            name: _normal_score(recording[name], self.quantiles[name])
            for name in DESCRIPTORS
        }

    def distance(self, recording: Mapping[str, float]) -> float:
        """Tell how unusual a recording is: root mean square of its scores."""
        scores = list(self.scores(recording).values())
        return float(np.sqrt(np.mean(np.square(scores))))


def _normal_score(value: float, quantiles: Sequence[float]) -> float:
    """Find the normal score of a value among quantiles at `LEVELS`."""
    scores = ndtri(LEVELS)
    # Equal quantiles would have no place between them.
    rising = np.array(quantiles) + 1e-9 * np.arange(len(LEVELS))
    per_value = (scores[-1] - scores[0]) / max(rising[-1] - rising[0], TINY)
    beyond = min(value - rising[0], 0) + max(value - rising[-1], 0)
    return float(np.interp(value, rising, scores) + beyond * per_value)


class Suitability(BaseModel):
    """Whether a recording is like those that a model was trained for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    distance: float
    limit: float
    differs: tuple[str, ...]
    """Names of the descriptors that are unusual, the most unusual first."""
    found: dict[str, float]
    usual: dict[str, tuple[float, float]]
    """Range of each descriptor over the training's recordings: 2 to 98 %."""

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
    """Judge a recording.

    Parameters
    ----------
    recording
        As `describe_recording` gives it.
    statistics
        Of the model's card.
    """
    scores = statistics.scores(recording)
    farthest = sorted(scores, key=lambda name: -abs(scores[name]))
    return Suitability(
        distance=statistics.distance(recording),
        limit=statistics.limit,
        differs=tuple(name for name in farthest if abs(scores[name]) > UNUSUAL),
        found=dict(recording),
        usual={
            name: (known[_LOWER], known[_UPPER])
            for name, known in statistics.quantiles.items()
        },
    )


_LOWER, _UPPER = LEVELS.index(0.02), LEVELS.index(0.98)

"""Is this model meant for this image? A recording beside those of the training.

This module alone knows when a recording is unlike those that a model learnt from: when
it looks more like other kinds of images, or like nothing that was seen. No torch: a
model's card holds the statistics.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import ndtri

from napari_sr.cards.descriptors import DESCRIPTORS, TINY, as_array, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LEVELS = (0.005, 0.02, 0.05, *np.linspace(0.1, 0.9, 9).round(1).tolist(), 0.95, 0.98,
          0.995)  # fmt: skip
"""Shares of the training's recordings that lie below the quantiles of a descriptor."""
UNUSUAL = 2.0
"""Scores beyond which a descriptor is named: one in twenty of the training's own."""
USUAL = 0.95
"""Share of recordings of held-out images of the same kind that are not flagged."""
FAR = 2.0
"""What is this many times as far off as most held-out recordings is like nothing."""
FEWEST_IMAGES = 12
"""Independent images below which no limit is set. Of images of the same kind that were
not seen, 3 to 7 % of the recordings were flagged with ten, 1 to 4 % with twelve and 1
to 2 % with twenty (random choices from five datasets)."""
_MARGIN = 1.25
"""Limit over the distance of the training image that is the least like the others."""
_MANY_KINDS = 0.6
"""Breadth of the training images from which they are of many kinds: those of one had
0.26 to 0.50, mixtures of 20 datasets 0.7 to 1, and these flagged hardly anything."""
_BREADTH = {
    "dark": 0.50, "median": 0.69, "bright": 0.83, "noise": 1.60, "fall_1": 1.02,
    "fall_2": 0.97, "fall_3": 1.06, "sharpness": 1.10, "edges": 0.31,
    "coarseness": 0.48, "polarity": 2.89, "sparsity": 1.48,
}  # fmt: skip
"""From 5 to 95 % of the recordings of 32 datasets of all kinds."""
_SHRINKAGE = 0.1
"""Share of the covariance replaced by that of equal, independent descriptors."""


class TrainingStatistics(BaseModel):
    """What the recordings that a model was trained for are like."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_images: int
    """So many sharp images, each recorded with several levels of noise."""
    quantiles: dict[str, tuple[float, ...]]
    """Of each descriptor, at `LEVELS`."""
    limit: float = FAR * 2.0
    """Distance beyond which a recording is like nothing that was seen."""
    weights: dict[str, float] = {}
    """Of each descriptor, for telling other kinds of images; empty where none are
    known."""
    border: float = 0.0
    """Weighted sum beyond which a recording looks like another kind."""

    @classmethod
    def of(
        cls,
        recordings: Sequence[Mapping[str, float]],
        n_images: int,
        others: Sequence[Sequence[Mapping[str, float]]] = (),
    ) -> Self:
        """Gather the statistics of training recordings.

        Parameters
        ----------
        recordings
            As `describe_plane` gives them, of at least two.
        n_images
            How many sharp images they come from.
        others
            The same for other kinds of images, kind by kind.
        """
        known = as_array(recordings)
        levels = np.quantile(known, LEVELS, axis=0)
        rounded = [tuple(named(row).values()) for row in levels]
        columns = zip(*rounded, strict=True)
        weights = _discriminant(known, [as_array(kind) for kind in others])
        return cls(
            n_images=n_images,
            quantiles=dict(zip(DESCRIPTORS, columns, strict=True)),
            weights={} if weights is None else named(weights),
        )

    @classmethod
    def of_one_kind(
        cls, images: Sequence[Sequence[Mapping[str, float]]]
    ) -> Self | None:
        """Gather the statistics of a user's training images, and a limit for them.

        Each image is left out in turn; the limit is such that none would be flagged.

        Parameters
        ----------
        images
            Of each independent image its recordings, as `describe_plane` gives them.

        Returns
        -------
        TrainingStatistics or None
            `None` where they would mislead: of fewer than `FEWEST_IMAGES` images, or of
            images of many kinds, which would flag nothing.
        """
        if len(images) < FEWEST_IMAGES:
            return None

        statistics = cls.of(list(chain(*images)), len(images))
        if statistics.breadth > _MANY_KINDS:
            return None
        farthest = 0.0
        for at, left_out in enumerate(images):
            others = cls.of(list(chain(*images[:at], *images[at + 1 :])), 1)
            farthest = max(farthest, *map(others.distance, left_out))
        return statistics.model_copy(update={"limit": round(_MARGIN * farthest, 3)})

    @property
    def breadth(self) -> float:
        """How varied the images are: near 1 for all kinds, less for one."""
        low, high = LEVELS.index(0.05), LEVELS.index(0.95)
        ranges = [
            (known[high] - known[low]) / _BREADTH[name]
            for name, known in self.quantiles.items()
        ]
        return float(np.median(ranges))

    def with_limits(self, held_out: Sequence[Mapping[str, float]]) -> Self:
        """Set limits by recordings of images of the same kind that were held out.

        5 % of them lie beyond the border to other kinds, or none where no other kind is
        known.
        """
        limits = {
            "limit": FAR
            * np.quantile(
                [self.distance(descriptors) for descriptors in held_out], USUAL
            ),
            "border": np.quantile(
                [self.otherness(descriptors) for descriptors in held_out], USUAL
            ),
        }
        return self.model_copy(update={k: float(v) for k, v in limits.items()})

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

    def otherness(self, recording: Mapping[str, float]) -> float:
        """Tell how much a recording looks like other kinds of images."""
        return sum(
            (weight * recording[name] for name, weight in self.weights.items()), 0.0
        )


def _discriminant(own: NDArray, others: Sequence[NDArray]) -> NDArray | None:
    """Find the weights that tell other kinds of images best.

    The linear discriminant of Fisher, with one covariance for all kinds, shrunk as
    there are few images; each other kind counts the same.
    """
    if not others:
        return None
    everything = np.concatenate([own, *others])
    spread = np.maximum(everything.std(0), TINY)
    kinds = [kind / spread for kind in (own, *others)]
    means = [kind.mean(0) for kind in kinds]
    within = [kind - mean for kind, mean in zip(kinds, means, strict=True)]
    covariance = np.cov(np.concatenate(within).T)
    typical = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * typical
    # Fisher: w = Σ⁻¹ (μ_others − μ_own) separates best if all kinds share the
    # covariance Σ. Σ is shrunk towards a multiple of the identity (Ledoit and Wolf), as
    # it has more entries than there are images; dividing by `spread` takes the weights
    # back to unscaled descriptors.
    apart = np.mean(means[1:], axis=0) - means[0]
    weights: NDArray = np.linalg.solve(shrunk, apart) / spread
    return weights


def _normal_score(value: float, quantiles: Sequence[float]) -> float:
    """Find the normal score of a value among quantiles at `LEVELS`."""
    # Φ⁻¹ of the place among the training images: normal whatever the distribution was.
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
    """Distance beyond which it is like nothing that was seen."""
    otherness: float
    border: float
    """Otherness beyond which it looks like another kind of image."""
    differs: tuple[str, ...]
    """Names of the descriptors that are unusual, the most unusual first."""
    found: dict[str, float]
    usual: dict[str, tuple[float, float]]
    """Range of each descriptor over the training's recordings: 2 to 98 %."""

    @property
    def is_suited(self) -> bool:
        """Whether nothing speaks against it."""
        return self.distance <= self.limit and self.otherness <= self.border

    def in_words(self) -> str:
        """Say it, and which properties differ."""
        if self.is_suited:
            return "The recording resembles the images that the model was trained on."
        which = ", ".join(DESCRIPTORS[name] for name in self.differs[:4])
        what = f"in {which}" if which else "in the combination of its properties"
        how = (
            "looks like a different kind of image than those"
            if self.otherness > self.border
            else "is unlike the images"
        )
        return (
            f"The recording {how} that the model was trained on (out of "
            f"distribution): it differs {what}. Expect a lower quality, and check the "
            "result closely."
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
        otherness=statistics.otherness(recording),
        border=statistics.border,
        differs=tuple(name for name in farthest if abs(scores[name]) > UNUSUAL),
        found=dict(recording),
        usual={
            name: (known[_LOWER], known[_UPPER])
            for name, known in statistics.quantiles.items()
        },
    )


_LOWER, _UPPER = LEVELS.index(0.02), LEVELS.index(0.98)

"""Is this model meant for this image? A recording beside those of the training.

A recording becomes a dozen small numbers: how intensities are spread, how noisy and how
sharp it is, how its power falls from octave to octave, and what its details are like.
This module alone knows them, and when a recording is unlike those that a model learnt
from. No torch: a model's card holds the statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from napari_sr.sampling import spread_indices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sr.stack import Stack

DESCRIPTORS = {
    "dark": "darker quarter of the intensities",
    "median": "median intensity",
    "bright": "brighter quarter of the intensities",
    "noise": "noise",
    "fall_1": "fall of the spectrum, periods of 48 to 24 px",
    "fall_2": "fall of the spectrum, periods of 24 to 12 px",
    "fall_3": "fall of the spectrum, periods of 12 to 6 px",
    "sharpness": "sharpness (fall of the spectrum, periods of 6 to 3 px)",
    "edges": "how evenly edges fill the field",
    "coarseness": "contrast between parts of the field",
    "polarity": "bright rather than dark details",
    "sparsity": "sparsity of details",
}
"""What a recording is described by, in words. Intensities are shares of its own range,
noise and falls are powers of ten."""
SMALLEST = 64
"""Side of the smallest recording that can be described, in pixels."""
_LARGEST, _N_PLANES = 1024, 4
_OCTAVES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
_BLOCK = 128
_TINY = 1e-4
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
        values = _as_array(recordings)
        low, high = np.percentile(values, _RANGE, axis=0)
        found = cls(
            n_images=n_images,
            low=_named(low),
            high=_named(high),
            mean=_named(values.mean(0)),
            covariance=tuple(
                tuple(float(f"{one:.5g}") for one in row) for row in np.cov(values.T)
            ),
            scales=(1.0, 1.0),
        )
        outside, deviations = np.percentile(found._distances(values), 99, axis=0)
        scales = (float(max(outside, _TINY)), float(max(deviations, _TINY)))
        return found.model_copy(update={"scales": scales})

    def with_limit(self, held_out: Sequence[Mapping[str, float]]) -> Self:
        """Set the limit so that 5 % of held-out recordings lie beyond it."""
        limit = float(np.percentile([self.distance(one) for one in held_out], 95))
        return self.model_copy(update={"limit": limit})

    def distance(self, recording: Mapping[str, float]) -> float:
        """Tell how far a recording is from the training's, about 1 at their edge."""
        found = self._distances(_as_array([recording])) / self.scales
        return float(found.max())

    def outside(self, recording: Mapping[str, float]) -> tuple[str, ...]:
        """Name the descriptors outside of the training's range, the farthest first."""
        beyond = self._beyond(_as_array([recording]))[0]
        names = list(DESCRIPTORS)
        return tuple(names[i] for i in np.argsort(-beyond) if beyond[i] > 0)

    def _distances(self, values: NDArray) -> NDArray:
        """Measure both distances: out of a range, and from the mean. `(n, 2)`."""
        covariance = np.array(self.covariance)
        covariance = (1 - _SHRINK) * covariance + _SHRINK * np.diag(
            np.diag(covariance) + _TINY**2
        )
        away = values - _as_array([self.mean])
        squares = np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away)
        return np.stack([self._beyond(values).max(1) + 1, np.sqrt(squares)], axis=1)

    def _beyond(self, values: NDArray) -> NDArray:
        """Measure how far values lie outside of their ranges, in widths of these."""
        low, high = _as_array([self.low]), _as_array([self.high])
        outside: NDArray = np.maximum(low - values, values - high)
        return outside / np.maximum(high - low, _TINY)


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


def describe_recording(stack: Stack) -> dict[str, float]:
    """Describe a stack by the median of some of its planes.

    Parameters
    ----------
    stack
        The recording, at least `SMALLEST` pixels a side.
    """
    from napari_sr.intensity import fill_gaps

    described = []
    for index in spread_indices(stack, _N_PLANES):
        plane, _ = fill_gaps(stack.plane(index))
        starts = [max(0, side - _LARGEST) // 2 for side in plane.shape]
        middle = tuple(slice(start, start + _LARGEST) for start in starts)
        described.append(describe_plane(plane[middle]))
    return _named(np.median(_as_array(described), axis=0))


def describe_plane(plane: NDArray) -> dict[str, float]:
    """Describe a recorded plane.

    Parameters
    ----------
    plane
        `(y, x)` counts without gaps, at least `SMALLEST` pixels a side.

    Returns
    -------
    dict of float
        By the names of `DESCRIPTORS`. Gain and offset of the counts change nothing.
    """
    counts = plane.astype(np.float64)
    smooth = ndimage.gaussian_filter(counts, 1.5)  # so that noise has no say in it
    low, high = np.percentile(smooth, (0.1, 99.9))
    span = max(high - low, _TINY)
    image, smooth = (counts - low) / span, (smooth - low) / span
    noise = max(noise_deviation(image), _TINY)
    slopes = ndimage.gaussian_gradient_magnitude(image, 3)
    parts = ndimage.uniform_filter(image, 32)[::16, ::16]
    details = ndimage.gaussian_filter(image, 1.5) - ndimage.gaussian_filter(image, 6)
    details /= max(details.std(), _TINY)
    third = float(np.mean(details**3))
    values = [
        *np.percentile(smooth, (25, 50, 75)),
        np.log10(noise),
        *np.diff(_octaves(image, noise)),
        np.log10(max(slopes.mean(), _TINY) / max(np.sqrt(np.mean(slopes**2)), _TINY)),
        np.log10(max(parts.std(), _TINY) / max(smooth.std(), _TINY)),
        np.sign(third) * np.log1p(abs(third)),
        np.log10(max(float(np.mean(details**4)), _TINY)),
    ]
    return _named(np.array(values))


def noise_deviation(image: NDArray) -> float:
    """Estimate the standard deviation of white noise from the finest detail.

    The median of the diagonal differences of 2 × 2 blocks (Haar), over 0.6745, as of
    Donoho and Johnstone (Biometrika 1994). scikit-image's `estimate_sigma` does so with
    another wavelet, and needs a package of its own.

    Parameters
    ----------
    image
        `(y, x)` in any units, without gaps.

    Returns
    -------
    float
        In these units; strong texture counts as noise.
    """
    height, width = (side - side % 2 for side in image.shape)
    even = image[:height, :width].astype(np.float64)
    falling = even[::2, ::2] + even[1::2, 1::2]
    rising = even[::2, 1::2] + even[1::2, ::2]
    return float(np.median(np.abs(falling - rising)) / 2 / 0.6745)


def _octaves(image: NDArray, noise: float) -> NDArray[np.float64]:
    """Measure log power in each octave, less that of the noise; median over blocks."""
    from napari_sr.metrics import radial_spectrum

    side = min(_BLOCK, *image.shape)
    starts = [
        np.unique(np.linspace(0, length - side, min(3, length // side)).astype(int))
        for length in image.shape
    ]
    found = []
    for top in starts[0]:
        for left in starts[1]:
            block = image[top : top + side, left : left + side]
            frequencies, power = radial_spectrum(block)
            found.append(
                [
                    power[(frequencies >= low) & (frequencies <= high)].mean()
                    for low, high in zip(_OCTAVES, _OCTAVES[1:], strict=False)
                ]
            )
    power = np.median(found, axis=0)
    return np.log10(np.maximum(power - noise**2, 0.05 * noise**2) + _TINY**2)


def _as_array(many: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    return np.array([[one[name] for name in DESCRIPTORS] for one in many])


def _named(values: NDArray) -> dict[str, float]:
    return {
        name: float(f"{value:.5g}")
        for name, value in zip(DESCRIPTORS, values, strict=True)
    }

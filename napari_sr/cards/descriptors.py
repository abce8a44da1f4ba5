"""A recording as a dozen small numbers.

How intensities are spread, how noisy and how sharp it is, how its power falls from
octave to octave, and what its details are like. This module alone knows them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sr.image.intensity import fill_gaps
from napari_sr.image.sampling import spread_indices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack

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
"""Names of the properties that describe a recording. Intensities are shares of its own
range, noise and falls are powers of ten."""
SMALLEST = 64
"""Side of the smallest recording that can be described, in pixels."""
_LARGEST, _N_PLANES = 1024, 4
_OCTAVES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
_BLOCK = 128
TINY = 1e-4
"""What is less than this is nothing."""


def describe_recording(stack: Stack) -> dict[str, float]:
    """Describe a stack by the median of some of its planes.

    Parameters
    ----------
    stack
        The recording, at least `SMALLEST` pixels a side.
    """
    described = []
    for index in spread_indices(stack, _N_PLANES):
        plane, _ = fill_gaps(stack.plane(index))
        starts = [max(0, side - _LARGEST) // 2 for side in plane.shape]
        middle = tuple(slice(start, start + _LARGEST) for start in starts)
        described.append(describe_plane(plane[middle]))
    return named(np.median(as_array(described), axis=0))


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
    span = max(high - low, TINY)
    image, smooth = (counts - low) / span, (smooth - low) / span
    noise = max(noise_deviation(image), TINY)
    slopes = ndimage.gaussian_gradient_magnitude(image, 3)
    parts = ndimage.uniform_filter(image, 32)[::16, ::16]
    details = ndimage.gaussian_filter(image, 1.5) - ndimage.gaussian_filter(image, 6)
    details /= max(details.std(), TINY)
    third = float(np.mean(details**3))
    values = [
        *np.percentile(smooth, (25, 50, 75)),
        np.log10(noise),
        *np.diff(_octaves(image, noise)),
        np.log10(max(slopes.mean(), TINY) / max(np.sqrt(np.mean(slopes**2)), TINY)),
        np.log10(max(parts.std(), TINY) / max(smooth.std(), TINY)),
        np.sign(third) * np.log1p(abs(third)),
        np.log10(max(float(np.mean(details**4)), TINY)),
    ]
    return named(np.array(values))


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
    from napari_sr.metrics import radial_spectrum  # not to read a card

    side = min(_BLOCK, *image.shape)
    starts = [
        np.unique(np.linspace(0, length - side, min(3, length // side)).astype(int))
        for length in image.shape
    ]
    octaves = []
    for top in starts[0]:
        for left in starts[1]:
            block = image[top : top + side, left : left + side]
            frequencies, power = radial_spectrum(block)
            octaves.append(
                [
                    power[(frequencies >= low) & (frequencies <= high)].mean()
                    for low, high in pairwise(_OCTAVES)
                ]
            )
    power = np.median(octaves, axis=0)
    signal = np.maximum(power - noise**2, 0.05 * noise**2)
    logarithm: NDArray[np.float64] = np.log10(signal + TINY**2)
    return logarithm


def as_array(many: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Put descriptions one below the other, `(n, k)`, in the order of the names."""
    return np.array(
        [[descriptors[name] for name in DESCRIPTORS] for descriptors in many]
    )


def named(values: NDArray) -> dict[str, float]:
    """Name values in the order of `DESCRIPTORS`, rounded to what is worth keeping."""
    return {
        name: float(f"{value:.5g}")
        for name, value in zip(DESCRIPTORS, values, strict=True)
    }

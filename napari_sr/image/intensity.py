"""Counts ↔ network range, both directions side by side.

This module alone knows how counts become network units and back, how a result is
rounded and clipped to its dtype, and what stands in for pixels that hold no number.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator
from scipy import ndimage

from napari_sr.image.sampling import sample_pixels, spread_windows
from napari_sr.image.stack import DTYPES, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike, NDArray

    from napari_sr.image.stack import Stack

_BLOCK_PIXELS = 2**18
"""Pixels converted at a time, so that the float64 arithmetic needs little memory."""
LARGEST_CHANGE = 0.0003
"""Share of the mean by which rounding may change it, as `change_by_rounding` has it."""
_N_WINDOWS, _SIDE = 8, 48
"""Parts on which that is tried, and their side in pixels."""
_SMOOTHED = (0.7, 1.5, 3.0)
"""Standard deviations in pixels: a result without noise is smooth, more or less."""
_SHARPENED, _FEW = 1.5, 50
"""What sharpening multiplies detail by, and mean counts from which zero is far off."""
_NARROWEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """Noise model of a recording: variance = gain · (signal - offset) + read².

    In counts for the user, in network units after `IntensityRange.noise_to_network`;
    the same equation holds in both.

    Raises
    ------
    ValueError
        If `gain`, `read` or `correlation` is negative, or anything is not finite.
    """

    gain: float = 0.0
    """Photon noise: variance per unit of signal (counts² per count). 0: none."""
    read: float = 0.0
    """Read noise: standard deviation where there is no light (counts). 0: none."""
    offset: float = 0.0
    """Signal where there is no light (counts): the detector's dark level."""
    correlation: float = 0.0
    """Standard deviation of a Gaussian that blurred the noise (pixels of the
    recording); the other values hold after this blur. 0: white noise."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a noise."""
        finite = all(map(math.isfinite, astuple(self)))
        if not finite or min(self.gain, self.read, self.correlation) < 0:
            raise ValueError(
                "Gain, read noise and correlation must be at least 0 and the offset "
                f"must be a number, but {self} was given. Use 0 for none."
            )


class IntensityPolicy(BaseModel):
    """How the range of a stack is found. Training and inference read the same one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["percentile", "fixed", "deviations"] = "percentile"
    """Measured in each stack, or the same for every stack of a detector."""
    low: float = 0.1
    """Mapped to 0: percent of the pixels that lie below, counts, or standard deviations
    from the mean."""
    high: float = 99.9
    """Mapped to 1, in the same unit."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse an order or a percentage that cannot be, and unstated numbers."""
        if self.kind != "percentile":
            if not {"low", "high"} <= self.model_fields_set:
                unit = "counts" if self.kind == "fixed" else "standard deviations"
                raise ValueError(
                    f"A range of kind {self.kind!r} needs its low and its high in "
                    f"{unit}."
                )
            IntensityRange(self.low, self.high)
        elif not 0 <= self.low < self.high <= 100:
            raise ValueError(
                "Percentiles must rise from low to high between 0 and 100, but "
                f'{self.low} and {self.high} were given. Use kind="fixed" for counts.'
            )
        return self


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """The counts that are mapped to 0 and 1 for a network, measured once per stack.

    A `ValueError` refuses ends that are not finite, or a `high` not above `low`.
    """

    low: float
    """Counts mapped to 0."""
    high: float
    """Counts mapped to 1."""

    def __post_init__(self) -> None:
        """Refuse a range that cannot be divided by."""
        span = self.high - self.low
        if not math.isfinite(span) or span < _NARROWEST:
            raise ValueError(
                f"The high of an intensity range must exceed its low, both finite, not "
                f"{self.low} and {self.high}. For a constant image add one count."
            )

    @classmethod
    def measure(cls, stack: Stack, policy: IntensityPolicy) -> IntensityRange:
        """Find the range of a stack, once for all its planes.

        Planes are read one at a time, of a large stack an evenly spread sample, the
        same at every call. Pixels that hold no number are ignored. Where both
        ends meet (nearly all pixels alike), minimum and maximum take their place; a
        constant stack gets a range one count wide.

        Parameters
        ----------
        stack
            Planes in counts. A fixed policy reads none of them.
        policy
            What to measure.

        Raises
        ------
        StackError
            If none of the sampled pixels is finite.
        """
        if policy.kind == "fixed":
            return cls(policy.low, policy.high)
        pixels = sample_pixels(stack)
        if pixels.size == 0:
            raise StackError(
                f"{stack.name} holds no finite pixel, so it has no intensity range. "
                f"Check how it was exported."
            )
        ends = (policy.low, policy.high)
        if policy.kind == "deviations":
            mean, deviation = float(pixels.mean()), float(pixels.std())
            low, high = (mean + end * deviation for end in ends)
        else:
            low, high = np.percentile(pixels, ends, overwrite_input=True).tolist()
        if high - low < _NARROWEST:
            low, high = float(pixels.min()), float(pixels.max())
        if high - low < _NARROWEST:
            # next to a huge value one count is lost in the rounding
            high = low + max(1.0, float(np.spacing(np.float32(abs(low)))))
        return cls(low, high)

    def normalize(self, plane: NDArray) -> NDArray[np.float32]:
        """Convert counts to network units.

        Parameters
        ----------
        plane
            `(y, x)` counts, of any real dtype.

        Returns
        -------
        ndarray
            `(y, x)` float32; 0 at `low`, 1 at `high`; values outside are kept, NaN
            too. `denormalize` gives counts of up to 16 bits back exactly, for any
            range that lies within ± 4 million counts.
        """
        result = np.empty(plane.shape, np.float32)
        for rows in _row_blocks(plane.shape):
            # float64 inside: a small range on a large offset keeps its digits
            counts = plane[rows].astype(np.float64)
            result[rows] = (counts - self.low) / (self.high - self.low)
        return result

    def denormalize(self, plane: NDArray, dtype: DTypeLike) -> tuple[NDArray, int]:
        """Convert network units back to counts.

        Parameters
        ----------
        plane
            `(y, x)` float32 in network units.
        dtype
            uint8, uint16, int16: counts are rounded half to even and clipped to what
            the dtype can hold, never to the range. float32: neither.

        Returns
        -------
        tuple of ndarray and int
            `(y, x)` counts of `dtype`, and how many pixels were clipped.

        Raises
        ------
        ValueError
            For another dtype, or if NaN or infinity would become an integer.
        """
        dtype = np.dtype(dtype)
        if dtype not in DTYPES:
            known = ", ".join(map(str, DTYPES))
            raise ValueError(f"The pixel type cannot be {dtype}. Use one of {known}.")
        result = np.empty(plane.shape, dtype)
        n_clipped = 0
        for rows in _row_blocks(plane.shape):
            counts = plane[rows].astype(np.float64) * (self.high - self.low) + self.low
            if dtype.kind != "f":
                n_clipped += _round_and_clip(counts, dtype)
            result[rows] = counts
        return result, n_clipped

    def noise_to_network(self, level: NoiseLevel) -> NoiseLevel:
        """Convert a noise level from counts to network units."""
        span = self.high - self.low
        offset = (level.offset - self.low) / span
        gain, read = level.gain / span, level.read / span
        return replace(level, gain=gain, read=read, offset=offset)

    def noise_to_counts(self, level: NoiseLevel) -> NoiseLevel:
        """Convert a noise level from network units to counts."""
        span = self.high - self.low
        offset = level.offset * span + self.low
        gain, read = level.gain * span, level.read * span
        return replace(level, gain=gain, read=read, offset=offset)


def change_by_rounding(stack: Stack, dtype: DTypeLike) -> float:
    """Estimate by which share of its mean a result changes when it becomes integers.

    Rounding errors cancel where values spread over several counts, as those of a noisy
    recording do. A result has less noise: of a recording of 0.3 counts a pixel nearly
    all becomes 0. So some parts are rounded after smoothing them. Where counts are few,
    they are also sharpened, which takes values below 0.

    Parameters
    ----------
    stack
        Planes in counts; some parts of them are read.
    dtype
        What the result is to be.
    """
    if np.dtype(dtype).kind == "f":
        return 0.0
    limits = np.iinfo(dtype)
    windows = spread_windows(stack, _N_WINDOWS, _SIDE)
    parts = [fill_gaps(stack.window(index, part))[0] for index, part in windows]
    counts = [part.astype(np.float64) for part in parts]
    mean = float(np.mean([np.abs(part).mean() for part in counts]))
    made = [[ndimage.gaussian_filter(part, by) for part in counts] for by in _SMOOTHED]
    if mean < _FEW:
        blurred = (ndimage.gaussian_filter(part, 1.0) for part in counts)
        pairs = zip(counts, blurred, strict=True)
        made.append([blur + _SHARPENED * (part - blur) for part, blur in pairs])
    changes = [
        np.mean([abs(np.mean(_rounded(part, limits) - part)) for part in parts_made])
        for parts_made in made
    ]
    return float(max(changes)) / mean if mean else 0.0


def _rounded(counts: NDArray[np.float64], limits: np.iinfo) -> NDArray[np.float64]:
    return np.clip(np.rint(counts), limits.min, limits.max)


def fill_gaps(plane: NDArray) -> tuple[NDArray, NDArray[np.bool_] | None]:
    """Replace pixels that hold no number, so that no network has to see them.

    Parameters
    ----------
    plane
        `(y, x)` counts; only a float plane can have gaps (NaN or infinity).

    Returns
    -------
    tuple of ndarray and (ndarray or None)
        `(y, x)` plane in which each gap holds the value of the nearest finite pixel
        (0 if there is none), and the `(y, x)` mask of the gaps, None without gaps.
    """
    if plane.dtype.kind != "f" or np.isfinite(plane).all():
        return plane, None
    gaps = ~np.isfinite(plane)
    if gaps.all():
        return np.zeros_like(plane), gaps
    rows, columns = ndimage.distance_transform_edt(
        gaps, return_distances=False, return_indices=True
    )
    return plane[rows, columns], gaps


def restore_gaps(
    plane: NDArray, gaps: NDArray | None, factor: int, intensity: IntensityRange
) -> NDArray:
    """Put the gaps of a measurement back into its result.

    Parameters
    ----------
    plane
        `(factor * y, factor * x)` counts, from `IntensityRange.denormalize`.
    gaps
        `(y, x)` bool mask from `fill_gaps`; None: nothing to do.
    factor
        Super-resolution factor: each gap becomes a block of this side.
    intensity
        Its `low` marks the gaps of an integer plane, NaN those of a float plane.

    Returns
    -------
    ndarray
        `(factor * y, factor * x)` of the same dtype.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """
    if gaps is None:
        return plane
    expected = tuple(n * factor for n in gaps.shape)
    if plane.shape != expected:
        raise ValueError(
            f"Gaps of {gaps.shape} pixels at factor {factor} belong to a plane of "
            f"{expected} pixels, not {plane.shape}. Pass the mask of this plane."
        )
    dark = np.full((1, 1), np.nan if plane.dtype.kind == "f" else 0.0)
    mark, _ = intensity.denormalize(dark, plane.dtype)
    blocks = gaps.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.where(blocks, mark, plane)


def _round_and_clip(counts: NDArray[np.float64], dtype: np.dtype) -> int:
    """Round and clip counts in place to an integer dtype; say how many were clipped."""
    if not np.isfinite(counts).all():
        raise ValueError(
            f"A plane with NaN or infinity cannot become {dtype}. Fill its gaps before "
            f"upscaling and restore them afterwards, or use float32."
        )
    limits = np.iinfo(dtype)
    np.rint(counts, out=counts)
    n_clipped = np.count_nonzero((counts < limits.min) | (counts > limits.max))
    np.clip(counts, limits.min, limits.max, out=counts)
    return int(n_clipped)


def _row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut a plane into bands of whole rows of a bounded number of pixels."""
    n_rows = max(1, _BLOCK_PIXELS // max(1, shape[1]))
    for start in range(0, shape[0], n_rows):
        yield slice(start, start + n_rows)

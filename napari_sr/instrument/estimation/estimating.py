"""Recordings and sharp images → the estimate of the instrument, top to bottom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.image.factor import check_factor
from napari_sr.image.intensity import IntensityRange
from napari_sr.instrument.estimation.blocks import recorded_blocks, simulated_blocks
from napari_sr.instrument.estimation.classes import (
    SMALLEST_CLASS,
    ClassSums,
    class_edges,
)
from napari_sr.instrument.estimation.findings import Findings, Reach
from napari_sr.instrument.estimation.fitting import (
    FLOOR,
    GAIN,
    VARIANCE,
    SharpEnergies,
    fit,
)
from napari_sr.instrument.estimation.planes import planes_of, pooled_percentiles
from napari_sr.instrument.estimation.spread import spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.datasets import Sources
    from napari_sr.instrument.estimation.blocks import Blocks
    from napari_sr.instrument.estimation.classes import ClassMeans
    from napari_sr.instrument.estimation.fitting import Fit
    from napari_sr.instrument.estimation.result import InstrumentEstimate

_FEWEST_BLOCKS = 32
_LEVELS = (5, 95)
"""Percentiles of block levels by which recordings and sharp images are compared."""
_WHITE = (0.1, 99.9)
"""Percentiles of the sharp pixels that are 0 and 1 of the network range."""
_DARK = 2
"""Percentile of the block levels from which light is counted in the fit."""


def estimate_instrument(
    low_images: Sources,
    sharp_images: Sources,
    *,
    factor: int = 2,
    photon_noise: bool = True,
    black: float | None = None,
    intensity: IntensityRange | None = None,
) -> InstrumentEstimate:
    """Estimate the degradation model that makes sharp images match a lab's recordings.

    Parameters
    ----------
    low_images
        Recordings of the instrument: `(y, x)` counts of any real dtype, NaN for gaps,
        or stacks, files, folders, patterns. A few planes are enough; of many, a sample
        is used.
    sharp_images
        Images of the same kind of specimen, but not of the same places, at pixels
        `factor` times smaller; as many as there are. Their counts need not be those of
        the recordings. Their own noise is degraded with them: the estimate is the noise
        to add.
    factor
        Recorded pixel size over that of the sharp images.
    photon_noise
        Whether there is photon noise; False for heights, whose noise does not depend on
        the signal.
    black
        Counts of the recordings without light, if known: it separates read noise from
        photon noise of a dark signal.
    intensity
        Counts of the recordings that stand for 0 and 1 of the network range; estimated
        from the brightness of recordings and sharp images when not given.

    Returns
    -------
    InstrumentEstimate
        Values with 90 % intervals, whether the images determine them, the range to
        train for, and the underlying curves.

    Raises
    ------
    ValueError
        If the images have too little detail to compare.
    """
    return InstrumentEstimator(sharp_images, factor=factor).estimate(
        low_images, photon_noise=photon_noise, black=black, intensity=intensity
    )


class InstrumentEstimator:
    """Estimates instruments from recordings of one kind of specimen.

    Parameters
    ----------
    sharp_images, factor
        As for `estimate_instrument`; they are recorded with many point-spread
        functions once, for any number of estimates.
    """

    def __init__(self, sharp_images: Sources, *, factor: int = 2) -> None:
        check_factor(factor)
        self.factor = factor
        planes = planes_of(sharp_images, multiple=factor)
        blocks = simulated_blocks(planes, factor)
        _check_enough(blocks, "sharp images", factor)
        self._n_sharp = len(planes)
        self._range = _range_of(blocks)
        self._blocks = blocks.scaled(self._range.low, self._range.high)
        self._white = pooled_percentiles(planes, _WHITE)

    def estimate(
        self,
        low_images: Sources,
        *,
        photon_noise: bool = True,
        black: float | None = None,
        intensity: IntensityRange | None = None,
    ) -> InstrumentEstimate:
        """Estimate the instrument of some recordings, see `estimate_instrument`."""
        planes = planes_of(low_images)
        blocks = recorded_blocks(planes)
        _check_enough(blocks, "recordings", 1)
        unit = _range_of(blocks)
        blocks = blocks.scaled(unit.low, unit.high)
        edges = class_edges(blocks.level)
        recorded = ClassSums.of(blocks, edges).means()
        specimen = self._specimen(blocks, edges, photon_noise)
        fitted = fit(recorded, specimen)
        # Now that the noise is known nearly, sort the sharp images as it would.
        specimen = self._specimen(blocks, edges, photon_noise, fitted)
        fitted = fit(recorded, specimen, starts=[fitted.unknowns])
        return Findings(
            recorded=recorded,
            specimen=specimen,
            fitted=fitted,
            reach=self._reach(recorded, specimen, fitted),
            unit=unit,
            intensity=intensity or self._intensity_in(unit),
            factor=self.factor,
        ).estimate(black, n_recordings=len(planes), n_sharp=self._n_sharp)

    def _specimen(
        self,
        recorded: Blocks,
        edges: NDArray,
        photon_noise: bool,
        fitted: Fit | None = None,
    ) -> SharpEnergies:
        """Sort the sharp images into the classes of the recordings."""
        sharp = self._blocks
        if fitted is not None:
            sharp = sharp.as_seen(fitted.noise_at(sharp.level))
        sums = ClassSums.of(sharp, edges)
        if not np.any(sums.n.sum(0) >= SMALLEST_CLASS):
            raise ValueError(
                "Recordings and sharp images have no brightness in common. Give sharp "
                "images of the same kind of specimen."
            )
        n_recorded = len(recorded.level) / (len(self._blocks.level) / sums.n_parts)
        return SharpEnergies(
            sums=sums,
            groups=sums.groups(max(1, round(n_recorded))),
            n_recorded=n_recorded,
            dark=float(np.percentile(recorded.level, _DARK)),
            photon_noise=photon_noise,
        )

    def _reach(
        self, recorded: ClassMeans, specimen: SharpEnergies, fitted: Fit
    ) -> Reach:
        """Find what else the unknowns may be, for each reason by itself."""
        clean = replace(specimen, sums=specimen.sums.without_own_noise(self.factor))
        other = fit(recorded, clean, starts=[fitted.unknowns])
        return Reach(
            ends={place: fitted.ends(place) for place in (VARIANCE, GAIN, FLOOR)},
            spread=spread(specimen, fitted),
            own_noise=np.abs(other.unknowns - fitted.unknowns),
        )

    def _intensity_in(self, unit: IntensityRange) -> IntensityRange:
        """Find the counts of recordings that are black and white of sharp images."""
        span = self._range.high - self._range.low
        shares = [(value - self._range.low) / span for value in self._white]
        low, high = (unit.low + share * (unit.high - unit.low) for share in shares)
        return IntensityRange(low, high)


def _check_enough(blocks: Blocks, what: str, factor: int) -> None:
    if len(blocks.level) < _FEWEST_BLOCKS:
        side = 16 * factor
        raise ValueError(
            f"The {what} hold {len(blocks.level)} usable fields of {side} × {side} "
            f"pixels (without gaps, not clipped, not constant), but {_FEWEST_BLOCKS} "
            f"are needed. Give more or larger images."
        )


def _range_of(blocks: Blocks) -> IntensityRange:
    """Find the brightness in which images of one kind are alike, noise or not."""
    low, high = np.percentile(blocks.level, _LEVELS)
    if high - low <= 1e-6 * max(1.0, abs(high)):
        raise ValueError(
            "All fields of the images are equally bright, so noise that rises with "
            "the signal cannot be estimated. Give images with dark and bright parts."
        )
    return IntensityRange(float(low), float(high))

"""A fit in its own units → figures of an instrument in counts, photons and pixels.

This module alone knows how the unknowns of the fit become figures with intervals, and
what the curves show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.instrument.estimation.blocks import FREQUENCIES, WIDTHS
from napari_sr.instrument.estimation.fitting import (
    FLOOR,
    GAIN,
    HIGHEST,
    LOWEST,
    VARIANCE,
)
from napari_sr.instrument.estimation.result import (
    PHOTON_TOLERANCE,
    READ_TOLERANCE,
    SIGMA_TOLERANCE,
    WORST_MISFIT,
    Estimated,
    FittedCurve,
    InstrumentEstimate,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.image.intensity import IntensityRange
    from napari_sr.instrument.estimation.classes import ClassMeans
    from napari_sr.instrument.estimation.fitting import Fit, SharpEnergies


@dataclass(frozen=True, slots=True)
class Reach:
    """What else the unknowns may be, for three reasons."""

    ends: dict[int, tuple[float, float]]
    """Intervals of the fit by the place of the unknown, for noise and chance."""
    spread: NDArray[np.float64]
    """`(2, 4)` distances down and up, for differences between images."""
    own_noise: NDArray[np.float64]
    """`(4,)` distances, for the question whether the instrument has seen, and blurred,
    what the sharp images have of noise."""

    def interval(self, place: int, best: float) -> tuple[float, float]:
        """Put the reasons together; an open end is at `LOWEST` or `HIGHEST`."""
        fitted = np.abs(np.array(self.ends[place]) - best)
        between = np.hypot(self.spread[:, place], self.own_noise[place])
        below, above = np.hypot(fitted, between).tolist()
        low = max(best - below, float(LOWEST[place]))
        return low, min(best + above, float(HIGHEST[place]))


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything that an estimate is made from."""

    recorded: ClassMeans
    specimen: SharpEnergies
    fitted: Fit
    reach: Reach
    unit: IntensityRange
    """Counts of the recordings that are 0 and 1 of the fit."""
    intensity: IntensityRange
    """Counts of the recordings that are 0 and 1 of the network."""
    factor: int

    def estimate(
        self, black: float | None, *, n_recordings: int, n_sharp: int
    ) -> InstrumentEstimate:
        """Express what was found in counts, photons and sharp pixels."""
        gain, fitted = self._gain(), self.fitted
        n = self.recorded.n
        finest = self.recorded.energy[0, :, -1]
        sums = self.specimen.sums
        own_noise = math.sqrt(sums.own_noise.sum() / sums.n.sum())
        return InstrumentEstimate(
            factor=self.factor,
            psf_sigma=self._sigma(),
            widest=self._widest,
            photons=self._photons(gain),
            gain=gain,
            black=self._dark if black is None else black,
            black_is_known=black is not None,
            read=self._read(black),
            intensity=self.intensity,
            own_noise=own_noise * self._span / self._white_minus_black,
            misfit=fitted.misfit,
            n_recordings=n_recordings,
            n_sharp=n_sharp,
            noise_share=min(1.0, float((n @ fitted.noise[:, -1]) / (n @ finest))),
            sharp_spread=float(self.reach.spread[0, VARIANCE]),
            spectrum=self._spectrum(),
            noise_curve=self._noise_curve(),
        )

    @property
    def _span(self) -> float:
        return self.unit.high - self.unit.low

    @property
    def _widest(self) -> float:
        return self.factor / 2 * float(WIDTHS[-1])

    @property
    def _white_minus_black(self) -> float:
        return self.intensity.high - self.intensity.low

    @property
    def _dark(self) -> float:
        """Counts from which light is counted in the fit."""
        return self.unit.low + self.specimen.dark * self._span

    @property
    def _fits(self) -> bool:
        return self.fitted.misfit <= WORST_MISFIT

    def _interval(self, place: int) -> tuple[float, float, float]:
        best = float(self.fitted.unknowns[place])
        return best, *self.reach.interval(place, best)

    def _sigma(self) -> Estimated:
        scale = self.factor / 2
        best, low, high = (scale * math.sqrt(v) for v in self._interval(VARIANCE))
        narrow = high - low <= 2 * SIGMA_TOLERANCE * best and high < self._widest
        return Estimated(best, low, high, narrow and self._fits)

    def _gain(self) -> Estimated:
        """Express the gain in counts; an open end is 0."""
        if not self.specimen.photon_noise:
            return Estimated(0.0, 0.0, 0.0, True)
        best, low, high = self._interval(GAIN)
        narrow = high - low <= 2 * PHOTON_TOLERANCE
        value, least, most = (self._span * math.exp(v) for v in (best, low, high))
        least = 0.0 if low <= LOWEST[GAIN] else least
        return Estimated(value, least, most, narrow and self._fits)

    def _photons(self, gain: Estimated) -> Estimated:
        def photons(value: float) -> float:
            return self._white_minus_black / value if value else math.inf

        ends = photons(gain.high), photons(gain.low)
        return Estimated(photons(gain.value), *ends, gain.determined)

    def _read(self, black: float | None) -> Estimated:
        """Take the photon noise of what light there is in the dark off its noise."""
        light = 0.0 if black is None else self.specimen.dark - self._in_unit(black)
        photon = math.exp(self.fitted.unknowns[GAIN]) * light
        photon = photon if self.specimen.photon_noise else 0.0
        best, low, high = (
            self._span * math.sqrt(max(0.0, math.exp(v) - photon))
            for v in self._interval(FLOOR)
        )
        narrow = high - low <= 2 * READ_TOLERANCE * best
        return Estimated(best, low, high, narrow and self._fits)

    def _in_unit(self, counts: float) -> float:
        return (counts - self.unit.low) / self._span

    def _spectrum(self) -> FittedCurve:
        n, fitted = self.recorded.n, self.fitted
        signal, noise = n @ fitted.signal / n.sum(), n @ fitted.noise / n.sum()
        energy = n @ self.recorded.energy[0] / n.sum()
        scale = self._span**2
        return FittedCurve(
            x=FREQUENCIES,
            recorded=energy * scale,
            simulated=(signal + noise) * scale,
            noise=noise * scale,
        )

    def _noise_curve(self) -> FittedCurve:
        fitted = self.fitted
        noise = fitted.noise[:, -1]
        return FittedCurve(
            x=self.unit.low + self.recorded.level * self._span,
            recorded=self._span * np.sqrt(self.recorded.energy[0, :, -1]),
            simulated=self._span * np.sqrt(fitted.signal[:, -1] + noise),
            noise=self._span * np.sqrt(noise),
        )

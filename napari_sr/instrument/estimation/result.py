"""What was found of an instrument: numbers, sentences, and a range to train for.

This module alone decides when a figure counts as determined, and how it is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sr.instrument.ranges import Instrument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sr.image.intensity import IntensityRange

SIGMA_TOLERANCE, PHOTON_TOLERANCE, READ_TOLERANCE = 0.15, 0.2, 0.2
"""Relative half-width of the interval up to which a figure counts as determined."""
WORST_MISFIT = 3.0
"""Misfit from which sharp images and recordings do not show the same kind."""
_MOST_PHOTONS = 1e6
"""Photons at which an image counts as free of photon noise."""
_LEAST_READ = 1e-5
"""Network units."""
_HIDDEN = 0.5
"""Share of noise in the finest detail that hides it."""
_FEW_SHARP = 4


@dataclass(frozen=True, slots=True)
class Estimated:
    """A figure and the interval that holds it in nine of ten cases."""

    value: float
    """The best single value; where it is not determined, only a choice."""
    low: float
    high: float
    """May be infinite."""
    determined: bool
    """Whether the interval is narrow enough for the value to be used by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedCurve:
    """What the recordings show, and what the sharp images predict."""

    x: NDArray[np.float64]
    recorded: NDArray[np.float64]
    simulated: NDArray[np.float64]
    noise: NDArray[np.float64]
    """The part of `simulated` that is noise."""


@dataclass(frozen=True, slots=True, eq=False)
class InstrumentEstimate:
    """The instrument that makes sharp images look like the recordings."""

    factor: int
    """Sharp pixels along a recorded one."""
    psf_sigma: Estimated
    """Gaussian point-spread function in sharp pixels, beside that of the pixel area."""
    widest: float
    """The largest σ that was looked for."""
    photons: Estimated
    """Photons that a pixel of value 1 collects, white minus black over gain; infinite
    without photon noise."""
    gain: Estimated
    """Photon noise in counts: variance per count of light."""
    black: float
    """Counts without light, where given; else those of the darkest fields."""
    black_is_known: bool
    """Whether it was given."""
    read: Estimated
    """Noise at `black` in counts: the read noise, if no light arrives there."""
    intensity: IntensityRange
    """The counts of the recordings that stand for 0 and 1 of the sharp images."""
    own_noise: float
    """Noise of the sharp images themselves over white minus black, at most."""
    misfit: float
    """Mean squared deviation over the expected one; up to 1 is a good fit."""
    n_recordings: int
    n_sharp: int
    noise_share: float
    """Share of noise in the energy of the finest detail of the recordings."""
    sharp_spread: float
    """Half-width of `psf_sigma` squared that comes from differences between the sharp
    images, in units of (half the factor) squared."""
    spectrum: FittedCurve
    """Energy in counts² over the frequency in cycles per recorded pixel."""
    noise_curve: FittedCurve
    """Standard deviation of the finest detail in counts over brightness in counts."""

    @property
    def same_kind(self) -> bool:
        """Whether some instrument makes the sharp images look like the recordings."""
        return self.misfit <= WORST_MISFIT

    @property
    def instrument(self) -> Instrument:
        """The range of instruments to train for: the intervals."""
        span = self.intensity.high - self.intensity.low
        black = (self.black - self.intensity.low) / span
        least, most = self.photons.low, self.photons.high
        read = [max(end / span, _LEAST_READ) for end in (self.read.low, self.read.high)]
        return Instrument(
            psf_sigma=(self.psf_sigma.low, self.psf_sigma.high),
            photons=None
            if least >= _MOST_PHOTONS
            else (least, min(most, _MOST_PHOTONS)),
            offset=(black, black),
            read=(read[0], read[1]),
            share_clean=0,
            share_read=1,
        )

    def describe(self) -> str:
        """Say in plain sentences what was found and what was not."""
        sentences = [self._say_blur(), self._say_photons(), self._say_read()]
        if not self.same_kind:
            sentences.insert(
                0,
                "No degradation model makes these sharp images match these "
                f"recordings (misfit {self.misfit:.1f}). Check that they show the "
                f"same kind of specimen at {self.factor} times finer sampling.",
            )
        if self.n_sharp < _FEW_SHARP:
            sentences.append(
                f"{self.n_sharp} sharp image(s) are too few to know how much "
                f"specimens differ. Give at least {_FEW_SHARP}."
            )
        return "\n".join(sentences)

    def _say_blur(self) -> str:
        sigma = self.psf_sigma
        if sigma.determined:
            return (
                f"Blur: a Gaussian of σ = {sigma.value:.2f} sharp pixels "
                f"({sigma.low:.2f} to {sigma.high:.2f})."
            )
        ends = f"lies between {sigma.low:.2f} and {sigma.high:.2f} sharp pixels"
        if sigma.high >= self.widest:
            ends = f"is {sigma.low:.2f} sharp pixels or more"
        return f"Blur: not determined, σ {ends}; {self._why_no_sigma()}."

    def _why_no_sigma(self) -> str:
        if not self.same_kind:
            return "the images do not match"
        sigma = self.psf_sigma
        between = (sigma.high**2 - sigma.low**2) / (self.factor / 2) ** 2
        if self.sharp_spread > between / 4:
            return "the sharp images differ too much from each other"
        if self.noise_share > _HIDDEN:
            return "noise hides the fine detail"
        return "the recordings have too little fine detail"

    def _say_photons(self) -> str:
        found = self.photons
        if found.low == math.inf:
            return "Photon noise: not estimated."
        if found.determined:
            return (
                f"Photons: {found.value:.3g} at white ({found.low:.3g} to "
                f"{found.high:.3g}), {self.gain.value:.3g} counts for each."
            )
        if found.high >= _MOST_PHOTONS:
            return (
                f"Photons: not determined, at least {found.low:.3g} at white; the "
                "noise hardly rises with the signal, or the range of signals is too "
                "small."
            )
        return (
            f"Photons: not determined, between {found.low:.3g} and {found.high:.3g} "
            "at white; noise and finest detail cannot be separated."
        )

    def _say_read(self) -> str:
        read = self.read
        text = f"{read.low:.3g} to {read.high:.3g} counts"
        if read.determined:
            text = f"{read.value:.3g} counts ({read.low:.3g} to {read.high:.3g})"
        if self.black_is_known or self.photons.low == math.inf:
            return f"Read noise: {text}."
        return (
            f"Noise in the dark, at {self.black:.5g} counts: {text}. It is read noise "
            "if no light arrives there; give the counts without light to make sure."
        )

"""The blur of a recording, once somebody has found it out.

This module alone knows how it is written down and what can be done with it. No torch.
"""

from __future__ import annotations

from math import sqrt

from pydantic import BaseModel, ConfigDict

from napari_sr.instrument import Instrument
from napari_sr.intensity import NoiseLevel


class BlurEstimate(BaseModel):
    """What blurred a recording, as a blind model found it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: tuple[float, ...]
    """What the generator is told."""
    sigma: float
    """Of the Gaussian that comes nearest: standard deviation along its first axis, in
    pixels of the result."""
    ratio: float
    """That along the second axis over that along the first."""
    angle: float
    """Direction of the first axis, in degrees from the x axis towards y."""
    course: tuple[float, ...] = ()
    """Round width (see `round_sigma`) before the corrections and after each."""

    @property
    def round_sigma(self) -> float:
        """Width of the round Gaussian with as much blur."""
        return self.sigma * sqrt((1 + self.ratio**2) / 2)

    def instrument(self, like: Instrument | None = None) -> Instrument:
        """Give an instrument with this blur: to fine-tune for, or to agree with.

        Parameters
        ----------
        like
            All but the blur is that of this one; the usual one when not given.
        """
        blur = {
            "psf_sigma": (self.sigma, self.sigma),
            "psf_ratio": (self.ratio, self.ratio),
            "psf_angle": (self.angle, self.angle),
            "psf_image": None,
            "share_point": 0.0,
        }
        return (like or Instrument()).model_copy(update=blur)


Prepared = NoiseLevel | BlurEstimate | None
"""What an upscaler has found out about a stack."""

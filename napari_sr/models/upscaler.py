"""What makes a plane larger, as flow A sees it.

This module alone says what an upscaler is, and what it may find out about a stack;
trained models, methods without weights and networks made elsewhere are some.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict

from napari_sr.image.intensity import NoiseLevel
from napari_sr.instrument.ranges import Instrument

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_sr.image.intensity import IntensityPolicy, IntensityRange
    from napari_sr.image.stack import Stack


class Upscaler(Protocol):
    """What flow A asks of whatever makes a plane larger."""

    @property
    def name(self) -> str:
        """Short name, for errors and for the plan."""

    @property
    def factor(self) -> int:
        """Super-resolution factor."""

    @property
    def halo(self) -> int:
        """Recorded pixels it must see around each pixel."""

    @property
    def overlap(self) -> int:
        """Recorded pixels over which tiles are blended; 0 for what is purely local."""

    @property
    def bytes_per_pixel(self) -> int:
        """Working memory per recorded pixel."""

    @property
    def intensity_policy(self) -> IntensityPolicy:
        """How the intensity range of a stack is measured."""

    @property
    def options(self) -> dict[str, float | str]:
        """What was chosen of it, with which `load_model` gives it again."""

    @property
    def sees_whole_planes(self) -> bool:
        """Whether `inputs` depends on all of a plane, however far away."""

    @property
    def device(self) -> torch.device | None:
        """Where its weights lie; `None` if it computes wherever its input is."""

    def to(self, device: torch.device) -> Self:
        """Give the same upscaler on a device."""

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find out what must be known once per stack."""

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Put beside a `(1, 1, y, x)` plane what the upscaler is told about it."""

    def __call__(self, batch: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, 1, factor·h, factor·w)`, network range."""


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

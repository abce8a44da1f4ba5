"""What makes a plane larger, as flow A sees it.

This module alone says what an upscaler is, and what it may find out about a stack;
trained models, methods without weights and third-party networks are some.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import sqrt
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict

from napari_sr.image.intensity import IntensityPolicy, NoiseLevel
from napari_sr.instrument.ranges import Instrument

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from napari_sr.image.intensity import IntensityRange
    from napari_sr.image.stack import Stack
    from napari_sr.networks import Condition


class BlurEstimate(BaseModel):
    """What blurred a recording, as a blind model found it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: tuple[float, ...]
    """The conditioning inputs of the generator."""
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


class Prepared(BaseModel):
    """What an upscaler has found out about a stack; the plan of a run keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise: NoiseLevel | None = None
    """To be removed, in counts; `None` if it is not conditioned on the noise."""
    blur: BlurEstimate | None = None
    """As a blind model found it; `None` if it is not conditioned on the blur."""


class Upscaler(ABC):
    """What flow A asks of whatever makes a plane larger.

    A subclass sets `name`, `factor`, `halo`, `bytes_per_pixel` and `description`, and
    computes in `__call__`. All else has the answer of an upscaler that knows nothing
    but the image.
    """

    name: str
    """Short name, for errors and for the plan."""
    description: str
    """One line for whoever chooses."""
    domain: str = "any"
    """Kind of images it is for."""
    factor: int
    """Super-resolution factor."""
    halo: int
    """Recorded pixels that a tile must hold around each pixel."""
    overlap: int = 0
    """Recorded pixels over which tiles are blended; 0 for what is purely local."""
    bytes_per_pixel: int
    """Working memory per recorded pixel in float32, of a large tile."""
    intensity_policy: IntensityPolicy = IntensityPolicy()
    """How the intensity range of a stack is measured."""
    options: Mapping[str, float | str] = {}
    """What was chosen of it, with which `load_model` gives it again."""
    dial: float | None = None
    """From faithful (0) to textured (1); `None` if there is nothing to choose."""
    instrument: Instrument | None = None
    """For whose recordings it was trained; `None` if it was not trained here."""
    undoes_blur_along_z: bool = False
    """Whether it was trained to, so that its result, binned along z again, is sharper
    than the recording."""
    from_pairs: bool = False
    """Whether it was trained on measured pairs, whose blur is not known."""
    device: torch.device | None = None
    """Where its weights lie; `None` if it computes wherever its input is."""

    @property
    def digest(self) -> str | None:
        """SHA-256 of all that its pixels depend on; `None`: name and options say it."""
        return None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What `inputs` puts beside the image, of what `prepare` found out."""
        return ()

    @property
    def reach(self) -> int | None:
        """Recorded pixels around each that take part in its result, by whatever way.

        More than `halo` where `inputs` looks further; `None` if all of a plane does.
        """
        return self.halo

    def to(self, device: torch.device | str) -> Self:
        """Give the same upscaler on a device."""
        return self

    def at_dial(self, dial: float) -> Self:
        """Give the same upscaler at another place between faithful and textured."""
        raise ValueError(f"{self.name!r} has no dial, got {dial}. Leave it out.")

    def used_with(self, options: Mapping[str, object]) -> Self:
        """Give the same upscaler with what may be chosen of it when it is used."""
        raise ValueError(
            f"Model {self.name!r} takes no options, got {', '.join(options)}. Leave "
            f"them out."
        )

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find out what must be known once per stack: here nothing.

        Parameters
        ----------
        stack
            The recording.
        intensity
            Its range.
        noise
            What is to be removed, as the user asked for.

        Raises
        ------
        ValueError
            If a level is given, but the upscaler is not noise-conditioned.
        """
        if noise != "auto":
            raise ValueError(
                f"Model {self.name!r} is not noise-conditioned, so it cannot keep or "
                "remove a given noise level. Leave noise at 'auto'."
            )
        return Prepared()

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Put beside a plane what the result is conditioned on.

        Parameters
        ----------
        plane
            `(1, 1, y, x)` float32 in network range.
        intensity
            The stack's range.
        prepared
            What `prepare` found out about the stack.

        Returns
        -------
        Tensor
            `(1, c, y, x)` float32.
        """
        return plane

    def fitted_blur(
        self, stack: Stack, intensity: IntensityRange, prepared: Prepared
    ) -> float:
        """Find the blur with which results of a stack agree, in pixels of the result.

        Parameters
        ----------
        stack, intensity, prepared
            As for `inputs`.
        """
        return 0.0

    @abstractmethod
    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, c, h, w)` float32, as `inputs` gives it. What lies beyond its border is
            not known: the outermost `halo` pixels are only right where they are cut.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """

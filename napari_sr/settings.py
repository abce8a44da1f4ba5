"""The settings of each flow: one type for Python, command line, viewer and recipes.

This module alone knows the options and their defaults. It loads neither torch nor a
viewer, so that help and validation are quick.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_sr.card import Instrument
from napari_sr.intensity import NoiseLevel

PixelType = Literal["same", "uint8", "uint16", "int16", "float32"]


class UpscaleSettings(BaseModel):
    """How to super-resolve; the same for every way in."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1, mps."""
    tile: int | Literal["auto"] = "auto"
    """Side of a tile in recorded pixels, halo included. A number is never changed."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the network. `auto` is float32 wherever that is fastest."""
    intensity_range: tuple[float, float] | None = None
    """Counts taken as 0 and 1; measured once per stack when not given."""
    noise: Literal["auto"] | NoiseLevel = "auto"
    """Noise to remove: `auto` estimates it, 0 keeps the recording's grain."""
    dtype: PixelType = "same"
    """Pixel type of the result; `same` is that of the recording."""
    dial: float | None = Field(default=None, ge=0, le=1)
    """From 0, faithful, to 1, textured; the card's recommendation when not given."""

    @field_validator("noise", mode="before")
    @classmethod
    def _noise_from_plain_values(cls, value: object) -> object:
        """Accept 0 for no noise and a mapping for a level, as files have it."""
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            if value != 0:
                raise ValueError(
                    f"noise is 'auto', 0 or a NoiseLevel, got {value}. For a standard "
                    f"deviation of {value} counts use NoiseLevel(read={value})."
                )
            return NoiseLevel()
        return _level_of(value) if isinstance(value, dict) else value

    @field_validator("tile")
    @classmethod
    def _tile_is_positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError(f"tile is 'auto' or a positive number, got {value}.")
        return value


def _level_of(parts: dict[str, float]) -> NoiseLevel:
    try:
        return NoiseLevel(**parts)
    except TypeError as error:
        raise ValueError(
            f"A noise level has the numbers gain, read and offset, got {parts}."
        ) from error


class TrainingSettings(BaseModel):
    """How to train a generator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: Literal[2, 3, 4, 8] = 2
    """Super-resolution factor."""
    architecture: str = "fast"
    """A name that `napari_sr.networks` knows."""
    arguments: dict[str, int] = Field(default_factory=dict)
    """What the architecture takes besides the factor."""
    instrument: Instrument = Instrument()
    """Range of instruments whose recordings it learns to improve."""
    iterations: int = Field(default=10_000, ge=1)
    """Training steps."""
    batch: int = Field(default=16, ge=1)
    """Patches per step."""
    patch: int = Field(default=48, ge=16)
    """Side of a patch in low-resolution pixels."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of Adam, at its highest; warmed up, then lowered along a cosine."""
    averaging: float = Field(default=0.998, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is what is kept."""
    share_flat: float = Field(default=0.03, ge=0, le=1)
    """Share of patches that are replaced by a flat field of random brightness."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Start of all random sequences."""

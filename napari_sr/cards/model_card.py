"""The card: everything about a model except its weights.

This module alone knows what a model file says about itself and how it is written in the
header of a safetensors file: the card as JSON beside its own SHA-256, so that a changed
or unknown card is refused in one sentence. No torch is needed to read one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from napari_sr._version import __version__
from napari_sr.cards.interval import Interval  # noqa: TC001
from napari_sr.cards.suitability import TrainingStatistics  # noqa: TC001
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.instrument.ranges import Instrument
from napari_sr.metrics.quality import FlatField, Measured  # noqa: TC001

if TYPE_CHECKING:
    import os

__all__ = [
    "PARTS",
    "SCHEMA_VERSION",
    "Instrument",
    "ModelCard",
    "ModelFormatError",
    "TrainingImage",
    "as_header",
    "parse_card",
    "read_card",
]

SCHEMA_VERSION = 1
_CARD, _DIGEST = "napari_sr_card", "napari_sr_card_sha256"
PARTS = (
    "faithful",
    "textured",
    "discriminator",
    "noise_estimator",
    "predictor",
    "corrector",
)
"""The two ends of the dial, what trained the second, what estimates the noise, and what
guesses and corrects the blur."""


class ModelFormatError(ValueError):
    """A file that is not a usable model, in one sentence."""


class TrainingImage(BaseModel):
    """One image that a model was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    licence: str
    source: str
    specimen: str = ""
    """What it shows: slices of one volume have the same; empty if unknown."""


class ModelCard(BaseModel):
    """What a model is, what it needs, how it was trained and how accurate it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    name: str
    description: str = ""
    domain: str = "any"
    factor: int
    architecture: str
    arguments: dict[str, int] = Field(default_factory=dict)
    intensity: IntensityPolicy = IntensityPolicy()
    halo: int
    """Receptive radius in recorded pixels: what a tile needs around it."""
    output_scale: float = Field(default=1.0, allow_inf_nan=False)
    """Step from the network's output to network range: scale × output + offset."""
    output_offset: float = Field(default=0.0, allow_inf_nan=False)
    instrument: Instrument = Instrument()
    recommended_dial: float = Field(default=0.0, ge=0, le=1)
    training_settings: dict[str, Any] = Field(default_factory=dict)
    training_images: tuple[TrainingImage, ...] = ()
    training_statistics: TrainingStatistics | None = None
    """Statistics of recordings of them; `None` if unknown."""
    imported: dict[str, str | float] = Field(default_factory=dict)
    """Of a third-party network: its layout, what was changed, what a test found."""
    from_pairs: bool = False
    """Whether it was trained on measured pairs: what blur it undoes is not known, so
    its results need not equal the recording once they are binned."""
    base: str = ""
    """The model that this one was fine-tuned from, with the start of its digest."""
    verdict: str = ""
    """What training found on held-out images, in one sentence."""
    is_better: bool | None = None
    """Whether it beat its base and bicubic there; `None` if unknown."""
    quality: tuple[Measured, ...] = ()
    """Metrics on test images, with those of baselines."""
    flat_fields: tuple[FlatField, ...] = ()
    """Metrics on flat fields: what it hallucinates from noise."""
    quality_protocol: str = ""
    interval: Interval | None = None
    """Calibration of its prediction intervals; `None` if not calibrated."""
    licence: str = "BSD-3-Clause"
    package_version: str = __version__
    digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each part; filled in when a model is saved."""

    @property
    def output_step(self) -> tuple[float, float]:
        """Scale and offset from the network's raw output to network range."""
        return self.output_scale, self.output_offset


def as_header(card: ModelCard) -> dict[str, str]:
    """Write a card as the header of a safetensors file."""
    text = card.model_dump_json()
    return {_CARD: text, _DIGEST: hashlib.sha256(text.encode()).hexdigest()}


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """Read the card of a model file, and nothing else of it.

    Parameters
    ----------
    path
        A model file.

    Returns
    -------
    ModelCard
        The card.

    Raises
    ------
    ModelFormatError
        If the file is missing, cut off, changed, of a newer version or no model at all.
    """
    path = Path(path)
    header = _header_of(path)
    text = header[_CARD]
    if hashlib.sha256(text.encode()).hexdigest() != header.get(_DIGEST):
        raise ModelFormatError(
            f"{path.name}: its card has been changed since it was saved. Get the file "
            f"again."
        )
    return parse_card(path.name, text)


def parse_card(name: str, text: str) -> ModelCard:
    """Read a card that is JSON; `name` is that of its file, for errors.

    Raises
    ------
    ModelFormatError
        If it is none, or of a newer version.
    """
    version = _version_of(text)
    if version != SCHEMA_VERSION:
        raise ModelFormatError(
            f"{name}: its card has version {version}, this napari-sr "
            f"{__version__} reads version {SCHEMA_VERSION}. Update napari-sr."
        )
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelFormatError(
            f"{name}: its card is not usable: {field}: {first['msg']}. Save the "
            f"model again with this version."
        ) from error


def _version_of(text: str) -> object:
    """Find the schema version of a card; None where there is none."""
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return card.get("schema_version") if isinstance(card, dict) else None


def _header_of(path: Path) -> dict[str, str]:
    """Read the header of a safetensors file that is one of ours."""
    if not path.is_file():
        raise ModelFormatError(f"There is no model file {path}. Check the path.")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelFormatError(
            f"{path.name}: not a safetensors file, or cut off ({error}). Get it again."
        ) from error
    if _CARD not in header:
        raise ModelFormatError(
            f"{path.name}: a safetensors file, but without a napari-sr card. Use a "
            f"file that save_model wrote."
        )
    return dict(header)

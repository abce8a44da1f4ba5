"""What was found about a result: one type, from which every form of a report is made.

This module alone knows what an assessment holds. Tables and JSON are made here,
pictures and pages in `report`, layers in napari.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from napari_sr.metrics.descriptions import PLANE_FIGURES, as_text
from napari_sr.metrics.quality import as_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sr.cards.interval import Interval
    from napari_sr.cards.suitability import Suitability
    from napari_sr.evaluation.comparison import Comparison
    from napari_sr.trust.agreement import Level


class PlaneFigures(BaseModel):
    """Figures of the plane that is looked at; `None` where there can be none."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    chi_square: float | None = None
    share_of_pixels: float | None = None
    share_beyond: float | None = None
    out_of_band: float | None = None
    own_resolution: float | None = None
    true_resolution: float | None = None
    bright_share: float | None = None
    lattice_share: float | None = None
    lines_along_y: float | None = None
    lines_along_x: float | None = None
    rings: float | None = None
    half_width: float | None = None
    held: float | None = None
    sa: float | None = None
    sq: float | None = None
    slope_rmse: float | None = None


class Curve(NamedTuple):
    """Values over spatial frequency."""

    frequencies: NDArray
    """`(k,)` in cycles per pixel of the result."""
    values: NDArray
    """`(k,)`."""


@dataclass(frozen=True, slots=True)
class Map:
    """A picture of one property of the result."""

    title: str
    meaning: str
    """In a sentence, what to look for."""
    unit: str
    pixels: NDArray
    """`(y, x)` float32."""
    factor: int = 1
    """Side of its pixels in pixels of the result: more than 1 on the recorded grid."""
    kind: Literal["picture", "difference", "amount"] = "difference"
    """Of a difference 0 is the middle, and what is above and below means the opposite;
    of an amount 0 is nothing."""
    corner: tuple[int, int] = (0, 0)
    """First row and column, in recorded pixels from those of the place."""


@dataclass(frozen=True, slots=True)
class Place:
    """The part of a stack that was looked at."""

    index: tuple[int, ...]
    """Plane, over the leading axes."""
    top: int
    """First row, in recorded pixels."""
    left: int
    """First column, in recorded pixels."""

    @property
    def text(self) -> str:
        """Say which plane it is, where there are several."""
        return f"plane {', '.join(map(str, self.index))}" if self.index else ""

    @property
    def scope(self) -> str:
        """Say that figures are of this plane and of no other."""
        return f"{self.text} alone" if self.index else "the only plane"


@dataclass(frozen=True, repr=False)
class Assessment:
    """What is known about a result: metrics, maps, curves, warnings, provenance."""

    name: str
    """Of the result."""
    factor: int
    comparison: Comparison
    """Metrics averaged over planes; the result comes first."""
    level: Level
    badge: str
    """Whether it agrees with the recording (data consistency), in a sentence."""
    remarks: tuple[str, ...]
    """What to know before trusting it; also what could not be determined, and why."""
    artefacts: tuple[str, ...]
    """Lattices, stripes and rings that were detected, each in a sentence."""
    figures: Mapping[str, PlaneFigures]
    """Metrics of one plane, by method; the result comes first."""
    pictures: Mapping[str, NDArray]
    """Recording, bicubic, result and reference, `(y, x)` float32 counts."""
    maps: Mapping[str, Map]
    spectra: Mapping[str, Curve]
    """Power spectrum of each image."""
    rings: Mapping[str, Curve]
    """Fourier ring correlations."""
    interval: Interval | None
    """How the model is calibrated; `None` where it is not, or is not available."""
    uncertainty: str
    """What the intervals guarantee, or why there are none, in a sentence."""
    suitability: Suitability | None
    """Whether the recording resembles the training images of the model; `None` if
    unknown."""
    place: Place
    pixel: tuple[float, str]
    """Pixel size of the result along x, and its unit."""
    provenance: Mapping[str, Any]
    """How the result was made, and what it was assessed with."""

    def rows(self) -> list[list[str]]:
        """Give a row of text for each metric of the plane: title, then each image."""
        return [
            [PLANE_FIGURES[name].title]
            + [as_text(name, getattr(own, name)) for own in self.figures.values()]
            for name in self.names
        ]

    @property
    def names(self) -> list[str]:
        """List the metrics that were computed for the plane."""
        return [
            name
            for name in PLANE_FIGURES
            if any(getattr(own, name) is not None for own in self.figures.values())
        ]

    def __repr__(self) -> str:
        """Say what was found, without pictures and tables."""
        return "\n".join([f"{self.name}: {self.badge}", *self.remarks])

    def as_markdown(self) -> str:
        """Write everything but the images as Markdown."""
        parts = [f"**{self.badge}**", *self.remarks]
        parts.append(self.comparison.as_markdown().strip())
        parts.append(as_markdown([self.place.scope, *self.figures], self.rows()))
        parts.append(self.uncertainty)
        if self.suitability is not None:
            parts.append(self.suitability.in_words())
        return "\n\n".join(parts) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Write everything but the images in the types of JSON."""
        return {
            "name": self.name,
            "factor": self.factor,
            "agreement": {"level": self.level, "badge": self.badge},
            "remarks": list(self.remarks),
            "figures": {
                name: _plain(item.model_dump())
                for name, item in self.comparison.figures.items()
            },
            "data_range": self.comparison.data_range,
            "basis": self.comparison.basis,
            "figures_of_plane": {
                name: _plain(item.model_dump()) for name, item in self.figures.items()
            },
            "plane": list(self.place.index),
            "spectra": {name: _points(item) for name, item in self.spectra.items()},
            "ring_correlations": {
                name: _points(item) for name, item in self.rings.items()
            },
            "interval": None
            if self.interval is None
            else {**self.interval.model_dump(), "in_words": self.uncertainty},
            "suitability": None
            if self.suitability is None
            else self.suitability.model_dump(mode="json"),
            "provenance": dict(self.provenance),
        }


def _plain(figures: Mapping[str, float | None]) -> dict[str, float | str | None]:
    """Write what is not finite as text, since JSON has no such numbers."""
    return {
        name: value if value is None or math.isfinite(value) else str(value)
        for name, value in figures.items()
    }


def _points(curve: Curve) -> dict[str, list[float]]:
    return {
        "cycles_per_pixel": [float(f"{x:.6g}") for x in curve.frequencies],
        "values": [float(f"{y:.6g}") for y in curve.values],
    }

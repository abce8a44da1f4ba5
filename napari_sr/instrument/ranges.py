"""The instrument that a network is trained for: a range of each of its figures.

This module alone knows what an instrument is described by, in which units, and what
cannot be one. No torch: a model's card holds it.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

Range = tuple[float, float]
"""Smallest and largest value."""
WIDEST = 2
"""Standard deviation of a blur in recorded pixels, at most. It leaves exp(−2π²), less
than 1e-8, of the contrast of the finest detail that can be recorded."""
_BRIGHT = "1 is nearly the brightest pixel of a sharp image"
_SENSIBLE: dict[str, tuple[float, float, str]] = {
    "psf_sigma": (0, 8 * WIDEST, "at most 8 of the sharp pixels make a recorded one"),
    "psf_ratio": (1 / 16, 16, "a wider Gaussian is a line"),
    "photons": (0.01, 1e9, "fewer show nothing, and more have a negligible noise"),
    "read": (0, 10, _BRIGHT),
    "counts": (1, 1e9, "fewer cannot show an image, and digitisers have less"),
    "ring": (0, 10, _BRIGHT),
    "stripes": (0, 10, _BRIGHT),
    "sigma": (0, 16, "it is in recorded pixels, and noise is correlated over a few"),
}
"""What an instrument can have at least and at most, and why."""
Quality = Annotated[float, Field(ge=1, le=100)]
"""Of a JPEG file."""


class Defects(BaseModel):
    """The range of faults of a detector; a generator gets no information about them."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    bad_pixels: Range = (0.0, 0.0)
    """Share of the recorded pixels that are dead, stuck or hot."""
    bad_lines: Range = (0.0, 0.0)
    """Share of the rows and of the columns that have an offset of their own."""
    ring: Range = (0.0, 0.0)
    """Standard deviation between the rings of a CT slice, in network units."""
    flat_drift: Range = (0.0, 0.0)
    """Largest relative change of the illumination since the flat field was taken."""
    stripes: Range = (0.0, 0.0)
    """Standard deviation between the rows, or the columns, in network units."""
    share: float = Field(default=1.0, ge=0, le=1)
    """Share of the recordings that have a fault, of each kind of its own."""

    @field_validator("bad_pixels", "bad_lines", "ring", "flat_drift", "stripes")
    @classmethod
    def _rises(cls, ends: Range, info: ValidationInfo) -> Range:
        """Refuse ends between which nothing can be drawn."""
        _check_range(info.field_name, ends, ends[0] >= 0)
        if info.field_name not in ("ring", "stripes") and ends[1] > 1:
            raise ValueError(
                f"{info.field_name} is a fraction between 0 and 1, got {ends}."
            )
        return ends


class Correlation(BaseModel):
    """The range of ways in which the noise of neighbouring pixels goes together."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    share: float = Field(default=0.0, ge=0, le=1)
    """Share of the recordings whose noise is correlated; that of the others is white.
    """
    sigma: Range = (0.0, 1.0)
    """Standard deviation, in recorded pixels, of the Gaussian that blurred the noise.
    Photons and read noise say how much noise there is after it."""
    sampled: Range = (0.0, 0.0)
    """How far the blur is by a Gaussian that is sampled at pixels, as software does it:
    from 0, which damps the finest detail most, to 1, which leaves some of it."""
    share_ramp: float = Field(default=0.0, ge=0, le=1)
    """Share, of the correlated ones, of slices reconstructed by filtered
    back-projection, whose noise is weakest at low frequencies."""

    @field_validator("sigma", "sampled")
    @classmethod
    def _rises(cls, ends: Range, info: ValidationInfo) -> Range:
        """Refuse ends between which nothing can be drawn."""
        if info.field_name == "sampled" and ends[1] > 1:
            raise ValueError(f"sampled is a fraction between 0 and 1, got {ends}.")
        return _check_range(info.field_name, ends, ends[0] >= 0)


class Jpeg(BaseModel):
    """The range of 8-bit JPEG files in which recordings were kept."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    share: float = Field(default=0.0, ge=0, le=1)
    """Share of the recordings that were kept in one."""
    quality: tuple[Quality, Quality] = (50.0, 95.0)
    """Of the file."""

    @field_validator("quality")
    @classmethod
    def _rises(cls, ends: Range, info: ValidationInfo) -> Range:
        """Refuse ends between which nothing can be drawn."""
        return _check_range(info.field_name, ends, enough=True)


class Instrument(BaseModel):
    """The range of instruments that a network is trained for.

    Network units: 0 stands for no light in a sharp image, 1 nearly its brightest. Every
    range is written as its two ends; one number twice is a fixed instrument.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    psf_sigma: Range = (0.0, 0.0)
    """Standard deviation of a Gaussian point-spread function, in sharp pixels."""
    share_point: float = Field(default=0.0, ge=0, le=1)
    """Share of recordings that are not blurred at all."""
    psf_ratio: Range = (1.0, 1.0)
    """Second width of the Gaussian over the first, drawn evenly in the logarithm."""
    psf_angle: Range = (0.0, 180.0)
    """Direction of the first width, in degrees from the x axis towards y."""
    psf_image: tuple[tuple[float, ...], ...] | None = None
    """Measured point-spread function on sharp pixels, row by row, of any sum above 0;
    its centre is the pixel `side // 2` of each axis. It takes the Gaussian's place."""
    photons: Range | None = (15.0, 10_000.0)
    """Photons that a pixel of value 1 collects, drawn evenly in the logarithm; `None`
    ("none" in a recipe) where nothing is counted (heights): there is read noise only.
    """
    offset: Range = (0.0, 0.0)
    """Value at which no photon arrives, in network units: below 0 where the darkest
    pixel of a specimen still gets light, as in a radiograph."""
    read: Range = (0.001, 0.05)
    """Read noise in network units, a standard deviation; even in the logarithm."""
    share_clean: float = Field(default=0.25, ge=0, le=1)
    """Share of recordings without photon noise."""
    share_read: float = Field(default=0.5, ge=0, le=1)
    """Share of read noise, relative to the share of photon noise: most instruments
    are limited by photons."""
    counts: Range | None = None
    """Counts of the digitiser per network unit; `None`: recordings are not rounded."""
    correlation: Correlation = Correlation()
    """How the noise of neighbouring pixels goes together."""
    defects: Defects = Defects()
    """Faults of the detector."""
    jpeg: Jpeg = Jpeg()
    """Files that lost some of the recording."""

    @field_validator("photons", mode="before")
    @classmethod
    def _none_in_words(cls, value: object) -> object:
        """Accept what a recipe can say: TOML has no null."""
        return None if value == "none" else value

    @field_validator("psf_sigma", "psf_ratio", "photons", "read", "counts")
    @classmethod
    def _rises(cls, ends: Range | None, info: ValidationInfo) -> Range | None:
        """Refuse ends between which nothing can be drawn."""
        if ends is not None:
            may_be_zero = info.field_name == "psf_sigma"
            enough = ends[0] >= 0 if may_be_zero else ends[0] > 0
            _check_range(info.field_name, ends, enough)
        return ends

    @field_validator("psf_angle", "offset")
    @classmethod
    def _rises_anywhere(cls, ends: Range, info: ValidationInfo) -> Range:
        """Refuse ends that fall or are not finite."""
        if not -math.inf < ends[0] <= ends[1] < math.inf:
            raise ValueError(
                f"{info.field_name} goes from a smaller to a larger number, got {ends}."
            )
        return ends

    @model_validator(mode="after")
    def _one_usable_psf(self) -> Self:
        """Refuse an image that is not a point-spread function, or a second one."""
        if self.psf_image is None:
            return self
        if self.psf_sigma != (0, 0) or self.psf_ratio != (1, 1):
            raise ValueError(
                "A measured psf_image takes the place of a Gaussian. Leave out "
                "psf_sigma and psf_ratio, or the image."
            )
        values = [value for row in self.psf_image for value in row]
        even = len({len(row) for row in self.psf_image}) == 1
        if not even or not all(map(math.isfinite, values)) or sum(values) <= 0:
            raise ValueError(
                "psf_image needs rows of equal length, finite numbers and a sum above "
                "0. Subtract the background of the measured image."
            )
        return self


_NEARLY = (0.9, 1.1)
"""Shares of a known width between which it is drawn: it is never known exactly."""


def check_blur(sigma: float, factor: float, name: str = "psf_sigma") -> None:
    """Refuse a blur that leaves nothing to restore.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian, in sharp pixels.
    factor
        Sharp pixels along a recorded one, or along a step.
    name
        Of the blur, for the message.

    Raises
    ------
    ValueError
        If it is negative, not a number or too wide.
    """
    if not 0 <= sigma <= WIDEST * factor:
        raise ValueError(
            f"The blur {name} is a standard deviation from 0 to {WIDEST * factor:g} "
            f"pixels of the result ({WIDEST} recorded pixels or steps), got {sigma:g}. "
            "A wider one leaves less than 1e-8 of the contrast of the finest recorded "
            "detail, so nothing finer can be restored. Check the unit, or bin the "
            "recordings."
        )


def with_psf_sigma(instrument: Instrument, sigma: float, factor: int) -> Instrument:
    """Give an instrument a known blur instead of its own.

    Parameters
    ----------
    instrument
        Whose noise and faults are kept.
    sigma
        Standard deviation of the Gaussian, in sharp pixels.
    factor
        Sharp pixels along a recorded one.

    Raises
    ------
    ValueError
        If there is no such blur, see `check_blur`.
    """
    check_blur(sigma, factor)
    widest = min(_NEARLY[1] * sigma, WIDEST * factor)
    return instrument.model_copy(
        update={
            "psf_sigma": (_NEARLY[0] * sigma, widest),
            "psf_ratio": (1.0, 1.0),
            "psf_image": None,
            "share_point": 0.0,
        }
    )


_SINCE_0_1_0 = {"correlation": None, "jpeg": None, "defects": ("stripes", "share")}
"""Parts that were added: whole ones, or some figures of a part."""


def describe_for_digest(instrument: Instrument) -> dict[str, Any]:
    """Describe an instrument in JSON's types, so that digests stay what they were.

    What was added after 0.1.0 is left out where it is as by default: models, results
    and trainings of before are known again.
    """
    description = instrument.model_dump(mode="json")
    usual = Instrument().model_dump(mode="json")
    for part, figures in _SINCE_0_1_0.items():
        if figures is None and description[part] == usual[part]:
            del description[part]
        for figure in figures or ():
            if description[part][figure] == usual[part][figure]:
                del description[part][figure]
    return description


def typical(instrument: Instrument) -> Instrument:
    """Give the one instrument in the middle of a range, with all its noise."""
    sigma, photons, read = instrument.psf_sigma, instrument.photons, instrument.read
    correlation = instrument.correlation
    return instrument.model_copy(
        update={
            "psf_sigma": (sum(sigma) / 2,) * 2,
            "share_point": 0.0,
            "photons": photons and (math.sqrt(photons[0] * photons[1]),) * 2,
            "read": (math.sqrt(read[0] * read[1]),) * 2,
            "share_clean": 0.0,
            "share_read": 1.0,
            "correlation": Correlation(
                share=round(correlation.share), sigma=(sum(correlation.sigma) / 2,) * 2
            ),
        }
    )


def _check_range(name: str | None, ends: Range, enough: bool) -> Range:
    """Refuse ends that fall, are not finite, or that no instrument has."""
    low, high = ends
    if not enough or not low <= high < math.inf:
        raise ValueError(
            f"{name} goes from a smaller to a larger positive number, got {ends}. "
            f"Write one number twice for a fixed instrument."
        )
    least, most, why = _SENSIBLE.get(name or "", (-math.inf, math.inf, ""))
    if not least <= low <= high <= most:
        raise ValueError(
            f"{name} goes from {least:g} to {most:g} at most, since {why}; got {ends}. "
            "Check its unit."
        )
    return ends

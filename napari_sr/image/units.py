"""The units of an axis: one short name each, and how the file formats spell it.

This module alone knows which words mean the same unit and how large each one is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of length or time, and its name in the formats."""

    name: str
    """The one spelling used in this package, e.g. "um"."""
    ome: str
    """As OME-XML spells it."""
    ngff: str
    """As OME-Zarr spells it."""
    kind: str
    """"length" or "time"."""
    size: float
    """In micrometres or seconds."""
    spellings: tuple[str, ...] = ()
    """Other words that mean it."""


# The micro sign and the Greek mu look alike and both occur; ImageJ writes the escape.
UNITS = (
    Unit("pm", "pm", "picometer", "length", 1e-6),
    Unit("angstrom", "\u00c5", "angstrom", "length", 1e-4, ("\u212b", "angstroms")),
    Unit("nm", "nm", "nanometer", "length", 1e-3),
    Unit(
        "um",
        "\u00b5m",
        "micrometer",
        "length",
        1.0,
        ("\u03bcm", r"\u00b5m", r"\u03bcm", "micron", "microns"),
    ),
    Unit("mm", "mm", "millimeter", "length", 1e3),
    Unit("cm", "cm", "centimeter", "length", 1e4),
    Unit("m", "m", "meter", "length", 1e6),
    Unit("inch", "in", "inch", "length", 25400.0, ("inches",)),
    Unit("ns", "ns", "nanosecond", "time", 1e-9),
    Unit("us", "\u00b5s", "microsecond", "time", 1e-6, ("\u03bcs", r"\u00b5s")),
    Unit("ms", "ms", "millisecond", "time", 1e-3, ("msec",)),
    Unit("s", "s", "second", "time", 1.0, ("sec", "secs")),
    Unit("min", "min", "minute", "time", 60.0),
    Unit("h", "h", "hour", "time", 3600.0),
)

_SIZE = re.compile(
    r"([0-9.]+(?:e[-+]?[0-9]+)?)\s*(?:[x×]\s*([0-9.]+(?:e[-+]?[0-9]+)?))?\s*(\S+)?"
)
_LOST_SIGN = re.compile(r"(?:\?|\ufffd){1,2}\s?([ms])")
"""What is left of µm and µs where a program could not show µ."""
_MISTAKEN_FOR = ("cp1252", "latin-1", "mac_roman", "cp437", "cp850")
"""What bytes of UTF-8 or Latin-1 are taken for; in the order in which it happens."""

_NOT_CALIBRATED = ("", "pixel", "pixels", "px", "reference frame", "dimensionless")


def _spellings(unit: Unit) -> tuple[str, ...]:
    """List the words that mean a unit: its names, plurals and British forms."""
    british = unit.ngff.removesuffix("er") + "re" if unit.ngff[-5:] == "meter" else ""
    long = [word for word in (unit.ngff, british) if word]
    plurals = [f"{word}s" for word in long]
    return (unit.name, unit.ome, *long, *plurals, *unit.spellings)


_BY_NAME = {unit.name: unit for unit in UNITS}
_NAME_OF: dict[str, str | None] = {
    **{word: unit.name for unit in UNITS for word in _spellings(unit)},
    **dict.fromkeys(_NOT_CALIBRATED),
}


def normalize_unit(unit: str | None) -> str | None:
    """Give a unit its one spelling, e.g. "um" for "µm", "micron" or "micrometer".

    Words that mean "not calibrated" ("pixel", "reference frame", an empty string) give
    None. A unit that is not known is kept as it is written.
    """
    text = (unit or "").strip(" \t\n\0")
    if text in _NAME_OF:
        return _NAME_OF[text]
    for spelling in (text, *_repaired(text)):
        # "Mm" is not "mm"
        folded = spelling.casefold() if len(spelling) > 2 else spelling
        if folded in _NAME_OF:
            return _NAME_OF[folded]
    return text


def _repaired(text: str) -> Iterator[str]:
    """Undo what befalls the signs µ and Å in files that were decoded wrongly."""
    yield unescape(text)
    if lost := _LOST_SIGN.fullmatch(text):
        yield f"u{lost[1]}"
    for codec in _MISTAKEN_FOR:
        for meant in ("utf-8", "latin-1"):
            once = _decoded_again(text, codec, meant)
            yield once
            yield _decoded_again(once, codec, meant)
    yield text.lstrip("\u00c2 ")


def _decoded_again(text: str, codec: str, meant: str) -> str:
    try:
        return text.encode(codec).decode(meant).replace(" ", "")
    except UnicodeError:
        return text


def read_pixel_size(text: str) -> tuple[float, float, str]:
    """Read a size of pixels as it is typed: `0.65`, `0.65um` or `0.5 x 0.65 mm`.

    Parameters
    ----------
    text
        Along y and x, or one number for both; in micrometres unless it says otherwise.

    Raises
    ------
    ValueError
        If it is not a size.
    """
    parts = _SIZE.fullmatch(text.strip())
    unit = normalize_unit(parts[3] or "um") if parts else None
    sizes = (float(parts[1]), float(parts[2] or parts[1])) if parts else (0.0, 0.0)
    if unit is None or find_unit(unit, "length") is None or min(sizes) <= 0:
        raise ValueError(
            f"expected a pixel size, as 0.65um or 0.5x0.65mm (y x x), got {text!r}"
        )
    return *sizes, unit


def find_unit(name: str | None, kind: str) -> Unit | None:
    """Look up a normalized unit of length or time; None if there is no such unit."""
    unit = _BY_NAME.get(name or "")
    return unit if unit is not None and unit.kind == kind else None


def convert(value: float, unit: str | None, to: str | None) -> float | None:
    """Express a value in another normalized unit; None if they do not compare."""
    if unit == to:
        return value
    source, target = _BY_NAME.get(unit or ""), _BY_NAME.get(to or "")
    if source is None or target is None or source.kind != target.kind:
        return None
    return value * source.size / target.size

"""Where the pixels of a TIFF without OME-XML are.

This module alone knows what ImageJ and the plain resolution tags mean, and when such
a tag is a printing density rather than a calibration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.image.axis import Axis
from napari_sr.image.units import find_unit, normalize_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tifffile import TiffPage

_UM_PER_RESOLUTION_UNIT = {2: 25400.0, 3: 10000.0}
"""TIFF ResolutionUnit: 2 is the inch, 3 the centimetre; 1 is "none"."""

_PRINT_DPI = (72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 600, 1200, 2400)
"""Densities that programs write when they know nothing about the pixels."""

_DPI_TOLERANCE = 0.02
"""Absolute: a density stored per centimetre comes back a little off."""


def read_imagej_axes(page: TiffPage, metadata: Mapping[str, object]) -> dict[str, Axis]:
    """Read the calibration of an ImageJ TIFF.

    Parameters
    ----------
    page
        The first page; its resolution tags hold pixels per unit.
    metadata
        The items of ImageJ's image description.

    Returns
    -------
    dict
        Axes t, z, y, x, as far as the file gives them. Where ImageJ names no unit of
        length, the plain tags decide, see `read_plain_axes`.
    """
    unit = metadata.get("unit")
    if normalize_unit(_text(unit)) is None:
        axes = read_plain_axes(page)
    else:
        per_unit = dict(zip("xy", _alike(_resolution(page)), strict=True))
        axes = {
            name: Axis(
                name,
                1 / per_unit[name],
                _text(metadata.get(f"{name}unit", unit)),
                -_number(metadata.get(f"{name}origin")) / per_unit[name],
            )
            for name in "yx"
            if per_unit[name] > 0
        }
    depth = abs(_number(metadata.get("spacing", _unsaid_depth(unit))))
    if depth > 0:
        origin = -_number(metadata.get("zorigin")) * depth
        z_unit = _text(metadata.get("zunit", unit))
        axes["z"] = Axis("z", depth, z_unit, origin)
    interval = _number(metadata.get("finterval"))
    if interval > 0:
        axes["t"] = Axis("t", interval, _text(metadata.get("tunit")) or "s")
    return axes


def read_plain_axes(page: TiffPage) -> dict[str, Axis]:
    """Read the calibration of a plain TIFF, conservatively.

    The resolution tags count as a calibration only if they are in inches or
    centimetres, above one pixel per unit, and not a usual printing density (72, 96,
    300 dpi, ...): image programs write those without knowing the pixel size.

    Returns
    -------
    dict
        Axes y and x in micrometres, or nothing.
    """
    per_unit = _alike(_resolution(page))
    um = _UM_PER_RESOLUTION_UNIT.get(int(page.resolutionunit))
    if um is None or not all(
        value > 1 and not _is_dpi(value, um) for value in per_unit
    ):
        return {}
    return {
        name: Axis(name, um / value, "um")
        for name, value in zip("xy", per_unit, strict=True)
    }


def _unsaid_depth(unit: object) -> float:
    """Give the distance of slices where ImageJ leaves it out: it is 1 then."""
    return 1.0 if find_unit(normalize_unit(_text(unit)), "length") else 0.0


def _alike(pair: tuple[float, float]) -> tuple[float, float]:
    """Take pixels as square where only one of their sides is given."""
    return (max(pair), max(pair)) if min(pair) == 0 else pair


def _resolution(page: TiffPage) -> tuple[float, float]:
    """Give pixels per unit along x and y; 0 where the tag is not usable."""
    tags = (page.tags.valueof("XResolution"), page.tags.valueof("YResolution"))
    x, y = (tag[0] / tag[1] if tag and tag[1] else 0.0 for tag in tags)
    return x, y


def _is_dpi(per_unit: float, um: float) -> bool:
    """Say whether a resolution is one that printers use."""
    dpi = per_unit * 25400.0 / um
    return any(abs(dpi - usual) < _DPI_TOLERANCE for usual in _PRINT_DPI)


def _number(value: object) -> float:
    """Read a number of an ImageJ description; 0 where there is none."""
    usable = isinstance(value, int | float) and abs(value) < float("inf")
    return float(value) if usable and isinstance(value, int | float) else 0.0


def _text(value: object) -> str | None:
    """Read a text of an ImageJ description."""
    return value if isinstance(value, str) else None

"""Where the pixels are of TIFFs that instruments write, in tags of their own.

This module alone knows what electron microscopes and the programs of light microscopes
call the pixel size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_sr.image.axis import Axis
from napari_sr.image.units import find_unit, normalize_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tifffile import TiffFile

    Sizes = Mapping[str, tuple[object, str]]
    """By axis: how large a pixel is, and in which unit."""


def read_instrument_axes(tif: TiffFile) -> dict[str, Axis]:
    """Read the calibration that an instrument has written; empty where none has.

    Parameters
    ----------
    tif
        The file.
    """
    for name, read in _READERS.items():
        if not getattr(tif, f"is_{name}"):
            continue
        try:
            sizes = read(getattr(tif, f"{name}_metadata") or {})
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            continue  # tags of others hold anything
        axes = {axis: _axis(axis, *size) for axis, size in sizes.items()}
        return {axis: placed for axis, placed in axes.items() if placed is not None}
    return {}


def _axis(name: str, size: object, unit: str) -> Axis | None:
    """Make an axis of what is a size of a pixel."""
    spacing = float(size) if isinstance(size, int | float) else math.nan
    is_size = math.isfinite(spacing) and spacing > 0
    if not is_size or find_unit(normalize_unit(unit), "length") is None:
        return None
    return Axis(name, spacing, unit)


def _fei(metadata: Mapping[str, Any]) -> Sizes:
    scan = metadata.get("Scan") or metadata["EScan"]
    return {"x": (scan["PixelWidth"], "m"), "y": (scan["PixelHeight"], "m")}


def _zeiss(metadata: Mapping[str, Any]) -> Sizes:
    entry = metadata.get("ap_image_pixel_size") or metadata["ap_pixel_size"]
    _, size, unit = entry
    return dict.fromkeys("yx", (size, unit))


def _metamorph(metadata: Mapping[str, Any]) -> Sizes:
    if not metadata.get("SpatialCalibration", 1):
        return {}
    unit = metadata["CalibrationUnits"]
    z = metadata.get("ZDistance")
    sizes = {
        "x": (float(metadata["XCalibration"]), unit),
        "y": (float(metadata["YCalibration"]), unit),
    }
    distances = [] if z is None else [float(step) for step in z]
    return sizes | ({"z": (distances[0], unit)} if distances else {})


def _metaseries(metadata: Mapping[str, Any]) -> Sizes:
    plane = metadata["PlaneInfo"]
    if not plane.get("spatial-calibration-state", True):
        return {}
    unit = plane["spatial-calibration-units"]
    return {axis: (plane[f"spatial-calibration-{axis}"], unit) for axis in "xy"}


def _lsm(metadata: Mapping[str, Any]) -> Sizes:
    return {axis: (metadata[f"VoxelSize{axis.upper()}"], "m") for axis in "zyx"}


def _fluoview(metadata: Mapping[str, Any]) -> Sizes:
    named = {str(row[0]).strip().lower(): row for row in metadata["Dimensions"]}
    return {
        axis: (named[axis][3], str(named[axis][4])) for axis in "zyx" if axis in named
    }


def _sis(metadata: Mapping[str, Any]) -> Sizes:
    return {axis: (metadata[f"pixelsize{axis}"], "m") for axis in "yx"}


def _tvips(metadata: Mapping[str, Any]) -> Sizes:
    return {axis: (float(metadata[f"PixelSize{axis.upper()}"]), "nm") for axis in "yx"}


_READERS: dict[str, Callable[[Mapping[str, Any]], Sizes]] = {
    "fei": _fei,
    "sem": _zeiss,
    "stk": _metamorph,
    "metaseries": _metaseries,
    "lsm": _lsm,
    "fluoview": _fluoview,
    "sis": _sis,
    "tvips": _tvips,
}
"""By the names that tifffile has for whose tags these are."""

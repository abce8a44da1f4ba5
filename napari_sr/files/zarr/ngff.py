"""Axes and provenance to the metadata of OME-Zarr (NGFF) and back.

This module alone knows the multiscales metadata of versions 0.4 and 0.5.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError
from napari_sr.image.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROVENANCE = "napari_sr"
_NGFF_NAME = {unit.name: unit.ngff for unit in UNITS}


@dataclass(frozen=True, slots=True)
class NgffImage:
    """What the metadata says about one image."""

    level: str
    """Path of the array of this level, within the group."""
    n_levels: int
    """The first is of full resolution."""
    axes: tuple[Axis, ...]
    """One per dimension, of this level; a channel axis is called c."""
    provenance: dict[str, object]
    """What this package wrote about how the pixels were made."""


def read_ngff(label: str, attributes: Mapping[str, Any], level: int = 0) -> NgffImage:
    """Read the attributes of the group of an image.

    Parameters
    ----------
    label
        The folder, as errors call it.
    attributes
        Of the group.
    level
        Which, from 0: full resolution.

    Raises
    ------
    StackError
        If there is no image of a known version.
    KeyError, TypeError, ValueError
        If the metadata is not as the version asks.
    """
    image = _multiscales(label, attributes)
    try:
        axes = _read_axes(image, level)
    except StackError as error:
        raise StackError(f"{label} cannot be read: {error}") from error
    provenance = attributes.get(_PROVENANCE)
    return NgffImage(
        image["datasets"][level]["path"],
        len(image["datasets"]),
        axes,
        provenance if isinstance(provenance, dict) else {},
    )


def write_ngff(
    axes: Sequence[Axis],
    provenance: Mapping[str, object],
    version: str,
    n_levels: int = 1,
) -> dict[str, Any]:
    """Build the attributes of the group of an image; its levels are named "0", "1", ….

    Parameters
    ----------
    axes
        One per dimension.
    provenance
        Anything JSON can hold.
    version
        "0.4" or "0.5".
    n_levels
        Each has every second pixel of the one before along y and x, smoothed.

    Raises
    ------
    StackError
        If the provenance is not JSON.
    """
    try:
        said = json.loads(json.dumps(dict(provenance), sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StackError(f"The provenance is not JSON: {error}.") from error
    datasets = [
        {"path": str(level), "coordinateTransformations": _place(axes, level)}
        for level in range(n_levels)
    ]
    image: dict[str, Any] = {
        "axes": [_describe_axis(axis) for axis in axes],
        "datasets": datasets,
    }
    if version == "0.4":
        multiscales = [{"version": "0.4", **image}]
        return {"multiscales": multiscales, _PROVENANCE: said}
    return {"ome": {"version": "0.5", "multiscales": [image]}, _PROVENANCE: said}


def _place(axes: Sequence[Axis], level: int) -> list[dict[str, Any]]:
    """Place a level: every second pixel of the one before, the first included."""
    *leading, y, x = [axis.spacing for axis in axes]
    return [
        {"type": "scale", "scale": [*leading, y * 2**level, x * 2**level]},
        {"type": "translation", "translation": [axis.origin for axis in axes]},
    ]


def _multiscales(label: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Find the description of the image in the attributes of its group."""
    images = attributes.get("ome", attributes).get("multiscales")
    if not images:
        raise StackError(
            f"{label} has no multiscales metadata, so it is not an OME-Zarr image; if "
            "it holds several images, open one of the folders in it."
        )
    image = dict(images[0])
    if not all(isinstance(axis, dict) for axis in image.get("axes", [""])):
        raise StackError(
            f"{label} is OME-Zarr {image.get('version', 'of unknown version')}; "
            "expected version 0.4 or 0.5."
        )
    return image


def _read_axes(image: Mapping[str, Any], level: int) -> tuple[Axis, ...]:
    """Read the axes: names and units, and the transformations in their order."""
    n_axes = len(image["axes"])
    spacing, origin = np.ones(n_axes), np.zeros(n_axes)
    steps = list(image["datasets"][level]["coordinateTransformations"])
    for step in steps + list(image.get("coordinateTransformations") or []):
        if step["type"] == "scale":
            scale = np.asarray(step["scale"], dtype=float)
            spacing, origin = spacing * scale, origin * scale
        elif step["type"] == "translation":
            origin = origin + np.asarray(step["translation"], dtype=float)
        elif step["type"] != "identity":
            raise ValueError(f"transformation {step['type']!r} is not known")
    return tuple(
        Axis(said["name"].lower(), float(distance), said.get("unit"), float(start))
        for said, distance, start in zip(image["axes"], spacing, origin, strict=True)
    )


def _describe_axis(axis: Axis) -> dict[str, str]:
    """Describe an axis; only t, z, y and x have a type in OME-Zarr."""
    described = {"name": axis.name}
    if axis.name in "tzyx":
        described["type"] = "time" if axis.name == "t" else "space"
    if axis.unit is not None:
        described["unit"] = _NGFF_NAME.get(axis.unit, axis.unit)
    return described

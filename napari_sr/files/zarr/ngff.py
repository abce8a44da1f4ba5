"""Axes and provenance to the metadata of OME-Zarr (NGFF) and back.

This module alone knows the multiscales metadata of versions 0.4 to 0.6.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.image.axis import Axis
from napari_sr.image.info import Channel, ImageInfo
from napari_sr.image.stack import StackError
from napari_sr.image.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sr.files.writing import Content

_PROVENANCE, _BESIDE = "napari_sr", "recording"
_CHANNELS = ("c", "ch", "channel", "channels")
_SPARE = "qpiuvwabdefghjklmnor"
"""For axes that would have one letter."""
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
    info: ImageInfo
    """Channels with their names and colours."""


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
    provenance = provenance if isinstance(provenance, dict) else {}
    return NgffImage(
        image["datasets"][level]["path"],
        len(image["datasets"]),
        axes,
        {name: value for name, value in provenance.items() if name != _BESIDE},
        _read_info(attributes.get("ome", attributes), provenance),
    )


def write_ngff(content: Content, version: str, n_levels: int = 1) -> dict[str, Any]:
    """Build the attributes of the group of an image; its levels are named "0", "1", ….

    Parameters
    ----------
    content
        Of the image.
    version
        "0.4" or "0.5".
    n_levels
        Each has every second pixel of the one before along y and x, smoothed.

    Raises
    ------
    StackError
        If the provenance is not JSON.
    """
    provenance = {**content.provenance}
    if said_of_values := _said_beside(content.info):
        provenance[_BESIDE] = said_of_values
    try:
        stored = json.loads(json.dumps(provenance, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StackError(f"The provenance is not JSON: {error}.") from error
    axes = [_describe_axis(axis) for axis in content.axes]
    if content.n_channels > 1:
        axes.insert(place_of_channels(content), {"name": "c", "type": "channel"})
    datasets = [
        {"path": str(level), "coordinateTransformations": _place(content, level)}
        for level in range(n_levels)
    ]
    image: dict[str, Any] = {
        "axes": axes,
        "datasets": datasets,
    }
    shown = {"omero": omero} if (omero := _shown(content)) else {}
    if version == "0.4":
        multiscales = [{"version": "0.4", **image}]
        return {"multiscales": multiscales, **shown, _PROVENANCE: stored}
    ome = {"version": "0.5", "multiscales": [image], **shown}
    return {"ome": ome, _PROVENANCE: stored}


def place_of_channels(content: Content) -> int:
    """Give the number of axes before that of the channels: only the time may be."""
    names = [axis.name for axis in content.axes]
    return int(content.n_channels > 1 and len(names) > 2 and names[0] == "t")


def axis_names(content: Content) -> list[str]:
    """List the axes of the array of an image, as they are named in the file."""
    names = [axis.name for axis in content.axes]
    if content.n_channels > 1:
        names.insert(place_of_channels(content), "c")
    return names


def leading_lengths(content: Content) -> tuple[int, ...]:
    """List the lengths of the axes before y and x, in the order of the file."""
    lengths = list(content.shape[:-2])
    if content.n_channels > 1:
        lengths.insert(place_of_channels(content), content.n_channels)
    return tuple(lengths)


def _place(content: Content, level: int) -> list[dict[str, Any]]:
    """Place a level: every second pixel of the one before, the first included."""
    *leading, y, x = [axis.spacing for axis in content.axes]
    scale = [*leading, y * 2**level, x * 2**level]
    origin = [axis.origin for axis in content.axes]
    if content.n_channels > 1:
        scale.insert(place_of_channels(content), 1.0)
        origin.insert(place_of_channels(content), 0.0)
    return [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": origin},
    ]


def _shown(content: Content) -> dict[str, Any]:
    """Say of each channel how it is called and shown, as OMERO does; or nothing."""
    info = content.info
    said = any(channel.name or channel.colour for channel in info.channels)
    if not (info.is_inverted or said):
        return {}
    limits = {"min": 0.0, "max": 1.0}
    if content.dtype.kind != "f":
        ends = np.iinfo(content.dtype)
        limits = {"min": float(ends.min), "max": float(ends.max)}
    channels = [
        {
            "label": channel.name,
            "color": channel.colour.lstrip("#").upper() or "FFFFFF",
            "active": True,
            "inverted": info.is_inverted,
            "window": {**limits, **_contrast(channel, limits)},
        }
        for channel in info.channels or (Channel(),)
    ]
    return {"channels": channels}


def _contrast(channel: Channel, limits: Mapping[str, float]) -> dict[str, float]:
    """Say from which counts to which a viewer is to show; all if unknown."""
    start, end = channel.shown or (limits["min"], limits["max"])
    return {"start": start, "end": end}


def _said_beside(info: ImageInfo) -> dict[str, str]:
    """Say what OME-Zarr has no place for."""
    texts = {"acquired": info.acquired, "values": info.values}
    return {name: text for name, text in texts.items() if text}


def _read_info(
    attributes: Mapping[str, Any], provenance: Mapping[str, Any]
) -> ImageInfo:
    """Read how an image is shown, as far as it is written as it should be."""
    omero = attributes.get("omero")
    listed = omero.get("channels") if isinstance(omero, dict) else None
    entries = [entry for entry in listed or [] if isinstance(entry, dict)]
    channels = tuple(_read_channel(entry) for entry in entries)
    beside = provenance.get(_BESIDE)
    beside = beside if isinstance(beside, dict) else {}
    return ImageInfo(
        channels=channels if any(entry != Channel() for entry in channels) else (),
        is_inverted=bool(entries) and all(entry.get("inverted") for entry in entries),
        acquired=str(beside.get("acquired", "")),
        values=str(beside.get("values", "")),
    )


def _read_channel(entry: Mapping[str, Any]) -> Channel:
    colour = str(entry.get("color", "")).lstrip("#").lower()[:6]
    parts = {colour[:2], colour[2:4], colour[4:]}
    is_colour = re.fullmatch("[0-9a-f]{6}", colour) and len(parts) > 1
    return Channel(str(entry.get("label") or ""), f"#{colour}" if is_colour else "")


def _multiscales(label: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Find the description of the image in the attributes of its group."""
    metadata = attributes.get("ome", attributes)
    if "image-label" in metadata:
        raise StackError(
            f"{label} is a label image: its values are object numbers, not "
            "intensities. Give the image that it belongs to."
        )
    images = metadata.get("multiscales")
    if not images:
        raise StackError(
            f"{label} has no multiscales metadata, so it is not an OME-Zarr image; if "
            "it holds several images, open one of the folders in it."
        )
    image = dict(images[0])
    if "axes" not in image and image.get("coordinateSystems"):
        image = _in_own_system(image)
    if not all(isinstance(axis, dict) for axis in image.get("axes", [""])):
        raise StackError(
            f"{label} is OME-Zarr {image.get('version', 'of unknown version')}; "
            "expected version 0.4, 0.5 or 0.6."
        )
    return image


def _in_own_system(image: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an image of version 0.6 as those before it: in its own coordinates.

    Its levels lead into one coordinate system; what leads on from there, to that of a
    stage or a specimen, is left out.
    """
    systems = {system["name"]: system for system in image["coordinateSystems"]}
    first = image["datasets"][0]["coordinateTransformations"][0]
    output = first.get("output")
    name = output.get("name") if isinstance(output, dict) else output
    own = systems.get(name, image["coordinateSystems"][0])
    return {**image, "axes": own["axes"], "coordinateTransformations": []}


def _single_steps(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Take a sequence of transformations apart."""
    if step["type"] != "sequence":
        return [step]
    return [
        single for part in step["transformations"] for single in _single_steps(part)
    ]


def _read_axes(image: Mapping[str, Any], level: int) -> tuple[Axis, ...]:
    """Read the axes: names and units, and the transformations in their order."""
    n_axes = len(image["axes"])
    spacing, origin = np.ones(n_axes), np.zeros(n_axes)
    steps = list(image["datasets"][level]["coordinateTransformations"])
    steps += list(image.get("coordinateTransformations") or [])
    for step in chain.from_iterable(map(_single_steps, steps)):
        if step["type"] == "scale":
            scale = np.asarray(step["scale"], dtype=float)
            spacing, origin = spacing * scale, origin * scale
        elif step["type"] == "translation":
            origin = origin + np.asarray(step["translation"], dtype=float)
        elif step["type"] != "identity":
            raise ValueError(f"transformation {step['type']!r} is not known")
    names = _letters(image["axes"])
    return tuple(
        # A step of 0 says that it is not known.
        Axis(
            name,
            float(distance) or 1.0,
            described.get("unit") if distance else None,
            at,
        )
        for name, described, distance, at in zip(
            names, image["axes"], spacing, origin.tolist(), strict=True
        )
    )


def _letters(axes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give each axis a letter: by its type, then its name, which may be any word."""
    letters: list[str] = []
    for described in axes:
        name = str(described["name"]).lower()
        is_channel = described.get("type") == "channel" or name in _CHANNELS
        wanted = "t" if described.get("type") == "time" else name[:1]
        taken = letters if is_channel else [*letters, "c"]
        letters.append(
            next(
                letter
                for letter in ("c" if is_channel else wanted, *_SPARE)
                if "a" <= letter <= "z" and letter not in taken
            )
        )
    return letters


def _describe_axis(axis: Axis) -> dict[str, str]:
    """Describe an axis; only t, z, y and x have a type in OME-Zarr."""
    described = {"name": axis.name}
    if axis.name in "tzyx":
        described["type"] = "time" if axis.name == "t" else "space"
    if axis.unit is not None:
        described["unit"] = _NGFF_NAME.get(axis.unit, axis.unit)
    return described

"""Axes and provenance to OME-XML and back.

This module alone knows how OME-XML says where pixels are. OME has five dimensions and
its own list of units, so the true axes are also kept as JSON in the image description;
they count only while the rest of the XML still says the same (another program may have
calibrated the file since).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree

import tifffile

from napari_sr.image.axis import Axis, is_even
from napari_sr.image.info import NOTHING_SAID, Channel, ImageInfo
from napari_sr.image.stack import StackError
from napari_sr.image.units import convert, find_unit, normalize_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sr.files.writing import Content

_PROVENANCE = "napari_sr"
_AXES, _VALUES = "axes", "values"
_SIZE = {"z": "PhysicalSizeZ", "y": "PhysicalSizeY", "x": "PhysicalSizeX"}
_POSITION = {"z": "PositionZ", "y": "PositionY", "x": "PositionX"}
_STAGE = 0.1
"""Share of a step by which a stage misses its target position."""
_DEFAULT_UNIT = {"t": "s", "z": "um", "y": "um", "x": "um"}
"""What the schema says a size without a unit is in."""


@dataclass(frozen=True, slots=True)
class OmeImage:
    """What OME-XML says about one image."""

    axes: dict[str, Axis]
    """Calibration of t, z, y and x, as far as the XML gives it."""
    own_axes: tuple[Axis, ...] = ()
    """All axes, where this package wrote the file and the XML still agrees."""
    own_leading_shape: tuple[int, ...] = ()
    """Lengths of the leading ones of `own_axes`."""
    provenance: dict[str, object] = field(default_factory=dict)
    """What this package wrote about how the pixels were made."""
    info: ImageInfo = NOTHING_SAID
    """Channels with their names and colours, and the date."""


def write_ome_xml(content: Content) -> str:
    """Describe a file in OME-XML; the same content gives the same text.

    Channels are the slowest dimension: they are written one after the other.

    Raises
    ------
    StackError
        If the provenance is not JSON.
    """
    shape, axes, n_channels = content.shape, content.axes, content.n_channels
    description = _describe(content)
    identity = f"{content.dtype.name} {content.leading_shape} {shape} {description}"
    names, sizes = _merge_leading(axes, shape)
    if n_channels > 1:
        names, sizes = f"C{names}", (n_channels, *sizes)
    xml = tifffile.OmeXml(
        Creator="napari-sr",
        UUID=str(uuid5(NAMESPACE_URL, f"napari-sr {identity}")),
    )
    acquired = content.info.acquired
    xml.addimage(
        content.dtype,
        (*sizes, *shape[-2:]),
        (math.prod(sizes), 1, 1, shape[-2], shape[-1], 1),
        axes=f"{names}YX",
        Description=description,
        Plane=_planes(shape, axes, n_channels),
        Channel=_channels(content.info),
        **({"AcquisitionDate": acquired} if acquired else {}),
        **_pixels(axes),
    )
    return xml.tostring(declaration=True)


def read_ome_xml(text: str, number: int = 0) -> OmeImage:
    """Read what OME-XML says about one of its images.

    Parameters
    ----------
    text
        The XML.
    number
        Which image, in the order of the XML.

    Raises
    ------
    xml.etree.ElementTree.ParseError
        If it is not XML.
    """
    images = ElementTree.fromstring(text).findall("{*}Image")
    pixels = images[number].find("{*}Pixels") if number < len(images) else None
    if pixels is None:
        return OmeImage({})
    planes = pixels.findall("{*}Plane")
    channels = [
        _read_channel(dict(element.attrib)) for element in pixels.findall("{*}Channel")
    ]
    first = min(
        planes,
        key=lambda plane: [int(plane.get(f"The{c}", 0)) for c in "TZC"],
        default=None,
    )
    plane = dict(first.attrib) if first is not None else {}
    axes = {name: _read_axis(name, dict(pixels.attrib), plane) for name in "tzyx"}
    for name, other in ("yx", "xy"):  # pixels are square where one side is told
        if axes[name].unit is None and axes[other].unit is not None:
            axes[name] = replace(
                axes[other], name=name, origin=_origin(name, plane, axes[other].unit)
            )
    description = _read_description(images[number].findtext("{*}Description", ""))
    own_axes, own_shape = _own_axes(description, dict(pixels.attrib))
    provenance = description.get(_PROVENANCE)
    info = ImageInfo(
        channels=tuple(channels) if any(c != Channel() for c in channels) else (),
        acquired=(images[number].findtext("{*}AcquisitionDate") or "").strip(),
        values=str(description.get(_VALUES, "")),
        is_uneven_along_z=_is_uneven_along_z(planes),
    )
    provenance = provenance if isinstance(provenance, dict) else {}
    return OmeImage(axes, own_axes, own_shape, provenance, info)


def _describe(content: Content) -> str:
    """Put provenance and axes in one line of ASCII JSON."""
    pairs = zip(content.axes, content.shape, strict=True)
    described = {
        _PROVENANCE: dict(content.provenance),
        _AXES: [asdict(axis) | {"size": n} for axis, n in pairs],
    }
    if content.info.values:
        described[_VALUES] = content.info.values
    try:
        return json.dumps(described, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StackError(f"The provenance is not JSON: {error}.") from error


def _merge_leading(
    axes: Sequence[Axis], shape: Sequence[int]
) -> tuple[str, tuple[int, ...]]:
    """Fit the leading axes into Z and T: the fastest alone, the slower ones together.

    The fastest axis is T if it is time, else Z: unnamed pages are mostly slices.
    """
    leading = shape[:-2]
    if not leading:
        return "", ()
    fast, slow = ("T", "Z") if axes[-3].name == "t" else ("Z", "T")
    if len(leading) == 1:
        return fast, (leading[0],)
    return slow + fast, (math.prod(leading[:-1]), leading[-1])


def _stated(axes: Sequence[Axis]) -> list[Axis]:
    """List the axes that are, under their own name, a dimension of the XML."""
    letters = _merge_leading(axes, [1] * len(axes))[0].lower()
    alone = axes[-4:-2] if len(axes) <= 4 else axes[-3:-2]
    pairs = zip(alone, letters[-len(alone) :], strict=True) if alone else ()
    return [axis for axis, letter in pairs if axis.name == letter] + list(axes[-2:])


def _ome_unit(axis: Axis) -> str | None:
    """Spell the unit of an axis in OME; None where OME has no word for it."""
    if axis.name == "t":
        unit = find_unit(axis.unit, "time")
        return unit.ome if unit else None
    unit = find_unit(axis.unit, "length")
    return unit.ome if unit else "pixel" if axis.unit is None else "reference frame"


def _pixels(axes: Sequence[Axis]) -> dict[str, str]:
    """Give the attributes of the Pixels element that state spacings."""
    attributes = {}
    for axis in _stated(axes):
        key = _SIZE.get(axis.name, "TimeIncrement")
        unit = _ome_unit(axis)
        if unit is not None:
            attributes[key] = repr(axis.spacing)
            attributes[f"{key}Unit"] = unit
    return attributes


def _channels(info: ImageInfo) -> dict[str, list[str]]:
    """Give the attributes of every Channel element."""
    attributes = {
        "Name": [channel.name for channel in info.channels],
        "Color": [_ome_colour(channel.colour) for channel in info.channels],
    }
    return {key: values for key, values in attributes.items() if any(values)}


def _ome_colour(colour: str) -> str:
    """Spell a colour as OME does: red, green, blue and opaque in a signed number."""
    if not colour:
        return "-1"  # white, as the schema has it by default
    number = int(f"{colour[1:]}ff", 16)
    return str(number - 2**32 if number >= 2**31 else number)


def _read_channel(attributes: Mapping[str, str]) -> Channel:
    """Read what a channel is called, and its colour where it is one."""
    try:
        number = int(attributes.get("Color", "-1")) % 2**32
    except ValueError:
        number = 2**32 - 1
    red, green, blue = (number >> shift & 255 for shift in (24, 16, 8))
    is_colour = not red == green == blue
    colour = f"#{red:02x}{green:02x}{blue:02x}" if is_colour else ""
    return Channel(attributes.get("Name", attributes.get("Fluor", "")), colour)


def _planes(
    shape: Sequence[int], axes: Sequence[Axis], n_channels: int
) -> dict[str, list[str]]:
    """Give the attributes of every Plane element; none if all origins are 0."""
    if not any(axis.origin for axis in axes):
        return {}
    n_planes = math.prod(shape[:-2]) * n_channels
    attributes: dict[str, list[str]] = {}
    for axis in _stated(axes):
        unit = _ome_unit(axis)
        if unit is None:
            continue
        step, size = _step(axes, shape, axis)
        key = _POSITION.get(axis.name, "DeltaT")
        attributes[key] = [
            repr(axis.origin + axis.spacing * (page // step % size))
            for page in range(n_planes)
        ]
        attributes[f"{key}Unit"] = [unit] * n_planes
    return attributes


def _step(axes: Sequence[Axis], shape: Sequence[int], axis: Axis) -> tuple[int, int]:
    """Say after how many pages an axis moves on, and after how many moves it wraps."""
    if axis in axes[-2:]:
        return 1, 1  # y and x do not move from page to page
    place = list(axes).index(axis)
    return math.prod(shape[place + 1 : -2]), shape[place]


def _read_axis(name: str, pixels: Mapping[str, str], plane: Mapping[str, str]) -> Axis:
    """Read spacing, unit and origin of one dimension."""
    key = _SIZE.get(name, "TimeIncrement")
    spacing = _number(pixels.get(key))
    default = _DEFAULT_UNIT[name]
    if spacing is None or spacing <= 0:
        return Axis(name)
    unit = normalize_unit(pixels.get(f"{key}Unit", default))
    return Axis(name, spacing, unit, _origin(name, plane, unit))


def _origin(name: str, plane: Mapping[str, str], unit: str | None) -> float:
    """Read where the first plane is; 0 where that is not given in a usable unit."""
    key = _POSITION.get(name, "DeltaT")
    position = _number(plane.get(key))
    default = _DEFAULT_UNIT[name] if name == "t" else "reference frame"
    stated_in = normalize_unit(plane.get(f"{key}Unit", default))
    return (position is not None and convert(position, stated_in, unit)) or 0.0


def _is_uneven_along_z(planes: Sequence[ElementTree.Element]) -> bool:
    """Tell whether the planes of the first time and channel are apart unevenly."""
    places = {
        int(plane.get("TheZ", 0)): _number(plane.get(_POSITION["z"]))
        for plane in planes
        if plane.get("TheT", "0") == plane.get("TheC", "0") == "0"
    }
    told = [places[number] for number in sorted(places)]
    known = [place for place in told if place is not None]
    return len(known) == len(told) and not is_even(known, _STAGE)


def _number(text: str | None) -> float | None:
    """Read a finite number; None where there is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_description(text: str) -> dict[str, object]:
    """Read the description as JSON, if this package wrote it."""
    try:
        described = json.loads(text)
    except ValueError:
        return {}
    return described if isinstance(described, dict) else {}


def _own_axes(
    description: Mapping[str, object], pixels: Mapping[str, str]
) -> tuple[tuple[Axis, ...], tuple[int, ...]]:
    """Read the axes of the description, unless the XML no longer agrees with them."""
    listed = description.get(_AXES)
    try:
        entries = [dict(entry) for entry in listed] if isinstance(listed, list) else []
        shape = tuple(int(entry.pop("size")) for entry in entries)
        axes = tuple(Axis(**entry) for entry in entries)
    except (KeyError, TypeError, ValueError):
        return (), ()
    if len(axes) < 2:
        return (), ()
    names, sizes = _merge_leading(axes, shape)
    expected = {**dict.fromkeys("ZT", 1), **dict(zip(names, sizes, strict=True))}
    expected.update(Y=shape[-2], X=shape[-1])
    stated = {f"Size{name}": str(size) for name, size in expected.items()}
    stated.update(_pixels(axes))
    calibration = {key for key in pixels if key.startswith(("Physical", "TimeInc"))}
    agrees = stated.items() <= pixels.items() and calibration <= stated.keys()
    return (axes, shape[:-2]) if agrees else ((), ())

"""Folders that hold several OME-Zarr images: plates of wells, series of one file.

This module alone knows where in such a folder the images are; it reads small text files
only, so that a folder is walked without the library.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_ATTRIBUTES = ((".zattrs", ()), ("zarr.json", ("attributes",)))
"""By version of Zarr: the file, and where in it the attributes are."""


def images_in(path: Path) -> list[Path]:
    """List the images of a folder: fields of a plate, numbered images, or itself.

    Parameters
    ----------
    path
        Any file or folder; any other folder is taken as one image.
    """
    attributes = attributes_of(path)
    wells = (attributes.get("plate") or {}).get("wells") or []
    if wells:
        places = [path / str(well["path"]) for well in wells]
        return [image for well in places for image in _fields_of(well)] or [path]
    if "bioformats2raw.layout" in attributes:
        numbered = (inner for inner in path.iterdir() if inner.name.isdigit())
        return sorted(numbered, key=lambda inner: int(inner.name)) or [path]
    return [path]


def _fields_of(well: Path) -> list[Path]:
    fields = (attributes_of(well).get("well") or {}).get("images") or []
    return [well / str(field["path"]) for field in fields]


def attributes_of(path: Path) -> dict[str, Any]:
    """Read what a group says; nothing where it is none, or says it wrongly."""
    for name, keys in _ATTRIBUTES:
        try:
            attributes = json.loads((path / name).read_bytes())
            for key in keys:
                attributes = attributes[key]
            return dict(attributes.get("ome", attributes))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return {}

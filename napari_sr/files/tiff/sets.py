"""Which files an OME-TIFF is spread over.

This module alone knows that; the planes are found by what reads the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import tifffile

if TYPE_CHECKING:
    from pathlib import Path


def set_of(path: Path) -> tuple[str, ...]:
    """Name the files whose planes are read with those of a file, itself left out.

    Parameters
    ----------
    path
        A TIFF. Empty for one that does not belong to a set, only points at the file
        that describes it, or cannot be read. Of several positions, each in a file of
        its own, the others are none of it.
    """
    if not path.is_file():  # to open a pipe is to wait for who writes into it
        return ()
    try:
        with tifffile.TiffFile(path) as tif:
            xml = tif.ome_metadata if tif.is_ome else None
        root = ElementTree.fromstring(xml or "<OME/>")
    except Exception:  # a damaged file can raise anything; who opens it says what
        return ()
    images = [
        {str(uuid.get("FileName")) for uuid in image.iterfind(".//{*}TiffData/{*}UUID")}
        for image in root.findall("{*}Image")
    ]
    own = [names for names in images if path.name in names]
    return tuple(sorted(set().union(*(own or images)) - {path.name, "None"}))

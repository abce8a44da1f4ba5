"""By what DICOM files are known: many have no suffix, and a series is a mere folder.

This module alone knows their signs; pydicom is not needed to see them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_AT, _SIGN = 128, b"DICM"
_INDEX = "DICOMDIR"


def is_dicom(path: Path) -> bool:
    """Say whether a file is DICOM, by its suffix or by what it begins with.

    Hidden files do not count, nor does the index of a medium.
    """
    if path.name.startswith(".") or path.name.upper().startswith(_INDEX):
        return False
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        if not path.is_file():  # to open a pipe is to wait for who writes into it
            return False
        with path.open("rb") as file:
            file.seek(_AT)
            return file.read(len(_SIGN)) == _SIGN
    except OSError:  # a folder, or not readable
        return False


def holds_dicom(folder: Path, at_least: int = 1) -> bool:
    """Say whether so many files in a folder, and not below it, are DICOM."""
    matches = (path for path in sorted(folder.iterdir()) if is_dicom(path))
    return len(list(islice(matches, at_least))) == at_least

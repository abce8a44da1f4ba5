"""Where an image lies that is not on a disk of this machine.

This module alone knows what a URL looks like, and which libraries open one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from os import PathLike

    from zarr.abc.store import Store

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
"""More than one letter: `C:/` is a drive."""


@dataclass(frozen=True, slots=True)
class Url:
    """Address of an OME-Zarr, such as https://host/image.zarr or s3://bucket/image.zarr.

    Which kinds there are depends on what is installed for fsspec.
    """

    text: str

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.text.partition("?")[0].rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """End of the name from the last dot on."""
        return Path(self.name).suffix

    def __str__(self) -> str:
        """Give the address."""
        return self.text


def is_url(text: str) -> bool:
    """Tell a URL from a path."""
    return _URL.match(text) is not None


def as_place(place: str | PathLike[str]) -> Path | Url:
    """Take text as a URL where it looks like one, else as a path.

    What file managers hand over, `file:///home/a.tif`, is a path.
    """
    if not (isinstance(place, str) and is_url(place)):
        return Path(place)
    parts = urlsplit(place)
    if parts.scheme.lower() != "file":
        return Url(place)
    host = f"//{parts.netloc}" if parts.netloc not in ("", "localhost") else ""
    return Path(url2pathname(f"{host}{parts.path}"))


def as_path(place: str | PathLike[str]) -> Path:
    """Take text as the path of what is to be written.

    Raises
    ------
    StackError
        If it is a URL.
    """
    target = as_place(place)
    if isinstance(target, Url):
        raise StackError(
            f"{target} cannot be written: results are written to a local or mounted "
            "disk. Give a path there, and copy the result when it is complete."
        )
    return target


def open_store(url: Url) -> Store:
    """Open what is at a URL, to be read.

    Raises
    ------
    StackError
        If libraries for it are missing, or it is not of a kind that is known.
    """
    from zarr.storage import FsspecStore

    try:
        return FsspecStore.from_url(url.text, read_only=True)
    except (ImportError, ValueError, OSError) as error:
        raise StackError(
            f"{url} cannot be opened ({error}). For http and https: pip install "
            f'"napari-sr[remote]"; others need what fsspec asks for, such as s3fs.'
        ) from error

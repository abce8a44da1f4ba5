"""Which formats there are, and which module knows each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from napari_sr.files.dicom.sniff import DICOM_SUFFIXES
from napari_sr.image.stack import Stack, StackError

if TYPE_CHECKING:
    from os import PathLike

    from napari_sr.files.channel import Pick
    from napari_sr.files.url import Url
    from napari_sr.files.writing import Content, StackWriter


@dataclass(frozen=True, slots=True)
class Format:
    """One file format: its name, its suffixes and the module that knows it."""

    name: str
    suffixes: tuple[str, ...]
    """Lower case, with the dot; what is read is also written."""
    module: str
    """Has `open_file` and `create_file`."""
    markers: tuple[str, ...] = ()
    """Where an image is a folder: files of which one is in it, whatever its name."""
    extra: str = ""
    """What must be installed for it, as `napari-sr[extra]`."""
    needs_source: bool = False
    """Whether a result is written with the header of what it was made from."""


FORMATS = (
    Format(
        "TIFF",
        (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk"),
        "napari_sr.files.tiff.images",
    ),
    Format(
        "OME-Zarr",
        (".zarr",),
        "napari_sr.files.zarr.images",
        markers=("zarr.json", ".zgroup", ".zattrs"),
    ),
    Format(
        "DICOM",
        DICOM_SUFFIXES,
        "napari_sr.files.dicom.images",
        extra="dicom",
        needs_source=True,
    ),
)


COMPRESSIONS = ("zlib", "zstd", "none")
"""All lossless. zlib has a checksum and is read everywhere; zstd is faster."""


class FormatModule(Protocol):
    """What the module of a format offers."""

    def open_file(self, path: Path | Url, channel: Pick | None) -> Stack:
        """Open what is at a path."""

    def create_file(
        self, path: Path, content: Content, *, overwrite: bool
    ) -> StackWriter:
        """Create a file that is filled plane by plane."""


def has_readable_suffix(path: str | PathLike[str]) -> bool:
    """Say whether a name looks like one of the formats that can be read."""
    return find_format(Path(path)) is not None


def has_writable_suffix(path: str | PathLike[str]) -> bool:
    """Say whether a name looks like one of the formats that can be written."""
    return find_format(Path(path)) is not None


def needs_source(path: Path) -> bool:
    """Say whether a file of this name is written with the header of its source."""
    known = find_format(path)
    return known is not None and known.needs_source


def find_format(path: Path) -> Format | None:
    """Find the format that a suffix stands for."""
    suffix = path.suffix.lower()
    return next((known for known in FORMATS if suffix in known.suffixes), None)


def module_of(known: Format) -> FormatModule:
    """Import the module of a format, or say what must be installed for it."""
    try:
        return cast("FormatModule", import_module(known.module))
    except Exception as error:  # libraries of others that do not fit raise anything
        if not known.extra:
            raise
        raise StackError(
            f"{known.name} needs libraries that cannot be loaded here ({error}). "
            f'Install them with: pip install "napari-sr[{known.extra}]"'
        ) from error


def stem_of(name: str) -> str:
    """Name an image as its file is called, without suffixes of its format."""
    stem, _, suffix = name.rpartition(".")
    return (stem if stem and suffix else name).removesuffix(".ome")


_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".svg")


def why_unreadable(path: Path) -> str:
    """Say why a file is none that is read, and what would read it."""
    suffix = path.suffix.lower()
    if suffix in _PICTURES:
        return "is a picture, which keeps no counts; save the recording as TIFF"
    return f"has no suffix of {expected_suffixes()}"


def expected_suffixes() -> str:
    """List the suffixes of all formats."""
    return ", ".join(f"{known.name} ({' '.join(known.suffixes)})" for known in FORMATS)

"""Which formats there are, and which module knows each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from napari_sr.files.dicom.sniff import DICOM_SUFFIXES
from napari_sr.image.stack import Stack, StackError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    import numpy as np

    from napari_sr.files.url import Url
    from napari_sr.files.writing import StackWriter
    from napari_sr.image.axis import Axis


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
    Format("TIFF", (".tif", ".tiff", ".btf", ".tf8"), "napari_sr.files.tiff.images"),
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

    def open_file(self, path: Path | Url, channel: int | None) -> Stack:
        """Open what is at a path."""

    def create_file(
        self,
        path: Path,
        *,
        shape: Sequence[int],
        dtype: np.dtype,
        axes: Sequence[Axis],
        provenance: Mapping[str, object],
        compression: str,
        overwrite: bool,
    ) -> StackWriter:
        """Create a file that is filled plane by plane."""


def has_readable_suffix(path: str | PathLike[str]) -> bool:
    """Say whether a name looks like one of the formats that can be read."""
    return find_format(Path(path)) is not None


def has_writable_suffix(path: str | PathLike[str]) -> bool:
    """Say whether a name looks like one of the formats that can be written."""
    return find_format(Path(path)) is not None


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


def expected_suffixes() -> str:
    """List the suffixes of all formats."""
    return ", ".join(f"{known.name} ({' '.join(known.suffixes)})" for known in FORMATS)

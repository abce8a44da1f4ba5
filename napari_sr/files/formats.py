"""Which formats there are, and which module knows each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from napari_sr.files.dicom.sniff import DICOM_SUFFIXES
from napari_sr.image.stack import Stack, StackError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from napari_sr.files.channel import Pick
    from napari_sr.files.url import Url
    from napari_sr.files.writing import Content, StackWriter


@dataclass(frozen=True, slots=True)
class Format:
    """One file format: its name, its suffixes and the module that knows it."""

    name: str
    suffixes: tuple[str, ...]
    """Lower case, with the dot."""
    module: str
    """Has `open_file`, and `create_file` where it is written."""
    markers: tuple[str, ...] = ()
    """Where an image is a folder: files of which one is in it, whatever its name."""
    extra: str = ""
    """What must be installed for it, as `napari-sr[extra]`."""
    library: str = ""
    """What the extra brings, as it is imported."""
    needs_source: bool = False
    """Whether a result is written with the header of what it was made from."""
    is_written: bool = True
    """Whether results can be written in it."""
    holds_paths: bool = False
    """Whether `file/name` means what is called so inside of a file."""

    @property
    def is_missing(self) -> bool:
        """Whether its library is not installed."""
        return bool(self.library) and find_spec(self.library) is None

    @property
    def advice(self) -> str:
        """How to install what it needs."""
        return f'pip install "napari-sr[{self.extra}]"'


FORMATS = (
    Format(
        "TIFF",
        (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk"),
        "napari_sr.files.tiff.images",
        holds_paths=True,
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
        library="pydicom",
        needs_source=True,
    ),
    Format(
        "HDF5 and NeXus",
        (".h5", ".hdf5", ".hdf", ".he5", ".nxs", ".nx"),
        "napari_sr.files.others.hdf5",
        extra="hdf5",
        library="h5py",
        is_written=False,
        holds_paths=True,
    ),
    Format(
        "MRC",
        (".mrc", ".mrcs", ".rec", ".st", ".ali"),
        "napari_sr.files.others.mrc",
        extra="mrc",
        library="mrcfile",
        is_written=False,
    ),
    Format(
        "NIfTI",
        (".nii", ".nii.gz"),
        "napari_sr.files.others.nifti",
        extra="nifti",
        library="nibabel",
        is_written=False,
    ),
    Format(
        "CZI, ND2, LIF and others",
        (
            ".czi",
            ".nd2",
            ".lif",
            ".oib",
            ".oif",
            ".vsi",
            ".dv",
            ".r3d",
            ".sldy",
            ".ims",
        ),
        "napari_sr.files.others.bioio_images",
        extra="bioio",
        library="bioio",
        is_written=False,
        holds_paths=True,
    ),
)


COMPRESSIONS = ("zlib", "zstd", "none")
"""All lossless. zlib has a checksum and is read everywhere; zstd is faster."""


class SeveralImagesError(StackError):
    """A file holds several images, and none is chosen; says what they are called."""

    def __init__(self, message: str, images: Sequence[str]) -> None:
        super().__init__(message)
        self.images = tuple(images)


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
    known = find_format(Path(path))
    return known is not None and known.is_written


def needs_source(path: Path) -> bool:
    """Say whether a file of this name is written with the header of its source."""
    known = find_format(path)
    return known is not None and known.needs_source


def find_format(path: Path) -> Format | None:
    """Find the format that a suffix stands for."""
    name = path.name.lower()
    return next((known for known in FORMATS if name.endswith(known.suffixes)), None)


def within_file(path: Path) -> tuple[Path, str]:
    """Split `a.h5/entry/data` into the file and what is meant of it, "" for all."""
    file = holding_file(path)
    return (path, "") if file is None else (file, path.relative_to(file).as_posix())


def pick_image(path: Path, name: str, images: Sequence[str]) -> int:
    """Give the number of one of several images of a file.

    Parameters
    ----------
    path
        The file, as errors call it.
    name
        Its number from 0, or its name; empty where there is one.
    images
        What they are called.

    Raises
    ------
    StackError
        If there is no such image, or one has to be chosen.
    """
    if not name and len(images) == 1:
        return 0
    if name.isdigit() and int(name) < len(images):
        return int(name)
    if name in images:
        return images.index(name)
    listed = ", ".join(f"{number}: {name}" for number, name in enumerate(images[:4]))
    what = f"none is {name}" if name else "one is opened at a time"
    text = (
        f"{path} holds {len(images)} images ({listed}), and {what}; open one as "
        f"{path}/0 (--series 0)."
    )
    raise StackError(text) if name else SeveralImagesError(text, images)


def holding_file(path: Path) -> Path | None:
    """Find the file of which a path names something inside, as `a.h5/entry/data`."""
    for parent in path.parents:
        known = find_format(parent)
        if known is not None and known.holds_paths and parent.is_file():
            return parent
    return None


def module_of(known: Format) -> FormatModule:
    """Import the module of a format, or say what must be installed for it."""
    try:
        return cast("FormatModule", import_module(known.module))
    except Exception as error:  # libraries of others that do not fit raise anything
        if not known.extra:
            raise
        raise StackError(
            f"{known.name} needs libraries that cannot be loaded here ({error}). "
            f"Install them with: {known.advice}"
        ) from error


def stem_of(name: str) -> str:
    """Name an image as its file is called, without suffixes of its format."""
    known = find_format(Path(name))
    for suffix in sorted(known.suffixes if known else (), key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)].removesuffix(".ome")
    return name


_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".svg")


def why_unreadable(path: Path) -> str:
    """Say why a file is not read, and what would read it."""
    known, suffix = find_format(path), path.suffix.lower()
    if known is not None and known.is_missing:
        return f"needs libraries that are not installed: {known.advice}"
    if suffix in _PICTURES:
        return (
            "is a picture format, which does not keep counts; save the recording as "
            "TIFF"
        )
    return "does not end like a supported image format"


def expected_suffixes(*, written: bool = False) -> str:
    """List the suffixes of all formats, or of those that are written."""
    listed = (known for known in FORMATS if known.is_written or not written)
    return ", ".join(f"{known.name} ({' '.join(known.suffixes)})" for known in listed)

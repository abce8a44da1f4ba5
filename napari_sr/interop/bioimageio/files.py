"""A package of bioimage.io → its files, of which nothing is unpacked.

This module alone opens what may be a hostile archive or folder.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.interop.recognizing import DESCRIBED, DESCRIPTIONS

if TYPE_CHECKING:
    import os

_MOST_BYTES = 2**31
"""Of one file; ONNX allows no more."""
_BOMB_BYTES, _BOMB_RATIO = 2**26, 50
"""What is as large and packed as tightly as this holds no weights."""


class Package:
    """The files of a package, by name.

    Parameters
    ----------
    path
        A `.zip` file, a folder, or the description within a folder.
    content
        All of the `.zip` file, where it has been read: it is not read again then.

    Raises
    ------
    ModelFormatError
        If it is missing, damaged, has names that lead out of it, or no description.
    """

    def __init__(
        self, path: str | os.PathLike[str], content: bytes | None = None
    ) -> None:
        self._path, self._whole = Path(path), content
        self.name = self._path.name
        if not self._path.exists():
            raise ModelFormatError(f"There is no package {self._path}. Check the path.")
        self._folder = self._path if self._path.is_dir() else None
        if not (self._folder or self._path.is_file()):
            raise ModelFormatError(f"{self.name}: is not a file. Choose a package.")
        wanted: tuple[str, ...] = DESCRIPTIONS
        if self._path.suffix.lower() in DESCRIBED and self._path.is_file():
            self._folder, wanted = self._path.parent, (self._path.name,)
        names = [*wanted] if self._folder else self._names_in_archive()
        self.read_files: dict[str, bytes] = {}
        """What has been read of it."""
        present = (name for name in wanted if name in names and self._is_there(name))
        self.description = next(present, "")
        """Name of the description."""
        if not self.description:
            raise ModelFormatError(
                f"{self.name}: holds no {' or '.join(DESCRIPTIONS)}. Choose a package "
                "of bioimage.io."
            )

    @property
    def model_name(self) -> str:
        """What a model in it is called: as the archive or the folder."""
        folder = self._folder.absolute().name if self._folder else ""
        return folder or self._path.stem

    def read(self, name: str, most_bytes: int = _MOST_BYTES) -> bytes:
        """Read a file of the package.

        Parameters
        ----------
        name
            Relative to the description.
        most_bytes
            A larger file is refused before it is in memory.

        Raises
        ------
        ModelFormatError
            If it is missing, damaged, too large, or lies elsewhere.
        """
        name = str(PurePosixPath(name))
        if name not in self.read_files:
            if not _is_within(name) or not self._is_there(name):
                raise ModelFormatError(
                    f"{self.name}: its description names the file {name[:80]!r}, which "
                    "is not in the package. Get the whole package again."
                )
            try:
                self.read_files[name] = self._content(name, most_bytes)
            except ModelFormatError:
                raise
            except Exception as error:  # a damaged archive can raise anything
                raise ModelFormatError(
                    f"{self.name}: {name[:80]!r} cannot be read "
                    f"({type(error).__name__}). Get the package again."
                ) from error
        return self.read_files[name]

    def save(self, path: Path) -> None:
        """Write an archive of what has been read, and of nothing else."""
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in self.read_files.items():
                is_description = name == self.description
                member = DESCRIPTIONS[0] if is_description else name
                info = zipfile.ZipInfo(member)
                archive.writestr(info, content, zipfile.ZIP_DEFLATED)

    def _archive(self) -> zipfile.ZipFile:
        whole = self._whole
        return zipfile.ZipFile(self._path if whole is None else BytesIO(whole))

    def _names_in_archive(self) -> list[str]:
        try:
            with self._archive() as archive:
                names = archive.namelist()
        except Exception as error:  # a damaged archive can raise anything
            raise ModelFormatError(
                f"{self.name}: not a readable archive ({type(error).__name__}). Get "
                "the package again."
            ) from error
        outside = [name for name in names if not _is_within(name)]
        if outside or len(set(names)) < len(names):
            what = repr(outside[0][:80]) if outside else "a name twice"
            raise ModelFormatError(
                f"{self.name}: holds {what}, which no package needs, so nothing of it "
                "was read. Get the package from a source that you trust."
            )
        return names

    def _is_there(self, name: str) -> bool:
        if self._folder is None:
            return name in self._names_in_archive()
        place = (self._folder / name).resolve()
        return place.is_file() and place.is_relative_to(self._folder.resolve())

    def _content(self, name: str, most_bytes: int) -> bytes:
        if self._folder is None:
            with self._archive() as archive, archive.open(name) as file:
                held = archive.getinfo(name)
                if held.file_size > max(_BOMB_BYTES, _BOMB_RATIO * held.compress_size):
                    most_bytes = min(most_bytes, _BOMB_BYTES)
                content = file.read(most_bytes + 1)
        else:
            with (self._folder / name).open("rb") as file:
                content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ModelFormatError(
                f"{self.name}: {name[:80]!r} is larger than {most_bytes / 1e6:.0f} MB, "
                "so it was not read. Choose another model."
            )
        return content


def _is_within(name: str) -> bool:
    """Tell whether a name leads to a place inside a package, on every system."""
    parts = PurePosixPath(name).parts
    is_plain = not name.startswith("/") and "\\" not in name and ":" not in name
    return is_plain and ".." not in parts and name.isprintable() and bool(parts)

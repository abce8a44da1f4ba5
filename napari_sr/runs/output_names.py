"""What an output is called.

This module alone decides it, for one source or many.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.files.formats import has_writable_suffix, stem_of, within_file
from napari_sr.files.url import Url
from napari_sr.image.stack import Stack, StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

OUTPUT_SUFFIXES = (".ome.tif", ".ome.zarr")
"""Of results in a folder; the first where none is asked for."""

Source = Path | Url | tuple[Path, ...] | Stack
"""A file, its address, files whose planes are one stack, or an open stack."""


def files_of(source: Source) -> tuple[Path, ...]:
    """List the files of a source; none where it is not on this machine's disks."""
    if isinstance(source, Stack | Url):
        return ()
    paths = (source,) if isinstance(source, Path) else source
    return tuple(within_file(path)[0] for path in paths)


def name_of(source: Source) -> str:
    """Name a source as a person would: the file, the first of several, the stack."""
    if isinstance(source, Stack | Url):
        return source.name
    return files_of(source)[0].name


def choose_outputs(
    sources: Sequence[Source], output: Path, factor: int, suffix: str | None = None
) -> list[Path]:
    """Decide where the result of each source goes.

    Parameters
    ----------
    sources
        At least one.
    output
        The one file to write, or a folder for all. A folder with a dot in its name
        must exist: `result.png` is more likely a mistake.
    factor
        Super-resolution factor, for the names in a folder.
    suffix
        One of `OUTPUT_SUFFIXES`, for the names in a folder.

    Returns
    -------
    list of Path
        One for each source, in order.

    Raises
    ------
    StackError
        If the output cannot be written or cannot hold all results.
    """
    if has_writable_suffix(output):
        if suffix is not None:
            raise StackError(
                f"{output} already states its format; --format is for a folder."
            )
        if len(sources) == 1:
            return [output]
        raise StackError(
            f"{len(sources)} results cannot be written to one file, {output}. Give a "
            "folder."
        )
    if output.suffix and not output.is_dir():
        raise StackError(
            f"{output} cannot be written: expected a name that ends in .ome.tif or "
            f".ome.zarr, or a folder. A folder with a dot in its name must exist."
        )
    return name_outputs(sources, output, factor, suffix or OUTPUT_SUFFIXES[0])


def name_outputs(
    sources: Sequence[Source],
    folder: Path,
    factor: int,
    suffix: str = OUTPUT_SUFFIXES[0],
) -> list[Path]:
    """Name an output in `folder` after each source, keeping the folders between.

    Two sources may get the same one; who runs them does the first and refuses the rest.
    """
    # Not resolved: a link is named as it is called. But `..` must not lead outside.
    paths = [Path(os.path.abspath(_first(source))) for source in sources]
    base = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return [
        folder
        / path.parent.relative_to(base)
        / f"{_stem(path)}_x{factor}.{suffix.lstrip('.')}"
        for path in paths
    ]


def collision(first: str, second: str, output: Path) -> StackError:
    """Say that two sources have one output, of which the second is not done."""
    return StackError(
        f"{first} and {second} would both be written to {output.name}, so {second} is "
        "not processed. Rename one of them, or process them separately."
    )


def find_source(output: Path) -> Path:
    """Find what an output was made from by its name: `a.tif` beside `a_x2.ome.tif`.

    Raises
    ------
    StackError
        If there is no such file, or there are several.
    """
    named = re.fullmatch(r"(.+)_x\d+", _stem(output))
    stem = named[1] if named else None
    candidates = [
        path for path in sorted(output.parent.glob("*")) if _stem(path) == stem
    ]
    if len(candidates) != 1:
        seen = " and ".join(path.name for path in candidates) or "none"
        raise StackError(
            f"The recording of {output.name} is searched for in the same folder, "
            f"under the same name without _x2, and there is {seen}. Name it with "
            "--recording FILE."
        )
    return candidates[0]


def _first(source: Source) -> Path:
    """Give what an output is named after."""
    if isinstance(source, Stack | Url):
        is_address = isinstance(source, Url)
        name = _stem(Path(source.name)) if is_address else source.name
        return Path(f"{_clean(name)}.tif")
    file, name = within_file(source if isinstance(source, Path) else source[0])
    return file.with_name(f"{_stem(file)}_{_clean(name)}.tif") if name else file


def _clean(name: str) -> str:
    """Make a name that any system takes for a file."""
    return re.sub(r"[^\w .()+-]+", "_", name).strip(" ._") or "image"


def _stem(path: Path) -> str:
    """Name a file without the suffixes of its format."""
    # A series is a folder that may be called 1.2.840.
    return stem_of(path.name)

"""What is typed → what is meant.

This module alone knows how the words of a command line become files to work on and
values of settings. It loads no torch, so that a typing mistake is answered quickly.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.files import holds_dicom, is_dicom
from napari_sr.files.formats import FORMATS, has_readable_suffix
from napari_sr.files.url import Url, is_url
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find_sources(
    patterns: Sequence[str], leave_out: Path | None = None
) -> list[Path | Url]:
    """Turn files, folders, patterns and addresses into stacks; see `find_stacks`."""
    addresses = [Url(one) for one in dict.fromkeys(patterns) if is_url(one)]
    rest = [one for one in patterns if not is_url(one)]
    return [*find_stacks(rest, leave_out), *addresses]


def find_stacks(patterns: Sequence[str], leave_out: Path | None = None) -> list[Path]:
    """Turn files, folders and patterns into stacks, each once.

    Parameters
    ----------
    patterns
        What was typed, in order. Of a folder all stacks in it and below are taken,
        several DICOM files in one as the slices of a series; folders and patterns are
        sorted as people count, `z2` before `z10`.
    leave_out
        A folder whose content is not taken when it lies in another one: where the
        results go, so that a second run does not take them for recordings.

    Returns
    -------
    list of Path
        Files, and folders that are a stack. A single name is not looked at.

    Raises
    ------
    StackError
        If a folder holds no stack or a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.exists() or not glob.has_magic(pattern):
            matches = [path]
        else:
            matches = [Path(match) for match in glob.glob(pattern, recursive=True)]
            matches = sorted(filter(_is_outside_stacks, matches), key=_natural)
        if not matches:
            raise StackError(f"No file matches {pattern!r}. Check the pattern.")
        for match in matches:
            found.update(dict.fromkeys(_stacks_at(match, leave_out)))
    return list(found)


def _stacks_at(path: Path, leave_out: Path | None) -> list[Path]:
    if not path.is_dir() or _is_stack_folder(path):
        return [path]
    inside = sorted(_stacks_below(path, leave_out), key=_natural)
    if not inside:
        raise StackError(f"Folder {path} holds no image that can be read.")
    return inside


def _stacks_below(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    """Walk through folders, but not into those that are one stack."""
    results = None if leave_out is None else os.path.abspath(leave_out)
    for place, folders, files in os.walk(folder):
        entered = []
        for name in filter(_is_visible, folders):
            path = Path(place, name)
            if _is_stack_folder(path):
                yield path
            elif os.path.abspath(path) != results:
                entered.append(name)
        folders[:] = entered
        is_series = holds_dicom(Path(place), at_least=2)
        if is_series:
            yield Path(place)
        for name in filter(_is_visible, files):
            path = Path(place, name)
            if has_readable_suffix(name) and not (is_series and is_dicom(path)):
                yield path


def _is_visible(name: str) -> bool:
    """Leave out hidden files: unfinished results, and what macOS puts beside files."""
    return not name.startswith(".")


def _is_stack_folder(path: Path) -> bool:
    """Tell whether a folder is an image, by its suffix or by what is in it."""
    return any(
        path.suffix.lower() in known.suffixes
        or any((path / marker).exists() for marker in known.markers)
        for known in FORMATS
        if known.markers
    )


def _is_outside_stacks(path: Path) -> bool:
    """Leave out what a pattern finds inside a Zarr folder: the folder is the stack."""
    return not any(map(_is_stack_folder, path.parents))


def _natural(path: Path) -> list[list[tuple[int, str]]]:
    """Sort by the numbers in a name, not by their digits."""
    return [
        [(int(run), "") if run.isdigit() else (-1, run) for run in _runs(part)]
        for part in path.parts
    ]


def _runs(text: str) -> list[str]:
    return re.findall(r"[0-9]+|[^0-9]+", text)

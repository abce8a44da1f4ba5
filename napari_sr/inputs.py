"""What is typed → what is meant.

This module alone knows how the words of a command line become files to work on and
values of settings. It loads no torch, so that a typing mistake is answered quickly.
"""

from __future__ import annotations

import glob
import math
import os
import re
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.files import FORMATS, has_readable_suffix, holds_dicom, is_dicom
from napari_sr.files.url import Url, as_path, is_url
from napari_sr.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NOISE = ("gain", "read", "offset")


def read_output(text: str) -> Path:
    """Read where a result goes."""
    try:
        return as_path(text)
    except StackError as error:
        raise ArgumentTypeError(str(error)) from error


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


def read_tile(text: str) -> int | str:
    """Read a number of pixels, or `auto`."""
    if text != "auto" and not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"expected a number of pixels or auto, got {text!r}")
    return text if text == "auto" else int(text)


def read_count(text: str) -> int:
    """Read a number of workers: at least one."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def read_seconds(text: str) -> float:
    """Read how long to wait, in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ArgumentTypeError(f"expected seconds, such as 60, got {text!r}")
    return seconds


def read_share(text: str) -> tuple[int, int]:
    """Read `3/64`: the third of 64 parts."""
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    number, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= n:
        raise ArgumentTypeError(f"expected K/N, as 3/64, K from 1 to N, got {text!r}")
    return number, n


def read_noise(text: str) -> object:
    """Read `auto`, `0` or `gain=2,read=5,offset=100`."""
    if text == "auto":
        return text
    try:
        if "=" not in text:
            return _no_noise(float(text))
        parts = [part.split("=", 1) for part in text.split(",")]
        level = {name.strip(): float(value) for name, value in parts}
    except ValueError as error:
        raise ArgumentTypeError(_expected_noise(text)) from error
    if len(level) < len(parts) or not level.keys() <= set(_NOISE):
        raise ArgumentTypeError(_expected_noise(text))
    return level


def read_options(pairs: Sequence[Sequence[str]]) -> dict[str, float | str]:
    """Turn names and values as typed into options: numbers are numbers.

    Parameters
    ----------
    pairs
        A name and a value each; of a name typed twice the last counts.
    """
    found: dict[str, float | str] = {}
    for name, value in pairs:
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = value
    return found


def read_method(text: str) -> tuple[str, dict[str, float | str]]:
    """Read `wiener` or `wiener:psf_sigma=1.2,balance=0.1`: a name and its options.

    A colon that no `name=` follows belongs to a path.
    """
    name, options = text, ""
    if found := re.fullmatch(r"(.+?):([a-z_0-9]+=.*)", text):
        name, options = found.groups()
    pairs = [part.partition("=") for part in options.split(",") if options]
    if not name or not all(key and value for key, _, value in pairs):
        raise ArgumentTypeError(
            f"expected NAME or NAME:option=value,option=value, got {text!r}"
        )
    return name, read_options([(key.strip(), value) for key, _, value in pairs])


def _no_noise(value: float) -> float:
    if value != 0:
        raise ArgumentTypeError(
            f"expected auto, 0 or a level, got {value:g}; for a standard deviation of "
            f"{value:g} counts write read={value:g}"
        )
    return value


def _expected_noise(text: str) -> str:
    return f"expected auto, 0 or gain=G,read=R,offset=O, got {text!r}"

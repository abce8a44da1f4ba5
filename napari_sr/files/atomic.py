"""A file is whole or absent: it is written aside and renamed.

This module alone knows what a file is called while it is being written. The hidden name
tells machine and process, so that what a killed one left behind is known from what a
living one is still at.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ENDING, _OLD = ".partial", ".old"
_LONGEST = 255
"""Bytes of a name on all usual file systems."""
_MARK = re.compile(r"([0-9a-f]{4})([0-9a-f]{6})[0-9a-f]{2}")
"""Of a machine, a process and one of its files."""


def hidden_beside(path: Path) -> Path:
    """Give a hidden name beside a path that no other file has.

    Parameters
    ----------
    path
        Where what is written under that name will go.
    """
    mark = f"{_machine()}{os.getpid() & 0xFFFFFF:06x}{uuid4().hex[:2]}"
    while os.path.lexists(hidden := path.with_name(_start(path) + mark + _ENDING)):
        mark = mark[:-2] + uuid4().hex[:2]
    return hidden


def displaced_by(hidden: Path) -> Path:
    """Name what is moved out of the way while `hidden` takes its place."""
    return hidden.with_name(hidden.name.removesuffix(_ENDING) + _OLD + _ENDING)


def remove_leftovers(path: Path, *, is_whole: bool = False) -> None:
    """Remove what processes of this machine left that are no more.

    Parameters
    ----------
    path
        Of a result.
    is_whole
        Whether it is there and complete, so that what it replaced may go as well.
    """
    start = _start(path)
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if not (entry.name.startswith(start) and entry.name.endswith(_ENDING)):
                continue
            mark = entry.name[len(start) :].removesuffix(_ENDING)
            match = _MARK.fullmatch(mark.removesuffix(_OLD))
            may_go = is_whole or not mark.endswith(_OLD)
            if match and may_go and _is_dead(match[1], int(match[2], 16)):
                remove(path.with_name(entry.name))


def remove(path: Path) -> None:
    """Remove a file or a folder as far as it is there and the disk lets go of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give the name to write under; on success it becomes `path`, else it is removed.

    Parameters
    ----------
    path
        Where the file shall be; an existing one is replaced only by a whole one.
    """
    partial = hidden_beside(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _start(path: Path) -> str:
    """Give what hidden names for a path begin with, as short as the disk needs it."""
    room = _LONGEST - len(f"..{'0' * 12}{_OLD}{_ENDING}")
    name = path.name
    if len(os.fsencode(name)) > room:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return f".{name}."


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:4]


def _is_dead(machine: str, process: int) -> bool:
    return machine == _machine() and not psutil.pid_exists(process)

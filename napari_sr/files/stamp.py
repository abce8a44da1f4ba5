"""Whether a file is still the one that was opened.

This module alone knows by what that is seen. Programs for acquisition and for syncing
replace files while others read them, and planes of two recordings make no result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def unchanged(path: Path) -> Callable[[], None]:
    """Remember a file; what is given raises a `StackError` once it has changed.

    Parameters
    ----------
    path
        A file; of a folder nothing is remembered, since much in it is not read.
    """
    path = path.absolute()  # the working directory may change
    before = _stamp(path)

    def refuse_change() -> None:
        if _stamp(path) != before:
            raise StackError(
                f"{path} was changed or replaced while it was read, so no result is "
                "made. Wait until it is complete, and run the same command again."
            )

    return refuse_change


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        known = path.stat()
    except OSError:
        return None
    return None if path.is_dir() else (known.st_size, known.st_mtime_ns)

"""A file is whole or absent: it is written aside and renamed.

This module alone knows what a file is called while it is being written.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give the name to write under; on success it becomes `path`, else it is removed.

    Parameters
    ----------
    path
        Where the file shall be; an existing one is replaced only by a whole one.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)

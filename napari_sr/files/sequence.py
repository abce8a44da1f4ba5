"""Several files as one stack along a new leading axis.

This module alone knows that only one of them is kept open at a time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from napari_sr.files.stamp import unchanged
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.files.channel import Pick

    Opener = Callable[..., Stack]
    """Opens one file: path, and `channel` by name."""

_NAMES = "ztpuvw"
"""The new axis is the first of these that the files do not have."""


def open_sequence(
    paths: Sequence[Path], channel: Pick | None, open_file: Opener
) -> Stack:
    """Open files as one stack; each is looked at now, and read when it is its turn.

    Parameters
    ----------
    paths
        At least one; all of the same shape and dtype. Order is kept.
    channel
        Which channel of each, from 0; None where there is only one.
    open_file
        Opens one of them.

    Raises
    ------
    StackError
        If there is no file, one cannot be opened, or they differ.
    """
    if not paths:
        raise StackError("There is no file to open; give at least one path.")
    with open_file(paths[0], channel=channel) as first:
        shape, dtype, axes = first.shape, first.dtype, first.axes
        name = first.name
    for path in paths[1:]:
        with open_file(path, channel=channel) as other:
            if (other.shape, other.dtype) != (shape, dtype):
                raise StackError(
                    f"{path} is {other.shape} {other.dtype} but {paths[0]} is "
                    f"{shape} {dtype}; open files of one shape and type together."
                )
    taken = {axis.name for axis in axes}
    leading = Axis(next(letter for letter in _NAMES if letter not in taken))
    files = _OneAtATime(paths, channel, open_file)
    return Stack(
        files.read,
        axes=(leading, *axes),
        shape=(len(paths), *shape),
        dtype=dtype,
        name=name,
        close=files.close,
    )


class _OneAtATime:
    """Reads planes from many files with one of them open."""

    def __init__(
        self, paths: Sequence[Path], channel: Pick | None, open_file: Opener
    ) -> None:
        self._open_file = open_file
        self._paths = [path.absolute() for path in paths]
        self._channel = channel
        self._checks = [unchanged(path) for path in self._paths]
        self._lock = threading.Lock()
        self._number = -1
        self._open: Stack | None = None

    def read(self, index: tuple[int, ...]) -> NDArray:
        """Read the plane `index[1:]` of file `index[0]`."""
        with self._lock:
            if self._open is None or self._number != index[0]:
                self._close()
                self._open = self._open_file(
                    self._paths[index[0]], channel=self._channel
                )
                self._number = index[0]
            self._checks[index[0]]()
            return self._open.plane(index[1:])

    def close(self) -> None:
        """Close the file that is open, if any."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        """Close the open file; the lock is held."""
        if self._open is not None:
            self._open.close()
            self._open = None

"""Decoded planes of many images, in bounded memory.

This module alone decides which planes stay decoded and which files stay open, so that
a training can draw from more images than fit into memory.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sr.files import open_stack
from napari_sr.image.intensity import fill_gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack

CACHE_BYTES = 2**30
"""What decoded planes may take together, unless stated."""
_OPEN_FILES = 16


@dataclass(frozen=True, slots=True)
class FilledPlane:
    """A plane without gaps, and where they were."""

    counts: NDArray
    """`(y, x)` counts in which each gap holds the value of the nearest pixel."""
    gaps: NDArray | None
    """`(y, x)` bool; None where there is no gap."""

    @classmethod
    def of(cls, plane: NDArray) -> FilledPlane:
        """Fill the gaps of a `(y, x)` plane in counts."""
        return cls(*fill_gaps(plane))

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.counts.nbytes + (0 if self.gaps is None else self.gaps.nbytes)


class PlaneCache:
    """Keeps the planes that were used last, up to so many bytes.

    May be used from any thread.

    Parameters
    ----------
    max_bytes
        What all planes kept may take. One that is larger is given, but not kept.

    Raises
    ------
    ValueError
        If it is negative.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        if max_bytes < 0:
            raise ValueError(
                f"The size of a cache is at least 0 bytes, not {max_bytes}. Use 0 for "
                "no cache."
            )
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._planes: OrderedDict[Hashable, FilledPlane] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], FilledPlane]) -> FilledPlane:
        """Give the plane of a key, reading it unless it is kept."""
        with self._lock:
            if key in self._planes:
                self._planes.move_to_end(key)
                return self._planes[key]
        plane = read()
        with self._lock:
            self._keep(key, plane)
        return plane

    def _keep(self, key: Hashable, plane: FilledPlane) -> None:
        """Make room and keep a plane; the lock is held."""
        if plane.nbytes > self.max_bytes or key in self._planes:
            return
        while self.n_bytes + plane.nbytes > self.max_bytes:
            _, dropped = self._planes.popitem(last=False)
            self.n_bytes -= dropped.nbytes
        self._planes[key] = plane
        self.n_bytes += plane.nbytes


class OpenFiles:
    """Reads planes of any number of files, a few of which are open at a time.

    May be used from any thread; files are closed when it is no longer needed.
    """

    def __init__(self) -> None:
        self._stacks: OrderedDict[Path, Stack] = OrderedDict()
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._stacks)

    def plane(self, path: Path, channel: int | None, index: tuple[int, ...]) -> NDArray:
        """Read a plane of a file.

        Parameters
        ----------
        path
            The file, absolute: the working directory may change.
        channel
            As for `open_stack`; always the same for a file.
        index
            As for `Stack.plane`.

        Raises
        ------
        StackError
            If the file can no longer be read.
        """
        with self._lock:
            if path not in self._stacks:
                self._stacks[path] = open_stack(path, channel=channel)
            self._stacks.move_to_end(path)
            while len(self._stacks) > _OPEN_FILES:
                self._stacks.popitem(last=False)[1].close()
            return self._stacks[path].plane(index)


def _close_all(stacks: OrderedDict[Path, Stack]) -> None:
    while stacks:
        stacks.popitem()[1].close()

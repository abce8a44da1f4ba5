"""Write planes so that the result is complete or absent.

This module alone knows that an output grows under a hidden temporary name beside its
place and is renamed when every plane is there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from napari_sr.files.atomic import displaced_by, hidden_beside, remove, remove_leftovers
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from napari_sr.image.axis import Axis
    from napari_sr.image.info import ImageInfo


@dataclass(frozen=True, slots=True)
class Content:
    """All that is written but the pixels."""

    shape: tuple[int, ...]
    """Of one channel: length of each axis, y and x last."""
    dtype: np.dtype
    """In native byte order."""
    axes: tuple[Axis, ...]
    """One per dimension of a channel."""
    provenance: Mapping[str, object]
    """Anything JSON can hold."""
    info: ImageInfo
    """With one entry per channel; of one channel there may be none."""
    compression: str = "none"
    """One of `COMPRESSIONS`."""

    @property
    def n_channels(self) -> int:
        """How many channels there are, at least one."""
        return max(1, len(self.info.channels))

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Lengths of what a plane is one of: the channels, if several, and all axes."""
        channels = (self.n_channels,) if self.n_channels > 1 else ()
        return (*channels, *self.shape[:-2])


class StackWriter(Protocol):
    """Takes planes one at a time; a context manager.

    A clean exit commits. Any exception discards, `GeneratorExit` and
    `KeyboardInterrupt` included.
    """

    def write(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Write the `(y, x)` plane at an index over the leading axes.

        Of several channels the first number is that of the channel.
        """

    def commit(self) -> None:
        """Put the result in its place; refused while planes are missing."""

    def discard(self) -> None:
        """Remove everything that was written."""

    def __enter__(self) -> Self:
        """Give the writer itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit on a clean exit, discard on an exception."""


class Sink(Protocol):
    """What a format provides: somewhere to put planes."""

    in_order: bool
    """Whether planes must come in C order of the leading axes."""

    def put(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Store one plane."""

    def close(self) -> None:
        """Finish; everything is on disk afterwards."""


class AtomicWriter:
    """A `StackWriter` that fills a sink at a temporary path and renames it on commit.

    Parameters
    ----------
    path
        Where the result goes. A missing parent folder is made.
    open_sink
        Makes the sink at the temporary path that it is given.
    content
        What is to be written.
    overwrite
        Replace an existing result, on commit.
    may_replace
        Whether what is at a path is such a result: nothing else is ever replaced.

    Raises
    ------
    StackError
        If the result exists and is not to be replaced, or its place is not writable.
    """

    def __init__(
        self,
        path: Path,
        open_sink: Callable[[Path], Sink],
        content: Content,
        *,
        overwrite: bool,
        may_replace: Callable[[Path], bool],
    ) -> None:
        self._label, self._named = str(path), path
        self._path = path.absolute()  # the working directory may change meanwhile
        self._overwrite = overwrite
        self._may_replace = may_replace
        self._plane_shape = content.shape[-2:]
        self._dtype = content.dtype
        self._leading = content.leading_shape
        # Counted and not listed: a small file may claim any number of planes.
        self._n_in_order, self._ahead_of_them = 0, set[int]()
        self._temporary = hidden_beside(self._path)
        self._sink: Sink | None = None
        refuse_existing(self._named, overwrite, may_replace)
        remove_leftovers(self._path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = open_sink(self._temporary)
        except OSError as error:
            self.discard()
            raise unwritable(self._label, error) from error
        except BaseException:
            self.discard()
            raise

    def write(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Write one plane.

        Parameters
        ----------
        index
            Position along each leading axis. A TIFF takes planes in C order only.
        plane
            `(y, x)` of exactly the shape and dtype declared.

        Raises
        ------
        StackError
            If it is not the plane expected, or the disk refuses it.
        """
        index = tuple(index)
        sink = self._open_sink()
        self._check(sink, index, plane)
        try:
            sink.put(index, np.ascontiguousarray(plane, dtype=self._dtype))
        except OSError as error:
            raise unwritable(self._label, error) from error
        self._ahead_of_them.add(self._number(index))
        while self._n_in_order in self._ahead_of_them:
            self._ahead_of_them.remove(self._n_in_order)
            self._n_in_order += 1

    def commit(self) -> None:
        """Put the result in its place; on any failure nothing is left behind.

        Raises
        ------
        StackError
            If planes are missing, the place was taken meanwhile, or the disk refuses.
        """
        try:
            sink = self._open_sink()
            n_done = self._n_in_order + len(self._ahead_of_them)
            if n_missing := prod(self._leading) - n_done:
                raise StackError(
                    f"{self._label} still lacks {n_missing} planes, the first is "
                    f"{self._first_missing()}; write every plane."
                )
            refuse_existing(self._named, self._overwrite, self._may_replace)
            sink.close()
            put_in_place(self._temporary, self._path)
            remove_leftovers(self._path, is_whole=True)
        except OSError as error:
            self.discard()
            raise unwritable(self._label, error) from error
        except BaseException:
            self.discard()
            raise
        self._sink = None

    def discard(self) -> None:
        """Remove everything that was written; does nothing after a commit."""
        sink, self._sink = self._sink, None
        try:
            if sink is not None:
                with suppress(Exception):  # the error that led here matters more
                    sink.close()
        finally:
            remove(self._temporary)

    def __enter__(self) -> Self:
        """Give the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit on a clean exit, discard on an exception."""
        if kind is not None:
            self.discard()
        elif self._sink is not None:
            self.commit()

    def _open_sink(self) -> Sink:
        """Give the sink, or refuse if it is gone."""
        if self._sink is None:
            raise StackError(f"{self._label} is already committed or discarded.")
        return self._sink

    def _number(self, index: tuple[int, ...]) -> int:
        """Give the number of a plane in C order; -1 if there is none."""
        number, leading = 0, self._leading
        if len(index) != len(leading):
            return -1
        for i, n in zip(index, leading, strict=True):
            if not 0 <= i < n:
                return -1
            number = number * n + i
        return number

    def _first_missing(self) -> tuple[int, ...] | None:
        """Give the index of the first plane that is missing, None if none is."""
        rest, index = self._n_in_order, []
        for n in reversed(self._leading):
            rest, i = divmod(rest, n)
            index.append(i)
        return None if rest else tuple(reversed(index))

    def _check(self, sink: Sink, index: tuple[int, ...], plane: NDArray) -> None:
        """Refuse a plane that is not the one expected."""
        expected, number = self._first_missing(), self._number(index)
        is_done = number < self._n_in_order or number in self._ahead_of_them
        if is_done or (sink.in_order and index != expected):
            raise StackError(
                f"{self._label} expected plane {expected}, not {index}; write each "
                "plane once" + (", in order." if sink.in_order else ".")
            )
        came = (plane.shape, plane.dtype.newbyteorder("="))
        if came != (self._plane_shape, self._dtype):
            raise StackError(
                f"{self._label} expected a plane of {self._plane_shape} {self._dtype}, "
                f"not {plane.shape} {plane.dtype}."
            )


def refuse_existing(
    path: Path, overwrite: bool, may_replace: Callable[[Path], bool]
) -> None:
    """Refuse to overwrite a file unless asked to, and always if it is something else.

    Parameters
    ----------
    path
        Where a result is to go.
    overwrite
        Whether a result that is there may be replaced.
    may_replace
        Whether what is at a path is such a result.

    Raises
    ------
    StackError
        If something is there that is to stay.
    """
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise StackError(
            f"{path} exists; choose another name or ask to overwrite it (--overwrite)."
        )
    if not may_replace(path):
        raise StackError(
            f"{path} exists and is not an image of this format, so it is not "
            f"overwritten; choose another name."
        )


def unwritable(label: str, error: OSError) -> StackError:
    """Say why a place cannot be written."""
    reason = error.strerror or str(error)
    return StackError(f"{label} cannot be written ({reason}); choose another place.")


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a result into its place; what was there goes only when that worked."""
    if not (temporary.is_dir() or path.is_dir()):
        temporary.replace(path)
        return
    old = displaced_by(temporary)
    if os.path.lexists(path):
        path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        if os.path.lexists(old):
            old.rename(path)
        raise
    remove(old)

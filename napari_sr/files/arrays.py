"""An array in a file, with or without an axis of channels → a stack.

This module alone knows how the axis of channels is left out, for all formats in which
an image is one array.
"""

from __future__ import annotations

from collections import OrderedDict
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psutil

from napari_sr.files.channel import of_channel, pick_channel
from napari_sr.files.formats import stem_of
from napari_sr.image.info import NOTHING_SAID, ImageInfo
from napari_sr.image.stack import Stack, StackError, check_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.files.channel import Pick
    from napari_sr.files.url import Url
    from napari_sr.image.axis import Axis
    from napari_sr.image.stack import Window


_MOST_BYTES = 2**30
"""Of planes that are kept since they lie in the same chunks as one that is read, and of
a chunk that reaches beyond its image."""
_MOST_CHUNKS = 4_000_000
"""Read at a time: each takes some kilobytes and a look at the folder."""


class FileArray(Protocol):
    """An array that is read where it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, y and x last."""

    @property
    def dtype(self) -> Any:  # noqa: ANN401 - libraries differ
        """Type of a pixel, in any byte order."""

    def __getitem__(self, place: Any, /) -> Any:  # noqa: ANN401
        """Read what is at an index over the leading axes, or a part of it."""


def stack_of(
    path: Path | Url,
    array: FileArray,
    axes: Sequence[Axis],
    channel: Pick | None,
    *,
    info: ImageInfo = NOTHING_SAID,
    provenance: Mapping[str, object] | None = None,
    close: Callable[[], None] | None = None,
) -> Stack:
    """Make a stack of an array that lies in a file; nothing of it is read yet.

    Parameters
    ----------
    path
        The file, as errors call it.
    array
        `(…, y, x)`, with an axis of channels anywhere before.
    axes
        One per dimension; one of channels is called c.
    channel
        Which channel.
    info, provenance, close
        As for `Stack`; of all channels.

    Raises
    ------
    StackError
        If pixels or axes are not usable, or a channel has to be chosen.
    """
    label, names = str(path), "".join(axis.name for axis in axes)
    if not names.endswith("yx"):
        raise StackError(f"{label} has the axes {names}; expected y and x last.")
    place = names.find("c")
    n_channels = array.shape[place] if place >= 0 else 1
    chosen = pick_channel(label, n_channels, channel, info)
    kept = [i for i in range(len(axes)) if i != place]
    shape = tuple(int(array.shape[i]) for i in kept)
    dtype = np.dtype(array.dtype)
    check_pixels(label, shape, dtype)
    _check_chunks(label, array)

    slabs = _Slabs(array)

    def read_window(index: tuple[int, ...], part: Window | tuple[()]) -> NDArray:
        full = (*index[:place], chosen, *index[place:]) if place >= 0 else index
        _check_number_of_chunks(label, array, part)
        try:
            return slabs.read(full, part)
        except StackError:
            raise
        except Exception as error:  # codecs raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise StackError(
                f"{label} is damaged: plane {index} cannot be read ({reason}); copy it "
                "again from its source."
            ) from error

    return Stack(
        lambda index: read_window(index, ()),
        axes=[axes[i] for i in kept],
        shape=shape,
        dtype=dtype,
        name=stem_of(path.name),
        provenance=of_channel(dict(provenance or {}), chosen),
        info=info.of_channel(chosen) if n_channels > 1 else info,
        close=close,
        read_window=read_window,
    )


def _chunks_of(array: FileArray) -> tuple[int, ...] | None:
    """Give the sides of a chunk, each of which is decoded as a whole, if there are."""
    chunks = getattr(array, "chunks", None)
    is_cut = isinstance(chunks, tuple) and len(chunks) == len(array.shape)
    return tuple(map(int, chunks)) if is_cut and chunks is not None else None


def _check_chunks(label: str, array: FileArray) -> None:
    """Refuse chunks that are far larger than the image, or than memory."""
    chunks, itemsize = _chunks_of(array), np.dtype(array.dtype).itemsize
    if chunks is None:
        return
    n_bytes = prod(chunks) * itemsize
    held = prod(map(min, chunks, array.shape)) * itemsize
    total = psutil.virtual_memory().total
    if n_bytes > min(max(_MOST_BYTES, 4 * held), total // 2):
        raise StackError(
            f"{label} has chunks of {' x '.join(map(str, chunks))} px, "
            f"{n_bytes / 1e9:.3g} GB each, for an image of "
            f"{' x '.join(map(str, array.shape))} px; this machine has "
            f"{total / 1e9:.3g} GB of memory. Write it again with smaller chunks."
        )


def _check_number_of_chunks(
    label: str, array: FileArray, part: Window | tuple[()]
) -> None:
    """Refuse to look for more chunks at a time than a folder can hold."""
    chunks = (_chunks_of(array) or array.shape)[-2:]
    sides = [cut.stop - cut.start for cut in part] or array.shape[-2:]
    n = prod(-(-side // max(1, cut)) for side, cut in zip(sides, chunks, strict=True))
    if n > _MOST_CHUNKS:
        raise StackError(
            f"{label} has chunks of {chunks[0]} x {chunks[1]} px, of which {n} would "
            "have to be read together. Write it again with larger chunks."
        )


class _Slabs:
    """Reads planes together that lie in the same chunks, so that each is decoded once.

    Parameters
    ----------
    array
        With `chunks`, the sides of a chunk, where it has some.
    """

    def __init__(self, array: FileArray) -> None:
        self._array = array
        chunks = _chunks_of(array) or ()
        self._depth = chunks[-3] if len(chunks) > 2 else 1
        self._lock = Lock()
        self._kept: OrderedDict[object, NDArray] = OrderedDict()

    def read(self, index: tuple[int, ...], part: Window | tuple[()]) -> NDArray:
        """Read a plane, or a part of it, by its index over all axes before y and x."""
        if self._depth == 1 or not index:
            return np.asarray(self._array[(*index, *part)])
        *before, last = index
        start = last - last % self._depth
        cuts = tuple((cut.start, cut.stop) for cut in part)
        key = (*before, start, cuts)
        with self._lock:
            slab = self._kept.pop(key, None)
            if slab is None:
                slab = self._slab(before, start, part)
                if slab is None:
                    return np.asarray(self._array[(*index, *part)])
            self._kept[key] = slab  # the last in use
            plane: NDArray = slab[last - start]
            return plane

    def _slab(
        self, before: Sequence[int], start: int, part: Window | tuple[()]
    ) -> NDArray | None:
        """Read all planes of a row of chunks; None where they are too large."""
        stop = min(start + self._depth, self._array.shape[-3])
        sides = [cut.stop - cut.start for cut in part] or self._array.shape[-2:]
        n_bytes = prod((stop - start, *sides)) * np.dtype(self._array.dtype).itemsize
        room = min(_MOST_BYTES, psutil.virtual_memory().available // 4)
        if n_bytes > room:
            return None
        held = sum(kept.nbytes for kept in self._kept.values())
        while self._kept and held + n_bytes > room:
            held -= self._kept.popitem(last=False)[1].nbytes
        return np.asarray(self._array[(*before, slice(start, stop), *part)])

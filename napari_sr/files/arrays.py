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
"""Of planes that are kept since they lie in the same chunks as one that is read."""


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

    slabs = _Slabs(array)

    def read_window(index: tuple[int, ...], part: Window | tuple[()]) -> NDArray:
        full = (*index[:place], chosen, *index[place:]) if place >= 0 else index
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


class _Slabs:
    """Reads planes together that lie in the same chunks, so that each is decoded once.

    Parameters
    ----------
    array
        With `chunks`, the sides of a chunk, where it has some.
    """

    def __init__(self, array: FileArray) -> None:
        self._array = array
        chunks = getattr(array, "chunks", None)
        is_cut = isinstance(chunks, tuple) and len(chunks) == len(array.shape) > 2
        self._depth = int(chunks[-3]) if is_cut and chunks is not None else 1
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

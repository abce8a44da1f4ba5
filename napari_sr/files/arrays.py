"""An array in a file, with or without an axis of channels → a stack.

This module alone knows how the axis of channels is left out, for all formats in which
an image is one array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

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

    def read_window(index: tuple[int, ...], part: Window | tuple[()]) -> NDArray:
        full = (*index[:place], chosen, *index[place:]) if place >= 0 else index
        try:
            return np.asarray(array[(*full, *part)])
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

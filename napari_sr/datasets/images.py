"""The images a training learns from, read piece by piece in network units.

This module alone knows how a piece of an image is made when it is asked for: from the
counts of a cached plane, moved by a part of a pixel where a pair needs it, in the range
of its stack.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sr.datasets.sources import find_recordings
from napari_sr.image.intensity import IntensityRange

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sr.datasets.plane_cache import FilledPlane, PlaneCache
    from napari_sr.datasets.sources import SourceImage, Sources
    from napari_sr.image.intensity import IntensityPolicy

_REACH = 16
"""Pixels that a moved pixel is made of, to either side; the next would add 1e-6."""


@dataclass(frozen=True, slots=True, eq=False)
class SharpImage:
    """One plane, of which pieces are read when they are asked for.

    `image[top:bottom, left:right]` is `(y, x)` float32 in network range, without gaps:
    a gap holds the value of the nearest pixel, and `image.gaps` says where they are.
    """

    name: str
    """Name of the stack, and which plane of it."""
    stack: str
    """Name of the stack it belongs to."""
    depth: int
    """Where along the stack it lies; planes of one depth show the same."""
    shape: tuple[int, int]
    """Height and width in pixels."""
    intensity: IntensityRange
    """The counts taken as 0 and 1."""
    read: Callable[[], FilledPlane]
    """Gives the plane that it is a part of."""
    origin: tuple[int, int] = (0, 0)
    """Where its upper left pixel lies in that plane."""
    moved: tuple[float, float] = (0.0, 0.0)
    """Part of a pixel by which its content is moved down and to the right."""

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """Read a piece: two slices without a step."""
        if not any(self.moved):
            return self.thumbnail(part)
        piece = _moved_piece(self.read().counts, *self._place(part), self.moved)
        return self.intensity.normalize(piece)

    def gaps(self, part: tuple[slice, slice]) -> NDArray[np.bool_] | None:
        """Say which pixels of a piece held no number; None where its plane has none."""
        rows, columns = self._place(part)
        gaps = self.read().gaps
        return None if gaps is None else gaps[rows, columns]

    def thumbnail(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """Read a piece as `image[part]`, but not moved by a part of a pixel."""
        rows, columns = self._place(part)
        return self.intensity.normalize(self.read().counts[rows, columns])

    def cropped(self, rows: slice, columns: slice) -> SharpImage:
        """Give a part of the image as an image of its own."""
        (top, bottom), (left, right) = self._ends((rows, columns))
        return replace(
            self,
            name=f"{self.name} [{top}:{bottom}, {left}:{right}]",
            shape=(bottom - top, right - left),
            origin=(self.origin[0] + top, self.origin[1] + left),
        )

    def _place(self, part: tuple[slice, slice]) -> tuple[slice, slice]:
        """Find a piece in the plane."""
        y, x = self.origin
        (top, bottom), (left, right) = self._ends(part)
        return slice(y + top, y + bottom), slice(x + left, x + right)

    def _ends(self, part: tuple[slice, slice]) -> list[tuple[int, int]]:
        """Give first and last of the rows and columns of a piece."""
        pair = part if isinstance(part, tuple) and len(part) == 2 else (part,)
        if len(pair) != 2 or not all(
            isinstance(cut, slice) and cut.step in (None, 1) for cut in pair
        ):
            raise IndexError(
                f"A piece of {self.name} is two slices without a step, not {part!r}."
            )
        ends = [cut.indices(side) for cut, side in zip(pair, self.shape, strict=True)]
        return [(first, max(first, last)) for first, last, _ in ends]


def gather_images(
    sources: Sources,
    policy: IntensityPolicy,
    *,
    channel: int | None = None,
    cache: PlaneCache | None = None,
) -> list[SharpImage]:
    """Gather sharp images to learn from; their pixels are read when they are needed.

    The intensity range is measured once per stack, for all its planes. Gaps (NaN,
    infinity) are filled with the nearest pixel; patches that are mostly gaps are not
    drawn, see `PatchSource`.

    Parameters
    ----------
    sources
        Arrays, stacks, files, folders or patterns, see `find_recordings`. Planes of
        uint8, uint16, int16 or float32.
    policy
        How the range of each stack is found: the model's own.
    channel
        Which channel of each file, from 0; None where there is only one.
    cache
        Where decoded planes are kept; a new one of 1 GiB when not given. More images
        than fit are read again and again.

    Returns
    -------
    list of SharpImage
        One per plane, stack after stack.

    Raises
    ------
    StackError
        If something is missing, damaged, not usable or without any finite pixel.
    ValueError
        If nothing is given, or something that is not an image.
    """
    images = []
    for recording in find_recordings(sources, channel=channel, cache=cache):
        intensity = IntensityRange.measure(recording.cached_stack(), policy)
        images += images_of(recording, intensity)
    return images


def images_of(recording: SourceImage, intensity: IntensityRange) -> list[SharpImage]:
    """Give the planes of a recording as images, in order."""
    return [
        SharpImage(
            name=recording.label(index),
            stack=recording.name,
            depth=recording.depth(index),
            shape=recording.stack.plane_shape,
            intensity=intensity,
            read=partial(recording.plane, index),
        )
        for index in recording.stack.indices()
    ]


def _moved_piece(
    counts: NDArray, rows: slice, columns: slice, moved: tuple[float, float]
) -> NDArray[np.float64]:
    """Cut a piece out of a plane whose content is moved by a part of a pixel.

    The same as `scipy.ndimage.shift` of the whole plane with quintic splines, mirrored
    at its borders, to 1e-5. Compared with recordings that were really displaced, they
    come closest: linear interpolation loses two thirds of the power in the upper half
    of the band at half a pixel, cubic a quarter, quintic a tenth; Fourier none, but it
    rings and is 1 dB further away.
    """
    margins = [
        (min(_REACH, part.start), min(_REACH, side - part.stop))
        for part, side in zip((rows, columns), counts.shape, strict=True)
    ]
    (above, below), (left, right) = margins
    piece = counts[
        rows.start - above : rows.stop + below,
        columns.start - left : columns.stop + right,
    ].astype(np.float64)
    for axis, by in enumerate(moved):
        if by:
            piece = ndimage.convolve1d(piece, _spline(by), axis, mode="mirror")
    height, width = piece.shape
    inner: NDArray = piece[above : height - below, left : width - right]
    return inner


@lru_cache(maxsize=64)
def _spline(by: float) -> NDArray[np.float64]:
    """Give the kernel that moves a row of pixels by a part of a pixel."""
    impulse = np.zeros(4 * _REACH + 1)
    impulse[2 * _REACH] = 1
    row: NDArray = ndimage.shift(impulse, by, order=5, mode="grid-wrap")
    kernel = row[_REACH:-_REACH]
    kernel.flags.writeable = False
    return kernel

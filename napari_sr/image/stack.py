"""The noun of the package: single-channel planes with their place in the world.

A `Stack` is what every flow takes and every file gives: planes over any leading axes,
read one at a time. This module alone knows what makes pixels usable: which dtypes, the
smallest plane, one channel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from napari_sr.image.axis import Axis, StackError, check_axes
from napari_sr.image.info import NOTHING_SAID, ImageInfo
from napari_sr.image.units import read_pixel_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["DTYPES", "Axis", "Stack", "StackError", "Window", "check_pixels"]

DTYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "int16", "float32"))

_TAKEN_AS: dict[str, np.dtype] = {
    "float64": np.dtype("float32"),
    "float16": np.dtype("float32"),
    "int8": np.dtype("int16"),
}
"""What other pixels are read as: a network computes in float32."""

Window = tuple[slice, slice]
"""Rows and columns of a plane, both from a start to a stop."""

_SMALLEST_PLANE = 2
"""Pixels along y and x below which there is nothing to interpolate."""

_RGB_SAMPLES = (3, 4)
_SURELY_AN_IMAGE = 16
"""A trailing axis of 3 or 4 beside axes longer than this is colour, not x."""

_DEFAULT_NAMES = "uvwptzyx"

_TO_INTEGER = "uint16 if the values fit, else to float32"
_CURES = {
    "bool": "uint8",
    **dict.fromkeys(("int32", "int64", "uint32", "uint64"), _TO_INTEGER),
    **dict.fromkeys(("complex64", "complex128"), "float32 (its magnitude)"),
}
"""dtype -> what to convert it to."""


class PlaneSource(Protocol):
    """Anything lazy that `Stack.from_array` accepts: numpy, dask, zarr arrays."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, y and x last."""

    @property
    def dtype(self) -> np.dtype:
        """Type of a pixel, in any byte order."""

    def __getitem__(self, index: tuple[int | slice, ...], /) -> object:
        """Give the `(y, x)` plane at an index over the leading axes, or a part."""


def check_pixels(label: str, shape: Sequence[int], dtype: np.dtype) -> None:
    """Refuse pixels that no flow can use.

    Parameters
    ----------
    label
        What the sentence begins with: a file name, a layer name.
    shape
        Length of each axis, y and x last.
    dtype
        Type of a pixel, in any byte order.

    Raises
    ------
    StackError
        If there is no plane, an axis is empty, a plane is smaller than 2 x 2 or the
        dtype is not one of uint8, uint16, int16 and float32, nor one of the other
        floats, which are read as float32.
    """
    came = " x ".join(map(str, shape)) or "0-dimensional"
    if len(shape) < 2:
        raise StackError(f"{label} is {came}; expected planes with y and x axes.")
    if 0 in shape:
        raise StackError(f"{label} is {came} pixels, so it holds no image.")
    if min(shape[-2:]) < _SMALLEST_PLANE:
        raise StackError(
            f"{label} is {came} pixels; a plane needs at least 2 x 2, so there is "
            "nothing to upscale."
        )
    if dtype.newbyteorder("=") not in DTYPES and dtype.name not in _TAKEN_AS:
        cure = _CURES.get(dtype.name, "uint16 or float32")
        raise StackError(
            f"{label} holds {dtype.name} pixels; expected uint8, uint16, int16 or "
            f"float32. Convert it to {cure}."
        )


class Stack:
    """Planes over any leading axes, one channel, read on demand.

    A context manager where the planes come from a file. A stack may be read from
    any thread.

    Parameters
    ----------
    read
        Gives the `(y, x)` plane at an index over the leading axes.
    axes
        One per dimension, y and x last.
    shape
        Length of each axis.
    dtype
        uint8, uint16, int16 or a float, in any byte order; floats are read as float32.
    name
        Name of the stack in errors and results.
    provenance
        What the file states about how it was made; empty if nothing.
    info
        Further metadata of the file, which a result keeps.
    close
        Frees what `read` needs; called once.
    read_window
        Reads a part of the plane at an index, if that is cheaper than the plane.

    Raises
    ------
    StackError
        If the pixels or the axes are not usable, see `check_pixels`.
    """

    def __init__(
        self,
        read: Callable[[tuple[int, ...]], NDArray],
        *,
        axes: Sequence[Axis],
        shape: Sequence[int],
        dtype: np.dtype,
        name: str,
        provenance: Mapping[str, object] | None = None,
        info: ImageInfo = NOTHING_SAID,
        close: Callable[[], None] | None = None,
        read_window: Callable[[tuple[int, ...], Window], NDArray] | None = None,
    ) -> None:
        check_pixels(name, shape, dtype)
        check_axes(name, axes, shape)
        self._read = read
        self._read_window = read_window or (lambda index, part: read(index)[part])
        self._close = close
        self._closed = False
        self.axes: tuple[Axis, ...] = tuple(axes)
        self.shape: tuple[int, ...] = tuple(int(n) for n in shape)
        self._stored: np.dtype = dtype.newbyteorder("=")
        self.dtype: np.dtype = _TAKEN_AS.get(dtype.name, self._stored)
        self.name = name
        self.provenance: dict[str, object] = dict(provenance or {})
        self.info = info
        self._check_source: Callable[[], None] | None = None

    @classmethod
    def from_array(
        cls,
        array: PlaneSource,
        *,
        axes: Sequence[Axis] | None = None,
        name: str = "array",
    ) -> Stack:
        """View an array as a stack; nothing is copied or computed yet.

        Parameters
        ----------
        array
            `(..., y, x)` numpy array, or anything lazy with `shape`, `dtype` and
            indexing (dask, zarr). A numpy plane is given as a read-only view. Nested
            lists, tensors and masked arrays are accepted, too: masked pixels are gaps.
        axes
            One per dimension; by default t, z, y, x from the right, not calibrated.
        name
            Name of the stack in errors and results.

        Raises
        ------
        StackError
            If the pixels or axes are not usable, or the array is certainly RGB.
        """
        array = _as_array(name, array)
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        if axes is None:
            _refuse_rgb(name, shape, dtype)
            if len(shape) > len(_DEFAULT_NAMES):
                raise StackError(f"{name} has {len(shape)} dimensions; name its axes.")
            axes = [Axis(letter) for letter in _DEFAULT_NAMES[-len(shape) :]]

        def read_window(index: tuple[int, ...], part: Window | tuple[()]) -> NDArray:
            plane = np.asarray(array[(*index, *part)]).view()
            plane.flags.writeable = False
            return plane

        return cls(
            lambda index: read_window(index, ()),
            axes=axes,
            shape=shape,
            dtype=dtype,
            name=name,
            read_window=read_window,
        )

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Lengths of the axes before y and x; empty for one plane."""
        return self.shape[:-2]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Lengths of y and x."""
        return self.shape[-2], self.shape[-1]

    @property
    def n_planes(self) -> int:
        """Number of planes, at least 1."""
        return math.prod(self.leading_shape)

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Iterate over the leading axes in C order; `()` once for a single plane."""
        return iter(np.ndindex(*self.leading_shape))

    def plane(self, index: tuple[int, ...]) -> NDArray:
        """Read one plane.

        Parameters
        ----------
        index
            Position along each leading axis; `()` for a stack of one plane.

        Returns
        -------
        ndarray
            `(y, x)`, C-contiguous, native byte order; possibly a read-only view.

        Raises
        ------
        IndexError
            If there is no such plane.
        StackError
            If the plane cannot be read, or the stack is closed.
        """
        return self._checked(tuple(index), None)

    def window(self, index: tuple[int, ...], part: Window) -> NDArray:
        """Read a part of one plane; of a Zarr, only the chunks in which it lies.

        Parameters
        ----------
        index
            Position along each leading axis.
        part
            Rows and columns, from start to stop, inside the plane.

        Returns
        -------
        ndarray
            As `plane`.

        Raises
        ------
        IndexError
            If there is no such plane or part.
        StackError
            If it cannot be read, or the stack is closed.
        """
        return self._checked(tuple(index), part)

    def _checked(self, index: tuple[int, ...], part: Window | None) -> NDArray:
        lengths, shape = self.leading_shape, self.plane_shape
        if len(index) != len(lengths) or not all(
            0 <= i < n for i, n in zip(index, lengths, strict=True)
        ):
            raise IndexError(f"{self.name} has no plane {index}; it has {lengths}.")
        if part is not None and not all(
            0 <= cut.start < cut.stop <= n for cut, n in zip(part, shape, strict=True)
        ):
            raise IndexError(f"{self.name} has planes of {shape}, which lack {part}.")
        if self._closed:
            raise StackError(f"{self.name} is closed; open it again to read planes.")
        if part is None:
            pixels, expected = self._read(index), shape
        else:
            pixels = self._read_window(index, part)
            expected = (part[0].stop - part[0].start, part[1].stop - part[1].start)
        if self._check_source is not None:
            self._check_source()
        _check_plane(self.name, index, pixels, expected, self._stored)
        return np.ascontiguousarray(pixels, dtype=self.dtype)

    def with_pixel_size(self, size: str) -> Self:
        """Take another pixel size than the file says, as `read_pixel_size` reads it."""
        height, width, unit = read_pixel_size(size)
        y, x = Axis("y", height, unit), Axis("x", width, unit)
        self.axes = (*self.axes[:-2], y, x)
        return self

    def checked_by(self, check_source: Callable[[], None]) -> Self:
        """Call a function after each reading, which may raise to refuse it."""
        self._check_source = check_source
        return self

    def thinned(self, largest: int) -> Stack:
        """View a stack of huge planes through windows, spread over each plane.

        Parameters
        ----------
        largest
            Side in pixels above which planes are huge.

        Returns
        -------
        Stack
            This one, or a stack of nine windows a plane, of a third of `largest`.
        """
        if max(self.plane_shape) <= largest:
            return self
        cuts = [_three_cuts(length, largest // 3) for length in self.plane_shape]
        windows = [(rows, columns) for rows in cuts[0] for columns in cuts[1]]
        shape = (*self.leading_shape, len(windows), *map(_length, windows[0]))
        spare = next(n for n in _DEFAULT_NAMES if n not in {a.name for a in self.axes})
        return Stack(
            lambda index: self.window(index[:-1], windows[index[-1]]),
            axes=(*self.axes[:-2], Axis(spare), *self.axes[-2:]),
            shape=shape,
            dtype=self.dtype,
            name=self.name,
        )

    def upscaled_axes(self, factor: int) -> tuple[Axis, ...]:
        """Give the axes of this stack upscaled in the plane; only y and x change."""
        y, x = self.axes[-2:]
        return (*self.axes[:-2], y.upscaled(factor), x.upscaled(factor))

    def upscaled_shape(self, factor: int) -> tuple[int, ...]:
        """Give the shape of this stack upscaled in the plane."""
        height, width = self.plane_shape
        return (*self.leading_shape, height * factor, width * factor)

    def close(self) -> None:
        """Free the file behind the stack; a second call does nothing."""
        if not self._closed:
            self._closed = True
            if self._close is not None:
                self._close()

    def __enter__(self) -> Self:
        """Give the stack itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the stack."""
        self.close()

    def __repr__(self) -> str:
        """Name the stack, its axes, shape and dtype."""
        names = "".join(axis.name for axis in self.axes)
        return f"Stack({self.name!r}, {names} {self.shape} {self.dtype})"


def _as_array(name: str, array: Any) -> PlaneSource:  # noqa: ANN401
    """Take lists, tensors and masked arrays as arrays; leave lazy ones alone."""
    if hasattr(array, "detach"):  # a tensor, on whatever device
        array = array.detach().cpu().numpy()
    elif isinstance(array, list | tuple):
        try:
            array = np.asarray(array)
            # Numbers in a list have no pixel type: the usual one, where they fit.
            if array.dtype.kind in "iu" and array.size:
                fits = 0 <= array.min() and array.max() < 2**16
                array = array.astype(np.uint16 if fits else np.float32)
        except ValueError as error:
            raise StackError(f"{name} is a list of uneven lengths: {error}.") from error
    if np.ma.isMaskedArray(array):
        masked: Any = array
        return masked.astype(np.float32).filled(np.nan)  # type: ignore[no-any-return]
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        raise StackError(
            f"{name} is a {type(array).__name__}; expected an array, a stack, or "
            "the path of a file."
        )
    return array  # type: ignore[no-any-return]


def _refuse_rgb(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse an unlabelled array that is surely colour."""
    if (
        len(shape) >= 3
        and dtype == np.uint8
        and shape[-1] in _RGB_SAMPLES
        and min(shape[-3:-1]) > _SURELY_AN_IMAGE
    ):
        raise StackError(
            f"{name} looks like an RGB image ({' x '.join(map(str, shape))} uint8); "
            "give one channel, such as array[..., 0], or name its axes."
        )


def _three_cuts(length: int, side: int) -> list[slice]:
    """Spread three windows along an axis, or take all of it if it is short."""
    if length <= 3 * side:
        return [slice(0, length)]
    return [slice(at, at + side) for at in (0, (length - side) // 2, length - side)]


def _length(cut: slice) -> int:
    return cut.stop - cut.start  # type: ignore[no-any-return]


def _check_plane(
    name: str,
    index: tuple[int, ...],
    plane: NDArray,
    shape: tuple[int, int],
    dtype: np.dtype,
) -> None:
    """Refuse pixels that are not what the stack declares; byte order may differ."""
    came = (plane.shape, plane.dtype.newbyteorder("="))
    if came != (shape, dtype):
        raise StackError(
            f"Plane {index} of {name} is {plane.shape} {plane.dtype}; "
            f"expected {shape} {dtype}."
        )

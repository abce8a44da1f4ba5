"""What a training is given → stacks that are read on demand.

This module alone knows what may stand for images (arrays, stacks, files, folders,
patterns, lists of those) and what each of them is called.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from napari_sr.datasets.plane_cache import FilledPlane, OpenFiles, PlaneCache
from napari_sr.files import open_stack
from napari_sr.files.finding import find_stacks
from napari_sr.image.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sr.image.stack import PlaneSource

Sources: TypeAlias = "PlaneSource | Stack | str | PathLike[str] | Sequence[Sources]"
"""An array `(..., y, x)`, a stack, a path, a folder, a pattern, or several of them."""


@dataclass(frozen=True, eq=False)
class SourceImage:
    """A stack whose decoded planes are kept in a cache that many share.

    Compared by identity.
    """

    name: str
    """Different from those of the other recordings found with it."""
    stack: Stack
    """Opens its file when a plane is read."""
    cache: PlaneCache
    is_file: bool
    """Whether its name was chosen by whoever saved it."""
    _token: object = field(default_factory=object, repr=False)

    def plane(self, index: tuple[int, ...]) -> FilledPlane:
        """Give a plane, its gaps filled."""
        return self.cache.get(
            (self._token, index), lambda: FilledPlane.of(self.stack.plane(index))
        )

    def cached_stack(self) -> Stack:
        """Look at the stack through the cache, for what measures it as a whole."""

        def read(index: tuple[int, ...]) -> NDArray:
            plane = self.plane(index)
            if plane.gaps is None:
                return plane.counts
            return np.where(plane.gaps, np.float32(np.nan), plane.counts)

        stack = self.stack
        return Stack(
            read, axes=stack.axes, shape=stack.shape, dtype=stack.dtype, name=self.name
        )

    def label(self, index: tuple[int, ...]) -> str:
        """Name a plane: its stack, and its index unless it is the only one."""
        if self.stack.n_planes == 1:
            return self.name
        return f"{self.name} [{', '.join(map(str, index))}]"

    def depth(self, index: tuple[int, ...]) -> int:
        """Say where along the stack a plane lies.

        Along z where there is a z axis, else along the longest: planes at other times
        or positions but of the same depth show the same.
        """
        lengths = self.stack.leading_shape
        if not lengths:
            return 0
        along = max(
            range(len(lengths)),
            key=lambda i: (
                self.stack.axes[i].name == "z" and lengths[i] > 1,
                lengths[i],
            ),
        )
        return index[along]


def find_recordings(
    sources: Sources, *, channel: int | None = None, cache: PlaneCache | None = None
) -> list[SourceImage]:
    """Open what is given, each file once; only headers are read.

    Parameters
    ----------
    sources
        An array `(..., y, x)`, a `Stack`, the path of a file or an OME-Zarr, a folder,
        a pattern such as `"cells/*.tif"`, or a sequence of those. Each array, stack and
        file is one recording; files are ordered as people count.
    channel
        Which channel of each file, from 0; None where there is only one.
    cache
        Where decoded planes are kept; a new one of `CACHE_BYTES` when not given.

    Raises
    ------
    StackError
        If something is missing, damaged or not usable as image.
    ValueError
        If nothing is given or something that is not an image; if a channel is given
        where there is no file.
    """
    cache = PlaneCache() if cache is None else cache
    files = OpenFiles()
    recordings: dict[object, SourceImage] = {}
    n_arrays = 0
    for source in _flattened(sources):
        if isinstance(source, Path):
            key: object = source.resolve()
            if key not in recordings:
                stack = _reopening(source.absolute(), channel, files)
                recordings[key] = SourceImage(stack.name, stack, cache, is_file=True)
            continue
        if not isinstance(source, Stack):
            n_arrays += 1
            source = Stack.from_array(source, name=f"image {n_arrays}")
        recordings[object()] = SourceImage(source.name, source, cache, is_file=False)
    if not recordings:
        raise ValueError("No image was given. Give at least one array, file or folder.")
    if channel is not None and not any(
        recording.is_file for recording in recordings.values()
    ):
        raise ValueError(
            f"channel={channel} chooses a channel of a file, but no file was given. "
            f"Index the array instead."
        )
    paths = [key if isinstance(key, Path) else None for key in recordings]
    return _named_apart(list(recordings.values()), paths)


def _flattened(sources: Sources) -> Iterator[PlaneSource | Stack | Path]:
    """Walk through what is given; names become paths."""
    if isinstance(sources, str | PathLike):
        yield from find_stacks([fspath(sources)])
    elif hasattr(sources, "shape") and hasattr(sources, "dtype"):
        yield cast("PlaneSource | Stack", sources)
    elif isinstance(sources, list | tuple):
        for source in sources:
            yield from _flattened(source)
    else:
        raise ValueError(
            f"Images are arrays, stacks, paths, folders, patterns or lists of those, "
            f"not {type(sources).__name__}. Convert it to one of them."
        )


def _reopening(path: Path, channel: int | None, files: OpenFiles) -> Stack:
    """Look at a file as a stack that opens it when a plane is read."""
    with open_stack(path, channel=channel) as stack:
        return Stack(
            lambda index: files.plane(path, channel, index),
            axes=stack.axes,
            shape=stack.shape,
            dtype=stack.dtype,
            name=stack.name,
        )


def _named_apart(
    recordings: list[SourceImage], paths: Sequence[Path | None]
) -> list[SourceImage]:
    """Tell recordings of one name apart by their folders, else by a number."""
    often = Counter(recording.name for recording in recordings)
    names = [
        f"{path.parent.name}/{recording.name}"
        if path and often[recording.name] > 1
        else recording.name
        for recording, path in zip(recordings, paths, strict=True)
    ]
    seen: Counter[str] = Counter()
    apart = []
    for recording, name in zip(recordings, names, strict=True):
        seen[name] += 1
        number = f" ({seen[name]})" if seen[name] > 1 else ""
        apart.append(replace(recording, name=name + number))
    return apart

"""An OME-Zarr with coarser levels that is written region by region, by many at once.

This module alone knows how a region becomes one file: a shard of chunks, or one chunk
where that is all. So no two regions ever write the same file, and each is on the disk,
whole, when `write` returns.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import zarr

from napari_sr.files.zarr.images import compressor
from napari_sr.files.zarr.ngff import axis_names, leading_lengths, write_ngff
from napari_sr.image.regions import CHUNK, Region, Regions, pyramid_shapes
from napari_sr.image.sampling import halved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.files.writing import Content

COARSE_ENOUGH = 1024
"""Side of the coarsest level, at most: it is read at once."""
COARSE_SIDE = 4096
"""Side of a region of a coarser level: twice that is read for it."""


def level_shapes(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """List the shapes of all levels, the finest first."""
    return pyramid_shapes(shape, COARSE_ENOUGH)


class RegionalZarr:
    """The levels of an image, each divided into regions.

    Parameters
    ----------
    path
        The folder of the image.
    side
        Of a region of the finest level, in its pixels: whole chunks.
    """

    def __init__(self, path: Path, side: int) -> None:
        group = zarr.open_group(path, mode="r+")
        self._path = path
        self._arrays: list[zarr.Array[Any]] = []
        while str(len(self._arrays)) in group:
            array = group[str(len(self._arrays))]
            assert isinstance(array, zarr.Array)
            self._arrays.append(array)
        self.levels = [
            Regions(array.shape, side if level == 0 else COARSE_SIDE)
            for level, array in enumerate(self._arrays)
        ]
        """Regions of each level, in its pixels."""

    @classmethod
    def create(cls, path: Path, side: int, content: Content) -> Self:
        """Make the levels, without pixels."""
        shapes = level_shapes((*leading_lengths(content), *content.shape[-2:]))
        group = zarr.open_group(
            path,
            mode="w",
            zarr_format=3,
            attributes=write_ngff(content, "0.5", len(shapes)),
        )
        for level, own in enumerate(shapes):
            region = side if level == 0 else COARSE_SIDE
            group.create_array(
                str(level),
                shape=own,
                dtype=content.dtype,
                fill_value=0,
                compressors=compressor(content.compression, is_v3=True),
                dimension_names=axis_names(content),
                **_layout(own, region),
            )
        return cls(path, side)

    def write(self, level: int, region: Region, pixels: NDArray) -> None:
        """Write a region; it is on the disk, not only on its way, afterwards."""
        array = self._arrays[level]
        array[region.place] = pixels
        _flush(self._path / str(level) / _file_of(array, region))

    def sweep(self) -> None:
        """Remove what a process left that was killed while it wrote a file."""
        for folder, _, names in os.walk(self._path):
            for name in names:
                if name.endswith(".partial"):
                    Path(folder, name).unlink(missing_ok=True)

    def coarser(self, level: int, region: Region) -> NDArray:
        """Make a region of a level from the level before, which is complete there."""
        finer = self._arrays[level - 1]
        # One pixel more than twice the region, where there is one, for the smoothing.
        starts = [max(0, 2 * cut.start - 2) for cut in (region.rows, region.columns)]
        stops = [2 * cut.stop for cut in (region.rows, region.columns)]
        rows, columns = map(slice, starts, stops)
        seen = Region(region.index, rows, columns)
        coarse = halved(np.asarray(finer[seen.place]))
        return coarse[min(starts[0], 1) :, min(starts[1], 1) :]


def _layout(shape: tuple[int, ...], region: int) -> dict[str, Any]:
    """Divide an array into chunks, and put those of a region into one file."""
    ones = [1] * len(shape[:-2])
    chunk = [min(side, CHUNK) for side in shape[-2:]]
    shard = [
        min(region // CHUNK, -(-side // CHUNK)) * CHUNK if side > CHUNK else side
        for side in shape[-2:]
    ]
    layout: dict[str, Any] = {"chunks": (*ones, *chunk)}
    if shard != chunk:
        layout["shards"] = (*ones, *shard)
    return layout


def _file_of(array: zarr.Array[Any], region: Region) -> str:
    """Name the one file in which a region lies."""
    shape = array.shards or array.chunks
    starts = (*region.index, region.rows.start, region.columns.start)
    place = tuple(start // side for start, side in zip(starts, shape, strict=True))
    return str(array.metadata.encode_chunk_key(place))


def _flush(path: Path) -> None:
    """Wait until a file is on the disk; one of zeros alone is not written at all."""
    if path.exists():
        with path.open("rb") as file:
            os.fsync(file.fileno())

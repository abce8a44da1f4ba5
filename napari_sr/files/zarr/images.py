"""OME-Zarr folders to stacks and back, versions 0.4 and 0.5.

This module alone knows how our chunks are laid out and when a chunk is damaged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec
from zarr.storage import LocalStore, WrapperStore

from napari_sr.files.arrays import stack_of
from napari_sr.files.url import Url, open_store
from napari_sr.files.writing import AtomicWriter
from napari_sr.files.zarr.layout import images_in
from napari_sr.files.zarr.ngff import (
    NgffImage,
    axis_names,
    leading_lengths,
    place_of_channels,
    read_ngff,
    write_ngff,
)
from napari_sr.image.stack import Stack, StackError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from napari_sr.files.channel import Pick
    from napari_sr.files.writing import Content

_LARGEST_CHUNK = 1024
_METADATA_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
_BLOSC_HEADER = 16
"""Bytes; the last four are the size of the chunk, little-endian."""


def open_coarser(path: Path | Url, channel: Pick | None) -> list[Stack]:
    """Open all levels of an OME-Zarr image but the first; see `open_file`."""
    n_levels = _opened(path, 0)[2].n_levels
    return [open_file(path, channel, level) for level in range(1, n_levels)]


def open_file(path: Path | Url, channel: Pick | None, level: int = 0) -> Stack:
    """Open a level of an OME-Zarr image; no pixels are read yet.

    Parameters
    ----------
    path
        The folder of the image, or its address.
    channel
        Which channel, from 0; None where there is only one.
    level
        Which, from 0: full resolution.

    Raises
    ------
    StackError
        If it is not an OME-Zarr image, or not of usable pixels.
    """
    store, array, image = _opened(path, level)
    store.is_blosc = _uses_blosc(array)
    return stack_of(
        path,
        array,
        image.axes,
        channel,
        info=image.info,
        provenance=image.provenance,
    )


def _opened(path: Path | Url, level: int) -> tuple[_WholeChunks, zarr.Array, NgffImage]:
    """Find the array of a level, and what is said of it."""
    if isinstance(path, Path):
        inside = images_in(path)
        if len(inside) > 1:
            raise StackError(
                f"{path} holds {len(inside)} images; open one, such as {inside[0]}."
            )
        path = inside[0]
    store = _WholeChunks(
        open_store(path)
        if isinstance(path, Url)
        else LocalStore(path.absolute(), read_only=True)
    )
    try:
        group = zarr.open_group(store, mode="r")
        image = read_ngff(str(path), dict(group.attrs), level)
        array = group[image.level]
    except StackError:
        raise
    except Exception as error:  # damaged metadata can raise anything
        raise StackError(
            f"{path} is not a readable OME-Zarr image ({_reason(error)}); expected a "
            "folder of version 0.4, 0.5 or 0.6."
        ) from error
    if not isinstance(array, zarr.Array) or array.ndim != len(image.axes):
        raise StackError(
            f"{path} is damaged: level {level} does not have the {len(image.axes)} "
            "axes that are declared."
        )
    return store, array, image


def create_file(
    path: Path,
    content: Content,
    *,
    overwrite: bool,
    version: Literal["0.4", "0.5"] = "0.5",
) -> AtomicWriter:
    """Create an OME-Zarr of one level that is filled plane by plane.

    See `files.create_stack`; `version` is that of OME-Zarr.
    """
    attributes = write_ngff(content, version)

    def open_sink(temporary: Path) -> ZarrSink:
        return ZarrSink(temporary, content, attributes)

    return AtomicWriter(
        path, open_sink, content, overwrite=overwrite, may_replace=is_zarr
    )


class ZarrSink:
    """An OME-Zarr folder that takes planes in any order.

    Parameters
    ----------
    path
        The folder to make.
    content
        Of the image; compressed in blosc, which sorts the bytes first.
    attributes
        Metadata of the group; version 0.5 has an "ome" entry.
    """

    in_order = False

    def __init__(
        self, path: Path, content: Content, attributes: dict[str, Any]
    ) -> None:
        is_v3 = "ome" in attributes
        group = zarr.open_group(
            path, mode="w", zarr_format=3 if is_v3 else 2, attributes=attributes
        )
        layout: dict[str, Any] = (
            {"dimension_names": axis_names(content)}
            if is_v3
            else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        )
        leading, sides = leading_lengths(content), content.shape[-2:]
        chunk = [min(side, _LARGEST_CHUNK) for side in sides]
        self._place = place_of_channels(content)
        self._array = group.create_array(
            "0",
            shape=(*leading, *sides),
            chunks=(*[1] * len(leading), *chunk),
            dtype=content.dtype,
            fill_value=0,
            compressors=compressor(content.compression, is_v3),
            **layout,
        )

    def put(self, index: tuple[int, ...], plane: NDArray) -> None:
        """Write the chunks of one plane."""
        if self._place:  # channels come first here, and after the time in the file
            channel, *rest = index
            index = (*rest[: self._place], channel, *rest[self._place :])
        self._array[index] = plane

    def close(self) -> None:
        """Do nothing: every plane is on disk already."""


class _WholeChunks(WrapperStore[Store]):
    """A store whose blosc chunks are given only if they are whole.

    Blosc decodes a truncated chunk from whatever lies behind it in memory.
    """

    is_blosc = False

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a file of the folder; None if it is not there."""
        value = await super().get(key, prototype, byte_range)
        is_chunk = not key.endswith(_METADATA_FILES)
        if value is None and is_chunk and self._is_gone():
            # A chunk that is not there is one of zeros, unless nothing is there.
            raise FileNotFoundError(f"{self._store} does not exist any more")
        if value is not None and self.is_blosc and is_chunk and byte_range is None:
            held = value.to_bytes()
            declared = held[_BLOSC_HEADER - 4 : _BLOSC_HEADER]
            if int.from_bytes(declared, "little") != len(held):
                raise ValueError(f"chunk {key} is cut off")
        return value

    def _is_gone(self) -> bool:
        """Tell a folder that has vanished; what is far away answers with an error."""
        return isinstance(self._store, LocalStore) and not is_zarr(self._store.root)


def _uses_blosc(array: zarr.Array) -> bool:
    """Say whether the files of an array are blosc chunks; shards are not."""
    names = [
        "blosc" if isinstance(codec, BloscCodec) else getattr(codec, "codec_id", None)
        for codec in array.compressors[-1:]
    ]
    return array.shards is None and names == ["blosc"]


def compressor(name: str, is_v3: bool) -> BloscCodec | dict[str, Any] | None:
    """Make the codec of a compression, at its fastest level."""
    if name == "none":
        return None
    cname: Literal["zlib", "zstd"] = "zlib" if name == "zlib" else "zstd"
    if is_v3:
        return BloscCodec(cname=cname, clevel=1, shuffle="shuffle")
    return {"id": "blosc", "cname": cname, "clevel": 1, "shuffle": 1, "blocksize": 0}


def is_zarr(path: Path) -> bool:
    """Say whether a folder is a zarr group or array."""
    return any((path / name).exists() for name in _METADATA_FILES)


def _reason(error: Exception) -> str:
    """Give what a library said, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())

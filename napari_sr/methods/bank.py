"""A bank of a lab's own sharp images, indexed once, and what in it is like a plane.

This module alone knows how images are found again: each is described by histograms of
the directions of its gradients in windows (as SIFT does, Lowe, IJCV 2004), which stand
in a small file beside the names. The images themselves stay where they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_sr.files import open_stack
from napari_sr.files.atomic import written_atomically
from napari_sr.image.intensity import IntensityPolicy, IntensityRange, fill_gaps
from napari_sr.image.sampling import binned
from napari_sr.image.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

VERSION = 1
WINDOW, CELLS, BINS = 24, 4, 8
"""Side of a window in doubled pixels, cells along it, directions of a histogram."""
_MOST = 1024
"""Side of what is described of an image, in its pixels: the middle."""


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One plane of a bank."""

    path: Path
    index: tuple[int, ...]
    descriptors: NDArray[np.float32]
    """`(k, 128)` of unit length."""

    @property
    def name(self) -> str:
        """Say which plane of which file."""
        return f"{self.path.name} {list(self.index)}" if self.index else self.path.name

    def pixels(self) -> NDArray[np.float32]:
        """Read it in its own network range, `(y, x)`."""
        with open_stack(self.path) as stack:
            return _normalized(fill_gaps(stack.plane(self.index))[0])


@dataclass(frozen=True, slots=True)
class Bank:
    """Indexed sharp images."""

    entries: tuple[BankEntry, ...]
    digest: str
    """SHA-256 of the index file."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read an index that `write_bank` wrote.

        Raises
        ------
        ValueError
            If it is not such an index.
        """
        path = Path(path)
        try:
            held = path.read_bytes()
            with np.load(path, allow_pickle=False) as file:
                index = json.loads(str(file["index"]))
                rows, counts = file["descriptors"], file["counts"]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ValueError(
                f"{path} is not a bank of images ({error}). Make one with `napari-sr "
                "bank FOLDER -o BANK.npz`."
            ) from error
        if index.get("version") != VERSION:
            raise ValueError(
                f"{path} was written by another version. Make it again with "
                "`napari-sr bank`."
            )
        parts = np.split(rows.astype(np.float32) / 127, np.cumsum(counts)[:-1])
        entries = tuple(
            BankEntry(path.parent / entry["file"], tuple(entry["plane"]), part)
            for entry, part in zip(index["entries"], parts, strict=True)
        )
        return cls(entries, hashlib.sha256(held).hexdigest())

    def nearest(self, plane: NDArray[np.float32], n: int) -> list[BankEntry]:
        """Find the images most like a plane, at most `n`, the most like first.

        Parameters
        ----------
        plane
            `(y, x)` in network range, with pixels of the size of the bank's.
        n
            How many.
        """
        wanted = described(plane)
        if not len(wanted):
            return []
        alike = [
            float((wanted @ entry.descriptors.T).max(1).mean())
            if len(entry.descriptors)
            else 0.0
            for entry in self.entries
        ]
        return [self.entries[i] for i in np.argsort(alike)[::-1][:n]]


def write_bank(
    files: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]
) -> Generator[tuple[int, int], None, int]:
    """Index sharp images.

    Parameters
    ----------
    files
        Stacks; each plane is an entry.
    path
        Of the index, `.npz`. Names in it are relative to its folder.

    Yields
    ------
    done, n : int
        After each file; the index is written after the last.

    Returns
    -------
    int
        How many images there are.
    """
    path = Path(path).absolute()
    entries, rows = [], []
    for done, file in enumerate(map(Path, files), start=1):
        name = os.path.relpath(file.absolute(), path.parent)
        with open_stack(file) as stack:
            for index in stack.indices():
                plane = _normalized(fill_gaps(stack.plane(index))[0])
                rows.append(np.rint(127 * described(plane)).astype(np.int8))
                entries.append({"file": Path(name).as_posix(), "plane": list(index)})
        yield done, len(files)
    if not rows:
        raise ValueError("There is no image to index. Name files or folders with some.")
    index_text = json.dumps({"version": VERSION, "entries": entries})
    with written_atomically(path) as partial, partial.open("wb") as held:
        np.savez_compressed(
            held,
            index=np.array(index_text),
            descriptors=np.concatenate(rows),
            counts=np.array([len(row) for row in rows]),
        )
    return len(rows)


def described(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Describe a plane by windows, `(k, 128)` of unit length; flat ones are left out.

    Parameters
    ----------
    plane
        `(y, x)`; each window is of `2 · WINDOW` pixels a side.
    """
    starts = [max(0, side - _MOST) // 2 for side in plane.shape]
    height, width = (min(side, _MOST) // 2 * 2 for side in plane.shape)
    part = plane[starts[0] : starts[0] + height, starts[1] : starts[1] + width]
    down, across = np.gradient(binned(part, 2))
    size, turn = np.hypot(down, across), np.arctan2(down, across) / (2 * np.pi) % 1
    step = WINDOW // CELLS
    rows, columns = (side // step for side in size.shape)
    kind = np.minimum((turn * BINS).astype(int), BINS - 1)
    cells = np.stack(
        [
            np.where(kind == bin_number, size, 0)[: rows * step, : columns * step]
            .reshape(rows, step, columns, step)
            .sum((1, 3))
            for bin_number in range(BINS)
        ],
        axis=-1,
    )  # (rows, columns, BINS)
    windows = [
        cells[row : row + CELLS, column : column + CELLS].ravel()
        for row in range(0, rows - CELLS + 1, CELLS // 2)
        for column in range(0, columns - CELLS + 1, CELLS // 2)
    ]
    if not windows:
        return np.empty((0, CELLS * CELLS * BINS), np.float32)
    vectors = np.array(windows, np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = length[:, 0] > 1e-3
    unit_vectors: NDArray[np.float32] = vectors[kept] / length[kept]
    return unit_vectors


def _normalized(plane: NDArray) -> NDArray[np.float32]:
    """Bring a plane to its own network range."""
    intensity = IntensityRange.measure(Stack.from_array(plane), IntensityPolicy())
    return intensity.normalize(plane)

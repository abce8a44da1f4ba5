"""Stacks in files, for the tests that go from disk to disk."""

from __future__ import annotations

import numpy as np

from napari_sr.files import create_stack, open_stack
from napari_sr.image.stack import Axis

PLACED = {
    "t": Axis("t", 0.5, "s", 3.0),
    "z": Axis("z", 2.5, "um", -40.0),
    "y": Axis("y", 0.65, "um", 1234.5),
    "x": Axis("x", 0.325, "um", -0.125),
}
"""Axes that lie somewhere, with different spacings."""


def counts(shape, dtype="uint16", *, low=100, high=60_000, seed=0):
    """Planes in which every pixel counts."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)


def write_stack(path, array, names=None):
    """Write planes; `names` calls axes of `PLACED`, else they are not calibrated."""
    axes = (
        [PLACED[name] for name in names]
        if names
        else [Axis(name) for name in "tzyx"[-array.ndim :]]
    )
    with create_stack(
        path, shape=array.shape, dtype=array.dtype, axes=axes, provenance={}
    ) as writer:
        for index in np.ndindex(*array.shape[:-2]):
            writer.write(index, array[index])
    return path


def read_stack(path):
    """Give all pixels of a file."""
    with open_stack(path) as stack:
        planes = [stack.plane(index) for index in stack.indices()]
        return np.reshape(planes, stack.shape)


def axes_of(path):
    with open_stack(path) as stack:
        return stack.axes


def provenance_of(path):
    with open_stack(path) as stack:
        return stack.provenance


def contents(path):
    """Give the bytes of a file, or of all files of a folder by name."""
    if path.is_file():
        return path.read_bytes()
    inside = sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in inside}


def names_in(folder):
    """Give the names in a folder, hidden ones too: nothing may be left over."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

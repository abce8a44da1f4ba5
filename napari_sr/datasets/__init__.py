"""What a training learns from: gathered, read piece by piece, held out.

Arrays, stacks, files and folders become images of which pieces are read when they are
asked for, so that there may be more of them than fit into memory. NumPy only.
"""

from __future__ import annotations

from napari_sr.datasets.held_out_split import divide, groups_of, hold_out
from napari_sr.datasets.images import SharpImage, gather_images
from napari_sr.datasets.plane_cache import PlaneCache
from napari_sr.datasets.sources import Sources

__all__ = [
    "PlaneCache",
    "SharpImage",
    "Sources",
    "divide",
    "gather_images",
    "groups_of",
    "hold_out",
]

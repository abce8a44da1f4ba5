"""Measured pairs: two recordings of one specimen, at two resolutions.

They are matched, checked, registered and brought onto one grid and one scale of
brightness before a training sees them. NumPy only.
"""

from __future__ import annotations

from napari_sr.datasets.pairs.gathering import LARGEST_SHIFT, PairCheck, gather_pairs
from napari_sr.datasets.pairs.measured import MeasuredPair, PairReport
from napari_sr.datasets.pairs.names import PairError

__all__ = [
    "LARGEST_SHIFT",
    "MeasuredPair",
    "PairCheck",
    "PairError",
    "PairReport",
    "gather_pairs",
]

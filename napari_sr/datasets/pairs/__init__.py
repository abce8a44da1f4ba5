"""Measured pairs: two recordings of one specimen, at two resolutions.

They are matched, checked, registered and brought onto one grid and one scale of
brightness before a training sees them. No torch.
"""

from __future__ import annotations

from napari_sr.datasets.pairs.gathering import LARGEST_SHIFT, PairCheck, gather_pairs
from napari_sr.datasets.pairs.measured import MeasuredPair, PairReport
from napari_sr.datasets.pairs.names import PairError
from napari_sr.datasets.pairs.volumes import VolumePair, match_volumes

__all__ = [
    "LARGEST_SHIFT",
    "MeasuredPair",
    "PairCheck",
    "PairError",
    "PairReport",
    "VolumePair",
    "gather_pairs",
    "match_volumes",
]

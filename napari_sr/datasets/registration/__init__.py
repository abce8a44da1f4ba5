"""How far two recordings of one specimen are shifted against each other.

A shift `(y, x)` is in low-resolution pixels. It says how far a detail lies further
down and to the right in the low image than in the high one: `high` moved by `+ shift`
lies on `low`. NumPy only.
"""

from __future__ import annotations

from napari_sr.datasets.registration.phase_correlation import (
    Shift,
    likeness,
    phase_spectrum,
)
from napari_sr.datasets.registration.registering import (
    SMALLEST,
    Registration,
    area_means,
    has_detail,
    register,
)

__all__ = [
    "SMALLEST",
    "Registration",
    "Shift",
    "area_means",
    "has_detail",
    "likeness",
    "phase_spectrum",
    "register",
]

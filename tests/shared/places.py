"""Where layers lie, what of it files can hold, and whether two lie in one place."""

from __future__ import annotations

from itertools import product

import numpy as np

AFFINE = [[0.9, -0.3, 0, 5], [0.2, 1.1, 0.1, -7], [0, -0.4, 1.2, 11], [0, 0, 0, 1]]
UM = ("um", "um", "um")

HELD = {
    "2D": ((9, 7), {}),
    "2D, anisotropic": (
        (9, 7),
        {"scale": (0.3, 0.1), "translate": (1 / 3, -7.1), "units": ("um", "nm")},
    ),
    "z stack": (
        (3, 9, 7),
        {"scale": (2, 0.3, 0.3), "translate": (5, 0.1, 0.7), "units": UM},
    ),
    "time series": (
        (4, 9, 7),
        {
            "scale": (0.1, 0.65, 0.65),
            "units": ("s", "um", "um"),
            "axis_labels": ("t", "y", "x"),
        },
    ),
    "t and z": (
        (2, 3, 9, 7),
        {
            "scale": (1 / 7, 2, 0.3, 0.3),
            "units": ("min", "um", "um", "um"),
            "axis_labels": ("t", "z", "y", "x"),
        },
    ),
}
KEPT = {
    "rotated": ((9, 7), {"rotate": 30, "scale": (2, 0.3), "translate": (4, 5)}),
    "sheared": ((9, 7), {"shear": [0.4], "scale": (2, 0.3)}),
    "turned stack": (
        (3, 9, 7),
        {"rotate": (20, -35, 50), "shear": (0.1, -0.2, 0.3), "scale": (3, 0.5, 0.7)},
    ),
    "affine": ((3, 9, 7), {"affine": AFFINE, "scale": (3, 0.5, 0.7), "units": UM}),
    "mirrored": ((9, 7), {"scale": (-2, 0.3), "translate": (4, 5)}),
    "labels": ((3, 9, 7), {"axis_labels": ("angle", "row", "column")}),
}


def corners(layer) -> np.ndarray:
    """Outer corners of the corner pixels, in the world."""
    ends = [(-0.5, n - 0.5) for n in layer.data.shape]
    return np.array([layer.data_to_world(corner) for corner in product(*ends)])


def assert_same_place(came, expected) -> None:
    """Law 5: corners agree to 1e-9 of the extent, and units."""
    extent = np.ptp(corners(expected), axis=0).max()
    assert np.abs(corners(came) - corners(expected)).max() <= 1e-9 * extent
    assert came.units == expected.units

"""Which share of a field lies above a threshold: porosity, and how stable it is.

This module alone knows how a threshold is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.filters import threshold_otsu

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bright_share(image: NDArray) -> tuple[float, float]:
    """Part an image in two by the threshold of Otsu (IEEE SMC 1979).

    Parameters
    ----------
    image
        `(y, x)` in any units, without gaps.

    Returns
    -------
    share, threshold
        Share of the pixels above the threshold, and the threshold. Of a CT slice whose
        matter is bright, one minus the share is the porosity. A constant image has a
        share of 0.
    """
    counts = image.astype(np.float64)
    if np.ptp(counts) == 0:
        return 0.0, float(counts.flat[0])
    threshold = float(threshold_otsu(counts))  # type: ignore[no-untyped-call]
    return float(np.mean(counts > threshold)), threshold

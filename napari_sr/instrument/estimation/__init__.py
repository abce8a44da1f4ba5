"""The instrument behind recordings, from them and unpaired sharp images of their kind.

What is looked at is the energy of small blocks in bands of spatial frequency, by the
brightness of the block. For any point-spread function the sharp images, recorded by the
simulated instrument, tell what energy a specimen of this kind has; noise adds the same
to every band, and more where there is more light. The instrument that explains the
recordings best is found by generalised least squares (the differences between images
are its covariance). How far off it may be is found by playing the same game with some
of the sharp images recorded by the instrument found, and the others.
"""

from __future__ import annotations

from napari_sr.instrument.estimation.drawing import draw_estimate
from napari_sr.instrument.estimation.estimating import (
    InstrumentEstimator,
    estimate_instrument,
)
from napari_sr.instrument.estimation.result import (
    Estimated,
    FittedCurve,
    InstrumentEstimate,
)

__all__ = [
    "Estimated",
    "FittedCurve",
    "InstrumentEstimate",
    "InstrumentEstimator",
    "draw_estimate",
    "estimate_instrument",
]

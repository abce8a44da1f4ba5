"""Agreement with the measurement: what a result says was recorded, and what was.

This module alone knows the instrument as an operator on a result (blur, then the mean
over each recorded pixel), and how far a difference from the recording can be believed.
Arrays in network range in, arrays out.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sr.image.sampling import binned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.instrument.ranges import Range

WINDOW = 33
"""Side of the surroundings, in recorded pixels, in which differences are judged."""
MEAN_WINDOW = 97
"""Side of the surroundings whose mean becomes that of the recording: noise has next to
none over so many pixels."""
_TRUNCATE = 4.0
"""Standard deviations after which a Gaussian blur is cut off: what scipy does."""
_MARGIN = 2 * np.sqrt(2) / WINDOW
"""Mean squares of pure noise vary by so much of its typical variance between windows:
two deviations of the mean of so many squares."""
_N_WIDTHS, _N_STEPS = 6, 4


def make_consistent(
    high: NDArray[np.float32],
    low: NDArray[np.float32],
    variance: NDArray[np.float32] | None,
    factor: int,
    psf_sigma: float = 0.0,
    correlation: float = 0.0,
) -> NDArray[np.float32]:
    """Make a result agree with its recording, as far as the recording can be believed.

    The result is re-degraded, and the difference from the recording added where there
    is more of it than noise explains: all of it without noise (then the result agrees
    exactly if there is no blur), none where the difference looks like noise. The share
    is that of Wiener, from the mean square of the difference in windows of `WINDOW`
    recorded pixels. The mean is always that of the recording, of a plane and of its
    parts: in windows of `MEAN_WINDOW` recorded pixels.

    Parameters
    ----------
    high
        `(factor·y, factor·x)` result.
    low
        `(y, x)` recording.
    variance
        `(y, x)` variance of its noise; `None` for none.
    factor
        Super-resolution factor.
    psf_sigma
        Standard deviation of the instrument's blur, in pixels of the result.
    correlation
        Of the noise, see `NoiseLevel`: there is less to average in a window.

    Returns
    -------
    ndarray
        `(factor·y, factor·x)`.
    """
    known = variance if variance is not None and variance.any() else None
    # What is added are whole blocks, so that only the result itself has to be recorded
    # pixel by pixel of it.
    missing = low - recorded_again(high, factor, psf_sigma)
    added = np.zeros_like(missing)
    margin = _MARGIN * alike(correlation, correlation)
    # Landweber's iteration for A x = low, with A the instrument and its adjoint
    # replaced by repeating a recorded pixel over its block: x += share · repeat(low − A
    # x). Without blur A · repeat is the identity, so one step is exact; with blur each
    # step leaves the share of a difference that A · repeat does not pass, and four
    # leave little.
    for _ in range(_N_STEPS if psf_sigma > 0 else 1):
        difference = missing - _recorded_blocks(added, factor, psf_sigma)
        share = 1.0 if known is None else _believable(difference, known, margin)
        added = added + share * difference
    if known is not None:
        difference = missing - _recorded_blocks(added, factor, psf_sigma)
        added = added + _mean_around(difference)
    return _added(high, added, factor)


def with_mean_of(
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    factor: int,
    psf_sigma: float = 0.0,
) -> NDArray[np.float32]:
    """Give a result the mean of its recording, as a whole and in its parts.

    All that can be asked of a result where the noise is not known; parts are windows of
    `MEAN_WINDOW` recorded pixels. Parameters and result as for `make_consistent`.
    """
    difference = low - recorded_again(high, factor, psf_sigma)
    return _added(high, _mean_around(difference), factor)


def _mean_around(difference: NDArray) -> NDArray:
    mean: NDArray = ndimage.uniform_filter(difference, MEAN_WINDOW, mode="reflect")
    return mean


def _added(high: NDArray, low: NDArray, factor: int) -> NDArray:
    """Add to each block of a result what belongs to its recorded pixel."""
    blocks = high.reshape(low.shape[0], factor, low.shape[1], factor)
    added: NDArray = (blocks + low[:, None, :, None]).reshape(high.shape)
    return added


def reach_of(mode: str, factor: int, psf_sigma: float = 0.0) -> int:
    """Tell how far from a pixel the recording takes part in making it agree.

    Parameters
    ----------
    mode
        `auto`, `mean`, `exact` or `off`, as in a plan.
    factor
        Super-resolution factor.
    psf_sigma
        Standard deviation of the instrument's blur, in pixels of the result.

    Returns
    -------
    int
        Recorded pixels.
    """
    if mode in ("off", "exact"):
        return 0
    blur = ceil((_TRUNCATE * psf_sigma + 1) / factor)
    n_steps = 0 if mode == "mean" else _N_STEPS if psf_sigma > 0 else 1
    return n_steps * (WINDOW // 2 + blur) + MEAN_WINDOW // 2 + blur


def recorded_again(high: NDArray, factor: int, psf_sigma: float = 0.0) -> NDArray:
    """Record a result as the instrument would, without noise.

    Parameters
    ----------
    high
        `(factor·y, factor·x)`.
    factor
        Super-resolution factor.
    psf_sigma
        Standard deviation of a Gaussian blur, in pixels of the result.

    Returns
    -------
    ndarray
        `(y, x)` float32.
    """
    if psf_sigma > 0:
        # Binned after each axis: of the second one there is less to blur.
        high = binned(_blurred(high, psf_sigma, axis=0), factor, axes=(0,))
        return binned(_blurred(high, psf_sigma, axis=1), factor, axes=(1,))
    return binned(high, factor)


def _blurred(image: NDArray, sigma: float, axis: int) -> NDArray:
    blurred: NDArray = ndimage.gaussian_filter1d(
        image, sigma, axis, mode="reflect", truncate=_TRUNCATE
    )
    return blurred


def _recorded_blocks(low: NDArray, factor: int, psf_sigma: float) -> NDArray:
    """Record what is the same all over each block: as `recorded_again` would.

    Blurred and averaged, a block becomes a few recorded pixels, always the same ones.
    """
    if psf_sigma == 0:
        return low
    radius = ceil((_TRUNCATE * psf_sigma + 1) / factor)
    block = np.zeros((1, (2 * radius + 1) * factor))
    block[0, radius * factor : (radius + 1) * factor] = 1
    weights = binned(_blurred(block, psf_sigma, axis=1), factor, axes=(1,))[0]
    for axis in (0, 1):
        low = ndimage.correlate1d(low, weights, axis, mode="reflect")
    return low


def fitted_sigma(high: NDArray, low: NDArray, factor: int, within: Range) -> float:
    """Find the blur with which a result explains its recording best.

    Parameters
    ----------
    high, low, factor
        As for `make_consistent`; a part is enough.
    within
        Range of standard deviations, in pixels of the result.
    """
    widths = np.linspace(*within, _N_WIDTHS)
    errors = [
        np.mean((low - recorded_again(high, factor, width)) ** 2) for width in widths
    ]
    return float(widths[int(np.argmin(errors))])


def alike(correlation: float, width: float) -> float:
    """Count the pixels of a row whose noise is that of one, in a Gaussian window.

    Parameters
    ----------
    correlation
        Of the noise, in pixels, see `NoiseLevel`.
    width
        Standard deviation of the window, in pixels. That of the noise counts pixels for
        mean squares, in which correlations count by their square.

    Returns
    -------
    float
        1 for white noise. Its square is by how much the variance of a sum grows.
    """
    if correlation == 0 or width == 0:
        return 1.0
    distance = np.arange(-ceil(8 * correlation), ceil(8 * correlation) + 1)
    return float(np.exp(-(distance**2) / 4 * (correlation**-2 + width**-2)).sum())


def _believable(difference: NDArray, variance: NDArray, margin: float) -> NDArray:
    """Tell the share of a difference that noise does not explain."""
    seen, expected, squared = (
        ndimage.uniform_filter(image, WINDOW, mode="reflect")
        for image in (difference**2, variance, variance**2)
    )
    # The mean of N squares of Gaussian noise of variances vᵢ has the variance 2 Σ vᵢ² /
    # N²; two of its standard deviations are left unexplained, or every second window of
    # pure noise would seem to hold a little signal.
    # Where a few bright pixels hold most of the noise, its mean square varies more.
    explained = expected + margin * np.sqrt(np.maximum(squared, 0))
    # Wiener's gain for a signal in noise: E[signal²] / E[difference²] = 1 − E[noise²] /
    # E[difference²], with expectations taken as means over the window.
    share = 1 - explained / np.maximum(seen, np.finfo(np.float32).tiny)
    believed: NDArray = np.maximum(share, 0)
    return believed

"""How far a result is from the truth, in numbers.

Arrays in, numbers out. What scikit-image has is called here, with the conventions that
make two figures comparable: one stated data range for all, float64, the Gaussian window
of Wang et al. (2004) for SSIM, and a border that is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray


def psnr(
    result: NDArray, truth: NDArray, *, data_range: float, border: int = 0
) -> float:
    """Peak signal-to-noise ratio.

    Parameters
    ----------
    result, truth
        `(y, x)` in the same units.
    data_range
        The peak, in these units.
    border
        Pixels at each edge that do not count.

    Returns
    -------
    float
        In dB; infinite for identical images.
    """
    with np.errstate(divide="ignore"):
        ratio = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
            _inner(truth, border), _inner(result, border), data_range=data_range
        )
    return float(ratio)


def ssim(
    result: NDArray, truth: NDArray, *, data_range: float, border: int = 0
) -> float:
    """Structural similarity (Wang et al., IEEE TIP 2004), Gaussian window of σ 1.5.

    Parameters
    ----------
    result, truth, data_range, border
        As for `psnr`; at least 11 pixels a side without the border.

    Returns
    -------
    float
        1 for identical images.
    """
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        _inner(truth, border),
        _inner(result, border),
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(similarity)


def _inner(image: NDArray, border: int) -> NDArray[np.float64]:
    height, width = image.shape
    if not 0 <= 2 * border < min(height, width):
        raise ValueError(
            f"A border of {border} px leaves nothing of an image of {height} × {width} "
            f"px. Use a smaller one."
        )
    return image[border : height - border, border : width - border].astype(np.float64)

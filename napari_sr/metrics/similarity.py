"""How far a result is from the truth, pixel by pixel and window by window.

What scikit-image has is called here. This module alone knows the conventions that make
two figures comparable: one stated data range for all, float64, the Gaussian window of
Wang et al. (2004) for SSIM, and a border that is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_sr.image.sampling import binned

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRADIENT_FLOOR = 170 / 255**2
"""Constant c of the gradient similarity for a data range of 1; 170 for one of 255."""
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, from the finest (Wang et al., 2003)."""
SSIM_SIDE = 11
"""Side of the Gaussian window of σ 1.5 behind SSIM."""


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
    result, truth = inner(result, truth, border)
    with np.errstate(divide="ignore"):
        ratio = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
            truth, result, data_range=data_range
        )
    return float(ratio)


def si_psnr(
    result: NDArray, truth: NDArray, *, data_range: float, border: int = 0
) -> float:
    """Scale-invariant PSNR: that of the best gain × result + offset.

    As in CARE (Weigert et al., Nature Methods 2018), whose data range is that of the
    truth; here it is stated, as for the other metrics. It hides errors of gain and
    offset (a negative gain too), so it is read beside `psnr` and never instead of it.

    Parameters
    ----------
    result
        `(y, x)` in any units.
    truth, data_range, border
        As for `psnr`.

    Returns
    -------
    float
        In dB, at least `psnr`; infinite where gain and offset explain everything.
    """
    result, truth = inner(result, truth, border)
    result, truth = result - result.mean(), truth - truth.mean()
    energy = np.mean(result * result)
    gain = np.mean(result * truth) / energy if energy > 0 else 0.0
    return psnr(gain * result, truth, data_range=data_range)


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
    result, truth = inner(result, truth, border)
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        truth,
        result,
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(similarity)


def ms_ssim(
    result: NDArray, truth: NDArray, *, data_range: float, border: int = 0
) -> float:
    """Multi-scale structural similarity (Wang et al., Asilomar 2003), five scales.

    Contrast and structure at every scale, luminance at the coarsest; 2 × 2 pixels are
    averaged between scales. Smaller images have as many scales as fit, their weights
    scaled to a sum of 1.

    Parameters
    ----------
    result, truth, data_range, border
        As for `psnr`; at least 11 pixels a side without the border.

    Returns
    -------
    float
        1 for identical images; 0 where contrast is reversed.
    """
    result, truth = inner(result, truth, border)
    n_scales = int(np.log2(min(truth.shape) / SSIM_SIDE)) + 1
    weights = np.array(MS_SSIM_WEIGHTS[:n_scales])
    contrasts = []
    for scale in range(len(weights)):
        if scale:
            result, truth = (binned(image, 2, "float64") for image in (result, truth))
        luminance, structure = _similarities(result, truth, data_range)
        is_last = scale == len(weights) - 1
        contrasts.append(np.mean(luminance * structure if is_last else structure))
    return float(np.prod(np.maximum(contrasts, 0) ** (weights / weights.sum())))


def gradient_similarity(
    result: NDArray, truth: NDArray, *, data_range: float, border: int = 0
) -> float:
    """Similarity of edges: one minus the GMSD of Xue et al. (IEEE TIP 2014).

    With the gradient magnitudes g and h of the two images (3 × 3 Prewitt operators, a
    sum of 1 on each side), each pixel has the similarity (2·g·h + c) / (g² + h² + c),
    c = 170 / 255² × data_range². Their standard deviation is the GMSD. Two things
    differ from the paper: no pixels beyond the border are made up, and the images are
    not halved first. That stands for a viewing distance, and would take away the very
    frequencies that super-resolution adds.

    Parameters
    ----------
    result, truth, data_range, border
        As for `psnr`; at least 3 pixels a side without the border.

    Returns
    -------
    float
        1 for identical images, at least 0.5.

    Raises
    ------
    ValueError
        If less than 3 pixels a side are left.
    """
    result, truth = inner(result, truth, border)
    if min(truth.shape) < 3:
        raise ValueError(
            f"Gradients need 3 × 3 px, and {' × '.join(map(str, truth.shape))} px are "
            f"left without the border. Use larger images or a smaller border."
        )
    g, h = _gradient_magnitude(result), _gradient_magnitude(truth)
    c = _GRADIENT_FLOOR * data_range**2
    similarity = (2 * g * h + c) / (g * g + h * h + c)
    return float(1 - similarity.std())


def _similarities(
    result: NDArray, truth: NDArray, data_range: float
) -> tuple[NDArray, NDArray]:
    """Compare luminance, and contrast with structure, in every window."""
    edge = SSIM_SIDE // 2
    inside = (slice(edge, -edge), slice(edge, -edge))

    def averaged(image: NDArray) -> NDArray:
        smooth: NDArray = ndimage.gaussian_filter(image, 1.5, radius=edge)
        return smooth[inside]

    mean, other = averaged(result), averaged(truth)
    variances = averaged(result**2) - mean**2 + averaged(truth**2) - other**2
    covariance = averaged(result * truth) - mean * other
    floors = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean * other + floors[0]) / (mean**2 + other**2 + floors[0])
    return luminance, (2 * covariance + floors[1]) / (variances + floors[1])


def _gradient_magnitude(image: NDArray) -> NDArray:
    """Root of the squared Prewitt responses, where the operators lie inside."""
    along = (ndimage.prewitt(image, axis)[1:-1, 1:-1] / 3 for axis in (0, 1))
    magnitude: NDArray = np.hypot(*along)
    return magnitude


def inner(result: NDArray, truth: NDArray, border: int) -> tuple[NDArray, NDArray]:
    """Cut two images alike, without the border, in float64."""
    if truth.shape != result.shape:
        raise ValueError(
            f"Result and truth must have the same dimensions, got "
            f"{' × '.join(map(str, result.shape))} and "
            f"{' × '.join(map(str, truth.shape))} px. Crop or resample one of them."
        )
    height, width = truth.shape
    if not 0 <= 2 * border < min(height, width):
        raise ValueError(
            f"A border of {border} px leaves nothing of an image of {height} × {width} "
            f"px. Use a smaller one."
        )
    inside = (slice(border, height - border), slice(border, width - border))
    return result[inside].astype(np.float64), truth[inside].astype(np.float64)

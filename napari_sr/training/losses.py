"""Losses: tensors in, one number out.

This module alone says what a generator is trained for, and what tells a discriminator
how well it does. Pure functions of tensors, computed in float32 whatever the precision
of the networks. `CONTENT_SCALE` and `ADVERSARIAL_WEIGHT` are those of Ledig et al.,
"Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
CVPR 2017 (arXiv 1609.04802), in that paper's convention.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.metrics import MS_SSIM_WEIGHTS, SSIM_SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

CONTENT_SCALE = 1 / 12.75**2
"""About 0.006: the paper divides the features of VGG-19 by 12.75 before squaring."""
ADVERSARIAL_WEIGHT = 1e-3
"""The paper's weight of −log D(G(x)) beside the content loss."""
_SSIM_SIGMA = 1.5
_LUMINANCE_FLOOR, _CONTRAST_FLOOR = 0.01**2, 0.03**2

# ── of images ───────────────────────────────────────────────────────────────────────


def mean_absolute_error(result: Tensor, truth: Tensor) -> Tensor:
    """Average |result − truth| over all pixels, also called the L1 loss.

    Parameters
    ----------
    result, truth
        `(n, 1, h, w)` in network range.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return _error(result, truth).abs().mean()


def mean_squared_error(result: Tensor, truth: Tensor) -> Tensor:
    """Average (result − truth)² over all pixels, also called the L2 or MSE loss.

    For one channel this is the paper's l_MSE; its images lie in [−1, 1], which makes
    its figures four times those of network range.

    Parameters
    ----------
    result, truth
        `(n, 1, h, w)` in network range.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return _error(result, truth).square().mean()


def charbonnier(result: Tensor, truth: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Average √((result − truth)² + ε²): the L1 loss, smooth where the error is small.

    As in LapSRN (Lai et al., CVPR 2017); ε itself for identical images.

    Parameters
    ----------
    result, truth
        `(n, 1, h, w)` in network range.
    epsilon
        Error below which it acts like a squared one, in network units; above 0.

    Raises
    ------
    ValueError
        If the shapes differ, or ε is not above 0.
    """
    if epsilon <= 0:
        raise ValueError(
            f"The ε of the Charbonnier loss must be above 0, got {epsilon:g}. Use the "
            "mean absolute error for 0."
        )
    return torch.sqrt(_error(result, truth).square() + epsilon**2).mean()


def gradient_loss(result: Tensor, truth: Tensor, n_scales: int = 3) -> Tensor:
    """Compare the differences between neighbouring pixels, at several scales.

    At each scale: the mean absolute error of the differences along y, plus that along
    x, per pixel of this scale; then 2 × 2 pixels are averaged to one. The mean over
    the scales. An offset costs nothing.

    Parameters
    ----------
    result, truth
        `(n, 1, h, w)` in network range.
    n_scales
        From full resolution to 2 ** (n_scales − 1) times coarser.

    Raises
    ------
    ValueError
        If the shapes differ, or the images are too small for the coarsest scale.
    """
    error = _error(result, truth)
    smallest = 2**n_scales
    if n_scales < 1 or min(error.shape[-2:]) < smallest:
        raise ValueError(
            f"A gradient loss at {n_scales} scales needs at least one scale and "
            f"{smallest} px a side, got {tuple(error.shape[-2:])}. Use other scales or "
            f"larger patches."
        )
    total = error.new_zeros(())
    for scale in range(n_scales):
        if scale:
            error = functional.avg_pool2d(error, 2)
        total = total + sum(error.diff(dim=axis).abs().mean() for axis in (-2, -1))
    return total / n_scales


def spectrum_loss(
    result: Tensor, truth: Tensor, band: tuple[float, float] = (0.5, 1.0)
) -> Tensor:
    """Compare the amplitudes of the spectra in a band; the phases do not count.

    The images are seen through a sin² window. Amplitudes are scaled such that those of
    white noise of standard deviation σ have a root mean square of σ. The mean absolute
    difference over all frequencies whose distance from zero lies in the band. It says
    how much detail there should be, not where: use it beside a loss that does.

    Parameters
    ----------
    result, truth
        `(n, 1, h, w)` in network range.
    band
        Lowest and highest frequency, both included, as shares of the Nyquist frequency
        (0.5 cycles per pixel) of the sharp grid. The default is what a recording of
        half the resolution cannot hold.

    Raises
    ------
    ValueError
        If the shapes differ, or the band holds no frequency of such a patch.
    """
    _check_shapes(result, truth)
    sides = result.shape[-2:]
    # On the CPU: a device would have to be waited for, twice in each step.
    y, x = (2 * torch.fft.fftfreq(side) for side in sides)
    frequency = torch.hypot(y[:, None], x[None, :])
    inside = (band[0] <= frequency) & (frequency <= band[1])
    if not inside.any():
        raise ValueError(
            f"No frequency of a patch of {tuple(sides)} px lies between {band[0]:g} "
            f"and {band[1]:g} of Nyquist. Widen the band."
        )
    difference = _amplitudes(result) - _amplitudes(truth)
    return difference[..., inside].abs().mean()


def ms_ssim_loss(result: Tensor, truth: Tensor, n_scales: int = 3) -> Tensor:
    """One minus the multi-scale structural similarity, for a data range of 1.

    As in Wang et al. (Asilomar 2003): contrast and structure at every scale, luminance
    at the coarsest, each to the power of its weight; Gaussian window of 11 × 11 pixels
    and σ 1.5, no pixels beyond the border made up, 2 × 2 pixels averaged between
    scales. The paper's first weights are scaled to a sum of 1 where there are fewer
    than its five scales.

    Parameters
    ----------
    result, truth
        `(n, 1, h, w)` in network range.
    n_scales
        1 to 5, from full resolution to 2 ** (n_scales − 1) times coarser.

    Raises
    ------
    ValueError
        If the shapes differ, or the images are too small for the coarsest scale.
    """
    _check_shapes(result, truth)
    smallest = SSIM_SIDE * 2 ** (n_scales - 1)
    if min(result.shape[-2:]) < smallest:
        raise ValueError(
            f"MS-SSIM at {n_scales} scales needs {smallest} px a side, got "
            f"{tuple(result.shape[-2:])}. Use fewer scales or larger patches."
        )
    result, truth = result.float(), truth.float()
    weights = MS_SSIM_WEIGHTS[:n_scales]
    product = result.new_ones(len(result))
    for scale, weight in enumerate(weights):
        if scale:
            result, truth = (functional.avg_pool2d(x, 2) for x in (result, truth))
        luminance, structure = _similarities(result, truth)
        similarity = structure if scale < n_scales - 1 else luminance * structure
        # A root of nothing has no gradient, and contrast may even be reversed.
        similarity = similarity.mean((1, 2, 3)).clamp_min(1e-4)
        product = product * similarity ** (weight / sum(weights))
    return 1 - product.mean()


def lattice_loss(result: Tensor, truth: Tensor, factor: int, window: int = 8) -> Tensor:
    """Compare the brightness of the f × f sub-pixel positions within pixels.

    A generator that ends in a pixel shuffle computes each position with weights of its
    own, and paints a lattice of f × f pixels where they disagree. Of the error without
    its smooth part, each position is averaged over windows of `window` × `window`
    pixels; the mean square of what it then differs by from the mean of all positions is
    what counts. (Its absolute value would push with all its weight, however faint the
    lattice, and in a test kept a network from learning anything else.) Errors of other
    frequencies than those of the grid hardly count. The smooth part is a mean over
    f × f pixels, twice, to be centred: it takes slopes away, which would tell the
    positions apart, and nothing of a lattice.

    Parameters
    ----------
    result, truth
        `(n, 1, f·h, f·w)` in network range.
    factor
        f, the super-resolution factor.
    window
        Side of a window in recorded pixels; the whole patch where that is smaller.

    Raises
    ------
    ValueError
        If the shapes differ, or a side is not a multiple of the factor, or not three.
    """
    error = _error(result, truth)
    if any(side % factor or side < 3 * factor for side in error.shape[-2:]):
        raise ValueError(
            f"A lattice of {factor} × {factor} px needs images of three or more whole "
            f"blocks of that size, got {tuple(error.shape[-2:])}. Crop them, or use "
            "larger patches."
        )
    smooth = functional.avg_pool2d(error, factor, stride=1)
    smooth = functional.avg_pool2d(smooth, factor, stride=1)[..., 1:-1, 1:-1]
    inside = slice(factor, -factor)
    phases = functional.pixel_unshuffle(error[..., inside, inside] - smooth, factor)
    window = min(window, *phases.shape[-2:])
    # (n, f², h, w) to (n, f², windows, windows)
    # Within a window, texture that is not in step with the grid averages out as 1 /
    # window, while a lattice, the same in every pixel, stays.
    means = functional.avg_pool2d(phases, window, stride=max(1, window // 2))
    return (means - means.mean(dim=1, keepdim=True)).square().mean()


# ── of features ─────────────────────────────────────────────────────────────────────


def content_loss(
    features: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    weights: Mapping[str, float] | None = None,
) -> Tensor:
    """Compare images by the features that a network sees in them.

    Of each feature map φ(i,j): the squared differences, *summed over channels* and
    averaged over the area (and the batch), times its weight; the sum over the maps. So
    the paper normalises, and `CONTENT_SCALE` is meant for this. `F.mse_loss` divides by
    the number of channels too: for a map of 512 channels it is 512 times smaller, and
    the paper's 0.006 beside it would be as good as nothing.

    Parameters
    ----------
    features
        Feature maps `(n, c, h, w)` of the result by name. The gradient goes here.
    wanted
        Those of the truth. No gradient goes here.
    weights
        Weight of each map. `None` gives each the paper's, `CONTENT_SCALE`, which suits
        the features of VGG-19.

    Raises
    ------
    ValueError
        If the names of the three do not agree, or the shapes of a map differ.
    """
    weights = dict.fromkeys(features, CONTENT_SCALE) if weights is None else weights
    if not features or not features.keys() == wanted.keys() == weights.keys():
        raise ValueError(
            f"The content loss needs the same feature maps of both images and a weight "
            f"for each, got {_names(features)}; {_names(wanted)}; {_names(weights)}."
        )
    distances = [
        weight * _error(features[name], wanted[name].detach()).square().sum(1).mean()
        for name, weight in weights.items()
    ]
    return torch.stack(distances).sum()


# ── adversarial ─────────────────────────────────────────────────────────────────────


def adversarial_loss(logits: Tensor) -> Tensor:
    """Average −log D(G(x)): how clearly the discriminator recognises results as such.

    The form that does not saturate, from logits: −log sigmoid(logit) overflows nowhere.

    Parameters
    ----------
    logits
        Any shape: what the discriminator says of results; above 0 is "real". The mean
        is over all of them, where the paper sums over the batch.
    """
    return functional.softplus(-logits.float()).mean()


def discriminator_loss(
    logits_real: Tensor, logits_fake: Tensor, real_label: float = 1.0
) -> Tensor:
    """Average −log D(y) − log(1 − D(G(x))): both cross-entropies, added.

    2 log 2 ≈ 1.386 is what knowing nothing gives: below it the discriminator is ahead
    of chance.

    Parameters
    ----------
    logits_real, logits_fake
        Any shapes: what the discriminator says of real images and of results.
    real_label
        What real images are labelled. Below 1 (one-sided label smoothing) a
        discriminator that is sure of them is in the wrong.
    """
    logits_real = logits_real.float()
    real = functional.softplus(-logits_real).mean()
    # The cross-entropy with a label t: t · −log D + (1 − t) · −log(1 − D).
    real = real + (1 - real_label) * logits_real.mean()
    return real + functional.softplus(logits_fake.float()).mean()


def gradient_penalty(logits_real: Tensor, real: Tensor) -> Tensor:
    """Average ½ |∇D(y)|² over real images y, the R1 penalty.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML
    2018. Where results lie near real images, a discriminator that tells them apart
    surely is steep, and hardly anything of its slope reaches the generator in time.

    Parameters
    ----------
    logits_real
        What the discriminator says of `real`, in any shape: means are taken over
        what it says of one image.
    real
        `(n, 1, h, w)` that asked for a gradient before it was judged.
    """
    per_image = logits_real.float().flatten(1).mean(1).sum()
    (gradient,) = torch.autograd.grad(per_image, real, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean() / 2


def perceptual_loss(
    content: Tensor, adversarial: Tensor, weight: float = ADVERSARIAL_WEIGHT
) -> Tensor:
    """Add up what a generator is trained with: content + weight × adversarial.

    Parameters
    ----------
    content
        Content loss of the batch, or whatever stands for it (the paper's SRGAN-MSE has
        its squared error here).
    adversarial
        As `adversarial_loss` gives it.
    weight
        The paper's by default.
    """
    return content + weight * adversarial


# ── what they share ─────────────────────────────────────────────────────────────────


def _error(result: Tensor, truth: Tensor) -> Tensor:
    _check_shapes(result, truth)
    return result.float() - truth.float()


def _check_shapes(result: Tensor, truth: Tensor) -> None:
    """Refuse what torch would stretch to fit."""
    if result.shape != truth.shape:
        raise ValueError(
            f"A loss compares tensors of one shape, got {tuple(result.shape)} and "
            f"{tuple(truth.shape)}. Crop or resample one of them."
        )


def _similarities(result: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Compare luminance, and contrast with structure, in every window."""
    along = torch.arange(SSIM_SIDE, device=result.device) - SSIM_SIDE // 2
    window = torch.exp(-0.5 * (along / _SSIM_SIGMA) ** 2)
    window = window / window.sum()

    def averaged(image: Tensor) -> Tensor:
        rows = functional.conv2d(image, window.view(1, 1, -1, 1))
        return functional.conv2d(rows, window.view(1, 1, 1, -1))

    mean, other = averaged(result), averaged(truth)
    variances = averaged(result.square()) - mean.square()
    variances = variances + averaged(truth.square()) - other.square()
    covariance = averaged(result * truth) - mean * other
    luminance = (2 * mean * other + _LUMINANCE_FLOOR) / (
        mean.square() + other.square() + _LUMINANCE_FLOOR
    )
    structure = (2 * covariance + _CONTRAST_FLOOR) / (variances + _CONTRAST_FLOOR)
    return luminance, structure


def _amplitudes(image: Tensor) -> Tensor:
    """Give |FFT| of windowed images, `(n, 1, h, w)`, white noise of σ at RMS σ."""
    height, width = (_window(side, image) for side in image.shape[-2:])
    window = height[:, None] * width[None, :]
    amplitudes: Tensor = torch.fft.fft2(image.float() * window).abs()
    return amplitudes / window.square().sum().sqrt()


def _window(side: int, like: Tensor) -> Tensor:
    """Sample sin² at pixel centres: a mean leaks to the next frequency only."""
    centres = torch.arange(side, device=like.device, dtype=torch.float32) + 0.5
    return torch.sin(math.pi / side * centres).square()


def _names(features: Mapping[str, object]) -> str:
    return ", ".join(sorted(features)) or "none"

"""Deconvolution after interpolation: the blur of pixel and instrument is undone.

This module alone knows what blurs a recording as seen on the fine grid: the
point-spread function of the instrument, and the area of its pixels. Both methods are
purely local, so that tiles agree: Richardson–Lucy takes a fixed number of steps, and
the Wiener filter is cut off where it has died away.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from napari_sr.image.factor import check_factor
from napari_sr.instrument.psf import gaussian_psf
from napari_sr.instrument.ranges import check_blur
from napari_sr.methods.weightless import Weightless
from napari_sr.networks.resampling import kernel_radius, resample

BLACK = -0.1
"""Network value that Richardson–Lucy takes as no light. Below the darkest pixels, since
the range of a stack begins at a percentile of them."""
_LITTLE = 1e-6
_PIXELS = 96
"""Side of the field on which the Wiener filter is computed, beside its blur."""


def pixel_area(factor: int) -> Tensor:
    """Draw a recorded pixel on the fine grid, `(1, 1, k, k)` of unit sum.

    It is centred, with half weights at the edges for an even factor: an even number of
    pixels would shift the image by half of one.
    """
    along = torch.ones(factor + 1 - factor % 2)
    if factor % 2 == 0:
        along[[0, -1]] = 0.5
    return (torch.outer(along, along) / factor**2)[None, None]


def blur_of(factor: int, sigma: float, ratio: float, angle: float) -> Tensor:
    """Give the blur of a recording on the fine grid: instrument, then pixel.

    Parameters
    ----------
    factor
        Fine pixels along a recorded one.
    sigma, ratio, angle
        Of the Gaussian, as for an `Instrument`: standard deviation along the first axis
        in fine pixels, that along the second over it, direction of the first in
        degrees.

    Returns
    -------
    Tensor
        `(1, 1, k, k)` of unit sum, `k` odd.

    Raises
    ------
    ValueError
        If no instrument has such a width or ratio.
    """
    check_factor(factor)
    check_blur(sigma, factor)
    if not 1 / 16 <= ratio <= 16:
        raise ValueError(f"A blur has a psf_ratio from 1/16 to 16, got {ratio:g}.")
    area = pixel_area(factor)
    if sigma == 0:
        return area
    psf = gaussian_psf(*(torch.tensor([part]) for part in (sigma, ratio, angle)))
    return functional.conv2d(psf, area, padding=area.shape[-1] - 1)


class RichardsonLucy(Weightless):
    """Bicubic, then the most likely light for photon noise, step by step.

    Richardson (JOSA 62, 1972) and Lucy (Astron. J. 79, 1974), from a flat start.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    psf_sigma, psf_ratio, psf_angle
        Point-spread function of the instrument, in pixels of the result, see `blur_of`.
    n_iterations
        More of them sharpen little and amplify noise.

    Raises
    ------
    ValueError
        For another factor, blur or number of steps.
    """

    def __init__(
        self,
        factor: int,
        *,
        psf_sigma: float = 0.0,
        psf_ratio: float = 1.0,
        psf_angle: float = 0.0,
        n_iterations: int = 5,
    ) -> None:
        blur = blur_of(factor, psf_sigma, psf_ratio, psf_angle)
        if not 1 <= n_iterations <= 100 or n_iterations != int(n_iterations):
            raise ValueError(
                f"Richardson-Lucy takes 1 to 100 steps, got "
                f"n_iterations={n_iterations}."
            )
        self._blur, self._n_iterations = blur, int(n_iterations)
        seen = (2 * self._n_iterations - 1) * (blur.shape[-1] // 2)
        super().__init__(
            "richardson-lucy",
            factor,
            halo=kernel_radius("bicubic") + ceil(seen / factor),
            copies=8,
            psf_sigma=psf_sigma,
            psf_ratio=psf_ratio,
            psf_angle=psf_angle,
            n_iterations=self._n_iterations,
        )

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Sharpen a batch `(n, 1, h, w)` to `(n, 1, factor·h, factor·w)`."""
        light = resample(batch, self.factor, "bicubic") - BLACK
        # Noise below black is no light: it stays as it is, and so does the mean.
        counted = light.clamp_min(_LITTLE)
        blur = self._blur.to(batch)
        # u ← u · Hᵀ(d / H u), which maximises the likelihood of Poisson counts d. From
        # a flat u and with Σ H = 1, H u is flat too, so that the first step comes to Hᵀ
        # d.
        estimate = _blurred(counted, blur)  # the first step, from a flat start
        for _ in range(self._n_iterations - 1):
            expected = _blurred(estimate, blur).clamp_min(_LITTLE)
            # The blur is its own mirror image: no need to turn it.
            estimate = estimate * _blurred(counted / expected, blur)
        return estimate + (light - counted) + BLACK


class Wiener(Weightless):
    """Bicubic, then the linear filter that undoes the blur where there is signal.

    Wiener (1949), for a specimen whose power falls with the fourth power of frequency:
    the filter is H* / (|H|² + balance · |Laplacian|²), as by Orieux et al. (JOSA A 27,
    2010) for a known balance.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    psf_sigma, psf_ratio, psf_angle
        Point-spread function of the instrument, in pixels of the result, see `blur_of`.
    balance
        How much noise there is beside the signal; larger is smoother.

    Raises
    ------
    ValueError
        For another factor, blur or balance.
    """

    def __init__(
        self,
        factor: int,
        *,
        psf_sigma: float = 0.0,
        psf_ratio: float = 1.0,
        psf_angle: float = 0.0,
        balance: float = 0.03,
    ) -> None:
        blur = blur_of(factor, psf_sigma, psf_ratio, psf_angle)
        if not 1e-4 <= balance <= 1e3:
            raise ValueError(f"The balance is from 1e-4 to 1e3, got {balance:g}.")
        self._filter = wiener_filter(blur, balance)
        seen = self._filter.shape[-1] // 2
        super().__init__(
            "wiener",
            factor,
            halo=kernel_radius("bicubic") + ceil(seen / factor),
            copies=4,
            psf_sigma=psf_sigma,
            psf_ratio=psf_ratio,
            psf_angle=psf_angle,
            balance=balance,
        )

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Sharpen a batch `(n, 1, h, w)` to `(n, 1, factor·h, factor·w)`."""
        fine = resample(batch, self.factor, "bicubic")
        return _blurred(fine, self._filter.to(batch))


def wiener_filter(blur: Tensor, balance: float) -> Tensor:
    """Compute the filter that undoes a blur, cut off where it has died away.

    Parameters
    ----------
    blur
        `(1, 1, k, k)`.
    balance
        See `Wiener`.

    Returns
    -------
    Tensor
        `(1, 1, l, l)` of unit sum; what is cut off is below 1e-4 of its peak.
    """
    side = 2 * blur.shape[-1] + _PIXELS
    turned = torch.zeros(side, side, dtype=torch.float64)
    reach = blur.shape[-1] // 2
    turned[: 2 * reach + 1, : 2 * reach + 1] = blur[0, 0].double()
    transfer = torch.fft.fft2(turned.roll((-reach, -reach), (0, 1)))
    waves = 2 - 2 * torch.cos(2 * torch.pi * torch.fft.fftfreq(side).double())
    rough = (waves[:, None] + waves) ** 2
    undone = torch.fft.ifft2(transfer.conj() / (transfer.abs() ** 2 + balance * rough))
    centred = torch.fft.fftshift(undone.real)  # its centre is the pixel side // 2
    middle = side // 2
    strong = (centred.abs() > 1e-4 * centred.abs().max()).nonzero()
    radius = min(int((strong - middle).abs().max()), middle - 1)
    inside = slice(middle - radius, middle + radius + 1)
    kept = centred[inside, inside]
    unit: Tensor = (kept / kept.sum()).float()
    return unit[None, None]


def _blurred(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve `(n, 1, h, w)` with a kernel that is its own mirror image."""
    return functional.conv2d(image, kernel, padding=kernel.shape[-1] // 2)

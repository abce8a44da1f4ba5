"""Sharper edges by what is known of edges, in agreement with the recording.

After Tai et al. ("Super Resolution using Edge Prior and Single Image Detail Synthesis",
CVPR 2010) and the gradient profiles of Sun et al. (CVPR 2008). This module alone knows
what an edge is here: the gradient along its own direction falls off like a Gaussian,
whose width is measured around each pixel; the pixel and the interpolation have made it
wider by a known amount, which is taken off. The image is then the one whose gradients
come nearest to that and which, binned, gives the recording.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.instrument.psf import blur
from napari_sr.methods.back_projection import REACH, back_projected
from napari_sr.methods.weightless import Weightless
from napari_sr.networks.resampling import kernel_radius, resample

if TYPE_CHECKING:
    from torch import Tensor

N_STEPS, _STEP = 10, 0.2
"""Steps of the descent, and their size; a quarter is the largest that is stable."""
NARROWEST = 0.6
"""Standard deviation of the sharpest edge that is made, in pixels of the result."""
MOST = 2.5
"""A gradient becomes at most so many times steeper."""
_FAINT = 0.01
"""Gradients, in network units per recorded pixel, that say nothing of an edge."""


class EdgePrior(Weightless):
    """Bicubic with sharpened edges, back-projected.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    strength
        Width that pixel and interpolation add to an edge, in recorded pixels.
    contrast
        Contrast of half an edge, in network units per recorded pixel: fainter ones are
        left alone, since noise has edges too.

    Raises
    ------
    ValueError
        For another factor, strength or contrast.
    """

    def __init__(
        self, factor: int, *, strength: float = 0.4, contrast: float = 0.05
    ) -> None:
        if not 0 <= strength <= 2 or not 0 < contrast <= 10:
            raise ValueError(
                f"edge-prior has a strength from 0 to 2 and a contrast above 0, at "
                f"most 10, got {strength:g} and {contrast:g}."
            )
        super().__init__(
            "edge-prior",
            factor,
            halo=reach_of_sharpening(factor) + REACH,
            copies=14,
            strength=strength,
            contrast=contrast,
        )
        self.strength, self.contrast = strength, contrast

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Sharpen a batch `(n, 1, h, w)` to `(n, 1, factor·h, factor·w)`."""
        fine = sharpened(batch, self.factor, self.strength, self.contrast)
        return back_projected(fine, batch, self.factor)


def reach_of_sharpening(factor: int) -> int:
    """Tell how many recorded pixels take part around each in `sharpened`."""
    # Second derivatives reach two fine pixels, steps of the descent one each.
    fine = 2 + 4 * factor + 1 + N_STEPS
    return kernel_radius("bicubic") + ceil(fine / factor) + N_STEPS


def sharpened(low: Tensor, factor: int, strength: float, contrast: float) -> Tensor:
    """Sharpen edges: the image of target gradients that agrees with its recording.

    Parameters
    ----------
    low
        `(n, 1, h, w)` recording in network range.
    factor, strength, contrast
        As for `EdgePrior`.

    Returns
    -------
    Tensor
        `(n, 1, factor·h, factor·w)`, not yet back-projected.
    """
    fine = resample(low, factor, "bicubic")
    steeper = steepening(fine, factor, strength, contrast)
    across, down = _differences(fine)
    across = across * (steeper + steeper.roll(-1, -1)) / 2
    down = down * (steeper + steeper.roll(-1, -2)) / 2
    wanted = _divergence(across, down)
    image = fine
    for _ in range(N_STEPS):
        image = image + _STEP * (_divergence(*_differences(image)) - wanted)
        missing = low - functional.avg_pool2d(image, factor)
        image = image + resample(missing, factor, "nearest")
    return image


def steepening(fine: Tensor, factor: int, strength: float, contrast: float) -> Tensor:
    """Tell by how much each gradient becomes steeper, `(n, 1, h, w)`.

    Parameters
    ----------
    fine
        `(n, 1, h, w)` interpolated image in network range.
    factor, strength, contrast
        As for `EdgePrior`.
    """
    least = (_FAINT / factor) ** 2
    slopes, along = _profile(fine, least)
    # Of a Gaussian profile, twice the mean square of its slope over that of itself.
    change, size = blur(along.square(), factor), blur(slopes, factor)
    wide = ((size + least) / (2 * change + least / factor**2)).clamp_min(NARROWEST**2)
    narrow = (wide - (strength * factor) ** 2).clamp_min(NARROWEST**2)
    ratio = (wide / narrow).clamp_max(MOST**2)  # of the squared widths
    apart = wide * along.square() / (slopes + least)  # squared distance in deviations
    steeper = ratio.sqrt() * torch.exp(-0.5 * (ratio - 1) * apart)
    is_edge = size / (size + (contrast / factor) ** 2)
    return 1 + is_edge * (steeper - 1)


def _profile(fine: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Give the squared gradient, and how the gradient changes along itself.

    One whose square is well below `least` has no direction worth the name.
    """
    across, down = (fine.roll(-1, i) / 2 - fine.roll(1, i) / 2 for i in (-1, -2))
    slopes = across.square() + down.square()
    second_across = fine.roll(-1, -1) - 2 * fine + fine.roll(1, -1)
    second_down = fine.roll(-1, -2) - 2 * fine + fine.roll(1, -2)
    mixed = across.roll(-1, -2) / 2 - across.roll(1, -2) / 2
    curved = (
        across.square() * second_across
        + 2 * across * down * mixed
        + down.square() * second_down
    )
    return slopes, curved / (slopes + least)


def _differences(image: Tensor) -> tuple[Tensor, Tensor]:
    """Give the differences to the next pixel, along x and y."""
    return image.roll(-1, -1) - image, image.roll(-1, -2) - image


def _divergence(across: Tensor, down: Tensor) -> Tensor:
    return across - across.roll(1, -1) + down - down.roll(1, -2)

"""Point-spread functions: what a point of light looks like on sharp pixels.

This module alone knows where the centre of a point-spread function lies and what stands
beyond the border of an image. The border is a mirror between two pixels (the edge pixel
is repeated): no light is lost there, and a flat field stays flat. Light is kept to the
last digit by a point-spread function that is its own mirror image in x and in y; by
another as far as the specimen is alike on both sides of the border.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_REACH = 4
"""Standard deviations after which a Gaussian ends."""
_POINT = 1e-3
"""Width in pixels below which a Gaussian is a point."""


def gaussian_psf(sigma: Tensor, ratio: Tensor, angle: Tensor) -> Tensor:
    """Sample a Gaussian for each recording of a batch.

    Parameters
    ----------
    sigma
        `(n,)` standard deviation along the first axis, in sharp pixels; 0: a point.
    ratio
        `(n,)` that along the second axis over that along the first.
    angle
        `(n,)` direction of the first axis, in degrees from the x axis towards y.

    Returns
    -------
    Tensor
        `(n, 1, k, k)` of unit sum, `k` odd.
    """
    widths = torch.stack([sigma, sigma * ratio]).clamp_min(_POINT)  # (2, n)
    radius = ceil(_REACH * float(widths.max()))
    along = torch.arange(-radius, radius + 1, dtype=sigma.dtype)
    y, x = torch.meshgrid(along, along, indexing="ij")
    turn = torch.deg2rad(angle).view(-1, 1, 1)
    first = x * torch.cos(turn) + y * torch.sin(turn)  # (n, k, k)
    second = y * torch.cos(turn) - x * torch.sin(turn)
    wide, narrow = widths.view(2, -1, 1, 1)
    psf = torch.exp(-0.5 * ((first / wide) ** 2 + (second / narrow) ** 2))
    return (psf / psf.sum((1, 2), keepdim=True))[:, None]


def measured_psf(image: Sequence[Sequence[float]]) -> Tensor:
    """Bring a measured point-spread function to unit sum, `(1, 1, k, l)`."""
    psf = torch.tensor(image, dtype=torch.float64)
    return (psf / psf.sum()).float()[None, None]


def convolve(image: Tensor, psf: Tensor) -> Tensor:
    """Convolve each image of a batch with its own point-spread function.

    Parameters
    ----------
    image
        `(n, 1, h, w)`.
    psf
        `(n, 1, k, l)`, or `(1, 1, k, l)` for all; a point of light becomes it, the
        pixel `(k // 2, l // 2)` where the point was.

    Returns
    -------
    Tensor
        `(n, 1, h, w)`.
    """
    n, _, height, width = image.shape
    kernels = psf.to(image).flip(-2, -1).expand(n, -1, -1, -1)
    rows, columns = psf.shape[-2:]
    # `conv2d` correlates: the turned kernel reaches its centre from the other side.
    above, left = rows - 1 - rows // 2, columns - 1 - columns // 2
    padded = mirrored(image, (above, rows // 2), (left, columns // 2))
    # (1, n, h, w) with one group for each image
    blurred = functional.conv2d(padded.transpose(0, 1), kernels, groups=n)
    return blurred.view(n, 1, height, width)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Convolve `(n, 1, h, w)` images with a round Gaussian of `sigma` pixels."""
    if sigma <= 0:
        return image
    radius = ceil(_REACH * sigma)
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    profile = torch.exp(-0.5 * (x / sigma) ** 2)
    profile = profile / profile.sum()
    padded = mirrored(image, (radius, radius), (radius, radius))
    rows = functional.conv2d(padded, profile.view(1, 1, -1, 1))
    return functional.conv2d(rows, profile.view(1, 1, 1, -1))


def mirrored(
    image: Tensor, vertical: tuple[int, int], horizontal: tuple[int, int]
) -> Tensor:
    """Continue `(n, 1, h, w)` images by mirrors at their borders, however far.

    Parameters
    ----------
    image
        `(n, 1, h, w)`.
    vertical, horizontal
        Pixels to add before and after.
    """
    for axis, (before, after) in ((-2, vertical), (-1, horizontal)):
        side = image.shape[axis]
        place = torch.arange(-before, side + after, device=image.device) % (2 * side)
        image = image.index_select(axis, torch.minimum(place, 2 * side - 1 - place))
    return image

"""Statistics of a recording that tell noise, white or blurred, from texture.

This module alone knows which they are. They are taken in small blocks, at three scales:
white noise is strongest in the finest detail, noise that was blurred by a pixel only
stands out in 2 × 2 and 4 × 4 means, and a reconstruction's is weak there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

N_FEATURES = 203
_SCALES = (0, 64, 124)
"""Places of the statistics of each scale; then come those of the flattest blocks."""
WHERE_FLAT, _WHERE_FLAT_IN_HALF = 177, 194
"""Places of the log variance of the flattest blocks."""
FLOOR = 1e-4
"""Noise below this, in network units, is none: 2 counts in 20,000."""
_BLOCK = 8
_CONSTANT = 1e-12
"""High-pass energy of a block that varies no more than its numbers are rounded."""
_SMALLEST = 2 * _BLOCK
_MAX_BLOCKS = 1 << 16
_LEVELS = torch.tensor([0.02, 0.1, 0.3, 0.5, 0.8])
_N_CLASSES = 5
_FLAT = 0.2
"""Share of the blocks that is taken for flat: where coarse structure is least."""
_LAGS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 2), (0, 3), (3, 0))


def _log_energies() -> Tensor:
    """Tell which statistics are logarithms of energies."""
    places: list[int] = []
    for first in _SCALES:
        places += range(first, first + 45)
    for first in _SCALES[:2]:
        places += range(first + 45, first + 55, 2)
    for variance in (WHERE_FLAT, _WHERE_FLAT_IN_HALF):
        places += range(variance + 2, variance + 9)
    places.append(_WHERE_FLAT_IN_HALF)
    return torch.zeros(N_FEATURES, dtype=torch.bool).index_fill(
        0, torch.tensor(places), True
    )


LOG_ENERGIES = _log_energies()
"""`(N_FEATURES,)` whether a statistic is one, other than that at `WHERE_FLAT`."""


def noise_statistics(images: Tensor) -> Tensor:
    """Summarise planes in the statistics that tell noise from texture.

    Of the plane and of its 2 × 2 and 4 × 4 means: percentiles over blocks of the log
    energy of small high-pass filters (each passes white noise at unit size), plain and
    relative to the block's mean; the energy of the quieter blocks of each brightness,
    which for photons rises with it; short-lag autocorrelation of the Laplacian. Of the
    plane also its tails and percentiles of the block means. Where there is least coarse
    structure: variance and autocorrelation, and the energy of the filters. Blocks
    without any variation are left out: where nothing arrived (a black or a clipped
    background), or was masked, there is no telling how noisy the light is.

    Parameters
    ----------
    images
        `(n, h, w)` float32 recordings in network range. Those of less than 16 pixels a
        side are continued by reflection: their statistics are finite, and say little.

    Returns
    -------
    Tensor
        `(n, N_FEATURES)` float32.
    """
    images = _reflected(images, _SMALLEST)
    half = _reflected(functional.avg_pool2d(images, 2), _SMALLEST)
    quarter = _reflected(functional.avg_pool2d(half, 2), _SMALLEST)
    return torch.cat(
        [
            _of_scale(images, _BLOCK, is_finest=True),  # 64
            _of_scale(half, _BLOCK // 2),  # 60
            _of_scale(quarter, _BLOCK // 4)[:, :45],
            _where_flat(images),  # 17
            _where_flat(half),  # 17
        ],
        dim=1,
    )


def _of_scale(images: Tensor, block: int, *, is_finest: bool = False) -> Tensor:
    """Summarise `(n, h, w)` images at one scale, in blocks of so many pixels."""
    bands = _high_pass(images)  # (n, 7, h - 4, w - 4)
    energy = _per_block(bands.square(), block)  # (n, 7, n_blocks)
    mean = _per_block(images[:, None, 2:-2, 2:-2], block)[:, 0]  # (n, n_blocks)
    alive = energy.amax(1) > _CONSTANT
    share_alive = alive.float().mean(1)
    alive = alive | (share_alive == 0)[:, None]
    log_energy = _only(torch.log(energy + FLOOR**2), alive[:, None])
    mean = _only(mean, alive)
    relative = log_energy[:, [0, -1]] - torch.log(mean.clamp_min(0.01))[:, None]
    laplacian = bands[:, 0]
    statistics = [
        _levels(log_energy),  # 35
        _levels(relative),  # 10
        _quiet_by_brightness(log_energy[:, -1], mean),  # 10
        _autocorrelation(laplacian),  # 5
    ]
    if is_finest:
        statistics.append(_log_kurtosis(laplacian, share_alive))  # 1
        statistics.append(mean.nanquantile(torch.tensor([0.1, 0.5, 0.9]), dim=1).T)  # 3
    return torch.cat(statistics, dim=1)


def _where_flat(images: Tensor) -> Tensor:
    """Measure variance, autocorrelation and bands in blocks of least coarse structure.

    What is coarse: 4 × 4 means, so that blocks are not chosen for their fine noise. A
    plane is taken out of each.
    """
    n, height, width = images.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    whole = images[:, : rows * _BLOCK, : columns * _BLOCK]
    blocks = whole.reshape(n, rows, _BLOCK, columns, _BLOCK).transpose(2, 3)
    blocks = blocks.reshape(n, rows * columns, _BLOCK, _BLOCK)
    coarse = functional.avg_pool2d(blocks, _BLOCK // 2).var(dim=(2, 3))
    dead = blocks.var(dim=(2, 3)) <= _CONSTANT
    coarse = coarse.masked_fill(dead & ~dead.all(1, keepdim=True), torch.inf)
    n_flat = (coarse.isfinite().sum(1, keepdim=True) * _FLAT).round().clamp_min(1)
    is_flat = (coarse.argsort(1).argsort(1) < n_flat).float()
    share = is_flat / is_flat.sum(1, keepdim=True)  # (n, n_blocks)

    ramp = torch.linspace(-1, 1, _BLOCK)
    rest = blocks - blocks.mean((2, 3), keepdim=True)
    for along in (ramp, ramp[:, None]):
        slope = (rest * along).sum((2, 3), keepdim=True) / (_BLOCK * (ramp**2).sum())
        rest = rest - slope * along
    variance = (share * rest.square().mean((2, 3))).sum(1) + FLOOR**2
    lagged = [
        rest[..., y:, x:] * rest[..., : _BLOCK - y, : _BLOCK - x] for y, x in _LAGS
    ]
    lags = [(share * product.mean((2, 3))).sum(1) / variance for product in lagged]
    light = (share * blocks.mean((2, 3))).sum(1)
    bands = _high_pass(blocks.flatten(0, 1)).square().mean((2, 3)).view(n, -1, 7)
    energy = (share[..., None] * bands).sum(1)
    return torch.cat(
        [
            torch.stack(lags, dim=1),  # 8
            torch.log(variance)[:, None],
            torch.log(light.clamp_min(0.01))[:, None],
            torch.log(energy + FLOOR**2),  # 7
        ],
        dim=1,
    )


def _reflected(images: Tensor, smallest: int) -> Tensor:
    """Continue small planes by reflection until they have a few blocks."""
    for axis, side in enumerate(images.shape[1:], start=1):
        if side < smallest:
            period = max(1, 2 * side - 2)
            place = torch.arange(smallest) % period
            images = images.index_select(axis, torch.minimum(place, period - place))
    return images


def _high_pass(images: Tensor) -> Tensor:
    """Filter with Laplacian, second differences, checkerboard and fourth differences.

    The fourth differences along both axes pass the corner of the spectrum alone, where
    an instrument hardly transmits anything but noise.
    """
    second = torch.tensor([0.0, 1.0, -2.0, 1.0, 0.0])
    fourth = torch.tensor([1.0, -4.0, 6.0, -4.0, 1.0])
    kernels = torch.zeros(7, 1, 5, 5)
    kernels[0, 0] = torch.outer(second, second)
    kernels[1, 0, 2] = second
    kernels[2, 0, :, 2] = second
    kernels[3, 0, 1:3, 1:3] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    kernels[4, 0, 2] = fourth
    kernels[5, 0, :, 2] = fourth
    kernels[6, 0] = torch.outer(fourth, fourth)
    norms = kernels.square().sum((1, 2, 3), keepdim=True).sqrt()
    return functional.conv2d(images[:, None], kernels / norms)


def _per_block(values: Tensor, block: int) -> Tensor:
    """Average `(n, c, h, w)` over blocks to `(n, c, n_blocks)`, thinned to a bound."""
    side = min(block, *values.shape[-2:])
    blocks = functional.avg_pool2d(values, side).flatten(2)
    return blocks[..., :: max(1, blocks.shape[-1] // _MAX_BLOCKS)]


def _only(values: Tensor, alive: Tensor) -> Tensor:
    return torch.where(alive, values, torch.nan)


def _levels(values: Tensor) -> Tensor:
    """Take percentiles over the blocks of each band, `(n, c · n_levels)`."""
    return values.nanquantile(_LEVELS, dim=2).permute(1, 2, 0).flatten(1)


def _quiet_by_brightness(log_energy: Tensor, mean: Tensor) -> Tensor:
    """Sort blocks into classes of brightness: quiet energy and mean of each."""
    rank = mean.nan_to_num(torch.inf).argsort(1).argsort(1)
    n_alive = mean.isfinite().sum(1, keepdim=True)
    quiet = []
    for i in range(_N_CLASSES):
        first = i * n_alive // _N_CLASSES
        last = torch.maximum(first + 1, (i + 1) * n_alive // _N_CLASSES)
        members = (rank >= first) & (rank < last)
        quiet.append(_only(log_energy, members).nanquantile(0.3, dim=1))
        quiet.append(_only(mean, members).nanmean(1))
    return torch.stack(quiet, dim=1)


def _autocorrelation(band: Tensor) -> Tensor:
    variance = band.square().mean((1, 2)) + FLOOR**2
    lagged = [
        band[:, :, 1:] * band[:, :, :-1],
        band[:, 1:] * band[:, :-1],
        band[:, 1:, 1:] * band[:, :-1, :-1],
        band[:, :, 2:] * band[:, :, :-2],
        band[:, 2:] * band[:, :-2],
    ]
    return torch.stack([product.mean((1, 2)) / variance for product in lagged], dim=1)


def _log_kurtosis(band: Tensor, share_alive: Tensor) -> Tensor:
    """Measure the tails of a band over the share of it where it is not zero."""
    variance = band.square().mean((1, 2)) + FLOOR**2
    kurtosis = share_alive * band.pow(4).mean((1, 2)) / variance.square()
    return torch.log(kurtosis + 1e-3)[:, None]

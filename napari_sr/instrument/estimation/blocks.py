"""Planes → the energy of their blocks in bands of spatial frequency.

This module alone knows the blocks and bands, which blocks can be used, and how sharp
planes are recorded to be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import fft, linalg, ndimage

from napari_sr.image.intensity import fill_gaps
from napari_sr.instrument.degradation import record
from napari_sr.instrument.psf import blur

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

SIDE = 16
"""Side of a block in recorded pixels."""
WIDTHS = np.array(
    [0, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2, 1.4, 1.6, 1.8, 2.1, 2.4, 2.8, 3.2, 3.6]
)
"""Point-spread functions that are simulated at factor 2: σ in sharp pixels; at other
factors in proportion."""
_EDGES = (0.03, 0.08, 0.13, 0.18, 0.24, 0.30, 0.36, 0.42, 0.49, 0.56, 0.71)
"""Of the bands, in cycles per recorded pixel along any direction."""
_CORNER = 0.8
"""Share of the Nyquist frequency along both axes beyond which a sharp image is taken
to hold nothing but its own noise; an upper bound where its texture is that fine."""
_CONSTANT = 1e-12
"""Energy, in units of the squared level, of a block that holds one value."""
_AT_FLOOR = 0.5
"""Share of the pixels around one that are at the lowest value of the pixel type: they
are clipped."""
_BELOW_DARK = 5.0
"""Times the noise by which the lowest value is below the dark: no noise reaches it."""
_SPIKE, _BEYOND_NOISE = 0.1, 6.0
"""A bad pixel is beyond its neighbours by a share of the range and by so much noise."""


def _bands() -> NDArray[np.intp]:
    along = np.arange(SIDE) / (2 * SIDE)
    return np.digitize(np.hypot(along[:, None], along), _EDGES) - 1


def _weights() -> NDArray[np.float64]:
    """Tell what each pixel of a block adds to the energy of white noise in a band."""
    waves = fft.idct(np.eye(SIDE), axis=1, norm="ortho") ** 2  # (frequency, pixel)
    both = np.einsum("uy,vx->uvyx", waves, waves)
    return np.stack([both[_BAND == k].mean(0) for k in range(N_BANDS)], axis=-1)


_BAND = _bands()
N_BANDS = len(_EDGES) - 1
N_COEFFICIENTS = np.bincount(_BAND[_BAND >= 0], minlength=N_BANDS)
"""Of a block, in each band."""
_WEIGHTS = _weights()
"""`(SIDE, SIDE, N_BANDS)`, of sum 1 for each band."""
FREQUENCIES = (np.array(_EDGES[1:]) + np.array(_EDGES[:-1])) / 2
"""Middle of each band, in cycles per recorded pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Blocks of some images, recorded with one instrument or with several."""

    level: NDArray[np.float64]
    """`(b,)` mean of each block."""
    seen: NDArray[np.float64]
    """`(b, k)` mean of each block with the weights that a band gives to its pixels: the
    noise of a bright middle is seen more by the finest band than by another."""
    energy: NDArray[np.float64]
    """`(w, b, k)` mean squared coefficient in each band; white noise has its variance
    in all of them. One `w` for a recording, all `WIDTHS` for sharp images."""
    part: NDArray[np.intp]
    """`(b,)` number of the image that it comes from, or of the piece of it."""
    own_noise: NDArray[np.float64]
    """`(b,)` variance of the noise of a sharp image itself, at most; else 0."""

    def scaled(self, black: float, white: float) -> Blocks:
        """Express level and energy in another unit."""
        span = white - black
        return Blocks(
            (self.level - black) / span,
            (self.seen - black) / span,
            self.energy / span**2,
            self.part,
            self.own_noise / span**2,
        )

    def as_seen(self, variance: NDArray) -> Blocks:
        """Let the levels waver as noise of this variance per pixel, `(b,)`, makes them.

        A recording sorts its blocks by what it sees.
        """
        chance = np.random.default_rng(0).normal(size=self.level.shape)
        level = self.level + chance * np.sqrt(variance) / SIDE
        return replace(self, level=level)


def recorded_blocks(planes: Sequence[NDArray]) -> Blocks:
    """Look at recordings.

    Parameters
    ----------
    planes
        `(y, x)` counts, of any real dtype; blocks with gaps are left out, and so are
        those that are clipped or hold one value only.
    """
    return _joined([_recorded(plane) for plane in planes], n_pieces=1)


def simulated_blocks(planes: Sequence[NDArray], factor: int) -> Blocks:
    """Record sharp images without noise, once with each of the `WIDTHS`.

    Parameters
    ----------
    planes
        `(y, x)` counts, of any real dtype, with gaps or without; sides are multiples
        of `factor`.
    factor
        Sharp pixels along a recorded one.
    """
    # One or two images are cut into pieces, to see how different pieces can be.
    n_pieces = 1 if len(planes) > 2 else 4 // len(planes)
    return _joined([_simulated(plane, factor) for plane in planes], n_pieces)


@lru_cache(maxsize=4)
def white_noise_left(factor: int) -> NDArray[np.float64]:
    """Tell what recording leaves of white noise of a sharp image, `(w, k)` shares."""
    shares = []
    for width in WIDTHS * factor / 2:
        point = torch.zeros(1, 1, 1, 1 + 2 * SIDE * factor, dtype=torch.float64)
        point[..., SIDE * factor] = 1
        seen = blur(point, float(width))[0, 0, 0].numpy()
        pixel = np.convolve(seen, np.full(factor, 1 / factor))
        # Recording goes along one axis and then the other: so does what it leaves.
        alike = np.correlate(pixel, pixel, "full")[len(pixel) - 1 :: factor][:SIDE]
        waves = fft.dct(np.eye(SIDE), axis=0, norm="ortho")
        along = np.einsum("ux,xy,uy->u", waves, linalg.toeplitz(alike), waves)
        both = np.outer(along, along)
        shares.append([both[_BAND == k].mean() for k in range(N_BANDS)])
    left = np.array(shares)
    left.flags.writeable = False
    return left


def _recorded(plane: NDArray) -> Blocks:
    filled, gaps = fill_gaps(plane)
    bad = np.zeros(plane.shape, np.bool_) if gaps is None else gaps
    blocks = _measured([filled])
    if plane.dtype.kind in "iu":
        limits = np.iinfo(plane.dtype)
        bad = bad | (plane == limits.max) | _masked(plane == limits.min, plane, blocks)
    bad = bad | _spikes(filled.astype(np.float64), blocks)
    good = np.ones(blocks.level.shape, bool)
    good &= ~_tiled(bad).any(axis=(1, 2))
    return _kept(blocks, good)


def _masked(floor: NDArray, plane: NDArray, blocks: Blocks) -> NDArray[np.bool_]:
    """Find pixels at the lowest value of the type that no light has put there.

    Those of a block that is mostly clipped, and all where the dark is far above.
    """
    share = _tiled(floor).mean((1, 2))
    clean = share == 0
    if clean.any():
        noise = np.sqrt(np.percentile(blocks.energy[0, clean, -1], 5))
        dark = np.percentile(blocks.level[clean], 5)
        if dark - plane[floor].min(initial=0) > _BELOW_DARK * noise:
            return floor
    around = ndimage.uniform_filter(floor.astype(np.float32), SIDE)
    clipped: NDArray[np.bool_] = floor & (around > _AT_FLOOR)
    return clipped


def _simulated(plane: NDArray, factor: int) -> Blocks:
    filled, gaps = fill_gaps(plane)
    offset = float(filled.mean())  # keeps the digits of a small range on a large offset
    sharp = torch.from_numpy((filled - offset).astype(np.float32))[None, None]
    recordings = (
        record(sharp, factor, psf_sigma=float(width))[0, 0].numpy()
        for width in WIDTHS * factor / 2
    )
    blocks = _measured(recordings)
    blocks = replace(
        blocks,
        level=blocks.level + offset,
        seen=blocks.seen + offset,
        own_noise=_corner_energy(sharp[0, 0].numpy(), factor),
    )
    keep = np.ones(blocks.level.shape, bool)
    if gaps is not None:
        # A filled gap is blurred over its surroundings, by no more than a block.
        near = ndimage.maximum_filter(gaps, 2 * SIDE * factor)
        keep &= ~_tiled(near[::factor, ::factor]).any(axis=(1, 2))
    return _kept(blocks, keep)


def _measured(recordings: Iterable[NDArray]) -> Blocks:
    """Measure the blocks of one plane, recorded once or several times."""
    energies = []
    for recording in recordings:
        blocks = _tiled(recording).astype(np.float64)
        level = blocks.mean((1, 2))
        waves = fft.dctn(blocks - level[:, None, None], axes=(1, 2), norm="ortho")
        power = np.square(waves, out=waves)
        energies.append([power[:, _BAND == k].mean(1) for k in range(N_BANDS)])
    return Blocks(
        level=level,
        seen=np.tensordot(blocks, _WEIGHTS, 2),
        energy=np.array(energies).transpose(0, 2, 1),
        part=np.zeros(level.shape, np.intp),
        own_noise=np.zeros(level.shape),
    )


def _spikes(plane: NDArray, blocks: Blocks) -> NDArray[np.bool_]:
    """Find bad pixels: far beyond all their neighbours, as no optics makes them."""
    if not blocks.level.size:
        return np.zeros(plane.shape, bool)
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    above = plane - ndimage.maximum_filter(plane, footprint=around)
    below = ndimage.minimum_filter(plane, footprint=around) - plane
    span = np.subtract(*np.percentile(blocks.level, (95, 5)))
    noise = np.sqrt(np.median(blocks.energy[0, :, -1]))
    spikes: NDArray = np.maximum(above, below) > _SPIKE * span + _BEYOND_NOISE * noise
    return spikes


def _kept(blocks: Blocks, keep: NDArray[np.bool_]) -> Blocks:
    """Leave out some blocks, and those that hold one value only."""
    keep = keep & (blocks.energy[0, :, -1] > _CONSTANT * (1 + blocks.level**2))
    return Blocks(
        blocks.level[keep],
        blocks.seen[keep],
        blocks.energy[:, keep],
        blocks.part[keep],
        blocks.own_noise[keep],
    )


def _joined(pieces: Sequence[Blocks], n_pieces: int) -> Blocks:
    """Put the blocks of several planes together, numbered by plane and piece."""
    parts = []
    for i, blocks in enumerate(pieces):
        n = len(blocks.level)
        parts.append(i * n_pieces + np.arange(n) * n_pieces // max(1, n))
    return Blocks(
        np.concatenate([blocks.level for blocks in pieces]),
        np.concatenate([blocks.seen for blocks in pieces]),
        np.concatenate([blocks.energy for blocks in pieces], axis=1),
        np.concatenate(parts),
        np.concatenate([blocks.own_noise for blocks in pieces]),
    )


def _tiled(plane: NDArray, side: int = SIDE) -> NDArray:
    """Cut the middle of a plane into blocks, `(b, side, side)`."""
    rows, columns = (length // side for length in plane.shape)
    top, left = ((length % side) // 2 for length in plane.shape)
    inner = plane[top : top + rows * side, left : left + columns * side]
    blocks = inner.reshape(rows, side, columns, side).swapaxes(1, 2)
    return blocks.reshape(-1, side, side)


def _corner_energy(sharp: NDArray, factor: int) -> NDArray[np.float64]:
    """Find the energy at the highest frequencies of each block of a sharp plane.

    The same blocks as those of its recording, which may lie off the middle by a part
    of a recorded pixel.
    """
    blocks = _tiled(_in_blocks_of(sharp, factor), SIDE * factor)
    waves = fft.dctn(blocks, axes=(1, 2), norm="ortho")
    start = round(_CORNER * SIDE * factor)
    energy: NDArray = np.mean(waves[:, start:, start:] ** 2, axis=(1, 2))
    return energy


def _in_blocks_of(sharp: NDArray, factor: int) -> NDArray:
    """Leave out what a recording of a sharp plane has outside its blocks."""
    edges = []
    for length in sharp.shape:
        low = length // factor
        start = (low % SIDE) // 2 * factor
        edges.append(slice(start, start + low // SIDE * SIDE * factor))
    return sharp[edges[0], edges[1]]

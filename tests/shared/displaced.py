"""Specimens that can be displaced by tenths of a pixel without any interpolation.

They are drawn on a grid of ten points per low-resolution pixel. A recording averages
over the points of its pixels, so that a displacement of n points is n/10 of a pixel
exactly, and aliased as real ones are.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

POINTS = 10
"""Per low-resolution pixel."""
MARGIN = 60
"""Points around the field, for displacements of up to 6 pixels."""
BLACK = 300


@lru_cache(maxsize=12)
def specimen(kind, side=96, seed=0):
    """Draw light from 0 to about 1 on `side` low-resolution pixels and a margin."""
    random = np.random.default_rng(seed)
    n = side * POINTS + 2 * MARGIN
    if kind == "cells":
        drawn = _disks(random, n)
    elif kind == "texture":
        drawn = sum(_smooth(random, n, sigma) for sigma in (6, 14, 40))
    else:
        drawn = _filaments(random, n)
    drawn = drawn - drawn.min()
    return (drawn / np.percentile(drawn, 99.5)).astype(np.float32)


def recorded(kind, factor, shift=(0, 0), photons=None, *, side=96, seed=0, noise=0):
    """Record a specimen that is moved down and to the right by tenths of a pixel.

    `factor` 1 gives the low-resolution recording, 2 and 5 sharp ones; `photons` are
    those of a bright pixel, `noise` seeds them.
    """
    points = specimen(kind, side, seed)
    y, x = (MARGIN - round(POINTS * by) for by in shift)
    field = points[y : y + side * POINTS, x : x + side * POINTS]
    n, step = side * factor, POINTS // factor
    light = field.reshape(n, step, n, step).mean((1, 3), dtype=np.float64)
    if photons is not None:
        light = np.random.default_rng(noise).poisson(light * photons) / photons
    return np.rint(light * 10_000 + BLACK).astype(np.uint16)


def _smooth(random, n, sigma):
    blurred = ndimage.gaussian_filter(random.normal(size=(n // 2, n // 2)), sigma / 2)
    return np.kron(blurred / blurred.std(), np.ones((2, 2)))


def _disks(random, n):
    drawn = np.zeros((n, n), np.float32)
    for _ in range(40):
        y, x, radius = random.uniform((0, 0, 20), (n, n, 70))
        near = (slice(max(0, int(at - radius)), int(at + radius) + 1) for at in (y, x))
        rows, columns = near
        i, j = np.ogrid[rows, columns]
        i, j = i[i < n][:, None], j.ravel()[j.ravel() < n]
        inside = np.hypot(i - y, j - x) < radius
        drawn[rows, columns] += inside * random.uniform(0.4, 1)
    return ndimage.gaussian_filter(drawn, 5) + 0.03 * _smooth(random, n, 8)


def _filaments(random, n):
    drawn = np.zeros((n, n), np.float32)
    for _ in range(60):
        y, x, angle = random.uniform((0, 0, 0), (n, n, 2 * np.pi))
        along = np.arange(random.integers(200, 500))
        bend = angle + along * random.normal(0, 0.002)
        i = (y + np.cumsum(np.sin(bend))).astype(int)
        j = (x + np.cumsum(np.cos(bend))).astype(int)
        seen = (i >= 0) & (j >= 0) & (i < n) & (j < n)
        drawn[i[seen], j[seen]] = 1
    return ndimage.gaussian_filter(drawn, 5)

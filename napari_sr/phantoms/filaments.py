"""Draw a network of fluorescent filaments, as a z stack.

This module alone knows the cytoskeleton: chains that leave an organising centre and
others that cross them, labelled unevenly, lying at different depths, out of focus
above and below the plane, dimmer deeper down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from napari_sr.image.stack import Axis
from napari_sr.phantoms.curves import splat, wandering_path
from napari_sr.phantoms.drawing import (
    OVERSAMPLING,
    blurred,
    fine_shape,
    to_truth_pixels,
)
from napari_sr.phantoms.specimen import Specimen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PIXEL_UM = 0.1
PLANE_SPACING_UM = 0.35
PSF_SIGMA_UM = 0.078
"""0.21 wavelengths / aperture, at 520 nm and 1.4."""
FOCUS_DEPTH_UM = 0.40
"""Where the width of the point spread has grown by the square root of 2."""
FADE_DEPTH_UM = 5.0
N_DEFOCUS = 7


def draw(n_planes: int, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the planes, the top one first."""
    thickness = 2.0 + n_planes * PLANE_SPACING_UM
    points, depths, weights = _network(shape, thickness, rng)
    weights = weights * np.exp(-depths / FADE_DEPTH_UM)
    first = (thickness - (n_planes - 1) * PLANE_SPACING_UM) / 2
    planes = [
        _focus(points, depths - first - k * PLANE_SPACING_UM, weights, shape)
        for k in range(n_planes)
    ]
    signal = np.stack(planes)
    return np.asarray(0.01 + 0.95 * signal / np.quantile(signal, 0.998))


def _network(
    shape: tuple[int, int], thickness: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Return `(n, 2)` places, depths in micrometres and brightness of fluorophores."""
    size = np.asarray(shape, dtype=np.float64)
    centre = size * rng.uniform([0.15, 0.6], [0.4, 0.9])
    parts = []
    for k in range(8 + round(np.prod(size) / 480)):
        radial = k % 2 == 0
        start = centre + rng.normal(0, 6, 2) if radial else rng.uniform(-20, size + 20)
        path = wandering_path(
            start,
            rng.uniform(0, 2 * np.pi),
            rng.uniform(0.5, 1.3) * size.max(),
            rng,
            stiffness=500.0 if radial else 220.0,
        )
        parts.append((path, *_labels(len(path), thickness, rng)))
    places, depths, weights = zip(*parts, strict=True)
    return np.concatenate(places), np.concatenate(depths), np.concatenate(weights)


def _labels(
    n_points: int, thickness: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the depth and the brightness along one filament."""
    tilt = rng.normal(0, 0.6) * np.linspace(0, 1, n_points)
    depths = np.clip(rng.uniform(0, thickness) + tilt, 0, thickness)
    # Labels sit in clumps of about a pixel: the bead pattern of a stained filament.
    clumps = gaussian_filter1d(rng.standard_normal(n_points), 2.2, mode="nearest")
    clumps = np.exp(0.55 * clumps / clumps.std())
    return depths, clumps * rng.lognormal(-0.2, 0.55)


def _focus(
    points: Floats, distances: Floats, weights: Floats, shape: tuple[int, int]
) -> Floats:
    """Image fluorophores at their `distances` from the focal plane."""
    widths = np.sqrt(1 + (distances / FOCUS_DEPTH_UM) ** 2)
    # Some optical sectioning: light from afar is partly rejected by the pinhole.
    weights = weights / widths
    levels = np.geomspace(1, 9, N_DEFOCUS)
    level = np.interp(np.log(widths), np.log(levels), np.arange(N_DEFOCUS))
    fine = np.zeros(fine_shape(shape))
    sigma = PSF_SIGMA_UM / PIXEL_UM
    for k, width in enumerate(levels):
        share = np.clip(1 - np.abs(level - k), 0, None)  # linear between two levels
        used = share > 0
        light = splat(points[used], (weights * share)[used], shape)
        # The last stage blurs all levels by sigma once more.
        fine += blurred(light, sigma * np.sqrt(width**2 - 1)) if k else light
    return to_truth_pixels(fine * OVERSAMPLING**2, sigma)


SPECIMEN = Specimen(
    name="filaments",
    domain="fluorescence microscopy",
    title="Fluorescent filaments of a cell, confocal z stack",
    meaning="fluorescence above a dark level",
    draw=draw,
    pixel_size=PIXEL_UM,
    unit="um",
    series=Axis("z", PLANE_SPACING_UM, "um"),
    n_planes=5,
    size=256,
    dark=1000,
    bright=21000,
    ceiling=65535,
    photons=400,
    read=60,
)

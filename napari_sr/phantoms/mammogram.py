"""Draw a patch of a mammogram: breast tissue, fibrous strands, microcalcifications.

This module alone knows the breast: attenuation with an amplitude spectrum of
1 / frequency ** 1.5, strands that run towards the nipple, clusters of small dense
grains. The plane is linear in transmitted X-rays (a "for processing" image), so dense
tissue and grains are dark; show it with an inverted grey map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sr.image.stack import Axis
from napari_sr.phantoms.curves import draw_paths, wandering_path
from napari_sr.phantoms.drawing import (
    fine_shape,
    outline_radius,
    power_law_field,
    random_outline,
    to_truth_pixels,
    window,
)
from napari_sr.phantoms.specimen import Specimen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PIXEL_MM = 0.05
PSF_SIGMA = 0.6
GRAIN_PER_MM = 1.7
"""Attenuation of a grain, beyond that of the tissue it replaces, near 20 keV."""
STRAND_SIGMAS = (0.7, 0.7, 1.1, 1.1, 1.8, 3.0, 5.0)
"""Half-widths of the strands in truth pixels; thin ones are more common."""


def draw(n_planes: int, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw separate patches."""
    return np.stack([_patch(shape, rng) for _ in range(n_planes)])


def _patch(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the share of X-rays that gets through, about 1 in the most open part."""
    tissue = power_law_field(fine_shape(shape), 1.5, rng)
    glands = 0.16 * tissue + 0.05 * np.clip(tissue, 0, None) ** 2
    attenuation = glands + _strands(shape, rng) + _clusters(shape, rng)
    through = to_truth_pixels(np.exp(-attenuation), PSF_SIGMA)
    return np.asarray(0.97 * through / np.quantile(through, 0.999))


def _strands(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the attenuation of ligaments, ducts and vessels."""
    size = np.asarray(shape, dtype=np.float64)
    nipple = size * rng.uniform([0.2, 1.1], [0.8, 1.5])
    paths = []
    for _ in range(20 + round(np.prod(size) / 1100)):
        sigma = float(rng.choice(STRAND_SIGMAS))
        start = rng.uniform(-0.3 * size, size)
        down, right = nipple - start
        path = wandering_path(
            start,
            np.arctan2(down, right) + rng.normal(0, 0.35),
            rng.uniform(0.15, 0.8) * size.max(),
            rng,
            stiffness=700.0 + 100 * sigma,
        )
        paths.append((path, sigma, rng.uniform(0.02, 0.085)))
    return draw_paths(paths, shape)


def _clusters(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the attenuation of clusters of grains."""
    size = np.asarray(shape, dtype=np.float64)
    fine = np.zeros(fine_shape(shape))
    for _ in range(max(1, round(np.prod(size) / 80000))):
        middle = rng.uniform(0.18 * size, 0.82 * size)
        spread = rng.uniform(0.03, 0.07) * size.min()
        for _ in range(rng.integers(10, 22)):
            _add_grain(fine, middle + rng.normal(0, spread, 2), shape, rng)
    return fine


def _add_grain(
    fine: Floats, centre: Floats, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    """Add one grain of 0.1 to 0.5 mm to a fine plane."""
    radius = np.clip(rng.lognormal(0.75, 0.45), 0.9, 5.0)  # in truth pixels
    stretch = rng.uniform(0.6, 1.0)
    turn = rng.uniform(0, np.pi)
    where, y, x = window(centre, 2.5 * radius + 2, shape)
    across = (np.cos(turn) * y - np.sin(turn) * x) / (stretch * radius)
    along = (np.sin(turn) * y + np.cos(turn) * x) / radius
    rho = outline_radius(across, along, random_outline(rng, 0.13))
    thickness = np.sqrt(np.clip(1 - rho**2, 0, None))
    fine[where] += 2 * radius * thickness * PIXEL_MM * GRAIN_PER_MM


SPECIMEN = Specimen(
    name="mammogram",
    domain="mammography",
    title="Breast tissue with strands and microcalcifications, linear radiograph",
    meaning="transmitted X-rays: dense tissue is dark",
    draw=draw,
    pixel_size=PIXEL_MM,
    unit="mm",
    series=Axis("p"),
    n_planes=1,
    size=512,
    dark=100,
    bright=12100,
    ceiling=16383,
    photons=3000,
    read=12,
)

"""Draw a machined surface that wears, as a series of height maps.

This module alone knows the surface: the grooves of the cutting tool, fractal
roughness, and the scratches and pits that each spell of wear adds. One count is one
nanometre of height; counts rise with height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

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

PIXEL_UM = 0.5
SPELL_S = 600.0
PSF_SIGMA = 0.55
FEED = 21.0
"""Distance between two tool grooves, in truth pixels."""
MIDDLE_NM, RANGE_NM = 10000.0, 10000.0
"""Height of the mean plane, and what 1 of the drawing stands for."""


def draw(n_planes: int, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the height after each spell of wear, the fresh surface first."""
    ridges = _machined(shape, rng)
    roughness = 70 * power_law_field(fine_shape(shape), 1.75, rng)
    roughness += 30 * power_law_field(fine_shape(shape), 0.6, rng)
    wear = np.zeros(fine_shape(shape))
    heights = []
    for spell in range(n_planes):
        wear += _scratches(shape, 24 if spell else 8, rng)
        wear += _pits(shape, 9 if spell else 3, rng)
        # Wear takes the tops off the ridges first.
        worn = ridges - 0.35 * (1 - 0.7**spell) * np.clip(ridges, 0, None)
        height = MIDDLE_NM + worn + roughness + wear
        heights.append(to_truth_pixels(height, PSF_SIGMA))
    return np.stack(heights) / RANGE_NM


def _machined(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the tool's grooves in nanometres, slightly curved and unequal."""
    height, width = fine_shape(shape)
    y, x = np.indices((height, width)) * (shape[0] / height)
    turn = rng.uniform(0.12, 0.3)
    bow = 0.00035 * (y - rng.uniform(-0.5, 1.5) * shape[0]) ** 2
    lay = x * np.cos(turn) + y * np.sin(turn) + bow
    groove = lay / FEED
    # An arc of the tool's nose for each turn, cusps between two turns.
    arc = 4 * (groove - np.floor(groove) - 0.5) ** 2 - 1 / 3
    n_marks = int(lay.max() - lay.min()) * 2 + 2
    marks = gaussian_filter1d(rng.standard_normal(n_marks), 1.5)
    marks /= marks.std()
    fine_marks = np.interp(lay - lay.min(), np.arange(n_marks) / 2, marks)
    return np.asarray(420 * arc + 90 * fine_marks)


def _scratches(
    shape: tuple[int, int], n_scratches: int, rng: np.random.Generator
) -> Floats:
    """Draw grooves of one spell of wear, with the shoulders they throw up."""
    size = np.asarray(shape, dtype=np.float64)
    paths = []
    for _ in range(max(1, round(n_scratches * np.prod(size) / 256**2))):
        # Most run along the sliding direction, some across.
        angle = rng.normal(0.4, 0.1 if rng.random() < 0.7 else 0.8)
        length = rng.uniform(0.1, 0.9) * size.max()
        start = rng.uniform(-0.2 * size, 1.2 * size)
        path = wandering_path(start, angle, length, rng, stiffness=30000.0)
        sigma = float(rng.choice([0.5, 0.5, 0.7, 1.0, 1.6]))
        depth = rng.uniform(250, 700) * sigma
        paths.append((path, sigma, -1.3 * depth))
        paths.append((path, 2 * sigma, 0.35 * depth))
    return draw_paths(paths, shape)


def _pits(shape: tuple[int, int], n_pits: int, rng: np.random.Generator) -> Floats:
    """Draw the pits that one spell of wear breaks out, with raised rims."""
    size = np.asarray(shape, dtype=np.float64)
    fine = np.zeros(fine_shape(shape))
    for _ in range(max(1, round(n_pits * np.prod(size) / 256**2))):
        radius = np.clip(rng.lognormal(1.3, 0.6), 1.5, 14)
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
        where, y, x = window(rng.uniform(0, size), 3 * radius, shape)
        across = (np.cos(turn) * y - np.sin(turn) * x) / (stretch * radius)
        along = (np.sin(turn) * y + np.cos(turn) * x) / radius
        rho = outline_radius(across, along, random_outline(rng, 0.12))
        bowl = 1 / (1 + np.exp((rho - 1) / 0.09))
        depth = rng.uniform(160, 320) * radius**0.8
        rim = np.exp(-(((rho - 1.25) / 0.22) ** 2))
        fine[where] += depth * (0.12 * rim - bowl * (1 - 0.35 * np.minimum(rho, 1)))
    return fine


SPECIMEN = Specimen(
    name="surface",
    domain="surface topography",
    title="Machined surface with scratches and pits, heights during a wear test",
    meaning="height: 1 count is 1 nm, counts rise with height",
    draw=draw,
    pixel_size=PIXEL_UM,
    unit="um",
    series=Axis("t", SPELL_S, "s"),
    n_planes=3,
    size=256,
    dark=0,
    bright=RANGE_NM,
    ceiling=65535,
    photons=None,
    read=15,
)

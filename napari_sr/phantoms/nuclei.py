"""Draw fluorescent nuclei of a cell culture, as a time series.

This module alone knows the nucleus: its wavy outline, chromatin texture, nucleoli and
bright foci, its slow drift, and the division of a few of them, from the plate of
condensed chromosomes to two daughter sets moving apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates

from napari_sr.image.stack import Axis
from napari_sr.phantoms.curves import draw_paths, wandering_path
from napari_sr.phantoms.drawing import (
    blurred,
    fine_shape,
    outline_radius,
    power_law_field,
    random_outline,
    scatter,
    to_truth_pixels,
    window,
)
from napari_sr.phantoms.specimen import Specimen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PIXEL_UM = 0.1625
FRAME_S = 120.0
PSF_SIGMA = 0.65
"""In truth pixels: 0.21 wavelengths / aperture, at 460 nm and 0.95."""
SPACING = 52.0
"""Smallest distance between two nuclei, in truth pixels."""
TEXTURE_SIDE = 384


@dataclass(frozen=True, slots=True)
class Nucleus:
    """One nucleus between divisions; lengths in truth pixels."""

    centre: Floats
    radii: Floats
    angle: float
    drift: Floats
    spin: float
    brightness: float
    outline: Floats
    texture_corner: Floats
    nucleoli: Floats
    """`(n, 3)` y, x, radius in body coordinates."""
    foci: Floats
    """`(n, 4)` y, x, radius, height; in body coordinates but for the height."""


@dataclass(frozen=True, slots=True)
class Division:
    """One dividing cell; lengths in truth pixels."""

    centre: Floats
    angle: float
    start_frame: float
    """When the two sets of chromosomes part."""
    brightness: float
    arms: tuple[tuple[Floats, Floats], ...]
    """For each chromosome its two arms, `(n, 2)` points along and across the plate."""


def draw(n_planes: int, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the frames, the first one first."""
    centres = scatter(shape, 20.0, SPACING, rng)
    # Cells inside the field come first, so that some of those seen divide.
    centres = centres[np.argsort(~_well_inside(centres, shape), kind="stable")]
    n_dividing = max(1, round(len(centres) / 14))
    dividing = [
        _division(place, k, rng) for k, place in enumerate(centres[:n_dividing])
    ]
    resting = [_nucleus(place, rng) for place in centres[n_dividing:]]
    texture = _chromatin(rng)
    haze = 1 + 0.15 * blurred(power_law_field(fine_shape(shape), 1.5, rng), 12)
    frames = []
    for frame in range(n_planes):
        fine = np.zeros(fine_shape(shape))
        for nucleus in resting:
            _add_nucleus(fine, nucleus, frame, texture, shape)
        for division in dividing:
            fine += _draw_division(division, frame, shape)
        fog = 0.04 * haze + 0.16 * blurred(fine, 14)
        frames.append(to_truth_pixels(0.85 * fine + fog, PSF_SIGMA))
    return np.stack(frames)


def _well_inside(centres: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which cells lie wholly in the field."""
    return np.asarray(((centres > 30) & (centres < np.asarray(shape) - 30)).all(axis=1))


def _chromatin(rng: np.random.Generator) -> Floats:
    """Draw a sheet of chromatin texture, mean 1: threads, granules and gaps."""
    side = (TEXTURE_SIDE, TEXTURE_SIDE)
    coarse = power_law_field(side, 1.0, rng)
    # Ridges along the zero line of a random field look like chromatin threads.
    threads = np.exp(-((power_law_field(side, 0.9, rng) / 0.35) ** 2))
    sheet = np.exp(0.25 * coarse + 0.9 * threads)
    return np.asarray(sheet / sheet.mean())


def _nucleus(centre: Floats, rng: np.random.Generator) -> Nucleus:
    """Draw the lots of one resting nucleus."""
    n_nucleoli, n_foci = rng.integers(2, 5), rng.integers(7, 16)
    return Nucleus(
        centre=centre,
        radii=rng.uniform(21, 26) * np.array([rng.uniform(0.72, 0.95), 1.0]),
        angle=rng.uniform(0, np.pi),
        drift=rng.normal(0, 0.8, 2),
        spin=rng.normal(0, 0.03),
        brightness=rng.lognormal(-0.85, 0.3),
        outline=random_outline(rng, 0.035),
        texture_corner=rng.uniform(60, TEXTURE_SIDE - 60, 2),
        nucleoli=np.column_stack(
            [rng.uniform(-0.5, 0.5, (n_nucleoli, 2)), rng.uniform(0.1, 0.2, n_nucleoli)]
        ),
        foci=np.column_stack(
            [
                rng.uniform(-0.68, 0.68, (n_foci, 2)),
                rng.uniform(0.025, 0.06, n_foci),
                rng.uniform(0.4, 1.3, n_foci),
            ]
        ),
    )


def _add_nucleus(
    fine: Floats, nucleus: Nucleus, frame: int, texture: Floats, shape: tuple[int, int]
) -> None:
    """Add a resting nucleus, as it is in `frame`, to a fine plane."""
    centre = nucleus.centre + frame * nucleus.drift
    where, y, x = window(centre, 1.4 * nucleus.radii.max(), shape)
    turn = nucleus.angle + frame * nucleus.spin
    body_y = np.cos(turn) * y - np.sin(turn) * x
    body_x = np.sin(turn) * y + np.cos(turn) * x
    across, along = body_y / nucleus.radii[0], body_x / nucleus.radii[1]
    radius = outline_radius(across, along, nucleus.outline)
    inside = 1 / (1 + np.exp((radius - 1) * nucleus.radii.mean() / 0.35))
    corner = nucleus.texture_corner
    places = np.stack([body_y + corner[0], body_x + corner[1]])
    light = map_coordinates(texture, places, order=3, mode="mirror")
    light = light * (0.62 + 0.38 * np.sqrt(np.clip(1 - radius**2, 0, 1)))
    light = light * (1 + 0.35 * np.exp(-(((radius - 0.96) / 0.05) ** 2)))
    for at_y, at_x, size in nucleus.nucleoli:
        distance = np.hypot(across - at_y, along - at_x) / size
        light = light * (1 - 0.62 / (1 + np.exp((distance - 1) / 0.08)))
        light = light * (1 + 0.35 * np.exp(-(((distance - 1.15) / 0.22) ** 2)))
    for at_y, at_x, size, height in nucleus.foci:
        distance = np.hypot(across - at_y, along - at_x) / size
        light = light + height * np.exp(-0.5 * distance**2)
    fine[where] += nucleus.brightness * inside * light


def _division(centre: Floats, order: int, rng: np.random.Generator) -> Division:
    """Draw the lots of one dividing cell; every second one parts later."""
    arms = []
    for wide in np.linspace(-24, 24, 46):
        # On the plate: `along` the spindle is thin, `across` it is wide.
        foot = np.array([rng.normal(0, 1.8), wide + rng.normal(0, 1)])
        first, second = (_arm(foot, side, rng) for side in (-1, 1))
        arms.append((first, second))
    return Division(
        centre=centre,
        angle=rng.uniform(0, np.pi),
        start_frame=0.4 + 1.6 * (order % 2),
        brightness=rng.uniform(0.8, 0.95),
        arms=tuple(arms),
    )


def _arm(foot: Floats, side: int, rng: np.random.Generator) -> Floats:
    """Return `(n, 2)` points of an arm that trails behind its foot."""
    angle = rng.normal(0, 0.9)
    length = rng.uniform(5, 12)
    path = wandering_path(np.zeros(2), angle, length, rng, stiffness=12.0)
    # The path leaves along x; here the first coordinate runs along the spindle.
    return np.asarray(foot + np.column_stack([path[:, 1], side * path[:, 0]]))


def _draw_division(division: Division, frame: int, shape: tuple[int, int]) -> Floats:
    """Draw a dividing cell, as it is in `frame`, on a fine plane of its own."""
    apart = 11.0 * max(0.0, frame - division.start_frame) ** 0.8
    narrowing = 1 / (1 + 0.014 * apart)
    cosine, sine = np.cos(division.angle), np.sin(division.angle)
    paths = []
    for k, arms in enumerate(division.arms):
        towards = 1 if k % 2 else -1
        for arm in arms:
            # The outer chromosomes lag behind: the plate bends into a bow.
            lag = 0.0003 * apart * arm[:, 1] ** 2
            along = towards * (apart - lag - arm[:, 0])
            across = arm[:, 1] * narrowing
            places = np.column_stack(
                [sine * along + cosine * across, cosine * along - sine * across]
            )
            height = 0.26 * division.brightness
            paths.append((division.centre + places, 1.25, height))
    return draw_paths(paths, shape)


SPECIMEN = Specimen(
    name="nuclei",
    domain="fluorescence microscopy",
    title="Stained cell nuclei, some dividing, widefield time series",
    meaning="fluorescence above the camera's offset",
    draw=draw,
    pixel_size=PIXEL_UM,
    unit="um",
    series=Axis("t", FRAME_S, "s"),
    n_planes=4,
    size=256,
    dark=100,
    bright=1860,
    ceiling=4095,
    photons=800,
    read=3.5,
)

"""Draw a polymer foam in micro-CT, as z slices through one volume.

This module alone knows the foam: cells of a Laguerre (weighted Voronoi) tessellation,
struts where cells meet, thin films over some of the windows between two cells, and
small voids and heavy filler grains inside the material.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from napari_sr.image.stack import Axis
from napari_sr.phantoms.curves import splat
from napari_sr.phantoms.drawing import (
    OVERSAMPLING,
    blurred,
    fine_shape,
    power_law_field,
    scatter,
    to_truth_pixels,
)
from napari_sr.phantoms.specimen import Specimen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VOXEL_UM = 5.0
SLICE_SPACING_UM = 10.0
CELL = 40.0
"""Smallest distance between the seeds of two cells, in voxels."""
FILLET = 4.2
"""Roundness of the corners of a cell, in voxels: it makes the struts."""
FILM = 0.7
"""Half the thickness of a film, in voxels."""
OPEN = -0.25 * FILLET
"""The same where a window is open: no film, only the struts around it."""
CLOSED_SHARE = 0.3
PSF_SIGMA = 0.55
AIR, POLYMER = 0.16, 0.62


@dataclass(frozen=True, slots=True)
class Cells:
    """The seeds of the cells and which of their windows carry a film."""

    tree: KDTree
    """Of the seeds' z, y, x in voxels, and a fourth coordinate: it makes the distance
    between points the power distance of the tessellation."""

    closed: NDArray[np.bool_]
    """`(n, n)` symmetric."""

    def solid(self, points: Floats) -> Floats:
        """Return how deep `(n, 3)` points lie in the material, in voxels."""
        lifted = np.pad(points, ((0, 0), (0, 1)))
        reach, nearest = self.tree.query(lifted, k=5)
        # Distances to the faces, as if all seeds were equally far apart: with their
        # true distances the struts would break where the nearest seed changes.
        faces = (reach[:, 1:] ** 2 - reach[:, :1] ** 2) / (2.5 * CELL)
        clearance = -FILLET * np.log(np.exp(-faces / FILLET).sum(axis=1))
        closed = self.closed[nearest[:, :1], nearest[:, 1:]]
        nearness = np.exp(-(faces - faces[:, :1]) / 1.2)
        nearness /= nearness.sum(axis=1, keepdims=True)
        film = (nearness * np.where(closed, FILM, OPEN)).sum(axis=1)
        return np.asarray(film - clearance)


def draw(n_planes: int, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw the slices, the lowest first."""
    depth = n_planes * SLICE_SPACING_UM / VOXEL_UM
    cells = _grow((depth, *shape), rng)
    voids = _inclusions(cells, (depth, *shape), 1 / 1500, rng)
    grains = _inclusions(cells, (depth, *shape), 1 / 250, rng)
    # Uneven in the same way in every slice, as scanners are.
    shading = 1 + 0.03 * power_law_field(shape, 1.8, rng)
    heights = np.arange(n_planes) * SLICE_SPACING_UM / VOXEL_UM
    planes = []
    for z in heights:
        polymer = _slice(cells, z, shape)
        polymer -= np.minimum(polymer, _balls(voids, z, 1.9, shape))
        heavy = 0.75 * _balls(grains, z, 0.85, shape) * polymer
        fine = AIR + (POLYMER - AIR) * polymer + heavy
        planes.append(to_truth_pixels(fine, PSF_SIGMA) * shading)
    return np.stack(planes)


def _grow(box: tuple[float, ...], rng: np.random.Generator) -> Cells:
    """Place the cells of a volume of `box` voxels and a layer around it."""
    seeds = scatter(box, 1.6 * CELL, CELL, rng)
    weights = (CELL * rng.uniform(0.1, 0.75, len(seeds))) ** 2
    lift = np.sqrt(weights.max() - weights)
    closed = np.triu(rng.random((len(seeds), len(seeds))) < CLOSED_SHARE)
    tree = KDTree(np.column_stack([seeds, lift]))
    return Cells(tree, closed | closed.T)


def _slice(cells: Cells, z: float, shape: tuple[int, int]) -> Floats:
    """Return the share of each fine pixel of a slice that is material."""
    height, width = fine_shape(shape)
    y, x = (np.indices((height, width)).reshape(2, -1) + 0.5) / OVERSAMPLING
    points = np.column_stack([np.full(len(y), z), y, x])
    share = np.clip(0.5 + cells.solid(points) * OVERSAMPLING, 0, 1)
    return np.asarray(share.reshape(height, width))


def _inclusions(
    cells: Cells, box: tuple[float, ...], density: float, rng: np.random.Generator
) -> Floats:
    """Return `(n, 3)` places inside the material, `density` candidates per voxel."""
    depth, height, width = box
    low, high = (-4.0, 0.0, 0.0), (depth + 4.0, height, width)
    n_places = int(density * (depth + 8.0) * height * width)
    places = rng.uniform(low, high, (n_places, 3))
    return np.asarray(places[cells.solid(places) > 0.8])


def _balls(places: Floats, z: float, sigma: float, shape: tuple[int, int]) -> Floats:
    """Draw soft balls of height 1 where they cross the slice at `z`."""
    weights = np.exp(-0.5 * ((places[:, 0] - z) / sigma) ** 2)
    near = weights > 1e-3
    peak = 2 * np.pi * (sigma * OVERSAMPLING) ** 2
    return blurred(splat(places[near][:, 1:], weights[near] * peak, shape), sigma)


SPECIMEN = Specimen(
    name="foam",
    domain="micro-CT",
    title="Polymer foam with struts, films and filler grains, micro-CT slices",
    meaning="X-ray attenuation, reconstructed",
    draw=draw,
    pixel_size=VOXEL_UM,
    unit="um",
    series=Axis("z", SLICE_SPACING_UM, "um"),
    n_planes=4,
    size=256,
    dark=1000,
    bright=31000,
    ceiling=65535,
    photons=800,
    read=400,
)

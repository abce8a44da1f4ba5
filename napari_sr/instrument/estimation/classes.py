"""Blocks → mean energies in classes of brightness, and what the sharp images predict.

This module alone knows the classes, how images form groups, and how far the classes of
one group lie from those of another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from napari_sr.instrument.estimation.blocks import N_COEFFICIENTS, white_noise_left

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.instrument.estimation.blocks import Blocks

N_CLASSES = 8
SMALLEST_CLASS = 4
"""Blocks below which a class says nothing."""
_TINY = 1e-15
_LEAST_SIGNAL = 0.05
"""Share of the energy of a sharp image that is never taken for its own noise."""


def class_edges(level: NDArray) -> NDArray[np.float64]:
    """Divide the blocks of all recordings into classes of equal number."""
    n_classes = max(1, min(N_CLASSES, len(level) // (2 * SMALLEST_CLASS)))
    inner = np.quantile(level, np.arange(1, n_classes) / n_classes)
    return np.concatenate([[-np.inf], inner, [np.inf]])


@dataclass(frozen=True, slots=True, eq=False)
class ClassMeans:
    """What the blocks of each class have in common."""

    n: NDArray[np.float64]
    """`(j,)` blocks."""
    level: NDArray[np.float64]
    """`(j,)`."""
    seen: NDArray[np.float64]
    """`(j, k)`."""
    energy: NDArray[np.float64]
    """`(w, j, k)`."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassSums:
    """Sums over the blocks of each part and class."""

    n: NDArray[np.float64]
    """`(p, j)` blocks."""
    level: NDArray[np.float64]
    """`(p, j)`."""
    seen: NDArray[np.float64]
    """`(p, j, k)`."""
    energy: NDArray[np.float64]
    """`(p, w, j, k)`."""
    own_noise: NDArray[np.float64]
    """`(p, j)`."""

    @classmethod
    def of(cls, blocks: Blocks, edges: NDArray) -> ClassSums:
        """Sum blocks by the class that their brightness puts them in."""
        n_classes, n_parts = len(edges) - 1, int(blocks.part.max()) + 1
        members = np.clip(np.digitize(blocks.level, edges) - 1, 0, n_classes - 1)
        cell = blocks.part * n_classes + members
        n_blocks = len(cell)
        picking = sparse.csr_array(
            (np.ones(n_blocks), (cell, np.arange(n_blocks))),
            shape=(n_parts * n_classes, n_blocks),
        )

        def summed(values: NDArray) -> NDArray:
            sums: NDArray = picking @ values.reshape(n_blocks, -1)
            return sums.reshape(n_parts, n_classes, *values.shape[1:])

        return cls(
            n=summed(np.ones(n_blocks)),
            level=summed(blocks.level),
            seen=summed(blocks.seen),
            energy=np.moveaxis(summed(np.moveaxis(blocks.energy, 0, 1)), 2, 1),
            own_noise=summed(blocks.own_noise),
        )

    @property
    def n_parts(self) -> int:
        """Images, or pieces of them."""
        return len(self.n)

    def only(self, chosen: NDArray) -> ClassSums:
        """Leave out all parts but some; `chosen` is `(p,)` bool."""
        return ClassSums(
            self.n[chosen],
            self.level[chosen],
            self.seen[chosen],
            self.energy[chosen],
            self.own_noise[chosen],
        )

    def means(self) -> ClassMeans:
        """Average over all parts."""
        n = self.n.sum(0)
        at_least_one = np.maximum(n, 1)
        return ClassMeans(
            n=n,
            level=self.level.sum(0) / at_least_one,
            seen=self.seen.sum(0) / at_least_one[:, None],
            energy=self.energy.sum(0) / at_least_one[:, None],
        )

    def without_own_noise(self, factor: int) -> ClassSums:
        """Take away what the noise of the sharp images leaves in their recordings."""
        left = self.own_noise[:, None, :, None] * white_noise_left(factor)[:, None]
        energy = np.maximum(self.energy - left, _LEAST_SIGNAL * self.energy)
        return replace(self, energy=energy)

    def groups(self, size: int) -> NDArray[np.intp]:
        """Put neighbours, which are alike, into one group; give each part its number.

        Parameters
        ----------
        size
            Parts in a group, if that leaves three groups, else a quarter of them.
        """
        if self.n_parts // size < 3:
            size = max(1, self.n_parts // 4)
        n_groups = max(1, self.n_parts // size)
        return np.arange(self.n_parts) * n_groups // self.n_parts


def difference_covariance(
    sums: ClassSums, groups: NDArray, n_recorded: float, width: int
) -> NDArray[np.float64]:
    """Estimate how far log energies of recordings and sharp images lie apart by chance.

    Parameters
    ----------
    sums
        Of the sharp images.
    groups
        `(p,)` group of each part; groups differ, their members are alike.
    n_recorded
        How many parts the recordings amount to.
    width
        Which of the simulated point-spread functions.

    Returns
    -------
    ndarray
        `(j·k, j·k)`.
    """
    numbers = np.unique(groups)
    member = (groups == numbers[:, None]).astype(float)  # (g, p)
    n = member @ sums.n
    energy = np.tensordot(member, sums.energy[:, width], 1)  # (g, j, k)
    total = np.maximum(n.sum(0), 1)
    mean = energy.sum(0) / total[:, None] + _TINY
    share = energy - n[..., None] * mean
    relative = share / (total[:, None] / len(numbers) * mean)
    # asinh: a group without light in a class, or with ten times as much, is no more
    # than that
    rows = np.arcsinh(relative).reshape(len(numbers), -1)
    size = len(groups) / len(numbers)
    chance = 1 / len(numbers) + size / n_recorded
    covariance: NDArray = rows.T @ rows / max(1, len(numbers) - 1) * chance
    return covariance


def counting_variance(n: NDArray) -> NDArray[np.float64]:
    """Tell how well the variance of noise is known from `(j,)` blocks, `(j, k)`."""
    variance: NDArray = 2 / (np.maximum(n, 1)[:, None] * N_COEFFICIENTS)
    return variance

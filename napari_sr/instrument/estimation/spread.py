"""How far off an estimate may be: the same game with known rules.

Some of the sharp images are recorded by the instrument that was found, and the
instrument is estimated from the others. This module alone knows how that is played and
what follows from its errors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from napari_sr.instrument.estimation.blocks import WIDTHS
from napari_sr.instrument.estimation.classes import counting_variance
from napari_sr.instrument.estimation.fitting import (
    CONFIDENCE,
    CONTRAST,
    FLOOR,
    GAIN,
    VARIANCE,
    fit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.instrument.estimation.fitting import Fit, SharpEnergies

_MOST_GROUPS = 8
LOGARITHMS = [GAIN, FLOOR]
"""Unknowns that are logarithms of a variance of noise."""


def spread(specimen: SharpEnergies, fitted: Fit) -> NDArray[np.float64]:
    """Find by how much each unknown is missed in nine of ten such games.

    Parameters
    ----------
    specimen
        The sharp images. Each group of them takes the part of the recordings in turn.
    fitted
        The instrument that was found. Where it explains the recordings worse than is
        usual in these games, they differ more from the sharp images than those do from
        each other, and the misses are taken for larger accordingly.

    Returns
    -------
    ndarray
        `(2, 4)` distances down and up, for each unknown; infinite where all images
        form one group, or where a noise cannot be distinguished from none.
    """
    numbers = np.unique(specimen.groups)
    if len(numbers) < 2:
        return np.full((2, len(fitted.unknowns)), np.inf)
    width = int(np.argmin(np.abs(WIDTHS**2 - fitted.unknowns[VARIANCE])))
    truth = fitted.unknowns.copy()
    truth[VARIANCE], truth[CONTRAST] = WIDTHS[width] ** 2, 0
    chosen = np.unique(
        np.linspace(0, len(numbers) - 1, min(len(numbers), _MOST_GROUPS)).round()
    )
    games = [_play(specimen, truth, width, int(number)) for number in chosen]
    usual = max(1.0, float(np.median([game.misfit for game in games])))
    quantile = student.ppf((1 + CONFIDENCE) / 2, len(games))
    scale = quantile * max(1.0, fitted.misfit / usual) ** 0.5
    misses = [_miss(game.unknowns, truth) for game in games]
    missed = scale * np.sqrt(np.mean(np.square(misses), axis=0))
    down, up = missed.copy(), missed.copy()
    relative = missed[LOGARITHMS]
    with np.errstate(divide="ignore"):
        down[LOGARITHMS] = -np.log(np.maximum(1 - relative, 0))
    up[LOGARITHMS] = np.log(1 + relative)
    return np.stack([down, up])


def _miss(estimate: NDArray, truth: NDArray) -> NDArray[np.float64]:
    """Compare; variances of noise by their ratio, as noise adds to all else."""
    missed: NDArray = estimate - truth
    missed[LOGARITHMS] = np.expm1(missed[LOGARITHMS])
    return missed


def _play(specimen: SharpEnergies, truth: NDArray, width: int, number: int) -> Fit:
    """Record one group and estimate its instrument from the others."""
    taken = specimen.groups == number
    recorded = specimen.sums.only(taken).means()
    noise = specimen.noise(truth, recorded.seen)
    chance = np.random.default_rng(number).normal(size=recorded.energy.shape[1:])
    seen = noise * (1 + chance * np.sqrt(counting_variance(recorded.n)))
    energy = recorded.energy[width] + np.maximum(seen, 0.1 * noise)
    others = replace(
        specimen,
        sums=specimen.sums.only(~taken),
        groups=specimen.groups[~taken],
        n_recorded=float(np.count_nonzero(taken)),
    )
    means = replace(recorded, energy=energy[None])
    return fit(means, others, starts=[truth])

"""Classes of recordings and of sharp images → the instrument that explains them best.

This module alone knows the model (contrast × signal of a point-spread function + noise
that rises with light), what counts as a likely deviation from it, and how far each
figure can be moved before the recordings object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize
from scipy.interpolate import CubicSpline
from scipy.stats import norm

from napari_sr.instrument.estimation.blocks import WIDTHS
from napari_sr.instrument.estimation.classes import (
    SMALLEST_CLASS,
    counting_variance,
    difference_covariance,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.instrument.estimation.classes import ClassMeans, ClassSums

CONTRAST, VARIANCE, GAIN, FLOOR = range(4)
"""Places of the unknowns: logarithm of the contrast of the recordings over that of the
sharp images; σ² of the point-spread function, in units of `WIDTHS`; logarithms of the
noise variance per light and of the noise variance at the dark level."""
LOWEST = np.array([-4.0, 0.0, -18.0, -21.0])
HIGHEST = np.array([4.0, WIDTHS[-1] ** 2, 6.0, 7.0])
_STARTS = ((0.3, 1e-2), (1.0, 1e-3), (3.0, 3e-3))
"""σ² and gain to begin from; the rest is seen in the recordings."""
CONFIDENCE = 0.9
REACH = float(norm.ppf((1 + CONFIDENCE) / 2))
"""Standard deviations to either side that hold a normal variable that often."""
_CONTRAST_SPREAD, _CLASS_SPREAD, _MODEL_SPREAD, _NOISE_SPREAD = 1.0, 0.3, 0.1, 0.02
"""Expected deviations of log energies: of the contrast as a whole, of the contrast of
a class, of any signal and of any energy from the model."""
_ROUNDS = 3
_TINY = 1e-15


@dataclass(frozen=True, slots=True, eq=False)
class SharpEnergies:
    """What the sharp images predict for any point-spread function."""

    sums: ClassSums
    groups: NDArray[np.intp]
    n_recorded: float
    """How many of its parts the recordings amount to."""
    dark: float
    """Level from which light is counted."""
    photon_noise: bool
    """Whether noise rises with light."""

    def spline(self) -> CubicSpline:
        """Interpolate `(j, k)` log energies in σ²."""
        energy = self.sums.means().energy
        return CubicSpline(WIDTHS**2, np.log(energy + _TINY), axis=0)

    def noise(self, unknowns: NDArray, level: NDArray) -> NDArray[np.float64]:
        """Tell the variance of the noise at some levels."""
        floor = np.exp(unknowns[FLOOR])
        light = np.maximum(level - self.dark, 0)
        rising = np.exp(unknowns[GAIN]) * light if self.photon_noise else 0 * light
        variance: NDArray = floor + rising
        return variance


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The best unknowns, and how well they explain the recordings."""

    unknowns: NDArray[np.float64]
    misfit: float
    """Mean squared deviation over the expected one: near or below 1 when sharp images
    and recordings show the same kind of specimen."""
    signal: NDArray[np.float64]
    """`(j, k)` energy of the specimen."""
    noise: NDArray[np.float64]
    """`(j, k)` variance of the noise."""
    deviations: _Deviations

    def noise_at(self, level: NDArray) -> NDArray[np.float64]:
        """Tell the variance of the noise at some levels."""
        return self.deviations.specimen.noise(self.unknowns, level)

    def ends(self, place: int) -> tuple[float, float]:
        """Move one unknown down and up until the recordings object.

        The others follow. An end at `LOWEST` or `HIGHEST`: they never do.
        """
        if place == GAIN and not self.deviations.specimen.photon_noise:
            return float(LOWEST[GAIN]), float(LOWEST[GAIN])
        threshold = REACH**2 / 2 * max(1.0, self.misfit)
        return (
            self._end(place, LOWEST[place], threshold),
            self._end(place, HIGHEST[place], threshold),
        )

    def _end(self, place: int, furthest: float, threshold: float) -> float:
        best = float(self.unknowns[place])

        def excess(value: float) -> float:
            cost = self.deviations.solve(self.unknowns, {place: value}).cost
            return float(cost) - self._cost - threshold

        if best == furthest or excess(furthest) <= 0:
            return furthest
        return float(optimize.brentq(excess, best, furthest, xtol=3e-3, rtol=3e-3))

    @property
    def _cost(self) -> float:
        return self.deviations.cost(self.unknowns)


class _Deviations:
    """Whitened deviations of recordings from the model, near some unknowns."""

    def __init__(
        self,
        recorded: ClassMeans,
        specimen: SharpEnergies,
        spline: CubicSpline,
        covariance: NDArray,
        near: NDArray,
    ) -> None:
        self.specimen, self._spline, self._seen = specimen, spline, recorded.seen
        self._wanted = np.log(recorded.energy[0] + _TINY)  # (j, k)
        enough = np.minimum(recorded.n, specimen.sums.n.sum(0)) >= SMALLEST_CLASS
        self._used = np.repeat(enough, self._wanted.shape[1])
        self.n = int(np.count_nonzero(self._used))
        signal, noise = self.model(near)
        share = signal / (signal + noise)
        counting = counting_variance(recorded.n) * (1 - share) ** 2
        flat = share.ravel()
        expected = covariance * flat[:, None] * flat
        expected += np.diag(counting.ravel() + _NOISE_SPREAD**2)
        used = expected[np.ix_(self._used, self._used)]
        self._whitening = np.linalg.inv(np.linalg.cholesky(used))

    def model(self, unknowns: NDArray) -> tuple[NDArray, NDArray]:
        """Predict signal and noise, `(j, k)`."""
        signal = np.exp(self._spline(unknowns[VARIANCE]) + unknowns[CONTRAST])
        return signal, self.specimen.noise(unknowns, self._seen)

    def __call__(self, unknowns: NDArray) -> NDArray[np.float64]:
        """Compare; the last deviation is that of the contrast from none."""
        signal, noise = self.model(unknowns)
        apart = (self._wanted - np.log(signal + noise)).ravel()
        white = self._whitening @ apart[self._used]
        return np.append(white, unknowns[CONTRAST] / _CONTRAST_SPREAD)

    def slopes(self, unknowns: NDArray) -> NDArray[np.float64]:
        """Differentiate the deviations by the unknowns."""
        signal, noise = self.model(unknowns)
        floor = np.exp(unknowns[FLOOR])
        parts = np.zeros((len(unknowns), *signal.shape))
        parts[CONTRAST] = signal
        parts[VARIANCE] = signal * self._spline(unknowns[VARIANCE], 1)
        parts[GAIN] = noise - floor
        parts[FLOOR] = floor
        relative = (parts / (signal + noise)).reshape(len(unknowns), -1)
        last = np.zeros(len(unknowns))
        last[CONTRAST] = 1 / _CONTRAST_SPREAD
        return np.vstack([-self._whitening @ relative[:, self._used].T, last])

    def cost(self, unknowns: NDArray) -> float:
        """Sum the squared deviations, outliers less (soft L1)."""
        return float(np.sum(np.sqrt(1 + self(unknowns) ** 2) - 1))

    def solve(
        self, start: NDArray, fixed: dict[int, float] | None = None
    ) -> optimize.OptimizeResult:
        """Find the best unknowns from a start, some of them held."""
        fixed = dict(fixed or {})
        if not self.specimen.photon_noise:
            fixed[GAIN] = LOWEST[GAIN]
        free = [place for place in range(len(start)) if place not in fixed]
        whole = start.copy()
        whole[list(fixed)] = list(fixed.values())

        def placed(some: NDArray) -> NDArray:
            whole[free] = some
            return whole

        inside = np.clip(start, LOWEST + 1e-4, HIGHEST - 1e-4)
        solution = optimize.least_squares(
            lambda some: self(placed(some)),
            inside[free],
            jac=lambda some: self.slopes(placed(some))[:, free],
            bounds=(LOWEST[free], HIGHEST[free]),
            loss="soft_l1",
            ftol=1e-6,
            xtol=1e-5,
            max_nfev=60,
        )
        solution.x = placed(solution.x)
        return solution


def fit(
    recorded: ClassMeans,
    specimen: SharpEnergies,
    starts: Sequence[NDArray] | None = None,
) -> Fit:
    """Find the instrument that explains recordings best.

    Parameters
    ----------
    recorded
        Their classes.
    specimen
        The sharp images, in the same classes.
    starts
        Unknowns to begin from; those of common instruments when not given.
    """
    spline = specimen.spline()
    covariances: dict[int, NDArray] = {}

    def covariance(near: NDArray) -> NDArray:
        width = int(np.argmin(np.abs(WIDTHS**2 - near[VARIANCE])))
        if width not in covariances:
            covariances[width] = _covariance(specimen, width)
        return covariances[width]

    best, cost = None, np.inf
    for start in _common(recorded) if starts is None else starts:
        unknowns = start
        for _ in range(_ROUNDS):
            deviations = _Deviations(
                recorded, specimen, spline, covariance(unknowns), unknowns
            )
            solution = deviations.solve(unknowns)
            unknowns = solution.x
        if solution.cost < cost:
            best, cost = (unknowns, deviations), solution.cost
    assert best is not None
    unknowns, deviations = best
    signal, noise = deviations.model(unknowns)
    misfit = 2 * deviations.cost(unknowns) / max(1, deviations.n - len(unknowns))
    return Fit(unknowns, misfit, signal, noise, deviations)


def _common(recorded: ClassMeans) -> list[NDArray]:
    floor = np.log(np.median(recorded.energy[0, :, -1]) + _TINY)
    return [
        np.array([0.0, variance, np.log(gain), floor]) for variance, gain in _STARTS
    ]


def _covariance(specimen: SharpEnergies, width: int) -> NDArray:
    """Add what is expected of any specimen to the differences between images."""
    covariance = difference_covariance(
        specimen.sums, specimen.groups, specimen.n_recorded, width
    )
    n_classes, n_bands = specimen.sums.energy.shape[-2:]
    classes = np.kron(np.eye(n_classes), np.ones((n_bands, n_bands)))
    expected = _CLASS_SPREAD**2 * classes + _MODEL_SPREAD**2 * np.eye(len(covariance))
    total: NDArray = covariance + expected
    return total

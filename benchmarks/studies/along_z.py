"""What was tried to be better along z, beside what is done: figures for all.

    python -m benchmarks.studies.along_z --data DIR --write

The test volumes, their recordings and the figures are those of
`benchmarks.accuracy.along_z`. Each attempt is a way of the same signature.
"""

from __future__ import annotations

import argparse
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
from scipy.ndimage import correlate1d

import napari_sr as sr
from benchmarks.accuracy.along_z import RESULTS, by_method, table
from benchmarks.accuracy.real_images import add_data_argument
from benchmarks.accuracy.sections import replace_section
from napari_sr.upscaling import along_z

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from benchmarks.accuracy.along_z import Way
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.upscaling.plan import Plan

_MODEL = "general-x2"


def mixed(low: NDArray, ratio: int, photons: int | None, *, is_told: bool) -> NDArray:
    """Take the mean of the model's result and Wiener's."""
    own = by_method(low, ratio, photons, _MODEL, is_told=is_told)
    wiener = by_method(low, ratio, photons, "wiener")
    return (own.astype(np.float32) + wiener.astype(np.float32)) / 2


def once(low: NDArray, ratio: int, photons: int | None) -> NDArray:
    """Apply the model once, and interpolate by Wiener what is left."""
    finer = by_method(low, 2, photons, _MODEL)
    return finer if ratio == 2 else by_method(finer, ratio / 2, None, "wiener")  # type: ignore[arg-type]


def with_neighbours(
    low: NDArray, ratio: int, photons: int | None, *, weight: float | None = None
) -> NDArray:
    """Show the network a plane with the two beside it in its noise's place (2.5D)."""
    with _averaging_neighbours(weight):
        return by_method(low, ratio, photons, _MODEL)


@contextmanager
def _averaging_neighbours(weight: float | None) -> Iterator[None]:
    """Average across the planes before the first pass; its noise is less then.

    Without a weight that of least squares is taken: twice the variance of the noise
    over the mean square of the second difference across the planes.
    """
    as_it_is = along_z._turned

    def turned(
        volume: NDArray,
        order: tuple[int, int, int],
        kept: tuple[slice, slice, slice],
        upscaler: Upscaler,
        plan: Plan,
    ) -> Generator[None, None, NDArray]:
        if plan.noise in (None, sr.NoiseLevel()):  # none left after the first pass
            return as_it_is(volume, order, kept, upscaler, plan)
        w = weight
        if w is None:
            light = np.maximum(volume - plan.noise.offset, 0)
            variance = float(np.mean(plan.noise.gain * light + plan.noise.read**2))
            second = np.diff(volume.astype(np.float64), 2, axis=order[0])
            w = min(1 / 3, 2 * variance / max(float(np.mean(second**2)), 1e-12))
        share = (1 - 2 * w) ** 2 + 2 * w**2
        noise = replace(
            plan.noise, gain=plan.noise.gain * share, read=plan.noise.read * share**0.5
        )
        volume = correlate1d(volume, (w, 1 - 2 * w, w), axis=order[0], mode="mirror")
        told = plan.model_copy(update={"noise": noise})
        return as_it_is(volume, order, kept, upscaler, told)

    with patch.object(along_z, "_turned", turned):
        yield


ATTEMPTS: dict[str, Way] = {
    "wiener": partial(by_method, name="wiener"),
    "general-x2, auto": partial(by_method, name=_MODEL),
    "mean with wiener": partial(mixed, is_told=False),
    "general-x4": partial(by_method, name="general-x4"),
    "general-x2 once": once,
    "neighbours, a quarter each": partial(with_neighbours, weight=0.25),
    "neighbours, by least squares": with_neighbours,
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="*", default=list(ATTEMPTS), choices=ATTEMPTS)
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS}")
    add_data_argument(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", sr.upscaling.flow.PixelTypeWarning)
    text = table(arguments.data, {way: ATTEMPTS[way] for way in arguments.ways})
    if arguments.write:
        replace_section(RESULTS, "Attempts", text)


if __name__ == "__main__":
    main()

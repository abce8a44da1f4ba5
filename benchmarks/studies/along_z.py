"""What was tried to be better along z, beside what is done: figures for all.

    python -m benchmarks.studies.along_z --data DIR --write

The test volumes, their recordings and the figures are those of
`benchmarks.accuracy.along_z`. Each attempt is a way of the same signature.
"""

from __future__ import annotations

import argparse
import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np

import napari_sr as sr
from benchmarks.accuracy.along_z import RESULTS, by_method, table
from benchmarks.accuracy.real_images import add_data_argument
from benchmarks.accuracy.sections import replace_section
from napari_sr.upscaling import plan as planning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from benchmarks.accuracy.along_z import Way
    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.image.stack import Stack

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


def with_neighbours(low: NDArray, ratio: int, photons: int | None) -> NDArray:
    """Show the network a plane averaged with the two beside it (2.5D)."""
    with _weighing(0.25):
        return by_method(low, ratio, photons, _MODEL)


@contextmanager
def _weighing(weight: float) -> Iterator[None]:
    """Give the planes beside each so much weight, where there is noise."""

    def fixed(_: Stack, __: int, noise: NoiseLevel | None) -> tuple[float, float]:
        return (weight, weight) if noise and (noise.gain or noise.read) else (0.0, 0.0)

    with patch.object(planning, "_neighbours", fixed):
        yield


ATTEMPTS: dict[str, Way] = {
    "wiener": partial(by_method, name="wiener"),
    "general-x2": partial(by_method, name=_MODEL),
    "mean with wiener": partial(mixed, is_told=False),
    "general-x4": partial(by_method, name="general-x4"),
    "general-x2 once": once,
    "neighbours, a quarter each": with_neighbours,
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="*", default=list(ATTEMPTS), choices=ATTEMPTS)
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS}")
    add_data_argument(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", sr.upscaling.flow.PixelTypeWarning)
    with _weighing(0.0):  # planes alone, as it was when these were tried
        text = table(arguments.data, {way: ATTEMPTS[way] for way in arguments.ways})
    if arguments.write:
        replace_section(RESULTS, "Attempts", text)


if __name__ == "__main__":
    main()

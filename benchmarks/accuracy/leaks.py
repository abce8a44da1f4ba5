"""Look whether a test image shows a field that a model has learnt from.

    python -m benchmarks.accuracy.leaks --data DIR

Every test image is registered with every training image, whatever their datasets,
channels and times; of volumes a few planes each. Related are images whose phases
correlate at some shift: slices and times of one field by 0.6 to 0.9, its channels by
0.25 to 0.4, different fields by up to 0.2. Ends with 1 if there is a leak. What stays
in one volume on purpose, as blocks that lie apart, is named as well.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft
from scipy.signal.windows import tukey
from tqdm import tqdm

from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr.datasets.registration import area_means, phase_spectrum
from napari_sr.datasets.registration.phase_correlation import cross_power
from napari_sr.image.sampling import evenly_spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.accuracy.real_images import Row

RELATED = 0.25
"""Correlation of phases above which two images show one field: a leak that was found in
this collection had 0.35, unrelated images have up to 0.21."""
STEP, SIDE, N_PLANES = 2, 256, 4
"""Pixels are averaged by so many, the middle of so many is compared, of so many planes
of a file."""
SMALLEST = 128
"""Pixels a side; smaller images are alike by chance."""
DIVIDED = ("qim3d_",)
"""Datasets of one volume each, of which the split takes blocks for different uses."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is compared of a plane."""

    row: Row
    plane: int
    phases: NDArray[np.complex64]

    @property
    def name(self) -> str:
        """File, and the plane where there are several."""
        return self.row.file + (f", plane {self.plane}" if self.plane else "")


@dataclass(frozen=True, slots=True)
class Alike:
    """A test image and a training image."""

    test: Look
    train: Look
    correlation: float

    @property
    def is_within(self) -> bool:
        """Whether they are of one volume, which was divided on purpose."""
        test, train = self.test.row, self.train.row
        is_divided = test.dataset == train.dataset and test.dataset.startswith(DIVIDED)
        return is_divided or test.group == train.group

    def __str__(self) -> str:
        """Name both, and how alike they are."""
        return f"{self.correlation:.2f}  {self.test.name}  {self.train.name}"


def looks(root: Path, role: str) -> Iterator[Look]:
    """Look at planes of all files with a role that are large enough."""
    for row in rows_of(root, role):
        planes = list(sharp_planes(root, row))
        if min(planes[0].shape) < SMALLEST:
            continue
        for number in evenly_spread(len(planes), N_PLANES):
            yield Look(row, number, _phases(planes[number]))


def _phases(plane: NDArray) -> NDArray[np.complex64]:
    """Give the phases of the middle, faded out and in a frame of one size."""
    sides = [min(side // STEP, SIDE) for side in plane.shape]
    starts = [
        (whole - STEP * side) // 2
        for whole, side in zip(plane.shape, sides, strict=True)
    ]
    middle = plane[starts[0] :, starts[1] :]
    coarse = area_means(middle, STEP, (sides[0], sides[1]), (0.0, 0.0))
    frame = np.zeros((SIDE, SIDE), np.float32)
    window = np.outer(*(tukey(side, 0.5) for side in sides))
    frame[: sides[0], : sides[1]] = (coarse - coarse.mean()) * window
    return phase_spectrum(frame)


def most_alike(test: Look, training: Sequence[Look]) -> Iterator[Alike]:
    """Register a test image with all training images."""
    ones = np.ones((SIDE, SIDE), np.complex64)
    whole = float(cross_power(ones, ones).real.sum()) / SIDE**2
    for train in training:
        surface = fft.ifft2(cross_power(test.phases, train.phases)).real
        # A contrast may be the other way round.
        yield Alike(test, train, float(np.abs(surface).max()) / whole)


def compared(root: Path) -> list[Alike]:
    """Give, for each test plane, the training plane that it is most like."""
    training = list(looks(root, "train"))
    found = []
    for test in tqdm(list(looks(root, "test")), disable=None, leave=False):
        pairs = list(most_alike(test, training))
        for is_within in (False, True):
            of_kind = [pair for pair in pairs if pair.is_within is is_within]
            if of_kind:
                found.append(max(of_kind, key=lambda pair: pair.correlation))
    return sorted(found, key=lambda pair: -pair.correlation)


def report(found: Sequence[Alike]) -> tuple[list[str], bool]:
    """Say what was found, and whether there is a leak."""
    others = [pair for pair in found if not pair.is_within]
    leaks = [pair for pair in others if pair.correlation > RELATED]
    lines = [
        f"{len(others)} test planes of {SMALLEST} px or more, each registered with all "
        f"training planes: {len(leaks)} related (correlation above {RELATED}).",
        *(f"  leak  {pair}" for pair in leaks),
        "Most alike of the others:",
        *(f"  {pair}" for pair in others[len(leaks) :][:5]),
        "Blocks of one volume, in training and in test on purpose:",
    ]
    volumes: dict[str, Alike] = {}
    for pair in found:
        if pair.is_within:
            volumes.setdefault(pair.test.row.dataset, pair)
    lines += [f"  at most {volumes[name]}" for name in sorted(volumes)]
    return lines if volumes else [*lines, "  none"], bool(leaks)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_argument(parser)
    lines, is_leaking = report(compared(parser.parse_args().data))
    print("\n".join(lines))
    return int(is_leaking)


if __name__ == "__main__":
    sys.exit(main())

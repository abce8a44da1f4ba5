"""Many DICOM files → the slices of one series, in their order.

This module alone knows which files belong together and by what they are ordered. What
does not fit is refused by name: a stack with a slice missing has no pixel size along z.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.files.dicom.header import DicomImage, is_alike, normal_of, read_image
from napari_sr.image.axis import is_even
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_ONE_PLACE = 0.01
"""Share of the distance between slices within which two are at one place."""


def read_series(label: str, paths: Sequence[Path]) -> list[DicomImage]:
    """Read the headers of the slices of one series.

    Parameters
    ----------
    label
        The folder, as errors call it.
    paths
        Its DICOM files, at least one, in any order.

    Returns
    -------
    list of DicomImage
        By position along the normal of the planes; by their number in the series where
        they have no position.

    Raises
    ------
    StackError
        If one cannot be used, they differ, or there are gaps.
    """
    images = [read_image(path) for path in paths]
    if len(images) == 1:
        return images
    for what, of in _ALIKE.items():
        _refuse_differing(label, images, what, of)
    if any(image.n_frames > 1 for image in images):
        raise StackError(
            f"{label} holds {len(images)} files of several frames each; give them one "
            "by one."
        )
    if images[0].orientation is None or images[0].positions[0] is None:
        return _by_number(label, images)
    return _by_position(label, images)


_ALIKE: dict[str, Callable[[DicomImage], object]] = {
    "series": lambda image: image.series,
    "size": lambda image: str(image.plane_shape),
    "pixel size": lambda image: image.spacing,
    "orientation": lambda image: image.orientation,
    "kind of pixel": lambda image: str((
        image.bits_stored, image.is_signed, image.is_inverted, image.padding is None
    )),
    "kind of position": lambda image: image.positions[0] is None,
}  # fmt: skip
"""What the slices of a series have in common."""


def _refuse_differing(
    label: str,
    images: Sequence[DicomImage],
    what: str,
    of: Callable[[DicomImage], object],
) -> None:
    first = images[0]
    others = [image for image in images if not _is_same(of(image), of(first))]
    if others:
        raise StackError(
            f"{label} is not a single series: {others[0].path.name} and "
            f"{len(others) - 1} more differ from {first.path.name} in their {what}. "
            "Put each series in a folder of its own, or give the files one by one."
        )


def _is_same(first: object, other: object) -> bool:
    """Tell what is the same but for the rounding of headers."""
    if (
        isinstance(first, tuple)
        and isinstance(other, tuple)
        and len(first) == len(other)
    ):
        return is_alike(first, other)
    return first == other


def step_of(places: Sequence[float]) -> float | None:
    """Give the distance of evenly spaced places in rising order; None if uneven."""
    if float(np.median(np.diff(places))) <= 0 or not is_even(places):
        return None
    return float(places[-1] - places[0]) / (len(places) - 1)


def place_of(image: DicomImage, frame: int = 0) -> tuple[float, float, float]:
    """Give the first pixel of a frame along normal, columns and rows, in mm: z, y, x.

    0 where there is no position.
    """
    position = image.positions[frame]
    if position is None or image.orientation is None:
        return 0.0, 0.0, 0.0
    along_row, along_column = image.orientation[:3], image.orientation[3:]
    directions = (normal_of(image.orientation), along_column, along_row)
    z, y, x = (float(np.dot(position, direction)) for direction in directions)
    return z, y, x


def _by_position(label: str, images: list[DicomImage]) -> list[DicomImage]:
    ordered = sorted(images, key=lambda image: place_of(image)[0])
    places = [place_of(image)[0] for image in ordered]
    if step_of(places) is not None:
        return ordered
    steps = np.diff(places)
    typical = float(np.median(steps))
    wrong = int(np.abs(steps - typical).argmax())
    before, behind = ordered[wrong].path.name, ordered[wrong + 1].path.name
    if steps.min() <= _ONE_PLACE * abs(typical):
        wrong = int(steps.argmin())
        raise StackError(
            f"{label} has several images at one place, such as "
            f"{ordered[wrong].path.name} and {ordered[wrong + 1].path.name}. Keep one "
            "image for each place, or give the files one by one."
        )
    raise StackError(
        f"{label} has a gap: {before} and {behind} lie {steps[wrong]:.4g} mm apart, "
        f"others {typical:.4g} mm. Add what is missing, or give the files one by one."
    )


def _by_number(label: str, images: list[DicomImage]) -> list[DicomImage]:
    numbers = [image.instance for image in images]
    if None in numbers or len(set(numbers)) < len(numbers):
        raise StackError(
            f"{label} cannot be ordered: its files have neither positions nor numbers "
            "of their own. Give them in their order, or one by one."
        )
    ordered = sorted(images, key=lambda image: image.instance or 0)
    for before, behind in pairwise(ordered):
        if (behind.instance or 0) - (before.instance or 0) != 1:
            raise StackError(
                f"{label} has a gap: {before.path.name} is number {before.instance} "
                f"of the series and {behind.path.name} number {behind.instance}. Add "
                "what is missing, or give the files one by one."
            )
    return ordered

"""Whether two recordings show the same specimen, and how they lie on each other.

This module alone knows when a pair is refused, and the sentence that says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.datasets.pairs.mix_ups import MixUpSearch, describe_mix_up
from napari_sr.datasets.pairs.names import PairError
from napari_sr.datasets.registration import SMALLEST, has_detail, register
from napari_sr.image.sampling import spread_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sr.datasets.pairs.mix_ups import Index, StackPair
    from napari_sr.datasets.registration import Registration, Shift

_PRECISION = 0.1
"""Low-resolution pixels to which a shift must be known."""
_SIGNIFICANCE, _CORRELATION = 8.0, 0.15
"""Peaks below do not show that two images are of the same place. On real images
unrelated ones reached 7; a faint pattern of both detectors can be significant, but not
alike."""
_VARIATION = 0.5
"""Low-resolution pixels by which the shift may differ across a plane."""
_N_CHECKED = 24
"""Planes of a stack that are registered; all where their shifts differ."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the planes of a low recording lie on those of the high one."""

    shifts: dict[Index, Shift]
    """Of each plane that can be learnt from."""
    measured: dict[Index, Registration]
    """Of the planes that were looked at and could be measured."""


def check_kind(pair: StackPair) -> None:
    """Refuse recordings that cannot be partners, by their headers alone.

    Raises
    ------
    PairError
        If pixel types, number of planes or sizes do not belong together.
    """
    low, high = pair.low.stack, pair.high.stack
    names = f"Low image {pair.low.name!r} and its high image {pair.high.name!r}"
    if low.dtype != high.dtype:
        raise PairError(
            f"{names} are {low.dtype} and {high.dtype}; expected the same pixel type. "
            "Export both with the same one."
        )
    if low.leading_shape != high.leading_shape:
        raise PairError(
            f"{names} have {low.leading_shape} and {high.leading_shape} planes. Give "
            f"the same planes of both."
        )
    (y, x), came = low.plane_shape, high.plane_shape
    wanted = (pair.factor * y, pair.factor * x)
    if low.plane_shape == (pair.factor * came[0], pair.factor * came[1]):
        raise PairError(
            f"{names} are exchanged: the low one is {pair.factor} times as "
            f"large. Give the small images as low ones."
        )
    if came != wanted:
        raise PairError(
            f"{names} are {y} × {x} and {came[0]} × {came[1]} pixels; at factor "
            f"{pair.factor} the high one has {wanted[0]} × {wanted[1]}. Crop both to "
            f"the same field or use the right factor."
        )
    if min(y, x) < SMALLEST:
        raise PairError(
            f"{names} cannot be registered: the low one is {y} × {x} pixels and at "
            f"least {SMALLEST} × {SMALLEST} are needed."
        )


def place_all(pairs: Sequence[StackPair], largest_shift: float) -> list[Placement]:
    """Register all stacks, and refuse those that do not show the same.

    Each plane is also compared with its neighbours and with planes of other stacks: a
    low image that fits the high image of another one better is a mistake, even where
    all images look alike.

    Parameters
    ----------
    pairs
        Checked by `check_kind`.
    largest_shift
        Low-resolution pixels by which they may be shifted.

    Returns
    -------
    list of Placement
        One per pair.

    Raises
    ------
    PairError
        If images are mixed up, unrelated, shifted further or distorted.
    """
    line_up, refusals, placements = MixUpSearch(largest_shift), [], []
    for pair in pairs:
        try:
            placements.append(_place(pair, largest_shift, line_up))
        except PairError as error:
            refusals.append(error)
    # that two are exchanged explains why they are unrelated
    if line_up.mistake is not None:
        raise line_up.mistake
    if refusals:
        raise refusals[0]
    return placements


def _place(pair: StackPair, largest_shift: float, line_up: MixUpSearch) -> Placement:
    """Register some planes of a stack, and all of them where they do not agree."""
    chosen = spread_indices(pair.low.stack, _N_CHECKED)
    for index in chosen:
        line_up.look_at(pair, index)
    measured = _registered(pair, chosen, largest_shift)
    everywhere = list(pair.low.stack.indices())
    if measured and _agree(measured):
        middle = np.median(
            [registration.shift for registration in measured.values()], axis=0
        )
        shift = (float(middle[0]), float(middle[1]))
        return Placement(dict.fromkeys(everywhere, shift), measured)
    rest = [index for index in everywhere if index not in set(chosen)]
    measured |= _registered(pair, rest, largest_shift)
    return Placement(
        {i: registration.shift for i, registration in sorted(measured.items())},
        measured,
    )


def _agree(measured: dict[Index, Registration]) -> bool:
    """Say whether all planes of a stack are shifted alike, as far as one can tell."""
    shifts = np.array([registration.shift for registration in measured.values()])
    away = np.abs(shifts - np.median(shifts, axis=0)).max(axis=1)
    allowed = [
        max(_PRECISION, 3 * registration.uncertainty)
        for registration in measured.values()
    ]
    return bool((away <= allowed).all())


def _registered(
    pair: StackPair, indices: Sequence[Index], largest_shift: float
) -> dict[Index, Registration]:
    """Register planes; those that show too little to be placed are left out."""
    measured = {}
    for index in indices:
        low, high = pair.planes(index)
        registration = register(low, high, pair.factor, largest_shift)
        related = (
            registration.significance >= _SIGNIFICANCE
            and registration.correlation >= _CORRELATION
        )
        if not related and has_detail(low) and has_detail(high):
            raise describe_mix_up(pair, index, registration.correlation, largest_shift)
        if related and _is_placed(pair.low.label(index), registration, largest_shift):
            measured[index] = registration
    return measured


def _is_placed(name: str, registration: Registration, largest_shift: float) -> bool:
    """Say whether a shift is known well enough; refuse one that is not allowed."""
    if registration.variation > _VARIATION:
        raise PairError(
            f"The images of pair {name!r} are rotated, distorted or of different "
            f"magnification: their shift differs by {registration.variation:.1f} low "
            "pixels across the field. Align them first."
        )
    y, x = registration.shift
    is_known = registration.uncertainty <= _PRECISION
    if is_known and max(abs(y), abs(x)) > largest_shift:
        raise PairError(
            f"The low image {name!r} is shifted by ({y:+.1f}, {x:+.1f}) of its pixels "
            f"(y, x) against the high one; up to {largest_shift:g} are corrected. Crop "
            f"both to the same field."
        )
    return is_known

"""Which low-resolution image belongs to which high-resolution one, by their names.

This module alone knows how people mark the two recordings of one specimen.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = re.compile(
    r"(?<![a-z])(?:(?:low|high|lo|hi)[-_ ]?res(?:olution)?|low|high|lr|hr|lq|hq"
    r"|input|target|gt)(?![a-z])"
)
_SEPARATORS = re.compile(r"[-_. ]+")


class PairError(ValueError):
    """Pairs that cannot be learnt from: one clear sentence, naming which and why."""


def match_names(
    low: Sequence[str], high: Sequence[str]
) -> tuple[list[tuple[int, int]], str]:
    """Match names that are alike but for marks such as `_lr`, `-high`, `LowRes`.

    Parameters
    ----------
    low, high
        Names without folder and suffix, in order.

    Returns
    -------
    tuple of list and str
        Positions of the partners, in the order of `low`, and one sentence that says
        how they were found: by name, or by order where no name is like another.

    Raises
    ------
    PairError
        If some names match and others do not, if a name occurs twice among the low or
        high ones, or if there are not as many of one as of the other.
    """
    low_at, high_at = _positions(low, "low"), _positions(high, "high")
    if low_at.keys() == high_at.keys():
        pairs = [(at, high_at[key]) for key, at in low_at.items()]
        return pairs, f"{len(pairs)} low and high images were matched by name."
    if low_at.keys() & high_at.keys():
        alone = [f"low {low[low_at[key]]!r}" for key in low_at if key not in high_at]
        alone += [
            f"high {high[high_at[key]]!r}" for key in high_at if key not in low_at
        ]
        have = "has" if len(alone) == 1 else "have"
        raise PairError(
            "Every low image needs a high image of the same name, but "
            f"{_listed(alone)} {have} no partner. Add the missing images or remove "
            "these."
        )
    return match_order(len(low), len(high), "whose names have nothing in common")


def match_order(n_low: int, n_high: int, why: str) -> tuple[list[tuple[int, int]], str]:
    """Match the first with the first, and so on.

    Parameters
    ----------
    n_low, n_high
        How many there are.
    why
        What is said of them: why they are not matched by name.

    Raises
    ------
    PairError
        If there are not as many of one as of the other.
    """
    if n_low != n_high:
        raise PairError(
            f"{n_low} low and {n_high} high images were given, {why}. Give the same "
            "number of both."
        )
    pairs = [(i, i) for i in range(n_low)]
    return pairs, f"{n_low} low and high images, {why}, were matched in their order."


def _positions(names: Sequence[str], which: str) -> dict[str, int]:
    """Find each name without its marks; refuse names that are then the same."""
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(names):
        positions[_bare(name)].append(position)
    for same in positions.values():
        if len(same) > 1:
            twice = " and ".join(repr(names[i]) for i in same[:2])
            raise PairError(
                f"{twice} are both among the {which} images, but name one specimen. "
                f"Choose the {which} ones with a pattern such as '*_{which}.tif'."
            )
    return {key: same[0] for key, same in positions.items()}


def _bare(name: str) -> str:
    """Take case, marks and separators out of a name."""
    without = _MARK.sub("_", name.lower())
    return _SEPARATORS.sub("_", without).strip("_")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more

"""Which images are kept from a training, to see how good it is.

This module alone decides what may stand for images that were never seen: other stacks,
or another depth of the one there is. A patch beside those that were learnt from is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import numpy as np

from napari_sr.datasets.registration import area_means, likeness, phase_spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LARGEST_SHARE = 1 / 3
_LOOK, _N_LOOKS = 128, 8
"""Side to which images that follow each other are reduced to be compared, so that noise
does not tell them apart, and how many of them are."""
_TELLING = 64
"""Side below which images are alike by chance."""
_ALIKE = 0.2
"""Correlation of phases from which they are taken for slices of one volume. Real ones
have 0.6 to 0.9, channels of one field 0.25 to 0.4, different fields up to 0.1."""
_SHARE_CHOOSING = 1 / 3
_SMALLEST_PART = 48
"""Side of a part of an image on which weights are chosen or judged."""
_GAP = 16
"""Pixels left out beside a strip, so that no patch lies on both sides."""


class Item(Protocol):
    """What can be held out: an image or a pair."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def stack(self) -> str:
        """The stack it belongs to."""

    @property
    def depth(self) -> int:
        """Where along the stack it lies."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""

    def cropped(self, rows: slice, columns: slice) -> Self:
        """Give a part of it."""

    def thumbnail(self, part: tuple[slice, slice]) -> NDArray:
        """Read a piece to compare with others."""


AnyItem = TypeVar("AnyItem", bound=Item)


def hold_out(
    items: Sequence[AnyItem], share: float = 0.2, seed: int = 0
) -> tuple[list[AnyItem], list[AnyItem], str]:
    """Set images aside that a training does not see.

    From several stacks whole ones are taken, unless they are single images that follow
    each other like slices; from one stack, or such slices, a contiguous block of
    planes, and one more on either side is left out where enough remain. Of a single
    plane a strip at one end is taken. Never single patches.

    Parameters
    ----------
    items
        Images or pairs, as they were gathered.
    share
        Share of the pixels to hold out, above 0 and at most a third; at least one item,
        even where that is more.
    seed
        The same seed holds out the same.

    Returns
    -------
    tuple of list, list and str
        What to train with, what is held out, and one sentence that says so.

    Raises
    ------
    ValueError
        If there is nothing, or not enough of it, or the share is out of range.
    """
    if not 0 < share <= _LARGEST_SHARE:
        raise ValueError(
            f"The share held out is above 0 and at most a third, not {share:g}. Use "
            f"0.2."
        )
    if not items:
        raise ValueError("There is no image to hold out. Give at least one.")
    random = np.random.default_rng(seed)
    stacks = _by_stack(items)
    if len(stacks) > 1 and _are_slices(items, stacks):
        return _hold_out_block(list(stacks.values()), "images", share, random)
    if len(stacks) > 1:
        return _hold_out_stacks(stacks, share, random)
    depths: dict[int, list[AnyItem]] = {}
    for item in items:
        depths.setdefault(item.depth, []).append(item)
    if len(depths) > 1:
        planes = [depths[at] for at in sorted(depths)]
        return _hold_out_block(planes, f"planes of {items[0].stack}", share, random)
    return _hold_out_strip(items[0], share, random)


def divide(
    kept: Sequence[AnyItem], groups: Sequence[int]
) -> tuple[list[AnyItem], list[AnyItem], str]:
    """Divide what is held out: some chooses among weights, the others judge them.

    Whole files or volumes, as long as there are several; else planes, or parts of the
    only one.

    Parameters
    ----------
    kept
        What was held out.
    groups
        Of each, which belong together, as `groups_of` tells.

    Returns
    -------
    tuple of list, list and str
        What chooses, what judges, and one sentence that says so. Both are the same
        list where it is too small to be divided.
    """
    there = sorted(set(groups))
    if len(there) > 1:
        choosing = there[: max(1, round(len(there) * _SHARE_CHOOSING))]
        chooses = [group in choosing for group in groups]
    else:
        n = max(1, round(len(kept) * _SHARE_CHOOSING)) if len(kept) > 1 else 0
        chooses = [at < n for at in range(len(kept))]
    if any(chooses):
        first = [item for item, does in zip(kept, chooses, strict=True) if does]
        rest = [item for item, does in zip(kept, chooses, strict=True) if not does]
        names = _listed(list(dict.fromkeys(item.name for item in first)))
        how = (
            f"The weights are selected by {names} of these (validation); the rest is "
            f"for the test."
        )
        return first, rest, how
    return _divided_strip(kept[0])


def _divided_strip(item: AnyItem) -> tuple[list[AnyItem], list[AnyItem], str]:
    axis = int(np.argmax(item.shape))
    side = item.shape[axis]
    n = round(side * _SHARE_CHOOSING)
    if n - _GAP < _SMALLEST_PART:
        how = "It is too small to be divided, so it is both validation and test image."
        return (both := [item]), both, how
    ends = slice(0, n - _GAP), slice(n, side)
    first, rest = (
        item.cropped(part, slice(None))
        if axis == 0
        else item.cropped(slice(None), part)
        for part in ends
    )
    return (
        [first],
        [rest],
        "A third of it selects the weights (validation); the rest is for the test.",
    )


def groups_of(items: Sequence[AnyItem]) -> list[int]:
    """Tell what belongs together: planes of one stack are not independent images.

    Parameters
    ----------
    items
        Images or pairs, as they were gathered.

    Returns
    -------
    list of int
        Of each item the number of its stack, from 0; 0 for all of single images that
        follow each other like slices of a volume.
    """
    stacks = _by_stack(items)
    if _are_slices(items, stacks):
        return [0] * len(items)
    numbers = {name: number for number, name in enumerate(stacks)}
    return [numbers[item.stack] for item in items]


def _by_stack(items: Sequence[AnyItem]) -> dict[str, list[AnyItem]]:
    stacks: dict[str, list[AnyItem]] = {}
    for item in items:
        stacks.setdefault(item.stack, []).append(item)
    return stacks


def _hold_out_stacks(
    stacks: dict[str, list[AnyItem]], share: float, random: np.random.Generator
) -> tuple[list[AnyItem], list[AnyItem], str]:
    """Draw stacks until their pixels are about the share, never above a third."""
    sizes = {name: sum(map(_n_pixels, inside)) for name, inside in stacks.items()}
    whole, taken = sum(sizes.values()), 0
    order = [list(stacks)[i] for i in random.permutation(len(stacks))]
    chosen = []
    for name in order:
        nearer = taken + sizes[name] / 2 <= share * whole
        if nearer and taken + sizes[name] <= _LARGEST_SHARE * whole:
            chosen.append(name)
            taken += sizes[name]
    chosen = chosen or [min(order, key=lambda name: sizes[name])]
    kept = [name for name in stacks if name not in chosen]
    held = [name for name in stacks if name in chosen]
    how = f"Held out: {len(held)} of {len(stacks)} images ({_listed(held)})."
    return _joined([stacks[i] for i in kept]), _joined([stacks[i] for i in held]), how


def _hold_out_block(
    planes: list[list[AnyItem]], what: str, share: float, random: np.random.Generator
) -> tuple[list[AnyItem], list[AnyItem], str]:
    """Take neighbouring planes; `planes` are lists of those of one depth, in order."""
    n = len(planes)
    n_held = max(1, min(round(share * n), int(n * _LARGEST_SHARE)))
    # the ends of a stack are often empty or out of focus
    first, last = n // 4, max(n // 4, n - n // 4 - n_held)
    start = min(int(random.integers(first, last + 1)), n - n_held)
    stop = start + n_held
    beside = [i for i in (start - 1, stop) if 0 <= i < n]
    if n - n_held - len(beside) < n / 2:
        beside = []
    kept = [i for i in range(n) if not start <= i < stop and i not in beside]
    held = _joined(planes[start:stop])
    which = _listed([planes[i][0].name for i in range(start, stop)])
    gap = f"; {len(beside)} beside left out" if beside else ""
    how = f"Held out: {n_held} of {n} {what} ({which}{gap})."
    return _joined([planes[i] for i in kept]), held, how


def _hold_out_strip(
    item: AnyItem, share: float, random: np.random.Generator
) -> tuple[list[AnyItem], list[AnyItem], str]:
    """Cut a strip off one end of the longer side of the only plane."""
    axis = int(np.argmax(item.shape))
    side = item.shape[axis]
    width = max(1, min(round(share * side), int(side * _LARGEST_SHARE)))
    gap = min(_GAP, side // 32)
    if side - width - gap < 1:
        raise ValueError(
            f"{item.name} is {item.shape[0]} × {item.shape[1]} pixels, too small to "
            "hold a part out. Give a larger image or a second one."
        )
    at_end = bool(random.integers(2))
    held, kept = slice(0, width), slice(width + gap, side)
    if at_end:
        held, kept = slice(side - width, side), slice(0, side - width - gap)
    parts = [
        item.cropped(part, slice(None))
        if axis == 0
        else item.cropped(slice(None), part)
        for part in (kept, held)
    ]
    lines = ("rows", "columns")[axis]
    how = (
        f"Held out: {lines} {held.start} to {held.stop - 1} of {item.name}, the only "
        f"plane; {gap} {lines} beside them left out."
    )
    return parts[:1], parts[1:], how


def _are_slices(items: Sequence[AnyItem], stacks: dict[str, list[AnyItem]]) -> bool:
    """Say whether single images follow each other like slices of a volume."""
    single = len(stacks) == len(items) > 2 and len({item.shape for item in items}) == 1
    if not single or min(items[0].shape) < _TELLING:
        return False
    firsts = np.linspace(0, len(items) - 2, _N_LOOKS).round().astype(int)
    alike = [
        likeness(_look_at(items[i]), _look_at(items[i + 1]), reach=8)
        for i in np.unique(firsts)
    ]
    return bool(np.median(alike) > _ALIKE)


def _look_at(item: Item) -> NDArray:
    """Give the phases of the middle of an image, coarsely."""
    step = max(1, min(item.shape) // _LOOK)
    sides = [min(side // step, 2 * _LOOK) for side in item.shape]
    rows, columns = (
        slice((whole - step * side) // 2, (whole - step * side) // 2 + step * side)
        for whole, side in zip(item.shape, sides, strict=True)
    )
    coarse = area_means(
        item.thumbnail((rows, columns)), step, (sides[0], sides[1]), (0.0, 0.0)
    )
    return phase_spectrum(coarse)


def _n_pixels(item: Item) -> int:
    return item.shape[0] * item.shape[1]


def _joined(groups: Sequence[Sequence[AnyItem]]) -> list[AnyItem]:
    return [item for group in groups for item in group]


def _listed(names: Sequence[str]) -> str:
    """List a few names."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more

"""The place of a layer as the axes of a stack, and what axes cannot say of it.

This module alone knows what of a place no file format here can hold: rotation, shear,
affine, mirrored axes and labels of several letters.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.image.axis import Axis
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LETTERS = "uvwptzyx"
_TOLERANCE = 1e-12
"""Rotations of less are rounding."""


def axes_of(place: Mapping[str, Any], n_axes: int) -> tuple[Axis, ...]:
    """Say where pixels lie, as far as axes can.

    Parameters
    ----------
    place
        Keywords of a napari image layer; what is missing is napari's default.
    n_axes
        Number of dimensions.
    """
    scale, translate, units = (
        place.get(name, [default] * n_axes)
        for name, default in (("scale", 1.0), ("translate", 0.0), ("units", None))
    )
    letters = _letters(place.get("axis_labels") or (), n_axes)
    return tuple(
        Axis(
            letter,
            spacing=abs(float(size)),
            unit=None if unit is None else str(unit),
            origin=float(origin),
        )
        for letter, size, unit, origin in zip(
            letters, scale, units, translate, strict=True
        )
    )


def unheld(place: Mapping[str, Any], n_axes: int) -> dict[str, Any]:
    """Find what of a place axes cannot say.

    Parameters
    ----------
    place, n_axes
        As for `axes_of`.

    Returns
    -------
    dict
        Plain values that JSON has: napari's keywords, with `scale` and `translate`
        where anything turns the layer; empty if axes say all.
    """
    identity = {
        "rotate": np.eye(n_axes),
        "shear": np.zeros(n_axes * (n_axes - 1) // 2),
        "affine": np.eye(n_axes + 1),
    }
    kept: dict[str, Any] = {}
    for name, nothing in identity.items():
        value = np.asarray(place.get(name, nothing), dtype=float)
        if value.shape != nothing.shape or np.abs(value - nothing).max() > _TOLERANCE:
            kept[name] = value.tolist()
    scale = np.asarray(place.get("scale", np.ones(n_axes)), dtype=float)
    if kept or (scale < 0).any():
        kept["scale"] = scale.tolist()
        translate = place.get("translate", np.zeros(n_axes))
        kept["translate"] = np.asarray(translate, dtype=float).tolist()
    labels = list(place.get("axis_labels") or ())
    if _are_chosen(labels) and "".join(labels) != _letters(labels, n_axes):
        kept["axis_labels"] = labels
    return kept


def describe_unheld(kept: Mapping[str, Any]) -> str:
    """Name in a few words what is kept as metadata only; empty for nothing."""
    names = [name for name in ("rotate", "shear", "affine") if name in kept]
    words = [{"rotate": "rotation"}.get(name, name) for name in names]
    if any(size < 0 for size in kept.get("scale", ())):
        words.append("mirrored axes")
    if "axis_labels" in kept:
        words.append("axis labels")
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _are_chosen(labels: Sequence[str]) -> bool:
    """Tell labels that somebody chose from napari's own: -3, -2, -1."""
    return any(not label.lstrip("-").isdigit() for label in labels)


def _letters(labels: Sequence[str], n_axes: int) -> str:
    """Name each axis by a letter of its own: its label where that is one."""
    if n_axes > len(_LETTERS):
        raise StackError(
            f"The layer has {n_axes} dimensions; expected at most {len(_LETTERS)}. "
            "Take a part of it."
        )
    names = _LETTERS[-n_axes:] if n_axes else ""
    wanted = [label.lower() for label in labels] if len(labels) == n_axes else []
    for place in range(n_axes - 2):
        label = wanted[place] if wanted else ""
        taken = f"{names[:place]}cyx"
        if len(label) == 1 and label in string.ascii_lowercase and label not in taken:
            names = names[:place] + label + names[place + 1 :]
        elif names[place] in taken:
            spare = next(letter for letter in "tzpwvuqsr" if letter not in taken)
            names = names[:place] + spare + names[place + 1 :]
    return names

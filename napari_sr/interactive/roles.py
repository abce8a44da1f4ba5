"""Which layer is a result, what it was made from, and what it should be.

This module alone guesses; the user can choose otherwise. It asks layers for what they
have, and knows nothing else of napari.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Image = Any
    """An image layer of napari."""

_TOLERANCE = 0.02
"""Of the extent, by which the fields of two layers may differ."""
_CHANNEL = re.compile(r" \[([^\[\]]+)\]$")
"""What the name of a channel ends in: "cells [GFP]"."""
OF_RESULT = re.compile(r"\[([^\[\]]+)\] \[[^\[\]]+\]$")
"""What the name of the result of a channel ends in."""
_RESULT = re.compile(
    r"(?P<recording>.+?)(?: \[(?P<channel>[^\[\]]+)\])? \[(?P<model>[^\[\]]+)\]"
    r"(?P<rest>[^\[\]]*)"
)
"""How a run names what it makes: "cells [GFP] [model] (2 of 3 planes)"."""


def guess_result(layers: Sequence[Image]) -> Image | None:
    """Find the newest layer that says it is a result; else the one of most pixels."""
    results = [layer for layer in layers if is_result(layer)]
    if results:
        return results[-1]
    return max(layers, key=lambda layer: _n_columns(layer), default=None)


def guess_source(layers: Sequence[Image], active: object = None) -> Image | None:
    """Find what is most likely to be super-resolved; never what is a result.

    A recording that is seen goes before one that is hidden, both before a sample, and
    that before a truth; among equals the active layer goes first, then the lowest in
    the list.
    """
    likely = [layer for layer in layers if not is_result(layer)]

    def rank(layer: Image) -> tuple[bool, ...]:
        is_other = is_truth(layer, likely), is_sample(layer), not layer.visible
        return (*is_other, layer != active)

    return min(likely, key=rank, default=None)


def are_of_one_recording(layer: Image, other: Image) -> bool:
    """Tell channels of one recording by their file, or else by their names."""
    paths = {one.source.path for one in (layer, other)}
    if None not in paths:
        return len(paths) == 1
    named = [_CHANNEL.search(one.name) for one in (layer, other)]
    stems = {one.string[: one.start()] for one in named if one}
    return None not in named and len(stems) == 1


def name_of_channel(layer: Image) -> str:
    """Give what a channel is called: "cells [GFP]" is GFP."""
    named = _CHANNEL.search(layer.name)
    return str(named[1] if named else layer.name)


def guess_recording(result: Image, layers: Sequence[Image]) -> Image | None:
    """Find the layer that a result was made from.

    The same field in fewer pixels; the name of a result begins with that of its
    recording.
    """
    provenance = _said(result)
    factor = provenance.get("plan", provenance).get("factor")
    smaller = [
        layer
        for layer in layers
        if layer is not result
        and _n_columns(layer) < _n_columns(result)
        and (factor is None or _n_columns(layer) * factor == _n_columns(result))
        and same_field(layer, result)
    ]
    named = [layer for layer in smaller if result.name.startswith(layer.name)]
    return next(iter([*named, *smaller]), None)


def guess_reference(result: Image, layers: Sequence[Image]) -> Image | None:
    """Find a layer that was measured, or drawn, with the pixels of the result."""
    return _guess_truth(result, result.data.shape, layers)


def guess_sharper(
    recording: Image, factor: int, layers: Sequence[Image]
) -> Image | None:
    """Find a layer that was measured, or drawn, with `factor` times as many pixels."""
    *leading, height, width = recording.data.shape
    shape = (*leading, factor * height, factor * width)
    return _guess_truth(recording, shape, layers)


def _guess_truth(
    layer: Image, shape: tuple[int, ...], layers: Sequence[Image]
) -> Image | None:
    alike = [
        candidate
        for candidate in layers
        if candidate is not layer
        and not is_result(candidate)
        and candidate.data.shape == shape
        and same_field(candidate, layer)
    ]
    named = [candidate for candidate in alike if "truth" in candidate.name.lower()]
    return next(iter([*named, *alike]), None)


def is_only_looked_at(layer: Image) -> bool:
    """Tell a preview or a map of a result from what can be computed with."""
    return bool({"is_preview", "map"} & set(_said(layer)))


def is_truth(layer: Image, layers: Iterable[Image]) -> bool:
    """Tell what is meant as the truth: by its name, or beside a coarser image."""
    return "truth" in layer.name.lower() or any(
        _n_columns(layer) % _n_columns(other) == 0
        and _n_columns(layer) > _n_columns(other)
        and same_field(layer, other)
        for other in layers
        if other is not layer and not is_result(other)
    )


def is_sample(layer: Image) -> bool:
    """Tell what was drawn, to try things on, from what was recorded."""
    return _said(layer).get("origin") == "synthetic"


def _said(layer: Image) -> dict[str, Any]:
    provenance = layer.metadata.get("napari_sr")
    return provenance if isinstance(provenance, dict) else {}


def is_result(layer: Image) -> bool:
    """Tell what was super-resolved from what was recorded."""
    is_made = bool({"plan", "model"} & set(_said(layer)))
    return is_made and not is_only_looked_at(layer)


def _n_columns(layer: Image) -> int:
    return int(layer.data.shape[-1])


def same_field(layer: Image, other: Image) -> bool:
    """Tell whether two layers cover the same part of the world."""
    if layer.ndim != other.ndim:
        return False
    field, its = (np.asarray(either.extent.world) for either in (layer, other))
    return bool(np.all(np.abs(field - its) <= _TOLERANCE * np.ptp(its, axis=0) + 1e-12))


def stem_of_result(name: str, recording: str, is_copy: bool, is_one: bool) -> str:
    """Name the file of a result after its recording and its model.

    Parameters
    ----------
    name
        Of the layer.
    recording
        Stem of the file of its recording; empty where there is none.
    is_copy
        Whether it has a file already.
    is_one
        Whether it is one channel, and not several of one image.
    """
    words = [name, "copy" if is_copy else None]
    if named := _RESULT.fullmatch(name):
        rest = re.sub(r"\W+", "-", named["rest"]).strip("-")
        channel = named["channel"] if is_one else None
        words = [recording or named["recording"], channel, named["model"], rest]
    return "_".join(filter(None, words)).replace("/", "_")


def are_named_as_channels(names: Iterable[str]) -> bool:
    """Tell names of results of channels of one recording: "cells [DAPI] [model]"."""
    named = [OF_RESULT.search(name) for name in names]
    return None not in named and len({n.string[: n.start()] for n in named if n}) == 1

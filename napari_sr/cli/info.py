"""`napari-sr info`: what a file or a model is."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sr.catalogue.summary import describe_model
from napari_sr.cli.terminal import OK, say
from napari_sr.image.info import Channel
from napari_sr.metrics.along_z import blur_along_z
from napari_sr.runs.summary import _blur_as_text, noise_as_typed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from napari_sr.image.stack import Stack


_QUICK = 2**22
"""Pixels of a plane at most, of which many are read to describe a file."""


def add_info(parser: argparse.ArgumentParser) -> None:
    """Describe `info`."""
    parser.add_argument("file", help="a stack, a model file, or the name of a model")
    parser.add_argument("--json", action="store_true", help="print everything, as JSON")
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> int:
    say(_description(arguments.file, arguments.json))
    return OK


def _description(name: str, as_json: bool) -> str:
    """Find out what a name or a path stands for, and describe it."""
    from napari_sr.cards.model_card import read_card
    from napari_sr.catalogue.lookup import list_cards, read_foreign
    from napari_sr.files import open_channels
    from napari_sr.interop.recognizing import is_foreign
    from napari_sr.methods.names import METHODS

    named = {card.name: card for card in list_cards()}
    if name in named or name.endswith(".safetensors") or is_foreign(name):
        is_ours = name.endswith(".safetensors")
        card = named.get(name) or (
            read_card(name) if is_ours else read_foreign(name).card
        )
        return card.model_dump_json(indent=1) if as_json else describe_model(card)
    if name in METHODS and not Path(name).exists():
        text = f"{name}, by 2, 3, 4 or 8 (--factor): {METHODS[name].description}"
        return json.dumps({"name": name}) if as_json else text
    stacks = open_channels(name)
    try:
        known = channels_as_json(stacks)
        return json.dumps(known, indent=1) if as_json else describe_channels(stacks)
    finally:
        for stack in stacks:
            stack.close()


def describe_channels(stacks: Sequence[Stack]) -> str:
    """Say how large an image is, where it lies, what its channels are and made it."""
    stack, info = stacks[0], stacks[0].info
    lines = [_describe_stack(stack)]
    channels = [name_of_channel(channel_stack) for channel_stack in stacks]
    if len(stacks) > 1 or info.channels:
        lines.append(f"channels: {', '.join(channels)}")
    details = {
        "recorded": info.acquired,
        "values": info.values,
        "shown": "inverted: the lowest value is shown white"
        if info.is_inverted
        else "",
        "blur": _blur_along_z(stack),
    }
    lines += [f"{name}: {text}" for name, text in details.items() if text]
    for channel_stack, name in zip(stacks, channels, strict=True):
        how = _how_it_was_made(channel_stack.provenance)
        lines += [f"{name}: {text}" for text in how] if len(stacks) > 1 else how
    return "\n".join(lines)


def _blur_along_z(stack: Stack) -> str:
    """Say where more planes would show no more detail; of what is quick to read."""
    names = [axis.name for axis in stack.axes[:-2]]
    if "z" not in names or prod(stack.plane_shape) > _QUICK:
        return ""
    return blur_along_z(stack, names.index("z"))


def name_of_channel(stack: Stack) -> str:
    """Name a channel by its number and what it is called, with its colour."""
    parts = [] if stack.info.number is None else [str(stack.info.number)]
    for channel in stack.info.channels[:1]:
        parts += [text for text in (channel.name, channel.colour) if text]
    return " ".join(parts) or "0"


def _describe_stack(stack: Stack) -> str:
    """Say how large a stack is, where it lies and what made it."""
    planes = "1 plane" if stack.n_planes == 1 else f"{stack.n_planes} planes"
    lines = [f"{stack.name}: {planes}, {stack.dtype.name}"]
    for axis, length in zip(stack.axes, stack.shape, strict=True):
        unit = axis.unit or "pixel"
        lines.append(
            f"  {axis.name}: {length}, spacing {axis.spacing:g} {unit}, "
            f"origin {axis.origin + 0.0:g}"
        )
    if stack.provenance:
        software = stack.provenance.get("software", "unknown software")
        notice = stack.provenance.get("notice")
        lines.append(f"made by {software}" + (f" ({notice})" if notice else ""))
    return "\n".join(lines)


def _how_it_was_made(provenance: Mapping[str, Any]) -> list[str]:
    """Say which model with which noise and range gave a result of ours."""
    plan = provenance.get("plan")
    if not isinstance(plan, dict):
        return []
    parts = [f"model {plan.get('model', 'unknown')} ×{plan.get('factor', '?')}"]
    if along_z := plan.get("z"):
        parts.append(f"×{along_z['ratio']:g} along z")
    if digest := plan.get("model_sha256"):
        parts.append(f"SHA-256 {digest[:12]}…")
    parts += [f"{name} {value}" for name, value in plan.get("options", {}).items()]
    if plan.get("dial") is not None:
        parts.append(f"dial {plan['dial']:g}")
    if plan.get("blur") is not None:
        parts.append(_blur_as_text(plan["blur"]))
    if intensity := plan.get("intensity"):
        parts.append(f"range {intensity['low']:g} to {intensity['high']:g}")
    if noise := (plan.get("z") or plan).get("noise"):
        parts.append(f"noise {noise_as_typed(noise)}")
    if note := plan.get("dtype_note"):
        parts.append(note)
    return [", ".join(parts)]


def channels_as_json(stacks: Sequence[Stack]) -> dict[str, object]:
    """Say all that is known about an image, in types that JSON has."""
    stack = stacks[0]
    names = [(*channel.info.channels, Channel())[0] for channel in stacks]
    return {
        "name": stack.name,
        "dtype": stack.dtype.name,
        "axes": [
            {**asdict(axis), "length": length}
            for axis, length in zip(stack.axes, stack.shape, strict=True)
        ],
        "channels": [asdict(channel) for channel in names],
        "acquired": stack.info.acquired,
        "provenance": stack.provenance,
    }

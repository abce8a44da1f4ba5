"""Stacks, models and results → what a person is told about them.

This module alone knows the wording; who prints it is the command line.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sr.batching import FileFailure, FileResult
    from napari_sr.card import ModelCard
    from napari_sr.stack import Stack


def describe_result(result: FileResult) -> str:
    """Say in one line what was written and how."""
    plan = result.plan
    shape = " × ".join(map(str, result.shape))
    tile = f"auto ({plan.tile})" if plan.tile_is_auto else str(plan.tile)
    parts = [f"{result.path}: {shape} {plan.dtype}, tile {tile}"]
    parts.append(f"range {plan.intensity.low:g} to {plan.intensity.high:g}")
    if plan.noise is not None:
        parts.append(f"noise gain {plan.noise.gain:.3g}, read {plan.noise.read:.3g}")
    if result.share_clipped:
        parts.append(f"{result.share_clipped:.2%} of pixels clipped")
    return ", ".join(parts)


def describe_failure(failure: FileFailure) -> str:
    """Say in one line what went wrong with which file."""
    text = " ".join(str(failure.error).split()) or type(failure.error).__name__
    return text if failure.name in text else f"{failure.name}: {text}"


def describe_model(card: ModelCard) -> str:
    """Say what a model is, what it was trained on and how good it is."""
    lines = [
        f"{card.name}: {card.description}",
        f"×{card.factor}, {card.domain}, {card.architecture} {card.arguments or ''}",
        f"halo {card.halo} px, licence {card.licence}, made by {card.package_version}",
    ]
    if card.training_images:
        licences = ", ".join(sorted({image.licence for image in card.training_images}))
        lines.append(f"trained on {len(card.training_images)} images ({licences})")
    if card.quality:
        lines += ["", card.quality_protocol, card.quality_table()]
    return "\n".join(lines)


def describe_stack(stack: Stack) -> str:
    """Say how large a stack is, where it lies and what made it."""
    lines = [f"{stack.name}: {stack.n_planes} planes, {stack.dtype.name}"]
    for axis, length in zip(stack.axes, stack.shape, strict=True):
        unit = axis.unit or "pixel"
        lines.append(
            f"  {axis.name}: {length}, spacing {axis.spacing:g} {unit}, "
            f"origin {axis.origin:g}"
        )
    if stack.provenance:
        software = stack.provenance.get("software", "unknown software")
        notice = stack.provenance.get("notice")
        lines.append(f"made by {software}" + (f" ({notice})" if notice else ""))
    return "\n".join(lines)


def stack_as_json(stack: Stack) -> dict[str, object]:
    """Say all that is known about a stack, in types that JSON has."""
    return {
        "name": stack.name,
        "dtype": stack.dtype.name,
        "axes": [
            {**asdict(axis), "length": length}
            for axis, length in zip(stack.axes, stack.shape, strict=True)
        ],
        "provenance": stack.provenance,
    }

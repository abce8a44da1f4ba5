"""Write what a file or a model is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_sr.runs.summary import _as_typed, _blur_as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sr.image.stack import Stack


def describe_stack(stack: Stack) -> str:
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
        lines += _how_it_was_made(stack.provenance)
    return "\n".join(lines)


def _how_it_was_made(provenance: Mapping[str, Any]) -> list[str]:
    """Say which model with which noise and range gave a result of ours."""
    plan = provenance.get("plan")
    if not isinstance(plan, dict):
        return []
    parts = [f"model {plan.get('model', 'unknown')} ×{plan.get('factor', '?')}"]
    if digest := plan.get("model_sha256"):
        parts.append(f"SHA-256 {digest[:12]}…")
    parts += [f"{name} {value}" for name, value in plan.get("options", {}).items()]
    if plan.get("dial") is not None:
        parts.append(f"dial {plan['dial']:g}")
    if plan.get("blur") is not None:
        parts.append(_blur_as_text(plan["blur"]))
    if intensity := plan.get("intensity"):
        parts.append(f"range {intensity['low']:g} to {intensity['high']:g}")
    if noise := plan.get("noise"):
        parts.append(f"noise {_as_typed(noise)}")
    return [", ".join(parts)]


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

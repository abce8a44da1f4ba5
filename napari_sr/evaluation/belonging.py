"""Whether a result can have been made from a recording, and if not, what does not fit.

This module alone knows the sentence that says it, for planes and for volumes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.image.factor import FACTORS
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from napari_sr.image.stack import Stack


def along_z_of(result: Stack) -> float | None:
    """Tell by how much a result says that it is finer along z."""
    plan = result.provenance.get("plan")
    along_z = plan.get("z") if isinstance(plan, dict) else None
    return float(along_z["ratio"]) if along_z else None


def not_its_recording(
    recording: Stack, result: Stack, finer: int | None = None
) -> StackError:
    """Say why a result is not one of a recording: the properties that do not fit.

    Parameters
    ----------
    recording, result
        What does not fit each other.
    finer
        Which of the leading axes may have more planes; none when not given.
    """
    reasons = [
        *axes_apart(recording, result, finer),
        *_sides_apart(recording, result, FACTORS if finer is None else (1, *FACTORS)),
    ]
    return StackError(
        f"{result.name} ({by(result)}) is not a result of {recording.name} "
        f"({by(recording)}): {'; '.join(reasons)}. Choose the recording that it was "
        f"made from{_hint(result)}."
    )


def by(stack: Stack) -> str:
    """Write the shape of a stack."""
    return " × ".join(map(str, stack.shape))


def axes_apart(recording: Stack, result: Stack, finer: int | None = None) -> list[str]:
    """Name the leading axes whose lengths do not fit; none where all do."""
    before, after = recording.leading_shape, result.leading_shape
    if len(before) != len(after):
        return [f"the recording is {_kind(recording)}, the result {_kind(result)}"]
    ratio = along_z_of(result)
    apart = []
    for i, (axis, n, m) in enumerate(zip(result.axes, before, after, strict=False)):
        if i == finer:
            continue
        if n == m and axis.name == "z" and ratio is not None and ratio > 1 and n > 1:
            apart.append(
                f"the result is finer along z by {ratio:g}, but both have {n} planes"
            )
        elif n != m:
            apart.append(f"along {axis.name} the recording has {n}, the result {m}")
    return apart


def _sides_apart(
    recording: Stack, result: Stack, factors: tuple[int, ...]
) -> list[str]:
    """Say if rows and columns are not by one factor."""
    (y, x), (rows, columns) = recording.plane_shape, result.plane_shape
    if any((rows, columns) == (f * y, f * x) for f in factors):
        return []
    listed = f"{', '.join(map(str, factors[:-1]))} or {factors[-1]}"
    return [
        f"its {rows} × {columns} px are not {listed} times the {y} × {x} px of the "
        "recording"
    ]


def _kind(stack: Stack) -> str:
    names = ", ".join(axis.name for axis in stack.axes)
    n_leading = len(stack.leading_shape)
    kind = "a plane" if n_leading == 0 else "a stack" if n_leading == 1 else "stacks"
    return f"{kind} ({names})"


def _hint(result: Stack) -> str:
    """Say how many planes the recording of a volume has."""
    ratio, names = along_z_of(result), [axis.name for axis in result.axes]
    if ratio is None or "z" not in names[:-2]:
        return ""
    n = round(result.leading_shape[names.index("z")] / ratio)
    return f", which has {n} planes along z"

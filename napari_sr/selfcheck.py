"""Whether a device computes what it should, and how busy it is kept.

This module alone knows what is looked at: results of a device against the CPU's, what
happens when memory runs out, and the share of the time in which the network computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sr.device import choose_device, describe_device
from napari_sr.phantoms import make_phantom
from napari_sr.settings import UpscaleSettings
from napari_sr.stack import Stack
from napari_sr.upscaling import make_plan, upscale_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.model import SRModel
    from napari_sr.planning import Plan
    from napari_sr.upscaling import Step

SIDE, N_PLANES = 256, 4
TOLERANCE = 1e-4
"""Of the range: devices round differently."""
_TOO_LARGE = 2**60
"""Bytes that no device has."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has found."""

    is_well: bool
    text: str


class _Watched:
    """A model that notes how long it computes, and refuses tiles beyond a side."""

    def __init__(self, model: SRModel, largest: float = np.inf) -> None:
        self._model, self._largest = model, largest
        self.seconds = 0.0

    def __getattr__(self, name: str) -> object:
        """Be the model in all else."""
        return getattr(self._model, name)

    def __call__(self, batch: Tensor) -> Tensor:
        """Compute, or run out of the device's memory."""
        if max(batch.shape[-2:]) > self._largest:
            torch.empty(_TOO_LARGE, dtype=torch.uint8, device=batch.device)
        _wait_for(batch.device)
        started = perf_counter()
        found = self._model(batch)
        _wait_for(batch.device)
        self.seconds += perf_counter() - started
        return found


def self_check(
    model: SRModel, device: str = "auto", side: int = SIDE
) -> Iterator[Finding]:
    """Look at one thing after the other.

    Parameters
    ----------
    model
        Any; what is computed does not depend on a specimen.
    device
        As for `choose_device`.
    side
        Of the recorded planes, in pixels.

    Yields
    ------
    Finding
        In a sentence.
    """
    there = choose_device(device)
    yield Finding(True, f"{describe_device(device)}; {model.name} ×{model.factor}")
    recorded = make_phantom("nuclei", n_planes=N_PLANES, size=side).truth
    stack = Stack.from_array(recorded)
    settings = UpscaleSettings(device=str(there), dtype="float32")
    on_device = model.to(there)
    plan = make_plan(stack, on_device, settings)
    _run(stack, _Watched(on_device), plan, [(0,)])  # the first run sets things up
    watched = _Watched(on_device)
    started = perf_counter()
    found = _run(stack, watched, plan, [*stack.indices()])
    seconds = perf_counter() - started
    yield _against_the_cpu(stack, model, plan, found[0])
    yield _out_of_memory(stack, on_device, plan, found[0])
    pace = found.size / seconds / 1e6
    share = watched.seconds / seconds
    yield Finding(
        True, f"{pace:.2f} megapixels of results a second; busy {share:.0%} of the time"
    )


def _against_the_cpu(
    stack: Stack, model: SRModel, plan: Plan, found: NDArray
) -> Finding:
    """Compute a plane on the CPU, by the same plan."""
    there = plan.model_copy(update={"device": "cpu", "precision": "float32"})
    expected = _run(stack, _Watched(model.to("cpu")), there, [(0,)])[0]
    differs = _difference(found, expected, plan)
    text = f"differs from the CPU by at most {differs:.0e} of the range"
    return Finding(differs <= TOLERANCE, text)


def _out_of_memory(
    stack: Stack, model: SRModel, plan: Plan, expected: NDArray
) -> Finding:
    """Let large tiles run out of memory: smaller ones give the same pixels."""
    side = min(plan.tile, max(stack.plane_shape) + 2 * plan.halo)
    cramped = _Watched(model, largest=side - 1)
    by = plan.model_copy(update={"tile": side, "tile_is_auto": True})
    *_, last = _steps(stack, cramped, by, [(0,)])
    if last.plane is None or last.tile == side:
        return Finding(False, f"memory did not run out with tiles of {side} px")
    differs = _difference(last.plane, expected, plan)
    text = f"memory ran out with tiles of {side} px; those of {last.tile} px differ by "
    return Finding(differs <= TOLERANCE, text + f"{differs:.0e} of the range")


def _run(
    stack: Stack, model: _Watched, plan: Plan, indices: list[tuple[int, ...]]
) -> NDArray:
    steps = _steps(stack, model, plan, indices)
    return np.stack([step.plane for step in steps if step.plane is not None])


def _steps(
    stack: Stack, model: _Watched, plan: Plan, indices: list[tuple[int, ...]]
) -> Iterator[Step]:
    return upscale_steps(stack, model, plan, indices)  # type: ignore[arg-type]


def _difference(found: NDArray, expected: NDArray, plan: Plan) -> float:
    span = plan.intensity.high - plan.intensity.low
    return float(np.abs(found - expected).max()) / span


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

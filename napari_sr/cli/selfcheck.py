"""Whether a device computes what it should, and how busy it is kept.

This module alone knows what is looked at: results of a device against the CPU's, what
happens when memory runs out, the share of the time in which the network computes, and
steps of both stages of a training against the CPU's.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sr._version import __version__
from napari_sr.datasets import gather_images
from napari_sr.device import choose_device, describe_device, wait_for
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.image.stack import Stack
from napari_sr.phantoms import make_phantom
from napari_sr.settings import AdversarialSettings, TrainingSettings, UpscaleSettings
from napari_sr.training.batches import SimulatedExamples
from napari_sr.training.checkpoint import TrainingState
from napari_sr.training.steps import AdversarialStep, FidelityStep
from napari_sr.upscaling.flow import make_plan, upscale_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.models.sr_model import SRModel
    from napari_sr.upscaling.flow import TileStep
    from napari_sr.upscaling.plan import Plan

SIDE, N_PLANES = 256, 4
TOLERANCE = 1e-4
"""Of the range: devices round differently."""
N_STEPS, LOSS_TOLERANCE = 3, 0.02
"""Steps of a training, and the share by which losses may differ after them: in the
fidelity stage a device may round more than results may be rounded."""
STEP_OF = {"fidelity": FidelityStep, "adversarial": AdversarialStep}
_TOO_LARGE = 2**60
"""Bytes that no device has."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has found."""

    is_well: bool
    name: str
    """What was looked at."""
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
        wait_for(batch.device)
        started = perf_counter()
        result = self._model(batch)
        wait_for(batch.device)
        self.seconds += perf_counter() - started
        return result


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
    yield Finding(True, "device", describe_device(device))
    yield Finding(True, "software", _software())
    recorded = make_phantom("nuclei", n_planes=N_PLANES, size=side).truth
    stack = Stack.from_array(recorded)
    settings = UpscaleSettings(device=str(there), dtype="float32")
    on_device = model.to(there)
    plan = make_plan(stack, on_device, settings)
    _run(stack, _Watched(on_device), plan, [(0,)])  # the first run sets things up
    watched = _Watched(on_device)
    started = perf_counter()
    result = _run(stack, watched, plan, [*stack.indices()])
    seconds = perf_counter() - started
    yield _against_the_cpu(stack, model, plan, result[0])
    yield _out_of_memory(stack, on_device, plan, result[0])
    pace, share = seconds / (result.size / 1e6), watched.seconds / seconds
    text = (
        f"{pace:.3g} s per megapixel of the result; device busy {share:.0%} of the time"
    )
    yield Finding(True, f"speed of {model.name} ×{model.factor}", text)
    for stage in STEP_OF:
        yield _training(recorded, stage, str(there))


def _software() -> str:
    return (
        f"napari-sr {__version__}, torch {torch.__version__}, Python "
        f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    )


def _training(recorded: NDArray, stage: str, device: str) -> Finding:
    """Take the same steps of a stage on a device and on the CPU."""
    losses, seconds = _steps_of_training(recorded, stage, device)
    expected, _ = _steps_of_training(recorded, stage, "cpu")
    apart = [losses[name] / expected[name] - 1 for name in expected]
    differs = float(np.abs(apart).max())
    text = (
        f"losses differ from the CPU's by {differs:.1%} after {N_STEPS} steps; "
        f"{1000 * seconds:.0f} ms a step"
    )
    # Also where a loss is no number.
    return Finding(bool(differs <= LOSS_TOLERANCE), f"training, {stage} stage", text)


def _steps_of_training(
    recorded: NDArray, stage: str, device: str
) -> tuple[dict[str, float], float]:
    """Give the last losses of a small training, and the seconds of its last step."""
    settings = TrainingSettings(
        arguments={"channels": 16, "n_blocks": 2},
        adversarial=AdversarialSettings(head_start=0, ramp=0),
        batch=8,
        patch=16,
        device=device,
    )
    state = TrainingState(settings)
    state.stage = stage  # type: ignore[assignment]
    sharp = gather_images(list(recorded), IntensityPolicy())
    examples, lesson = SimulatedExamples(sharp, settings), STEP_OF[stage](state)
    for position in range(N_STEPS):
        batch = examples.batch(position)
        started = perf_counter()
        losses = lesson(batch)
        wait_for(state.device)
        seconds = perf_counter() - started
        state.iteration += 1
    return {name: float(value) for name, value in losses.items()}, seconds


def _against_the_cpu(
    stack: Stack, model: SRModel, plan: Plan, result: NDArray
) -> Finding:
    """Compute a plane on the CPU, by the same plan."""
    there = plan.model_copy(update={"device": "cpu", "precision": "float32"})
    expected = _run(stack, _Watched(model.to("cpu")), there, [(0,)])[0]
    differs = _difference(result, expected, plan)
    text = f"differ from the CPU's by at most {differs:.0e} of the range"
    return Finding(differs <= TOLERANCE, "results", text)


def _out_of_memory(
    stack: Stack, model: SRModel, plan: Plan, expected: NDArray
) -> Finding:
    """Let large tiles run out of memory: smaller ones give the same pixels."""
    side = min(plan.tile, max(stack.plane_shape) + 2 * plan.halo)
    cramped = _Watched(model, largest=side - 1)
    by = plan.model_copy(update={"tile": side, "tile_is_auto": True})
    *_, last = _steps(stack, cramped, by, [(0,)])
    if last.plane is None or last.tile == side:
        return Finding(
            False, "memory", f"did not run out of memory with tiles of {side} px"
        )
    differs = _difference(last.plane, expected, plan)
    text = (
        f"ran out of memory with tiles of {side} px, as intended; results with tiles "
        f"of {last.tile} px differ by "
    )
    return Finding(differs <= TOLERANCE, "memory", text + f"{differs:.0e} of the range")


def _run(
    stack: Stack, model: _Watched, plan: Plan, indices: list[tuple[int, ...]]
) -> NDArray:
    steps = _steps(stack, model, plan, indices)
    return np.stack([step.plane for step in steps if step.plane is not None])


def _steps(
    stack: Stack, model: _Watched, plan: Plan, indices: list[tuple[int, ...]]
) -> Iterator[TileStep]:
    return upscale_steps(stack, model, plan, indices)  # type: ignore[arg-type]


def _difference(result: NDArray, expected: NDArray, plan: Plan) -> float:
    span = plan.intensity.high - plan.intensity.low
    return float(np.abs(result - expected).max()) / span

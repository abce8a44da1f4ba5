"""Flow B: recordings and their truth → a faithful generator, and a textured one.

Each step draws sharp patches and their recordings (`examples`), gives the recordings to
the generator with the noise that they hold, and compares what comes out with the truth.
The fidelity stage compares pixels. The adversarial stage starts from what that found
and adds content and a discriminator: a step of the discriminator on true and generated
patches, then one of the generator through the frozen discriminator (Ledig et al., CVPR
2017). This module alone says in which order things happen (one step is in `steps`, the
rate in `schedule`) and what is done when a training runs away.

`train_steps` is a generator: iterate to go on, stop iterating to stop. After every step
the state is whole, and a run that is resumed from a checkpoint ends with the same
weights as one that was never stopped, unless time ends it before its steps do (see
`schedule`).
"""

from __future__ import annotations

import copy
import math
import os
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, islice
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch

from napari_sr.device import is_out_of_memory, pins_memory, release_memory
from napari_sr.training.schedule import (
    MOST_ROLLBACKS,
    head_start,
    is_look_due,
    is_over,
    progress,
    seconds_left,
)
from napari_sr.training.steps import AdversarialStep, FidelityStep
from napari_sr.upscaling.prefetch import prefetched_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path

    from napari_sr.training.batches import Examples
    from napari_sr.training.checkpoint import TrainingState
    from napari_sr.training.simulation import Recording
    from napari_sr.training.steps import Losses
    from napari_sr.training.validation import HeldOut, PatchPreview, Validation

SAVE_EVERY = 30.0
"""Seconds of work that may be lost when a training is killed."""
EXPLODED = 20.0
"""A loss so many times the usual one is a training that runs away."""
READ_EVERY = 20
"""Steps after which losses are read from a device; before each look in any case."""
MOST_THREADS = 4
"""That make batches for a device."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What one training step tells whoever watches."""

    stage: str
    iteration: int
    """Steps of this stage so far, this one included."""
    losses: Mapping[str, float]
    """By name; `accuracy` is the discriminator's, chance 0.5. From a device they are
    read every `READ_EVERY` steps, and are those of the last reading in between."""
    progress: float
    """Share of this stage that is done, from 0 to 1."""
    seconds_left: float
    """Of this stage, estimated from its pace."""
    validation: Validation | None = None
    """What the held-out images said, when they were looked at."""
    preview: PatchPreview | None = None
    message: str = ""
    """What a person should know: a rollback, the end of a stage."""


def train_steps(
    state: TrainingState,
    examples: Examples,
    held_out: HeldOut | None = None,
    checkpoint: Path | None = None,
) -> Iterator[TrainingStep]:
    """Train, stage after stage, from wherever the state stands.

    Parameters
    ----------
    state
        What is trained; changed in place, whole after every step.
    examples
        What it learns from.
    held_out
        What it is judged by; without, the last average of each stage is kept.
    checkpoint
        Where the state is written, at each look at the held-out images and every
        `SAVE_EVERY` seconds.

    Yields
    ------
    TrainingStep
        After each training step.
    """
    while state.stage != "done":
        yield from _train_stage(state, examples, held_out, checkpoint)
        state.finish_stage()
        if checkpoint is not None:
            state.save(checkpoint)


def _train_stage(
    state: TrainingState,
    examples: Examples,
    held_out: HeldOut | None,
    checkpoint: Path | None,
) -> Iterator[TrainingStep]:
    teach = FidelityStep(state) if state.stage == "fidelity" else AdversarialStep(state)
    score = _score_of(state, held_out)
    if state.good is None:
        started = monotonic()
        _look(state, held_out, score)
        state.seconds += monotonic() - started
        state.good = state.content()
    saved = monotonic()
    losses: Mapping[str, float] = {}
    unread: list[Losses] = []
    most_unread = 1 if state.device.type == "cpu" else READ_EVERY
    with closing(_batches(state, examples)) as batches:
        while not is_over(state):
            started, before = monotonic(), progress(state)
            message = _take_training_step(state, teach, next(batches), unread)
            state.position += 1
            state.seconds += monotonic() - started
            state.iteration += not message
            is_due = not message and is_look_due(state, before)
            is_to_save = checkpoint is not None and monotonic() - saved > SAVE_EVERY
            if is_due or is_to_save or len(unread) >= most_unread:
                losses, accuracy = _read_losses(state, unread)
                message = message or accuracy
            if message:
                yield _step_of(state, losses, message=message)
                continue
            looked: dict[str, Any] = {}
            if is_due:
                started = monotonic()
                looked = _look(state, held_out, score)
                state.seconds += monotonic() - started
                state.good = state.content()
            if checkpoint is not None and (looked or is_to_save):
                state.save(checkpoint)
                saved = monotonic()
            yield _step_of(state, losses, **looked)


def _batches(
    state: TrainingState, examples: Examples
) -> Generator[Recording, None, None]:
    """Give the batches from where a training stands.

    For a device they are made ahead, by threads, in memory from which it is fed beside
    what it computes. On a CPU that would only take cores from the networks.
    """
    positions = count(state.position)
    if state.device.type == "cpu":
        return (examples.batch(position) for position in positions)

    def made(position: int) -> Recording:
        batch = examples.batch(position)
        return batch.pinned() if pins_memory(state.device) else batch

    n_threads = min(MOST_THREADS, max(1, (os.cpu_count() or 1) - 1))
    return prefetched_calls(
        made, positions, n_threads, partial(torch.set_num_threads, 1)
    )


def _take_training_step(
    state: TrainingState,
    teach: Callable[[Recording], Losses],
    batch: Recording,
    unread: list[Losses],
) -> str:
    """Take a step; say what is done about it where memory runs out."""
    n_at_a_time = -(-len(batch.low) // state.n_parts)
    try:
        unread.append(teach(batch))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if n_at_a_time == 1:
            raise MemoryError(
                f"Out of memory on {state.device} with a single patch of "
                f"{state.settings.patch} px. Train with smaller patches, or free some "
                f"of its memory."
            ) from error
    else:
        return ""
    # Only now has the error let go of what the failed step still held.
    release_memory(state.device)
    state.n_parts *= 2
    unread.clear()
    _go_back(state)  # some of the step may have been taken
    return (
        f"Memory ran out with {n_at_a_time} patches at a time; returned to the last "
        f"validation and takes {-(-len(batch.low) // state.n_parts)}, accumulating "
        "gradients."
    )


def _read_losses(
    state: TrainingState, unread: list[Losses]
) -> tuple[Mapping[str, float], str]:
    """Read the losses of the last steps; where one runs away, go back and say so."""
    names = [name for losses in unread for name in losses]
    values = [value for losses in unread for value in losses.values()]
    read = torch.stack(values).tolist() if values else []  # waits for a device once
    pairs = iter(zip(names, read, strict=True))
    last: Mapping[str, float] = {}
    for losses in unread:
        last = dict(islice(pairs, len(losses)))
        if message := _runs_away(state, last):
            unread.clear()
            _roll_back(state)
            return last, message
        for name, value in last.items():
            state.since_look.setdefault(name, []).append(value)
    unread.clear()
    return last, ""


# ── what may go wrong ───────────────────────────────────────────────────────────────


def _runs_away(state: TrainingState, losses: Mapping[str, float]) -> str:
    """Say so when a loss is not a number, or far above what it was."""
    pixels = losses.get("pixels", 0.0)
    if not all(math.isfinite(value) for value in losses.values()):
        what = "A loss was not a finite number"
    elif state.typical_loss is not None and pixels > EXPLODED * state.typical_loss:
        what = (
            f"The loss rose to {pixels / state.typical_loss:.0f} times its usual value"
        )
    else:
        if "pixels" in losses:
            before = pixels if state.typical_loss is None else state.typical_loss
            state.typical_loss = max(0.98 * before + 0.02 * pixels, 1e-4)
        return ""
    if state.n_rollbacks == MOST_ROLLBACKS:
        return f"{what} again; the stage ends with its best weights."
    return f"{what}; returned to the last good state, with half the learning rate."


def _roll_back(state: TrainingState) -> None:
    """Return to the last validation, slower, and on to other examples."""
    n_rollbacks, scale = state.n_rollbacks + 1, state.rate_scale / 2
    _go_back(state)
    state.n_rollbacks, state.rate_scale = n_rollbacks, scale


def _go_back(state: TrainingState) -> None:
    """Return to the last validation, and on to other examples."""
    position, seconds = state.position, state.seconds
    assert state.good is not None
    state.restore(state.good)
    state.position, state.seconds = position, seconds


# ── what is said ────────────────────────────────────────────────────────────────────


def _score_of(
    state: TrainingState, held_out: HeldOut | None
) -> Callable[[Validation], float]:
    """Decide what is better: PSNR; for texture, a spectrum like the truth's."""
    if state.stage == "fidelity" or held_out is None:
        return lambda figures: figures.psnr
    assert state.settings.adversarial is not None
    assert state.faithful is not None
    faithful = copy.deepcopy(state.generator)
    faithful.load_state_dict(state.faithful)
    before = held_out.judge(faithful)
    lowest = before.psnr - state.settings.adversarial.largest_loss
    if not state.best.weights:
        state.best.score = max(state.best.score, -before.spectrum_error)
    return lambda figures: (
        -figures.spectrum_error if figures.psnr >= lowest else -math.inf
    )


def _look(
    state: TrainingState,
    held_out: HeldOut | None,
    score: Callable[[Validation], float],
) -> dict[str, Any]:
    """Judge the averaged generator by held-out images and remember the best.

    What a fidelity stage starts from is looked at too: a training never ends with less.
    """
    row: dict[str, float | str] = {
        "stage": state.stage,
        "iteration": state.iteration,
        "seconds": round(state.seconds, 1),
        **{name: sum(many) / len(many) for name, many in state.since_look.items()},
    }
    state.since_look = {}
    looked: dict[str, Any] = {}
    if held_out is not None:
        figures = held_out.judge(state.trained_generator)
        if state.stage == "fidelity" or state.iteration > head_start(state):
            state.keep_if_best(score(figures))
        row |= asdict(figures)
        looked = {
            "validation": figures,
            "preview": held_out.preview(state.trained_generator),
        }
    state.history.append(row)
    return looked


def _step_of(
    state: TrainingState,
    losses: Mapping[str, float],
    *,
    validation: Validation | None = None,
    preview: PatchPreview | None = None,
    message: str = "",
) -> TrainingStep:
    return TrainingStep(
        stage=state.stage,
        iteration=state.iteration,
        losses=losses,
        progress=min(1.0, progress(state)),
        seconds_left=seconds_left(state),
        validation=validation,
        preview=preview,
        message=message,
    )

"""From images to a fine-tuned model, in a thread.

This module alone knows what a window asks for, and what it receives while a training
goes on: as much as a person can follow, not every step. torch is loaded here, when a
flow begins. Closing a flow leaves a checkpoint from which `resume` goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr.interactive.heavy_imports import OPTIMIZERS, load
from napari_sr.recipes import Recipe
from napari_sr.training.unsaved import UnsavedTraining, begin, unsaved_trainings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path
    from threading import Event

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack
    from napari_sr.instrument.ranges import Instrument
    from napari_sr.models.sr_model import SRModel
    from napari_sr.training.flow import TrainingStep
    from napari_sr.training.session import Training
    from napari_sr.training.validation import PatchPreview

    Source = Stack | str

LOOK_EVERY = {"cpu": 10}
"""Steps between two validations on the held-out images, so that there is something to
see."""
LOOK_EVERY_OTHERWISE = 100
PATIENCE = 2000
"""Steps without a gain after which a stage ends; as by default."""
TELL_EVERY = 0.1
"""Seconds between two updates when there is nothing new to look at."""


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What the user asked for."""

    name: str
    """Of the new model."""
    images: tuple[Source, ...]
    """Sharp images; of measured pairs, the sharp half."""
    base: str
    """A name that the catalogue knows."""
    low_images: tuple[Source, ...] = ()
    """Recordings of the same fields, for measured pairs."""
    recordings_only: bool = False
    """Whether `images` are recordings, and there is nothing sharp."""
    minutes: float = 5.0
    texture: bool = False
    """Whether an adversarial stage follows."""
    instrument: Instrument | None = None
    """To train for; the base's when not given."""
    device: str = "auto"
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `TrainingSettings`."""


@dataclass(frozen=True, slots=True)
class Update:
    """How it goes; what is None has not changed."""

    text: str
    share: float = 0.0
    """Of the time to spend."""
    notes: tuple[str, ...] | None = None
    """What was found about the images."""
    baselines: Mapping[str, float] | None = None
    """PSNR on the held-out images, by name."""
    history: tuple[Mapping[str, float | str], ...] | None = None
    """Rows as `TrainingState.history` has them."""
    preview: PatchPreview | None = None


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What came of it: the best model, which is not saved yet."""

    model: SRModel
    verdict: str
    is_better: bool
    unfinished: UnsavedTraining
    """To be discarded once the model is saved, or not wanted."""


def train(
    request: TrainingRequest, stop: Event
) -> Generator[Update, None, TrainingOutcome]:
    """Begin a training and follow it to its end.

    Parameters
    ----------
    request
        What the user asked for.
    stop
        Once set, the training ends with the best it has found.

    Yields
    ------
    Update
        A few times a second.

    Returns
    -------
    TrainingOutcome
        The best model, with the verdict.
    """
    yield Update("Saving what is needed to resume later …")
    load("napari_sr.training.presets")
    from napari_sr.device import choose_device
    from napari_sr.training.presets import settings_for

    kind = choose_device(request.device).type
    every = LOOK_EVERY.get(kind, LOOK_EVERY_OTHERWISE)
    looks = {"validate_every": every, "patience": PATIENCE // every}
    settings = settings_for(
        request.base,
        minutes=request.minutes,
        adversarial=request.texture,
        instrument=request.instrument,
        device=request.device,
        **{**looks, **request.more},
    )
    recipe = Recipe(
        name=request.name,
        base=request.base,
        recordings_only=request.recordings_only,
        settings=settings,
    )
    unfinished = begin(recipe, request.images, request.low_images)
    try:
        return (yield from resume(unfinished, stop))
    finally:
        if not unfinished.checkpoint.exists():  # it did not get far enough
            unfinished.discard()


def resume(
    unfinished: UnsavedTraining, stop: Event
) -> Generator[Update, None, TrainingOutcome]:
    """Go on with a training; parameters and results as for `train`."""
    load("napari_sr.training.session", OPTIMIZERS)
    from napari_sr.device import choose_device, leave_a_core, release_memory

    device = choose_device(unfinished.recipe.settings.device)
    try:
        with leave_a_core():
            return (yield from _follow(unfinished, stop))
    except (MemoryError, RuntimeError) as error:
        raise _as_told(error) from error
    finally:
        release_memory(device)  # after _follow has let go of the training


def _follow(
    unfinished: UnsavedTraining, stop: Event
) -> Generator[Update, None, TrainingOutcome]:
    """Train to the end, or until it is stopped or closed."""
    from napari_sr.training.calibration import calibrated_model
    from napari_sr.training.session import Training

    recipe = unfinished.recipe
    yield Update("Reading the images …")
    with unfinished.opened() as (images, low_images):
        training = Training(
            images,
            recipe.settings,
            low_images=low_images or None,
            base=recipe.base,
            checkpoint=unfinished.checkpoint,
            name=recipe.name,
            recordings_only=recipe.recordings_only,
        )
        yield _first_look(training)
        try:
            yield from _told(training, stop)
        except GeneratorExit:
            training.state.save(unfinished.checkpoint)
            raise
        training.state.save(unfinished.checkpoint)
        yield Update("Evaluating on the test images …", 1.0)
        model = calibrated_model(training)
    card = model.card
    return TrainingOutcome(model, card.verdict, bool(card.is_better), unfinished)


def _first_look(training: Training) -> Update:
    """Tell what there is before the next step."""
    return Update(
        text="Starting …",
        share=_share_spent(training),
        notes=tuple(training.notes),
        baselines=training.baselines(),
        history=tuple(training.state.history),
        preview=training.held_out.preview(training.state.trained_generator),
    )


def _told(training: Training, stop: Event) -> Generator[Update, None, None]:
    """Report steps at a pace that a person can follow."""
    last_shown, message = monotonic(), ""
    for step in training:
        message = step.message or message
        if step.validation is not None or monotonic() - last_shown >= TELL_EVERY:
            yield _update_of(training, step, message)
            last_shown, message = (
                monotonic(),
                message if step.validation is None else "",
            )
        if stop.is_set():
            return


def _update_of(training: Training, step: TrainingStep, message: str) -> Update:
    minutes, seconds = divmod(round(min(step.seconds_left, 359_999)), 60)
    stage = "Learning texture" if step.stage == "adversarial" else "Learning detail"
    text = message or f"{stage} · {minutes}:{seconds:02} left"
    seen = step.validation is not None
    return Update(
        text=text,
        share=_share_spent(training),
        history=tuple(training.state.history) if seen else None,
        preview=step.preview,
    )


def _share_spent(training: Training) -> float:
    minutes = training.settings.minutes
    return min(1.0, training.state.seconds / (60 * minutes)) if minutes else 0.0


def _as_told(error: Exception) -> Exception:
    """Say what to do where memory ran out."""
    from napari_sr.device import is_out_of_memory

    if not is_out_of_memory(error):
        return error
    return MemoryError(
        "There is not enough memory for this training. Close what else uses it, or "
        "choose the CPU as the device under More."
    )


def limits_of(image: NDArray) -> tuple[float, float]:
    """Find what is black and white of an image in network range."""
    low, high = np.percentile(image, (0.5, 99.8))
    return float(low), float(high)


def propose_name(base: object, models: Iterable[object]) -> str:
    """Give a name that no model has and no training that is not saved yet."""
    taken = {*models, *(training.recipe.name for training in unsaved_trainings())}
    number, name = 1, f"my {base}"
    while name in taken:
        number += 1
        name = f"my {base} {number}"
    return name if base else ""


def save(outcome: TrainingOutcome, path: Path) -> Path:
    """Write the model that was found, under the name of its file."""
    from napari_sr.models.sr_model import SRModel, save_model

    card = outcome.model.card.model_copy(update={"name": path.stem})
    saved = save_model(SRModel(card, outcome.model.weights), path)
    outcome.unfinished.discard()
    return saved

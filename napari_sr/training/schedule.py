"""How far a training is, how fast it learns, when a stage is over.

This module alone knows the schedules. They follow from the position of a training.
Where there is a time to spend and it runs out before the steps do, they follow from the
time spent: such a training depends on how fast the machine is, and no two of them end
with the same weights to the last bit. As long as the steps are ahead, no clock matters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sr.settings import AdversarialSettings, TrainingSettings
    from napari_sr.training.checkpoint import TrainingState

WARM_UP = 200
"""Steps over which the learning rate rises from zero, or a tenth of a short stage."""
SHARE_OF_FIDELITY = 0.6
"""Of the time to spend, when an adversarial stage follows."""
N_LOOKS = 8
"""At least so many looks at the held-out images in a stage of limited time."""
MOST_ROLLBACKS = 3
"""So often a stage that runs away is tried again."""


def n_iterations(state: TrainingState) -> int:
    """Count the steps of the present stage."""
    settings = state.settings
    if state.stage == "adversarial" and settings.adversarial is not None:
        return settings.adversarial.iterations
    return settings.iterations


def progress(state: TrainingState) -> float:
    """Share of a stage that is done, by its steps or, if that is ahead, its time.

    The time is ahead where it is beyond the step under way. Within that step it does
    not count, or the learning rate of the first step would hang on the clock.
    """
    settings, n_steps = state.settings, n_iterations(state)
    done = state.iteration / n_steps if n_steps else 1.0
    if settings.minutes is None:
        return done
    total = 60 * settings.minutes
    first = total * (SHARE_OF_FIDELITY if settings.adversarial else 1.0)
    start, end = (0.0, first) if state.stage == "fidelity" else (first, total)
    spent = (state.seconds - start) / max(end - start, 1e-9)
    return done if spent <= done + 1 / max(n_steps, 1) else spent


def is_over(state: TrainingState) -> bool:
    """Tell whether the present stage is done, or finds nothing more."""
    return (
        progress(state) >= 1
        or state.best.looks_since >= state.settings.patience
        or state.n_rollbacks > MOST_ROLLBACKS
    )


def is_look_due(state: TrainingState, before: float) -> bool:
    """Tell whether the held-out images are to be looked at after this step.

    Parameters
    ----------
    state
        After the step.
    before
        `progress` before it: a stage of limited time may have few steps, and is looked
        at a few times all the same.
    """
    settings = state.settings
    if is_over(state) or state.iteration % settings.validate_every == 0:
        return True
    return settings.minutes is not None and (
        int(N_LOOKS * progress(state)) > int(N_LOOKS * before)
    )


def schedule(state: TrainingState) -> float:
    """Factor of the generator's learning rate, by the schedule of the stage."""
    if _stage(state).schedule == "steps":
        return state.rate_scale * drop(state)
    warm_up = min(WARM_UP, max(1, n_iterations(state) // 10))
    rising = min(1.0, (state.iteration - head_start(state) + 1) / warm_up)
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress(state)))))
    return state.rate_scale * rising * (0.01 + 0.99 * falling)


def drop(state: TrainingState) -> float:
    """Factor that the drops of the schedule `steps` have come to; 1 for others."""
    done: float = progress(state)
    return 0.1 ** sum(done >= share for share in _stage(state).drops)


def _stage(state: TrainingState) -> TrainingSettings | AdversarialSettings:
    """Give the settings that hold the schedule of the present stage."""
    settings = state.settings
    is_second = state.stage == "adversarial" and settings.adversarial is not None
    return settings.adversarial if is_second else settings  # type: ignore[return-value]


def head_start(state: TrainingState) -> int:
    """Count the steps in which the discriminator learns alone."""
    if state.stage != "adversarial" or state.discriminator is None:
        return 0
    assert state.settings.adversarial is not None
    return state.settings.adversarial.head_start


def ramp(state: TrainingState) -> float:
    """Share of the adversarial weight that counts already."""
    assert state.settings.adversarial is not None
    done = state.iteration - head_start(state) + 1
    return min(1.0, done / max(1, state.settings.adversarial.ramp))


def seconds_left(state: TrainingState) -> float:
    """Estimate how long a stage will go on, from its pace so far."""
    done = min(1.0, progress(state))
    return (state.seconds - state.began) / done * (1 - done) if done > 0 else math.inf

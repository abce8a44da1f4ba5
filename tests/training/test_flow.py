"""Training: it learns, repeats itself bit for bit, can stop anywhere, gets up again."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sr.cards.model_card import Instrument
from napari_sr.networks import build_generator
from napari_sr.settings import AdversarialSettings, TrainingSettings
from napari_sr.training import flow as training
from napari_sr.training import schedule as pace
from napari_sr.training import steps as lessons
from napari_sr.training.batches import SimulatedExamples
from napari_sr.training.checkpoint import CheckpointError, TrainingState
from napari_sr.training.flow import train_steps
from napari_sr.training.schedule import MOST_ROLLBACKS, WARM_UP
from napari_sr.training.validation import held_out

CLEAN = Instrument(share_clean=1)
SMALL = TrainingSettings(
    arguments={"channels": 4, "n_blocks": 1},
    iterations=8,
    batch=2,
    patch=16,
    seed=3,
    validate_every=3,
    device="cpu",
)
PAPER = SMALL.model_copy(update={"architecture": "srresnet"})
TEXTURE = AdversarialSettings(iterations=7, head_start=2, ramp=2, content="gradient")
BOTH = SMALL.model_copy(update={"adversarial": TEXTURE, "iterations": 4})
SRGAN = PAPER.model_copy(
    update={
        "patch": 20,
        "iterations": 2,
        "adversarial": TEXTURE.model_copy(
            update={"discriminator": "srgan", "iterations": 3, "head_start": 0}
        ),
    }
)
HELD = BOTH.model_copy(
    update={"adversarial": TEXTURE.model_copy(update={"discriminator_learns": "end"})}
)
every_kind = pytest.mark.parametrize(
    "settings",
    [SMALL, PAPER, BOTH, SRGAN, HELD],
    ids=["fast", "srresnet", "adversarial", "srgan", "held"],
)


def specimens(n=2, side=64, seed=0):
    noise = np.random.default_rng(seed).normal(size=(n, side, side))
    smooth = ndimage.gaussian_filter(noise, (0, 1.2, 1.2), mode="wrap")
    low, high = smooth.min(), smooth.max()
    return list(((smooth - low) / (high - low)).astype(np.float32))


def steps_of(state, images=None, judged=True, **options):
    images = specimens() if images is None else images
    examples = SimulatedExamples(images, state.settings)
    judge = held_out(specimens(1, seed=9), state.settings) if judged else None
    return train_steps(state, examples, judge, **options)


def run(state, n_steps=None, **options):
    """Train for so many steps, or to the end; give what was said."""
    return list(itertools.islice(steps_of(state, **options), n_steps))


def weights_of(state):
    """All that a training has learnt."""
    found = {f"now.{k}": v for k, v in state.generator.state_dict().items()}
    found |= {f"mean.{k}": v for k, v in state.averaged_weights().items()}
    for name in ("faithful", "textured", "discriminator"):
        part = getattr(state, name)
        part = part.state_dict() if isinstance(part, torch.nn.Module) else part or {}
        found |= {f"{name}.{k}": v for k, v in part.items()}
    return found


def assert_same_weights(first, second):
    first, second = weights_of(first), weights_of(second)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def losses(steps):
    return [(step.stage, dict(step.losses)) for step in steps]


# ── it learns ───────────────────────────────────────────────────────────────────────


def test_training_on_one_patch_lowers_the_loss():
    settings = TrainingSettings(
        arguments={"channels": 16, "n_blocks": 2},
        instrument=Instrument(share_clean=1, psf_sigma=(1.5, 1.5)),
        iterations=100,
        batch=4,
        patch=16,
        learning_rate=0.01,
        share_flat=0,
    )

    steps = run(TrainingState(settings), images=specimens(1, side=32), judged=False)

    found = [step.losses["pixels"] for step in steps]
    assert np.mean(found[-10:]) < 0.8 * np.mean(found[:10])


@every_kind
def test_each_step_says_where_it_stands(settings):
    steps = run(TrainingState(settings))

    n_fidelity = settings.iterations
    n_more = settings.adversarial.iterations if settings.adversarial else 0
    assert [(step.stage, step.iteration) for step in steps] == [
        *(("fidelity", i) for i in range(1, n_fidelity + 1)),
        *(("adversarial", i) for i in range(1, n_more + 1)),
    ]
    assert steps[0].seconds_left > 0
    assert steps[-1].progress == 1
    assert steps[-1].seconds_left == 0


def test_the_first_loss_is_that_of_bicubic():
    # an untrained fast network is bicubic; the border that sees zeros does not count
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.0})
    flat = [np.full((32, 32), 0.5, np.float32)]

    first = run(TrainingState(settings), 1, images=flat)[0]

    assert first.losses["pixels"] == pytest.approx(0, abs=1e-6)


def test_the_learning_rate_is_warmed_up_and_then_lowered():
    settings = SMALL.model_copy(update={"iterations": 40})
    state = TrainingState(settings)
    rates = [state.optimizer.param_groups[0]["lr"] for _ in steps_of(state)]

    done = np.arange(40) / 40
    cosine = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * done))
    warm = np.minimum(1, np.arange(1, 41) / min(WARM_UP, 4))
    assert rates == pytest.approx(1e-3 * warm * cosine)


def test_the_learning_rate_may_fall_in_steps():
    settings = SMALL.model_copy(
        update={"iterations": 10, "schedule": "steps", "drops": (0.5, 0.8)}
    )
    state = TrainingState(settings)

    rates = [state.optimizer.param_groups[0]["lr"] for _ in steps_of(state)]

    assert rates == pytest.approx([1e-3] * 5 + [1e-4] * 3 + [1e-5] * 2)


def test_drops_without_steps_are_refused():
    with pytest.raises(ValueError, match="drops are fractions of a stage"):
        TrainingSettings(drops=(0.5,))
    with pytest.raises(ValueError, match="drops are fractions of a stage"):
        TrainingSettings(
            adversarial=AdversarialSettings(schedule="steps", drops=(1.5,))
        )


def test_adam_and_its_clipping_are_as_asked():
    settings = SMALL.model_copy(
        update={"adam_betas": (0.9, 0.999), "largest_gradient": None}
    )
    state = TrainingState(settings)
    assert state.optimizer.param_groups[0]["betas"] == (0.9, 0.999)

    loss = sum(weight.square().sum() for weight in state.generator.parameters())
    optimizer = torch.optim.SGD(state.generator.parameters())
    lessons._take_step(state, optimizer, 1.0, [(1, 1e3 * loss, {})], 1)

    norms = [weight.grad.norm() for weight in state.generator.parameters()]
    assert max(norms) > 1


@pytest.mark.parametrize("discriminator", ["unet", "srgan"])
def test_what_keeps_a_discriminator_informative_is_logged(discriminator):
    second = SRGAN.adversarial.model_copy(
        update={
            "discriminator": discriminator,
            "gradient_penalty": 0.1,
            "real_label": 0.9,
        }
    )
    settings = SRGAN.model_copy(update={"adversarial": second})

    *_, last = steps_of(TrainingState(settings))

    said = {"accuracy", "discriminator", "adversarial", "gradient_penalty", "lattice"}
    assert said <= set(last.losses)
    assert last.losses["gradient_penalty"] > 0


def test_the_average_follows_closely_at_first_and_slowly_later():
    state = TrainingState(SMALL.model_copy(update={"averaging": 0.25}))
    seen = []
    for _ in steps_of(state, judged=False):
        if state.iteration:  # the last step ends the stage
            seen.append(state.generator.tail.bias.detach().clone())
            averaged = state.averaged_weights()["tail.bias"]

    average = seen[0]  # the first step is copied
    for number, one in enumerate(seen[1:], 1):
        decay = min(0.25, (1 + number) / (10 + number))
        average = decay * average + (1 - decay) * one

    torch.testing.assert_close(averaged, average)


@pytest.mark.parametrize("name", ["l1", "mse", "charbonnier"])
def test_the_fidelity_loss_can_be_chosen(name):
    state = TrainingState(SMALL.model_copy(update={"fidelity_loss": name}))

    assert lessons.FidelityStep(state).loss is lessons.PIXEL_LOSSES[name]


def test_a_training_starts_from_the_weights_it_is_given():
    start = build_generator("fast", 2, SMALL.arguments).state_dict()
    torch.nn.init.normal_(start["tail.weight"], std=0.1)

    state = TrainingState(SMALL, start=start)

    assert torch.equal(state.generator.tail.weight, start["tail.weight"])


def test_weights_of_another_shape_are_refused():
    start = build_generator("fast", 2, {"channels": 6, "n_blocks": 1}).state_dict()

    with pytest.raises(ValueError, match="base"):
        TrainingState(SMALL, start=start)


# ── the adversarial stage ───────────────────────────────────────────────────────────


def test_the_discriminator_has_a_head_start():
    state = TrainingState(BOTH)
    before, moved = None, []
    for step in steps_of(state):
        if step.stage == "adversarial":
            now = state.generator.tail.weight.detach().clone()
            reference = state.faithful["tail.weight"] if before is None else before
            moved.append(not torch.equal(now, reference))
            before = now
            assert {"discriminator", "accuracy"} <= step.losses.keys()
            assert ("adversarial" in step.losses) == (step.iteration > 2)

    assert moved[:2] == [False, False]
    assert all(moved[2:-1])


def test_the_generator_step_does_not_move_the_discriminator():
    state = TrainingState(BOTH)
    run(state, BOTH.iterations + 2)
    lesson = lessons.AdversarialStep(state)
    seen = SimulatedExamples(specimens(), BOTH).batch(0)
    result, truth = lesson.generated(seen)
    told = torch.zeros_like(truth)
    parameters = [p.detach().clone() for p in state.discriminator.parameters()]
    generator = state.generator.tail.weight.detach().clone()

    lesson._train_generator([(result, truth, told)], len(result))

    after = list(state.discriminator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(parameters, after, strict=True))
    assert all((p.requires_grad and p.grad is None) or p.requires_grad for p in after)
    assert not torch.equal(generator, state.generator.tail.weight)


def test_a_weight_of_zero_trains_on_content_without_a_discriminator():
    texture = TEXTURE.model_copy(update={"weight": 0.0})
    state = TrainingState(BOTH.model_copy(update={"adversarial": texture}))

    steps = run(state)

    assert state.discriminator is None
    assert steps[-1].losses.keys() == {"pixels", "content", "lattice"}


def test_the_faithful_end_is_not_touched_by_the_adversarial_stage():
    state = TrainingState(BOTH)
    run(state, BOTH.iterations + 1)
    faithful = {name: tensor.clone() for name, tensor in state.faithful.items()}
    run(state)

    assert all(torch.equal(faithful[k], v) for k, v in state.faithful.items())


def test_texture_that_costs_too_much_is_not_kept():
    ruinous = TEXTURE.model_copy(
        update={"largest_loss": 1e-6, "learning_rate": 0.5, "head_start": 0}
    )
    state = TrainingState(BOTH.model_copy(update={"adversarial": ruinous}))
    run(state)

    assert state.textured is None


# ── it repeats itself ───────────────────────────────────────────────────────────────


@every_kind
def test_the_same_seed_gives_the_same_steps_and_weights(settings):
    first, second = TrainingState(settings), TrainingState(settings)

    assert losses(run(first)) == losses(run(second))
    assert_same_weights(first, second)


def test_another_seed_gives_other_steps():
    other = SMALL.model_copy(update={"seed": 4})

    assert losses(run(TrainingState(SMALL))) != losses(run(TrainingState(other)))


@every_kind
def test_the_random_numbers_of_others_do_not_matter(settings):
    disturbed = TrainingState(settings)
    steps = []
    for step in steps_of(disturbed):
        steps.append(step)
        torch.rand(7)
        np.random.default_rng().random()

    assert losses(steps) == losses(run(TrainingState(settings)))


def test_a_new_state_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    TrainingState(BOTH)

    assert torch.equal(torch.rand(3), expected)


def test_what_a_held_discriminator_sees_stays_as_it_was():
    state = TrainingState(HELD)
    before = {k: v.clone() for k, v in state.discriminator.named_parameters()}

    run(state)

    changed = {
        name.split(".")[0]
        for name, now in state.discriminator.named_parameters()
        if not torch.equal(now, before[name])
    }
    assert changed == {"up", "end", "last"}


# ── it can stop anywhere ────────────────────────────────────────────────────────────


@every_kind
@pytest.mark.parametrize("n_before", [1, 3, 4])
def test_stopping_saving_and_going_on_is_an_uninterrupted_run(
    settings, n_before, tmp_path
):
    uninterrupted = TrainingState(settings)
    expected = losses(run(uninterrupted))

    stopped = TrainingState(settings)
    before = losses(run(stopped, n_before))
    stopped.save(tmp_path / "run.pt")
    resumed = TrainingState.load(tmp_path / "run.pt")

    assert resumed.settings == settings
    assert before + losses(run(resumed)) == expected
    assert_same_weights(resumed, uninterrupted)


@every_kind
def test_a_killed_run_goes_on_from_its_last_checkpoint(settings, tmp_path):
    uninterrupted = TrainingState(settings)
    run(uninterrupted)
    killed = TrainingState(settings)
    run(killed, 5, checkpoint=tmp_path / "run.pt")

    resumed = TrainingState.load(tmp_path / "run.pt")
    run(resumed)

    assert_same_weights(resumed, uninterrupted)
    assert [row["iteration"] for row in resumed.history] == [
        row["iteration"] for row in uninterrupted.history
    ]


def test_a_finished_training_does_nothing_more():
    state = TrainingState(BOTH)
    run(state)

    assert state.stage == "done"
    assert run(state) == []


def test_a_checkpoint_is_written_aside_and_renamed(tmp_path, monkeypatch):
    state, path = TrainingState(SMALL), tmp_path / "run.pt"
    state.save(path)
    whole = path.read_bytes()

    def half_written(_content, file):
        file.write(whole[: len(whole) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(KeyboardInterrupt):
        state.save(path)

    assert path.read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[: len(whole) // 2], lambda _: b"no checkpoint"]
)
def test_a_damaged_checkpoint_is_refused_in_one_sentence(damage, tmp_path):
    path = tmp_path / "run.pt"
    TrainingState(SMALL).save(path)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(CheckpointError, match="Remove it to start again"):
        TrainingState.load(path)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="patch of 32 × 32"):
        run(TrainingState(SMALL), 1, images=specimens(1, side=31))


# ── time ────────────────────────────────────────────────────────────────────────────


class Clock:
    """A clock that goes on by so many seconds each time it is looked at."""

    def __init__(self, seconds):
        self.seconds, self.now = seconds, 0.0

    def __call__(self):
        self.now += self.seconds
        return self.now


@pytest.mark.parametrize("settings", [SMALL, BOTH], ids=["fidelity", "adversarial"])
def test_a_training_ends_with_its_time(settings, monkeypatch):
    monkeypatch.setattr(training, "monotonic", Clock(1.0))
    more = {"iterations": 1000, "minutes": 0.5}
    if settings.adversarial:
        more["adversarial"] = TEXTURE.model_copy(update={"iterations": 1000})
    state = TrainingState(settings.model_copy(update={**more, "patience": 1000}))

    steps = run(state)

    # A second for each step and for each look, the last of which may come late.
    assert 30 <= len(steps) + len(state.history) <= 31
    stages = [step.stage for step in steps] + [row["stage"] for row in state.history]
    share = pace.SHARE_OF_FIDELITY if settings.adversarial else 1
    assert 30 * share <= stages.count("fidelity") <= 30 * share + 1


@pytest.mark.parametrize("settings", [SMALL, BOTH], ids=["fidelity", "adversarial"])
def test_time_that_is_not_used_up_changes_no_weight(settings, monkeypatch):
    found = []
    for seconds in (0.001, 5.0):
        monkeypatch.setattr(training, "monotonic", Clock(seconds))
        state = TrainingState(settings.model_copy(update={"minutes": 6}))
        found.append(losses(run(state)))

    assert found[0] == found[1]


def test_time_that_was_spent_before_a_resumption_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "monotonic", Clock(1.0))
    settings = SMALL.model_copy(update={"iterations": 1000, "minutes": 0.5})
    state = TrainingState(settings)
    run(state, 12, checkpoint=tmp_path / "run.pt")

    resumed = TrainingState.load(tmp_path / "run.pt")

    assert 30 <= 12 + len(run(resumed)) + len(resumed.history) <= 31


def test_a_stage_of_little_time_is_looked_at_all_the_same(monkeypatch):
    monkeypatch.setattr(training, "monotonic", Clock(1.0))
    settings = {"iterations": 1000, "minutes": 2, "validate_every": 1000}
    state = TrainingState(SMALL.model_copy(update={**settings, "patience": 1000}))

    run(state)

    assert len(state.history) == 1 + pace.N_LOOKS  # before the first step, and then


def test_what_it_starts_from_is_kept_where_nothing_is_better(monkeypatch):
    monkeypatch.setattr(
        training, "_score_of", lambda state, _: lambda _: -state.iteration
    )
    state = TrainingState(SMALL)
    before = state.averaged_weights()

    run(state)

    for name, tensor in before.items():
        assert torch.equal(state.faithful[name], tensor)


def test_work_of_half_a_minute_is_never_lost(monkeypatch, tmp_path):
    """A checkpoint between two looks holds the last look as well, to roll back to."""
    settings = SMALL.model_copy(update={"iterations": 8, "validate_every": 100})
    uninterrupted = TrainingState(settings)
    run(uninterrupted)
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    run(TrainingState(settings), 3, checkpoint=tmp_path / "run.pt")

    resumed = TrainingState.load(tmp_path / "run.pt")

    assert (resumed.iteration, resumed.good["iteration"]) == (3, 0)
    run(resumed)
    assert_same_weights(resumed, uninterrupted)
    assert resumed.history[-1]["pixels"] == uninterrupted.history[-1]["pixels"]


@every_kind
def test_the_end_of_each_stage_is_looked_at(settings):
    state = TrainingState(settings)
    run(state)

    ends = {row["stage"]: row["iteration"] for row in state.history}
    assert ends["fidelity"] == settings.iterations
    if settings.adversarial:
        assert ends["adversarial"] == settings.adversarial.iterations


def test_a_stage_ends_when_nothing_gets_better():
    settings = SMALL.model_copy(
        update={"iterations": 1000, "learning_rate": 1e-12, "patience": 2}
    )

    steps = run(TrainingState(settings))

    assert len(steps) <= 5 * settings.validate_every


# ── what may go wrong ───────────────────────────────────────────────────────────────


class Poisoned:
    """Examples of which some, by position, are not numbers."""

    def __init__(self, examples, positions, value=math.nan):
        self.examples, self.positions, self.value = examples, positions, value

    def batch(self, position):
        seen = self.examples.batch(position)
        if position in self.positions:
            return replace(seen, sharp=torch.full_like(seen.sharp, self.value))
        return seen


def poisoned(state, positions, value=math.nan):
    examples = SimulatedExamples(specimens(), state.settings)
    return train_steps(state, Poisoned(examples, positions, value))


@pytest.mark.parametrize(("value", "what"), [(math.nan, "number"), (1e4, "times")])
def test_a_training_that_runs_away_goes_back_and_on_slower(value, what):
    state = TrainingState(SMALL)

    steps, rates = [], []
    for step in poisoned(state, {4}, value):
        steps.append(step)
        rates.append(state.rate_scale)

    (message,) = [step.message for step in steps if step.message]
    assert what in message
    assert "half the learning rate" in message
    assert rates[3:6] == [1.0, 0.5, 0.5]
    assert [step.iteration for step in steps] == [1, 2, 3, 4, 3, 4, 5, 6, 7, 8]
    weights = weights_of(state)
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_a_training_that_always_runs_away_gives_up_with_what_it_had():
    state = TrainingState(SMALL)

    steps = list(poisoned(state, set(range(4, 1000))))

    messages = [step.message for step in steps if step.message]
    assert len(messages) == MOST_ROLLBACKS + 1
    assert "its best weights" in messages[-1]
    assert state.stage == "done"
    assert all(tensor.isfinite().all() for tensor in state.faithful.values())

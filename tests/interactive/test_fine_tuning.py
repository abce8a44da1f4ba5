"""The flow behind the widget ends with a model, or with all it needs to go on."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
import torch
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr.catalogue.lookup import new_model_path
from napari_sr.image.stack import Stack
from napari_sr.instrument.ranges import Instrument
from napari_sr.interactive.fine_tuning import TrainingRequest, resume, save, train
from napari_sr.training.schedule import N_LOOKS
from napari_sr.training.unsaved import training_folder, unsaved_trainings

QUICK = {"iterations": 8, "validate_every": 4, "batch": 2, "patch": 16}


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))
    sr.save_model(tiny_fast(), tmp_path / "tiny.safetensors")


def images(n=3):
    random = np.random.default_rng(0)
    planes = random.integers(0, 60_000, (n, 64, 64)).astype(np.uint16)
    return tuple(
        Stack.from_array(one, name=f"cells {i}") for i, one in enumerate(planes)
    )


def request(**more) -> TrainingRequest:
    chosen = {"name": "mine", "images": images(), "base": "tiny", "device": "cpu"}
    return TrainingRequest(**{**chosen, "more": QUICK, **more})


def follow(steps):
    """Give all updates, and what is returned."""
    updates = []
    try:
        while True:
            updates.append(next(steps))
    except StopIteration as end:
        return updates, end.value


def test_a_training_ends_with_a_model_and_a_verdict():
    updates, outcome = follow(train(request(), Event()))

    assert outcome.model.card.base.startswith("tiny ")
    assert outcome.verdict == outcome.model.card.verdict
    assert outcome.is_better is outcome.model.card.is_better
    looks = [update for update in updates if update.history]
    # The first row of the history is of what the training began with.
    assert [len(update.history) - 1 for update in looks] == [*range(1, N_LOOKS + 1)]
    assert all(update.preview is not None for update in looks)
    (begun,) = [update for update in updates if update.notes is not None]
    assert set(begun.baselines) == {"bicubic", "base"}
    assert begun.preview.now.shape == begun.preview.truth.shape


def test_what_is_asked_for_is_what_is_trained():
    instrument = Instrument(psf_sigma=(1, 2))

    _, outcome = follow(
        train(request(instrument=instrument, minutes=3, texture=True), Event())
    )

    settings = outcome.unfinished.recipe.settings
    assert settings.instrument == instrument
    assert settings.minutes == 3
    assert settings.adversarial is not None
    assert settings.device == "cpu"


def test_told_to_stop_it_ends_with_the_best():
    stop = Event()
    steps = train(request(more={**QUICK, "iterations": 10_000}), stop)
    while not next(steps).history:
        pass
    stop.set()

    _, outcome = follow(steps)

    assert outcome.model.card.name == "mine"
    assert unsaved_trainings() == [outcome.unfinished]


@pytest.mark.under_load
def test_closed_in_the_middle_it_goes_on_from_there_to_the_same_model():
    _, whole = follow(train(request(), Event()))
    whole.unfinished.discard()

    steps = train(request(), Event())
    while not next(steps).history:
        pass
    steps.close()
    (left,) = unsaved_trainings()
    updates, outcome = follow(resume(left, Event()))

    assert updates[1].history, "what was seen before is shown again"
    assert outcome.model.digest == whole.model.digest


def test_an_end_that_was_not_saved_is_found_again():
    _, first = follow(train(request(), Event()))

    (left,) = unsaved_trainings()
    _, again = follow(resume(left, Event()))

    assert again.model.digest == first.model.digest


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"images": (Stack.from_array(np.zeros((4, 4), np.uint8)),)}, "patch|large|px"),
        ({"base": "nobody"}, "no model named 'nobody'"),
        ({"low_images": images()}, "Crop both"),
        ({"device": "mps"}, "mps"),
    ],
    ids=["too small", "no base", "pairs that do not fit", "no such device"],
)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing(wrong, why):
    with pytest.raises(ValueError, match=why):
        follow(train(request(**wrong), Event()))

    assert unsaved_trainings() == []
    assert not list(training_folder().glob("*"))


def test_exhausted_memory_is_said_with_what_to_do(monkeypatch):
    def refuse(*_args, **_more):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("napari_sr.training.session.Training.__init__", refuse)

    with pytest.raises(MemoryError, match="choose the CPU"):
        follow(train(request(), Event()))


def test_measured_pairs_are_learnt_from_and_their_shift_is_told():
    sharp = images(4)
    low = tuple(
        Stack.from_array(
            one.plane(()).reshape(32, 2, 32, 2).mean((1, 3)).astype(np.uint16),
            name=f"low {one.name}",
        )
        for one in sharp
    )

    updates, _ = follow(train(request(images=sharp, low_images=low), Event()))

    (notes,) = [update.notes for update in updates if update.notes is not None]
    assert any("not shifted" in note for note in notes)


def test_a_saved_model_has_the_name_of_its_file_and_is_no_longer_unfinished():
    _, outcome = follow(train(request(), Event()))

    save(outcome, new_model_path("another name"))

    assert sr.load_model("another name").card.name == "another name"
    assert unsaved_trainings() == []
    assert not outcome.unfinished.folder.exists()


def test_threads_are_as_before():
    before = torch.get_num_threads()

    follow(train(request(), Event()))

    assert torch.get_num_threads() == before

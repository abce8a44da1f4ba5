"""Unfinished trainings: everything needed to go on outlives what they began from."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack, StackError
from napari_sr.recipes import Recipe
from napari_sr.settings import TrainingSettings
from napari_sr.training import unsaved as unfinished
from napari_sr.training.unsaved import begin, unsaved_trainings

SETTINGS = TrainingSettings(minutes=2.5, seed=7)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))


def recipe(name="mine") -> Recipe:
    return Recipe(name=name, base="tiny", settings=SETTINGS)


def stack(shape=(6, 8), dtype=np.uint16, name="cells: a/b") -> Stack:
    values = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    axes = [Axis(letter) for letter in "tzyx"[-len(shape) :]]
    return Stack.from_array(values, axes=axes, name=name)


def with_checkpoint(one):
    one.checkpoint.write_bytes(b"a state")
    return one


def test_it_is_listed_once_there_is_a_checkpoint_until_it_is_discarded():
    begun = begin(recipe(), [stack()])
    assert unsaved_trainings() == []

    with_checkpoint(begun)
    assert unsaved_trainings() == [begun]
    assert begun.recipe.settings == SETTINGS

    begun.discard()
    assert unsaved_trainings() == []
    assert not begun.folder.exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("shape", [(6, 8), (3, 6, 8), (2, 3, 6, 8)])
def test_images_in_memory_are_kept_to_the_last_count(shape, dtype):
    given = stack(shape, dtype)

    begin(recipe(), [given], [given])

    again = unfinished._read(unfinished.training_folder() / "mine")
    with again.opened() as ((sharp,), (low,)):
        for kept in (sharp, low):
            assert (kept.shape, kept.dtype) == (given.shape, given.dtype)
            for index in given.indices():
                np.testing.assert_array_equal(kept.plane(index), given.plane(index))


def test_images_of_one_name_are_kept_apart_and_in_order():
    given = [stack((4, 4 + n)) for n in range(12)]

    begun = begin(recipe(), given)

    with begun.opened() as (kept, low):
        assert [one.shape for one in kept] == [one.shape for one in given]
        assert low == []


def test_files_are_remembered_by_their_whole_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    begun = begin(recipe(), ["cells/a.tif", stack()])

    with begun.opened() as (images, _):
        assert images[0] == str(tmp_path / "cells" / "a.tif")
        assert isinstance(images[1], Stack)


def test_a_name_is_not_used_twice_while_the_first_is_unfinished():
    first = with_checkpoint(begin(recipe(), [stack()]))

    with pytest.raises(ValueError, match="Resume or discard it"):
        begin(recipe(), [stack()])
    assert first.checkpoint.exists()


def test_what_is_left_without_a_checkpoint_is_in_nobody_s_way():
    begin(recipe(), [stack(), stack()])

    begun = begin(recipe(), [stack()])

    assert len(begun.recipe.images) == 1
    assert len([one for one in begun.folder.iterdir() if one.is_dir()]) == 1


def test_more_than_is_copied_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(unfinished, "LARGEST_COPY", 100)

    with pytest.raises(ValueError, match="Choose their files"):
        begin(recipe(), [stack((10, 10))])
    assert not unfinished.training_folder().exists()


def test_a_disk_that_refuses_is_said(monkeypatch):
    def refuse(*_args, **_more):
        raise StackError("no space left.")

    monkeypatch.setattr(unfinished, "create_stack", refuse)

    with pytest.raises(StackError, match=r"cells: a/b cannot be stored.*no space left"):
        begin(recipe(), [stack()])


def test_a_folder_of_something_else_is_not_listed(tmp_path):
    folder = unfinished.training_folder() / "other"
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text('{"name": ""}')
    (folder / "checkpoint").touch()

    assert unsaved_trainings() == []

"""The catalogue: a name or a path becomes an upscaler."""

from __future__ import annotations

import warnings

import pytest
import torch
from tiny_models import tiny_fast
from upscalers import NEEDED

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.catalogue import lookup as catalogue
from napari_sr.catalogue.lookup import (
    UnreadableModelWarning,
    list_cards,
    list_models,
    load_model,
    model_folder,
    new_model_path,
    training_folder,
)
from napari_sr.cli import main
from napari_sr.methods.names import METHODS
from napari_sr.models.sr_model import save_model


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package that comes with one model, `common`."""
    folder = tmp_path / "zoo"
    monkeypatch.setattr(catalogue, "SHIPPED", folder)
    monkeypatch.setattr(catalogue, "FOR_COMPARISON", tmp_path / "others")
    save_model(tiny_fast(seed=1, name="common"), folder / "common.safetensors")
    return folder


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's folder, with a model of their own."""
    folder = tmp_path / "own"
    monkeypatch.setenv("NAPARI_SR_MODELS", str(folder))
    save_model(tiny_fast(4, seed=2, name="mine"), folder / "mine.safetensors")
    return folder


both = pytest.mark.usefixtures("shipped", "own")


def names():
    return [card.name for card in list_cards()]


def bias_of(model):
    return model.weights["faithful"]["head.bias"]


# ── by name ─────────────────────────────────────────────────────────────────────────


@both
def test_shipped_and_own_models_are_listed_with_what_one_chooses_by():
    assert names() == ["common", "mine"]
    mine = list_models()[1]
    assert (mine.factors, mine.domain, mine.description) == (
        (4,),
        "test",
        "Untrained, for tests.",
    )


@both
def test_models_for_all_kinds_of_images_are_listed_first(own):
    save_model(tiny_fast(seed=3, name="general-x9"), own / "general-x9.safetensors")

    assert names() == ["general-x9", "common", "mine"]


@both
def test_every_listed_name_can_be_loaded():
    for listed in list_models():
        for factor in listed.factors:
            needed = NEEDED.get(listed.name, {})
            assert load_model(listed.name, factor=factor, **needed).factor == factor


@both
def test_an_own_model_goes_before_a_shipped_one_of_the_same_name(own):
    save_model(tiny_fast(3, seed=5, name="common"), own / "common.safetensors")

    assert names() == ["common", "mine"]
    assert list_cards()[0].factor == load_model("common").factor == 3


@both
def test_a_renamed_model_is_listed_and_loaded_by_its_new_name(own):
    (own / "mine.safetensors").rename(own / "best.safetensors")

    assert names() == ["common", "best"]
    assert load_model("best").factor == 4
    with pytest.raises(ModelFormatError, match="no model named 'mine'"):
        load_model("mine")


@both
def test_a_damaged_model_is_named_in_a_warning_and_hides_nothing(own):
    (own / "mine.safetensors").write_bytes(b"damaged")
    (own / "common.safetensors").write_bytes(b"damaged")

    with pytest.warns(UnreadableModelWarning) as warned:
        assert names() == ["common"]

    assert [str(one.message).split(" is ")[0] for one in warned] == [
        str(own / "common.safetensors"),
        str(own / "mine.safetensors"),
    ]


@both
def test_a_damaged_model_is_not_loaded_but_the_shipped_one_of_its_name_is(own):
    (own / "mine.safetensors").write_bytes(b"damaged")
    (own / "common.safetensors").write_bytes(b"damaged")

    with pytest.warns(UnreadableModelWarning, match="common.safetensors is skipped"):
        assert load_model("common").factor == 2
    with pytest.raises(ModelFormatError, match="not a safetensors file"):
        load_model("mine")


@both
def test_the_command_line_lists_what_python_lists(own, capsys):
    (own / "common.safetensors").write_bytes(b"damaged")

    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of tests
        assert main(["models"]) == 0
    out, err = capsys.readouterr()
    with pytest.warns(UnreadableModelWarning):
        listed = list_models()

    assert [line.split()[0] for line in out.splitlines()] == [m.name for m in listed]
    assert "common.safetensors is skipped because it cannot be read" in err
    assert "UserWarning" not in err


@both
def test_an_unknown_name_is_refused_with_those_that_there_are():
    why = "no model named 'best'.*common, mine, nearest, bilinear, bicubic, lanczos"
    with pytest.raises(ModelFormatError, match=why):
        load_model("best")


def test_there_may_be_no_models_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "SHIPPED", tmp_path / "nothing")
    monkeypatch.setattr(catalogue, "FOR_COMPARISON", tmp_path / "nothing")
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "nowhere"))

    assert list_cards() == []
    assert not (tmp_path / "nowhere").exists()


def test_the_folder_is_chosen_by_the_user_or_the_system(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))
    assert model_folder() == tmp_path

    monkeypatch.delenv("NAPARI_SR_MODELS")
    assert model_folder().name == "napari-sr"


@pytest.mark.parametrize("name", ["mine", "my cells 2", "EM_x2.v1-b", "µCT"])
def test_a_new_model_lies_in_the_user_s_folder(own, name):
    assert new_model_path(name) == own / f"{name}.safetensors"


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "..", "a\\b", "end.", "bicubic", "x:y"]
)
def test_a_name_that_cannot_be_a_file_s_is_refused(name):
    with pytest.raises(ValueError, match="cannot be called"):
        new_model_path(name)


def test_trainings_lie_where_no_model_is_looked_for(own):
    folder = training_folder()
    folder.mkdir()
    (folder / "other.safetensors").write_bytes((own / "mine.safetensors").read_bytes())

    assert folder.parent == own
    assert "other" not in {card.name for card in list_cards()}


# ── by path ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("as_path", [str, lambda path: path], ids=["text", "path"])
def test_a_model_is_loaded_from_its_file(own, as_path):
    model = load_model(as_path(own / "mine.safetensors"))

    assert model.name == "mine"
    assert torch.equal(bias_of(model), bias_of(tiny_fast(4, seed=2)))


def test_a_file_beside_the_user_is_loaded_by_its_full_name(own, monkeypatch):
    monkeypatch.chdir(own)

    assert load_model("mine.safetensors").name == "mine"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelFormatError, match=r"There is no model file .*no\.safe"):
        load_model(tmp_path / "no.safetensors")


# ── factors ─────────────────────────────────────────────────────────────────────────


@both
def test_a_trained_model_has_its_factor():
    assert load_model("mine", factor=4).factor == 4
    why = "'mine' super-resolves by 4, not by 2.*Leave the factor out"
    with pytest.raises(ValueError, match=why):
        load_model("mine", factor=2)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_needs_a_factor(name):
    upscaler = load_model(name, factor=3, **NEEDED.get(name, {}))

    assert (upscaler.name, upscaler.factor) == (name, 3)
    with pytest.raises(
        ValueError, match=rf"factor 2, 3, 4 or 8.*load_model\('{name}', factor=2"
    ):
        load_model(name)

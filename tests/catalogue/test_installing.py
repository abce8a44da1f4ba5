"""Model files come in whole and checked, or not at all; only one's own go."""

from __future__ import annotations

import shutil

import pytest
from tiny_models import tiny_fast

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.catalogue import installing
from napari_sr.catalogue import lookup as catalogue
from napari_sr.catalogue.installing import install_model, remove_model
from napari_sr.catalogue.lookup import list_entries, load_model, prefer_model_folder
from napari_sr.models.sr_model import save_model


@pytest.fixture
def own(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    monkeypatch.setenv("NAPARI_SR_MODELS", str(folder))
    return folder


@pytest.fixture
def file(tmp_path):
    return save_model(tiny_fast(), tmp_path / "received" / "tiny.safetensors")


def entry_of(name):
    return next(entry for entry in list_entries() if entry.card.name == name)


def test_an_imported_model_can_be_loaded_and_removed(own, file):
    installed = install_model(file)

    assert installed == own / "tiny.safetensors"
    assert installed.read_bytes() == file.read_bytes()
    assert load_model("tiny").factor == 2
    assert not entry_of("tiny").is_shipped

    remove_model(entry_of("tiny"))
    assert not list(own.iterdir())
    assert file.exists()


def test_a_damaged_file_does_not_come_in(own, file):
    content = bytearray(file.read_bytes())
    content[-5] ^= 1  # in the weights of some part
    file.write_bytes(content)

    with pytest.raises(ModelFormatError, match="tiny"):
        install_model(file)
    assert not own.exists()


@pytest.mark.parametrize("name", ["bicubic.safetensors", "tiny.pth"])
def test_a_file_that_cannot_be_a_model_does_not_come_in(own, file, name):
    renamed = file.rename(file.with_name(name))

    with pytest.raises(ModelFormatError, match="Choose another file or rename it"):
        install_model(renamed)
    assert not own.exists()


def test_a_model_of_the_same_name_is_not_replaced(own, file):
    save_model(tiny_fast(4), own / "tiny.safetensors")

    with pytest.raises(ModelFormatError, match="already"):
        install_model(file)
    assert load_model("tiny").factor == 4


def test_a_copy_that_fails_leaves_nothing(own, file, monkeypatch):
    def half(source, target):
        target.write_bytes(source.read_bytes()[:100])
        raise OSError("disk full")

    monkeypatch.setattr(installing.shutil, "copyfile", half)

    with pytest.raises(OSError, match="disk full"):
        install_model(file)
    assert not list(own.iterdir())


def test_a_shipped_model_stays(own, file, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "SHIPPED", file.parent)

    with pytest.raises(ValueError, match="not one of your own"):
        remove_model(entry_of("tiny"))
    assert file.exists()


def test_the_preferred_folder_counts_where_the_environment_says_nothing(
    own, file, tmp_path, monkeypatch
):
    preferred = tmp_path / "preferred"
    shutil.copytree(file.parent, preferred)
    try:
        prefer_model_folder(preferred)
        assert catalogue.model_folder() == own
        monkeypatch.delenv("NAPARI_SR_MODELS")
        assert catalogue.model_folder() == preferred
        assert entry_of("tiny").path.parent == preferred
        prefer_model_folder(None)
        assert catalogue.model_folder() not in (own, preferred)
    finally:
        prefer_model_folder(None)

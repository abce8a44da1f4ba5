"""The widget: what models there are; others come in, and one's own go."""

from __future__ import annotations

import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QMessageBox
from tiny_models import tiny_fast

from napari_sr._napari.models import widget as models
from napari_sr._napari.models.widget import Models
from napari_sr._napari.parts.model_choice import ModelChoice
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.cards.model_card import ModelCard, TrainingImage
from napari_sr.catalogue.lookup import FOR_ALL_KINDS, list_cards, model_folder
from napari_sr.catalogue.summary import card_as_markdown
from napari_sr.metrics.quality import Measured, Quality
from napari_sr.models.sr_model import save_model

WAIT = 60_000
"""Milliseconds within which an import must end."""


@pytest.fixture
def refreshed(monkeypatch):
    """Count how often other widgets are told of new models."""
    told = []
    monkeypatch.setattr(models, "refresh_pickers", told.append)
    return told


@pytest.fixture
def widget(viewer, qtbot, tiny_card, refreshed):
    widget = Models(viewer)
    qtbot.addWidget(widget.native)
    return widget


def shown(widget) -> dict[str, tuple[str, ...]]:
    """Give the rows of the table by the name of the model."""
    table = widget.table
    rows = [
        tuple(table.item(i, j).text() for j in range(table.columnCount()))
        for i in range(table.rowCount())
    ]
    return {row[0]: row[1:] for row in rows}


def choose(widget, name) -> None:
    names = [entry.card.name for entry in widget._entries]
    widget.table.setCurrentCell(names.index(name), 0)


def import_and_wait(widget, qtbot, path) -> None:
    widget.import_file(path)
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


def test_every_model_is_listed_with_where_it_comes_from(widget):
    assert shown(widget).keys() == {card.name for card in list_cards()}
    assert shown(widget)["tiny"] == ("test", "2", "yes")
    origins = {name: row[-1] for name, row in shown(widget).items()}
    assert origins.pop("tiny") == "yes"
    assert set(origins.values()) <= {""}


def test_the_card_of_the_chosen_model_is_shown(widget):
    choose(widget, "tiny")

    assert "Untrained, for tests." in widget.card.toPlainText()
    assert widget.remove_button.enabled


def test_a_shipped_model_cannot_be_removed(widget):
    choose(widget, "general-x2")

    assert not widget.remove_button.enabled
    assert "your own models" in widget.remove_button.tooltip


def test_an_imported_model_is_chosen_and_offered_everywhere(
    widget, qtbot, tmp_path, viewer, refreshed
):
    path = save_model(tiny_fast(4, name="new"), tmp_path / "in" / "new.safetensors")

    import_and_wait(widget, qtbot, path)

    assert shown(widget)["new"] == ("test", "4", "yes")
    assert widget.chosen.card.name == "new"
    assert refreshed == [viewer]


def test_a_file_that_is_no_model_is_refused_in_a_sentence(
    widget, qtbot, tmp_path, notified, refreshed
):
    path = tmp_path / "new.safetensors"
    path.write_bytes(b"nothing")

    import_and_wait(widget, qtbot, path)

    assert len(notified) == 1
    assert "new.safetensors" in notified[0]
    assert "new" not in shown(widget)
    assert not refreshed
    assert widget.import_button.enabled


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_a_model_goes_only_after_a_yes(widget, monkeypatch, answer, refreshed):
    choose(widget, "tiny")
    button = getattr(QMessageBox.StandardButton, answer)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: button)

    widget.remove_button.native.click()

    is_gone = answer == "Yes"
    assert ("tiny" in shown(widget)) is not is_gone
    assert list(model_folder().glob("*.safetensors")) == [] or not is_gone
    assert len(refreshed) == is_gone


def test_the_folder_is_made_and_opened(widget, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "a" / "b"))
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)

    widget.folder_button.native.click()

    assert (tmp_path / "a" / "b").is_dir()
    assert [url.toLocalFile() for url in opened] == [str(tmp_path / "a" / "b")]


def quality(psnr) -> Quality:
    return Quality(**dict.fromkeys(Quality.model_fields, 0) | {"psnr": psnr})


def test_a_card_says_what_one_decides_by():
    found = {"bicubic": 30, "bone given": 31.5, "bone auto": 31}
    card = ModelCard(
        name="bone",
        description="Bones.",
        domain="micro-CT",
        factor=2,
        architecture="fast",
        halo=9,
        verdict="Better than bicubic.",
        training_images=[
            TrainingImage(file=f"{i}", licence=licence, source="", specimen=f"{i}")
            for i, licence in enumerate(["CC0", "CC BY 4.0 (README)", "CC0"])
        ],
        quality=[
            Measured(dataset="a", photons=50, method=name, quality=quality(psnr))
            for name, psnr in found.items()
        ],
    )

    text = card_as_markdown(card)

    assert "Trained on 3 images under CC BY 4.0, CC0." in text
    assert "Better than bicubic." in text
    assert "| 50 photons | 30.00 | +1.50 | +1.00 |" in text


def test_whoever_has_not_chosen_gets_the_model_for_all_kinds_of_images(qtbot):
    choice = ModelChoice()
    qtbot.addWidget(choice.native)

    assert choice.value == "general-x2"


# ── what becomes of pickers ─────────────────────────────────────────────────────────


def test_a_model_that_was_remembered_and_is_gone_is_told_and_the_general_one_chosen(
    viewer, qtbot, tiny_card, notified
):
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.model.value = "tiny"
    (model_folder() / "tiny.safetensors").unlink()

    again = SuperResolve(viewer)  # which remembers what was chosen before
    qtbot.addWidget(again.native)
    assert again.model.value == FOR_ALL_KINDS
    (told,) = notified
    assert told == f"The model tiny is no longer there; {FOR_ALL_KINDS} is chosen."


def test_a_model_that_was_remembered_and_is_replaced_is_told_by_what(
    viewer, qtbot, notified
):
    name = "em-x4"
    save_model(tiny_fast(4, name=name), model_folder() / f"{name}.safetensors")
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.model.value = name
    (model_folder() / f"{name}.safetensors").unlink()

    again = SuperResolve(viewer)  # which remembers what was chosen before
    qtbot.addWidget(again.native)
    assert again.model.value == "general-x4"
    (told,) = notified
    assert told.startswith("em-x4 is no longer shipped: general-x4")


def test_a_file_that_is_no_model_is_told_once(viewer, qtbot, tiny_card, notified):
    (model_folder() / "damaged.safetensors").write_bytes(b"no model at all")

    for _ in range(2):
        widget = SuperResolve(viewer)
        qtbot.addWidget(widget.native)
        widget.reset_choices()

    (told,) = notified
    assert "damaged.safetensors is skipped" in told

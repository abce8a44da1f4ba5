"""Whether the chosen model is meant for the chosen recording is said before a run."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from tiny_models import tiny_fast

from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.cards.descriptors import describe_plane
from napari_sr.cards.suitability import TrainingStatistics
from napari_sr.catalogue.lookup import model_folder
from napari_sr.models.sr_model import SRModel, save_model
from napari_sr.phantoms import make_phantom

WAIT = 60_000


def recorded(name, seed):
    return np.squeeze(make_phantom(name, n_planes=1, size=192, seed=seed).recorded)


@pytest.fixture(scope="module")
def described():
    """Describe recordings of two kinds of specimens, by name."""
    return {
        name: [describe_plane(recorded(name, seed)) for seed in range(6)]
        for name in ("nuclei", "foam")
    }


@pytest.fixture
def own(described, tmp_path, monkeypatch):
    """Put a model of the user's own for each kind, named after it, into the folder."""
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path))
    for name, known in described.items():
        others = [rows for other, rows in described.items() if other != name]
        statistics = TrainingStatistics.of(known, len(known), others)
        model = tiny_fast(name=name)
        update = {"training_statistics": statistics.with_limits(known)}
        card = model.card.model_copy(update=update)
        save_model(SRModel(card, model.weights), tmp_path / f"{name}.safetensors")


@pytest.fixture
def widget(own, viewer, qtbot):
    viewer.add_image(recorded("foam", seed=20))
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.native.show()
    yield widget
    widget._looking.leave()


def warning_of(widget, qtbot):
    qtbot.waitUntil(lambda: widget.warning.value != "", timeout=WAIT)
    return widget.warning.value


def test_a_recording_unlike_the_training_is_warned_of_with_the_reason(widget, qtbot):
    widget.model.value = "nuclei"

    told = warning_of(widget, qtbot)

    assert widget.warning.native.isVisible()
    assert "it differs in" in told
    assert told.endswith("It resembles the training images of: foam.")

    widget.model.value = "foam"
    qtbot.waitUntil(lambda: widget.warning.value == "", timeout=WAIT)
    assert not widget.warning.native.isVisible()


def test_where_no_model_of_its_kind_is_there_the_general_one_is_named(widget, qtbot):
    (model_folder() / "foam.safetensors").unlink()
    widget.model.value = "nuclei"

    told = warning_of(widget, qtbot)

    assert told.endswith(" general-x2 is for all kinds of images.")


@pytest.mark.parametrize("other", ["bicubic", "general-x2"])
def test_what_is_for_all_kinds_of_images_is_not_warned_of(widget, qtbot, other):
    widget.model.value = "nuclei"
    warning_of(widget, qtbot)

    widget.model.value = other

    qtbot.waitUntil(lambda: widget.warning.value == "", timeout=WAIT)

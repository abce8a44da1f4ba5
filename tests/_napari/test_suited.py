"""Whether the chosen model is meant for the chosen recording is said before a run."""

from __future__ import annotations

import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari_sr._napari.layers.samples import open_phantom
from napari_sr._napari.super_resolve.widget import SuperResolve

WAIT = 60_000


@pytest.fixture
def widget(viewer, qtbot):
    for pixels, keywords, _ in open_phantom("foam")[:1]:
        viewer.add_image(pixels, **keywords)
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.native.show()
    yield widget
    widget._looking.leave()


def test_a_recording_unlike_the_training_is_warned_of_with_the_reason(widget, qtbot):
    widget.model.value = "em-x2"

    qtbot.waitUntil(lambda: widget.warning.value != "", timeout=WAIT)

    assert widget.warning.native.isVisible()
    assert "it differs in" in widget.warning.value
    better = widget.warning.value.partition("It resembles the training images of: ")[2]
    assert better, "one of the shipped models is meant for it"

    widget.model.value = better.strip(".").split(", ")[0]
    qtbot.waitUntil(lambda: widget.warning.value == "", timeout=WAIT)
    assert not widget.warning.native.isVisible()


def test_a_method_has_seen_nothing_to_be_unlike(widget, qtbot):
    widget.model.value = "em-x2"
    qtbot.waitUntil(lambda: widget.warning.value != "", timeout=WAIT)

    widget.model.value = "bicubic"

    qtbot.waitUntil(lambda: widget.warning.value == "", timeout=WAIT)

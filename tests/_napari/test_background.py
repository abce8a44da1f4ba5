"""What a widget has done in the background: how it ends, and who hears of it."""

from __future__ import annotations

from threading import Event
from time import sleep

import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtWidgets import QWidget

from napari_sr._napari.parts.background import Background, when_closed

WAIT = 10_000
"""Milliseconds within which a flow must end."""


class Heard:
    """Keeps what is heard of a flow."""

    def __init__(self) -> None:
        self.steps: list[object] = []
        self.results: list[object] = []
        self.ends: list[str] = []
        self.changes: list[bool] = []
        self.background = Background(
            lambda: self.changes.append(self.background.is_busy)
        )

    def start(self, flow, *args) -> None:
        self.background.start(
            flow,
            *args,
            title="flow",
            step=self.steps.append,
            result=self.results.append,
            end=self.ends.append,
        )


@pytest.fixture
def heard(qtbot):
    heard = Heard()
    yield heard
    heard.background.leave()


def counting(n):
    yield from range(n)
    return "all"


def endless(closed):
    try:
        while True:
            yield "step"
            sleep(0.005)
    finally:
        closed.set()


def failing():
    yield "step"
    raise RuntimeError("shapes differ")


def test_a_flow_is_heard_from_its_beginning_to_its_end(heard, qtbot):
    heard.start(counting, 3)
    qtbot.waitUntil(lambda: not heard.background.is_busy, timeout=WAIT)

    assert heard.steps == [0, 1, 2]
    assert heard.results == ["all"]
    assert heard.ends == ["done"]
    assert heard.changes == [True, False]


def test_what_goes_wrong_is_told_once(heard, qtbot, notified):
    heard.start(failing)
    qtbot.waitUntil(lambda: not heard.background.is_busy, timeout=WAIT)

    assert heard.ends == ["failed"]
    assert not heard.results
    (told,) = notified
    assert "shapes differ" in told


def test_a_flow_that_is_stopped_says_so_and_is_closed(heard, qtbot):
    closed = Event()
    heard.start(endless, closed)
    qtbot.waitUntil(lambda: len(heard.steps) > 1, timeout=WAIT)

    heard.background.stop()
    assert heard.background.is_stopping
    qtbot.waitUntil(lambda: not heard.background.is_busy, timeout=WAIT)

    assert heard.ends == ["stopped"]
    assert closed.is_set()


def test_a_flow_can_wait_and_go_on(heard, qtbot):
    heard.start(endless, Event())
    qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)

    heard.background.pause()
    qtbot.waitUntil(lambda: heard.background.is_paused, timeout=WAIT)
    n_steps = len(heard.steps)
    heard.background.resume()

    qtbot.waitUntil(lambda: len(heard.steps) > n_steps, timeout=WAIT)
    assert not heard.background.is_paused


def test_there_is_one_at_a_time(heard, qtbot):
    heard.start(endless, Event())
    heard.start(counting, 3)
    qtbot.waitUntil(lambda: len(heard.steps) > 1, timeout=WAIT)

    assert set(heard.steps) == {"step"}


def test_what_was_let_go_of_is_not_heard_and_makes_room(heard, qtbot, notified):
    closed = Event()
    heard.start(endless, closed)
    qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)

    heard.background.leave()
    heard.steps.clear()
    heard.start(counting, 3)
    qtbot.waitUntil(lambda: bool(heard.ends) and closed.is_set(), timeout=WAIT)

    assert heard.steps == [0, 1, 2]
    assert heard.ends == ["done"]
    assert not notified


@pytest.mark.parametrize("how", ["closed", "taken out of its dock", "destroyed"])
def test_a_flow_ends_with_its_widget(heard, qtbot, how):
    dock, widget, closed = QWidget(), QWidget(), Event()
    widget.setParent(dock)
    when_closed(widget, heard.background.leave)
    heard.start(endless, closed)
    qtbot.waitUntil(lambda: bool(heard.steps), timeout=WAIT)

    if how == "closed":
        widget.close()
    elif how == "destroyed":
        dock.deleteLater()
    else:
        widget.setParent(None)

    qtbot.waitUntil(closed.is_set, timeout=WAIT)
    assert not heard.background.is_busy
    assert not heard.ends

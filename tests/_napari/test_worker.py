"""Law 9 in the viewer: what goes wrong in a thread is heard, what stops is closed."""

from __future__ import annotations

from threading import Event
from time import sleep

import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari_sr._napari.parts.worker import FlowError, start_flow

WAIT = 10_000
"""Milliseconds within which a signal must come."""

FAULTS = [
    pytest.param(RuntimeError("shapes differ"), FlowError, id="RuntimeError"),
    pytest.param(NotImplementedError("no kernel"), FlowError, id="a kind of it"),
    pytest.param(ValueError("no such device"), ValueError, id="ValueError"),
    pytest.param(MemoryError("tiles of 64 px"), MemoryError, id="MemoryError"),
]


class Heard:
    """Keeps what a worker says."""

    def __init__(self) -> None:
        self.yielded: list[object] = []
        self.returned: list[object] = []
        self.errored: list[Exception] = []
        self.aborted = self.finished = False

    def start(self, flow, *args):
        return start_flow(
            flow,
            *args,
            title="flow",
            connect={
                "yielded": self.yielded.append,
                "returned": self.returned.append,
                "errored": self.errored.append,
                "aborted": lambda: setattr(self, "aborted", True),
                "finished": lambda: setattr(self, "finished", True),
            },
        )


def counting(n, closed):
    try:
        yield from range(n)
    finally:
        closed.set()
    return "all"


def endless(closed):
    try:
        while True:
            yield "step"
            sleep(0.005)
    finally:
        closed.set()


def failing(error, closed):
    try:
        yield "step"
        raise error
    finally:
        closed.set()


def test_a_flow_gives_its_steps_and_its_result(qtbot):
    heard, closed = Heard(), Event()

    heard.start(counting, 3, closed)

    qtbot.waitUntil(lambda: heard.finished, timeout=WAIT)
    assert heard.yielded == [0, 1, 2]
    assert heard.returned == ["all"]
    assert closed.is_set()
    assert not heard.errored
    assert not heard.aborted


@pytest.mark.parametrize(("error", "kind"), FAULTS)
def test_what_goes_wrong_is_heard(qtbot, error, kind):
    heard, closed = Heard(), Event()

    heard.start(failing, error, closed)

    qtbot.waitUntil(lambda: heard.finished, timeout=WAIT)
    assert [type(came) for came in heard.errored] == [kind]
    assert str(heard.errored[0]) == str(error)
    assert heard.errored[0] is error or heard.errored[0].__cause__ is error
    assert closed.is_set()
    assert not heard.returned


def test_a_flow_that_is_stopped_is_closed_while_its_worker_lives(qtbot):
    heard, closed = Heard(), Event()
    worker = heard.start(endless, closed)
    qtbot.waitUntil(lambda: len(heard.yielded) > 2, timeout=WAIT)

    worker.quit()

    qtbot.waitUntil(lambda: heard.finished, timeout=WAIT)
    assert closed.is_set()
    assert heard.aborted
    assert not heard.returned
    assert not heard.errored


def test_a_fault_while_closing_is_heard(qtbot):
    def clinging():
        try:
            while True:
                yield "step"
                sleep(0.005)
        finally:
            raise OSError("disk full")

    heard = Heard()
    worker = heard.start(clinging)
    qtbot.waitUntil(lambda: bool(heard.yielded), timeout=WAIT)

    worker.quit()

    qtbot.waitUntil(lambda: heard.finished, timeout=WAIT)
    assert [str(error) for error in heard.errored] == ["disk full"]


def test_the_bar_shows_the_steps_and_never_goes_back(qtbot):
    heard, closed = Heard(), Event()
    worker = heard.start(endless, closed)
    bar = worker.pbar

    worker.show_progress(2, 5)
    worker.show_progress(1, 5)

    assert (bar.n, bar.total) == (2, 5)
    worker.quit()
    qtbot.waitUntil(lambda: heard.finished, timeout=WAIT)


def test_steps_that_come_while_the_bar_is_drawn_do_not_pile_up(qtbot):
    heard, closed = Heard(), Event()
    worker = heard.start(endless, closed)
    depths, depth = [], 0

    def draw(_event) -> None:
        nonlocal depth
        depth += 1
        depths.append(depth)
        worker.show_progress(worker.pbar.n + 1, 100)
        depth -= 1

    worker.pbar.events.value.connect(draw)
    worker.show_progress(1, 100)

    assert depths == [1]
    worker.quit()
    qtbot.waitUntil(lambda: heard.finished, timeout=WAIT)

"""How late the viewer is while something is computed: beats of a timer.

A timer on the main thread beats every 20 ms. What is printed of each case is how late
its beats were, beside those of a viewer without it, just before: nothing goes on there
but that a layer like the result of a run is added, by napari alone, as whoever uses
napari does now and then. The machine may be busy with other things, so that only the
two together say something. Run as

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.viewer.heartbeat

with the names of cases or for all; `--recording FILE` takes a recording of yours
instead of the sample, `--hidden` leaves the window out.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread, main_thread
from time import monotonic, sleep
from typing import TYPE_CHECKING

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QSettings, Qt, QThreadPool, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_sr._napari.layers.geometry import upscaled_look, upscaled_placement
from napari_sr.files import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BEAT_MS = 20
LATE_MS = 100
"""What a beat may be late at most, of 99 in 100."""
PATIENCE_S = 240
QUIET_S = 5
"""Nothing goes on for so long before and after a layer is added."""
TRAINING_MINUTES = 0.5
N_COPIES = 4
"""Of the recording's planes, in the stack of a run."""
FACTOR = 2
NOTED_MS = 50
"""It is noted where the main thread is when a beat is so late."""
PLACES = 7
"""Of a late beat's stack, the innermost so many are printed."""


@dataclass(frozen=True)
class Case:
    """What goes on while beats are counted."""

    title: str
    """Of the widget."""
    start: Callable[[QWidget], None]
    is_done: Callable[[QWidget], bool]


class Heart:
    """Beats as soon as the main thread is free, every 20 ms at best."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.last = monotonic()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT_MS)

    def _beat(self) -> None:
        now = monotonic()
        self.late_ms.append(max(0.0, 1000 * (now - self.last) - BEAT_MS))
        self.last = now

    def stop(self) -> np.ndarray:
        """Give how late each beat was, in milliseconds."""
        self._timer.stop()
        return np.array(self.late_ms)


class Witness(Thread):
    """Notes where the main thread is whenever a beat is overdue."""

    def __init__(self, heart: Heart) -> None:
        super().__init__(daemon=True)
        self._heart, self._over = heart, Event()
        self.seen: dict[float, tuple[float, Counter[str]]] = {}

    def run(self) -> None:
        """Look every few milliseconds, and count the places of each late beat."""
        while not self._over.is_set():
            last = self._heart.last
            late = 1000 * (monotonic() - last) - BEAT_MS
            if late > NOTED_MS:
                _, places = self.seen.get(last, (0.0, Counter()))
                places[_place_of(main_thread().ident or 0)] += 1
                self.seen[last] = (late, places)
            sleep(0.01)

    def worst(self, n: int) -> list[tuple[float, str]]:
        """Stop, and give where the main thread was most of the time of late beats."""
        self._over.set()
        self.join()
        latest = sorted(self.seen.values(), key=lambda one: -one[0])[:n]
        return [
            (late, f"{count} of {places.total()} times {place}")
            for late, places in latest
            if late > LATE_MS
            for place, count in places.most_common(3)
        ]


def _place_of(thread: int) -> str:
    """Say where a thread is, innermost first; quickly, for it holds all threads up."""
    places, frame = [], sys._current_frames().get(thread)
    while frame is not None and len(places) < PLACES:
        code = frame.f_code
        places.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(places)


def wait_until(is_so: Callable[[], object]) -> None:
    """Let napari work, as its own loop does, until something is so."""
    loop, look = QEventLoop(), QTimer()
    look.timeout.connect(lambda: loop.quit() if is_so() else None)
    look.start(50)
    end = QTimer()
    end.setSingleShot(True)
    end.timeout.connect(loop.quit)
    end.start(1000 * PATIENCE_S)
    loop.exec()
    if not is_so():
        raise TimeoutError("It did not come about.")


def beats_while(
    act: Callable[[], None], is_done: Callable[[], bool]
) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Count beats from an act until something is done."""
    heart = Heart()
    witness = Witness(heart)
    witness.start()
    QTimer.singleShot(0, act)
    wait_until(is_done)
    end = monotonic() + 1  # what is drawn afterwards belongs to it
    wait_until(lambda: monotonic() > end)
    return heart.stop(), witness.worst(3)


def without_it(viewer: napari.Viewer) -> np.ndarray:
    """Count beats while nothing goes on, and a layer like a result is added."""
    begun = monotonic()
    add = QTimer()
    add.setSingleShot(True)
    add.timeout.connect(lambda: add_layer(viewer))
    act = partial(add.start, 1000 * QUIET_S)
    late, _ = beats_while(act, lambda: monotonic() > begun + 2 * QUIET_S)
    viewer.layers.pop()
    return late


def add_layer(viewer: napari.Viewer) -> None:
    """Do by hand what a run cannot do without: napari takes its time for it."""
    first = viewer.layers[0]
    *leading, height, width = first.data.shape
    viewer.add_image(
        np.zeros((*leading, FACTOR * height, FACTOR * width), first.data.dtype),
        **upscaled_look(first),
        **upscaled_placement(first, FACTOR),
    )


def _start_run(widget: QWidget) -> None:
    widget.layer.value = widget._viewer.layers[0]
    widget.run_button.native.click()


def _start_training(widget: QWidget) -> None:
    widget.examples.images.take(widget._viewer.layers[-1])
    widget.form.minutes.value = TRAINING_MINUTES
    widget.form.model_name.value = "heartbeat"
    widget.start()


CASES = {
    "run": Case("Super-resolve", _start_run, lambda widget: not widget._running.is_on),
    "training": Case(
        "Fine-tune", _start_training, lambda widget: bool(widget.verdict.value)
    ),
}


def play(name: str, recording: str | None, *, show: bool) -> None:
    """Count beats without a case, then those with it; print both."""
    case = CASES[name]
    viewer, (widget,) = open_viewer((case.title,), recording, show=show)
    window = "shown" if show else "hidden"
    before = without_it(viewer)
    print(row_of(f"without it, {window}", before), flush=True)
    late, worst = beats_while(lambda: case.start(widget), lambda: case.is_done(widget))
    print(row_of(f"{name}, {window}", late), flush=True)
    for ms, places in worst:
        print(f"    {ms:.0f} ms, {places}", flush=True)
    close_viewer(viewer)


def open_viewer(
    titles: Sequence[str], recording: str | None = None, *, show: bool
) -> tuple[napari.Viewer, list[QWidget]]:
    """Open napari with a recording and widgets, and let it settle."""
    viewer = napari.Viewer(show=show)
    viewer.window.resize(1280, 800)
    if recording is None:
        viewer.open_sample("napari-sr", "nuclei")
    else:
        stack = open_stack(recording)
        viewer.add_image(np.stack([stack.plane(one) for one in stack.indices()]))
    first = viewer.layers[0]
    first.data = np.tile(first.data, (N_COPIES, 1, 1))
    viewer.layers.selection.active = first
    add = viewer.window.add_plugin_dock_widget
    widgets = [add("napari-sr", title)[1] for title in titles]
    settled = monotonic() + 2
    wait_until(lambda: monotonic() > settled)
    return viewer, widgets


def close_viewer(viewer: napari.Viewer) -> None:
    """Close it, and wait for what goes on in threads."""
    viewer.close()
    wait_until(lambda: QThreadPool.globalInstance().activeThreadCount() == 0)
    QApplication.processEvents()


def row_of(name: str, late: np.ndarray) -> str:
    """Make a row of the table."""
    return (
        f"| {name} | {len(late)} | {np.mean(late < LATE_MS):.2%} "
        f"| {np.percentile(late, 99):.0f} | {late.max():.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--recording", help="a file, instead of the sample")
    parser.add_argument("--hidden", action="store_true", help="show no window")
    chosen = parser.parse_args()
    print("| case | beats | < 100 ms late | p99, ms | worst, ms |")
    print("|---|---|---|---|---|")
    kind, scope = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    with TemporaryDirectory() as folder:
        QSettings.setPath(kind, scope, folder)
        os.environ["XDG_CONFIG_HOME"] = os.environ["NAPARI_SR_MODELS"] = folder
        for name in chosen.cases:
            play(name, chosen.recording, show=not chosen.hidden)


if __name__ == "__main__":
    main()

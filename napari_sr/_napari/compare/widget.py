"""The widget: several methods on one recording, their pictures and their figures.

This module alone knows what the user sees of a comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from napari.viewer import Viewer
from qtpy.QtWidgets import QApplication, QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_sr._napari.compare.choice import CompareChoice
from napari_sr._napari.compare.views import MethodTable, PictureGrid, scrolled
from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.form import (
    STYLE,
    button,
    line,
    order_by_tab,
    row,
    show_progress,
)
from napari_sr._napari.parts.heavy_imports import load
from napari_sr._napari.parts.messages import ask_and_write
from napari_sr._napari.parts.preferences import preferred_settings
from napari_sr.image.stack import StackError
from napari_sr.settings import explain

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_sr.evaluation.side_by_side import Named, SideBySide
    from napari_sr.image.stack import Stack
    from napari_sr.settings import UpscaleSettings

    Part = tuple[slice, slice]

AGREES_ONLY = (
    "There is no reference, so no figure here says which result is best. Agreement "
    "says that a result, recorded again, is the recording, noise included: an "
    "interpolation, which keeps the noise, agrees most. Judge by looking."
)


class Compare(QWidget):
    """Compare methods in the viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be chosen.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._background = Background(self._refresh)
        self._found: SideBySide | None = None
        self._limits = (0.0, 1.0)  # black and white of the recording on the canvas
        self.chosen = CompareChoice(napari_viewer)
        self.compare_button = button(
            "Compare", "Super-resolve up to four planes by each method, and measure."
        )
        self.compare_button.setObjectName("run")
        self.stop_button = button("Stop", "Stop after this plane.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.grid = PictureGrid()
        self.view = MethodTable()
        self.basis = QLabel()
        self.basis.setObjectName("hint")
        self.basis.setWordWrap(True)
        self.copy_button = button("Copy", "Copy the table as Markdown.")
        self.save_button = button(
            "Save sheet …",
            "Write one picture, with what is in sight enlarged, and all figures as CSV "
            "beside it.",
        )
        self.setStyleSheet(STYLE)
        self._lay_out()
        self._connect()
        self.reset_choices()

    def reset_choices(self, *_: object) -> None:
        """Offer the layers and models that there are now."""
        self.chosen.refresh()

    def compare(self) -> None:
        """Super-resolve and measure in a thread."""
        if not self.chosen.is_complete:
            return
        try:
            recording, reference = self.chosen.stacks()
        except StackError as error:
            show_error(explain(error))
            return
        low, high = self.chosen.recording.currentData().contrast_limits
        self._limits = (float(low), float(high))
        self.basis.setText("Comparing …")
        show_progress(self.bar, 0, 0)
        self._background.start(
            _comparing,
            recording,
            reference,
            self.chosen.named,
            self.chosen.factor,
            preferred_settings(),
            title=f"Methods on {recording.name}",
            step=self._show_step,
            result=self._show,
            end=self._end,
        )

    def copy(self) -> None:
        """Copy the table as Markdown."""
        if self._found is not None:
            QApplication.clipboard().setText(self._found.comparison.as_markdown())
            show_info("The table is in the clipboard, as Markdown.")

    def save(self) -> None:
        """Ask for a file and write the sheet, and the table beside it."""
        side_by_side = self._found
        if side_by_side is None:
            return
        height, width = side_by_side.pictures["recording"].shape
        part = self.grid.part_shown(height, width)
        words = ("Save sheet", f"{side_by_side.name}.compared.png", "Picture (*.png)")
        ask_and_write(self, words, lambda path: _write(side_by_side, path, part))

    def _show_step(self, step: tuple[int, int]) -> None:
        done, total = step
        self.basis.setText(f"Result {done} of {total} …")
        show_progress(self.bar, done, total)
        self._background.show_progress(done, total)

    def _show(self, result: tuple[SideBySide, Part]) -> None:
        self._found, part = result
        height, width = self._found.pictures["recording"].shape
        self.grid.show_pictures(self._found, self._limits)
        self.grid.look_at(part, height, width)
        self.view.show_figures(self._found.comparison)
        basis = self._found.comparison.basis
        has_reference = "reference" in self._found.pictures
        self.basis.setText(basis if has_reference else f"{AGREES_ONLY}\n\n{basis}")

    def _end(self, outcome: str) -> None:
        """Leave what was found before where nothing came of it, and say so."""
        if outcome == "done":
            return
        before = self._found and self._found.comparison.basis
        rest = f". Shown is what was found before: {before}" if before else ""
        self.basis.setText(f"{outcome.capitalize()}{rest}")

    def _refresh(self) -> None:
        """Enable what can be used now."""
        busy, ready = self._background.is_busy, self.chosen.is_complete
        self.chosen.setEnabled(not busy)
        self.compare_button.setEnabled(ready and not busy)
        self.stop_button.setEnabled(busy)
        self.bar.setVisible(busy)
        for saver in (self.copy_button, self.save_button):
            saver.setEnabled(self._found is not None)
        if not (ready or busy or self._found):
            self.basis.setText(
                "Choose a recording of one channel and tick at least one method."
            )

    def _connect(self) -> None:
        self.chosen.changed.connect(self._refresh)
        self.compare_button.clicked.connect(lambda: self.compare())
        self.stop_button.clicked.connect(lambda: self._background.stop())
        self.copy_button.clicked.connect(lambda: self.copy())
        self.save_button.clicked.connect(lambda: self.save())
        when_closed(self, self._background.leave)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.addWidget(self.chosen)
        column.addLayout(row(self.compare_button, self.stop_button))
        column.addWidget(self.bar)
        column.addWidget(line())
        column.addWidget(scrolled(self.grid), 1)
        column.addWidget(self.view)
        column.addWidget(self.basis)
        column.addLayout(row(self.copy_button, self.save_button))
        buttons = (self.compare_button, self.stop_button)
        afterwards = (self.view.table, self.copy_button, self.save_button)
        order_by_tab([*self.chosen.in_order(), *buttons, *afterwards])


def _comparing(
    recording: Stack,
    reference: Stack | None,
    named: list[Named],
    factor: int,
    settings: UpscaleSettings,
) -> Generator[tuple[int, int], None, tuple[SideBySide, Part]]:
    """Compare in a thread, where torch and matplotlib are loaded."""
    load("napari_sr.evaluation.side_by_side", "napari_sr.trust.report.contact_sheet")
    from napari_sr.evaluation.side_by_side import compare_side_by_side, load_methods
    from napari_sr.trust.report.contact_sheet import most_detailed

    upscalers = load_methods(named, factor)
    compared = yield from compare_side_by_side(
        recording, upscalers, reference, settings
    )
    return compared, most_detailed(compared)


def _write(side_by_side: SideBySide, path: str, part: Part) -> None:
    from napari_sr.trust.report.contact_sheet import write_side_by_side

    path = path if Path(path).suffix else f"{path}.png"
    for written in write_side_by_side(side_by_side, path, part):
        show_info(f"Written: {written}")

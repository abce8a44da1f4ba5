"""The widget: choose a result and its recording; get figures, maps and a report.

This module alone knows what the user sees of them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from napari.viewer import Viewer
from qtpy.QtWidgets import (
    QApplication,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.layers.view import plane_in_view
from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.form import STYLE, button, line, order_by_tab, row
from napari_sr._napari.parts.heavy_imports import load
from napari_sr._napari.parts.messages import ask_and_write
from napari_sr._napari.quality.choice import QualityChoice
from napari_sr._napari.quality.figure_view import FigureView
from napari_sr._napari.quality.map_layers import MapLayers
from napari_sr.image.stack import StackError
from napari_sr.settings import explain

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_sr.image.stack import Stack
    from napari_sr.trust.assessment import Assessment


class QualityTable(QWidget):
    """Measure a result in the viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be chosen.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._background = Background(self._refresh)
        self._found: Assessment | None = None
        self._sentences = ""
        self._about: tuple[Image, tuple[Stack, Stack, Stack | None]] | None = None
        self.maps = MapLayers(napari_viewer, self._say_of_maps)
        self.chosen = QualityChoice(napari_viewer)
        self.measure_button = button("Measure", "Take the figures of the result.")
        self.measure_button.setObjectName("run")
        self.stop_button = button("Stop", "Stop after this plane.")
        self.view = FigureView()
        self.basis = QLabel()
        self.basis.setObjectName("hint")
        self.basis.setWordWrap(True)
        self.copy_button = button("Copy", "Copy the table as Markdown.")
        self.save_button = button("Save CSV …", "Write all figures in full to a file.")
        self.maps_button = button(
            "Show maps",
            "Add layers: where the result disagrees with the recording, what no "
            "recording can confirm, how sure each pixel is, what the textured end "
            "added, and the error where there is a reference. They are those of the "
            "plane in view, and follow it.",
        )
        self.report_button = button(
            "Report …", "Write one page with everything, to read, print and keep."
        )
        self.setStyleSheet(STYLE)
        self._lay_out()
        self._connect()
        self.reset_choices()

    def reset_choices(self, *_: object) -> None:
        """Offer the layers that there are now."""
        self.chosen.refresh()

    def measure(self) -> None:
        """Take the figures in a thread."""
        try:
            stacks = self.chosen.stacks()
        except StackError as error:
            show_error(explain(error))
            return
        if stacks is None:
            return
        self._forget("Measuring …")
        recording = self.chosen.recording.currentData()
        self._about = (recording, stacks)
        self._background.start(
            _assessing,
            *stacks,
            plane_in_view(recording, self._viewer),
            title=f"Quality of {stacks[0].name}",
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
        """Ask for a file and write all figures to it."""
        if self._found is not None:
            table = self._found.comparison.as_csv()
            ask_and_write(
                self,
                ("Save figures", "quality.csv", "CSV (*.csv)"),
                lambda path: Path(path).write_text(table, "utf-8", newline=""),
            )

    def show_maps(self) -> None:
        """Add the maps as layers; they follow the plane in view."""
        if self._found is not None and self._about is not None:
            recording, stacks = self._about
            self.maps.show(recording, self._found, stacks)

    def write_report(self) -> None:
        """Ask for a file and write the report to it."""
        if self._found is not None:
            kinds = "Page (*.html);;All figures (*.json)"
            ask_and_write(
                self,
                ("Write report", "report.html", kinds),
                partial(_write_report, self._found),
            )

    @property
    def _afterwards(self) -> tuple[QWidget, ...]:
        """Buttons that need a measurement."""
        return (
            self.maps_button,
            self.report_button,
            self.copy_button,
            self.save_button,
        )

    def _show_step(self, step: tuple[int, int]) -> None:
        done, total = step
        self.basis.setText(f"Step {done} of {total} …")
        self._background.show_progress(done, total)

    def _show(self, assessment: Assessment) -> None:
        self._found = assessment
        self.view.show_figures(assessment.comparison)
        sentences = (
            assessment.badge,
            assessment.sureness,
            assessment.comparison.basis,
            *assessment.remarks,
        )
        self._sentences = "\n\n".join(sentences)
        self.basis.setText(self._sentences)

    def _say_of_maps(self, text: str) -> None:
        if self._found is not None:
            self.basis.setText(text or self._sentences)

    def _forget(self, text: str) -> None:
        self._found = None
        self.maps.forget()
        self.view.clear_figures()
        self.basis.setText(text)

    def _end(self, outcome: str) -> None:
        if outcome != "done":
            self._forget(outcome.capitalize())

    def _refresh(self) -> None:
        """Enable what can be used now."""
        busy, ready = self._background.is_busy, self.chosen.is_complete
        self.chosen.setEnabled(not busy)
        self.measure_button.setEnabled(ready and not busy)
        self.stop_button.setEnabled(busy)
        for after in self._afterwards:
            after.setEnabled(self._found is not None)
        if not (ready or busy or self._found):
            self.basis.setText(
                "Choose a result and the recording that it was made from."
            )

    def _connect(self) -> None:
        self.chosen.changed.connect(self._refresh)
        self.measure_button.clicked.connect(lambda: self.measure())
        self.stop_button.clicked.connect(lambda: self._background.stop())
        self.copy_button.clicked.connect(lambda: self.copy())
        self.save_button.clicked.connect(lambda: self.save())
        self.maps_button.clicked.connect(lambda: self.show_maps())
        self.report_button.clicked.connect(lambda: self.write_report())
        when_closed(self, self._background.leave)
        when_closed(self, self.maps.leave)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.addWidget(self.chosen)
        column.addLayout(row(self.measure_button, self.stop_button))
        column.addWidget(line())
        column.addWidget(self.view)
        column.addWidget(self.basis)
        column.addLayout(row(self.maps_button, self.report_button))
        column.addLayout(row(self.copy_button, self.save_button))
        column.addStretch()
        buttons = (self.measure_button, self.stop_button)
        order_by_tab(
            [*self.chosen.in_order(), *buttons, self.view.table, *self._afterwards]
        )


def _write_report(assessment: Assessment, path: str) -> None:
    """Write a report; what draws it is loaded when it is asked for."""
    from napari_sr.trust.report import write_report

    write_report(assessment, path)


def _assessing(
    result: Stack, recording: Stack, reference: Stack | None, index: tuple[int, ...]
) -> Generator[tuple[int, int], None, Assessment]:
    """Assess in a thread, where torch is loaded."""
    load("napari_sr.trust.flow")
    from napari_sr.trust.flow import assess_steps

    return (yield from assess_steps(recording, result, reference, None, index))

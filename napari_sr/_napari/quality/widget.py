"""The panel: choose a result and its recording; get figures, maps and a report.

This module alone knows what the user sees of them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.viewer import Viewer

from napari_sr._napari.layers.view import plane_in_view
from napari_sr._napari.parts.background import when_closed
from napari_sr._napari.parts.findings import Findings
from napari_sr._napari.parts.messages import ask_and_write
from napari_sr._napari.parts.panel import Buttons, button
from napari_sr._napari.parts.tables import share_room, show_rows
from napari_sr._napari.quality.choice import QualityChoice
from napari_sr._napari.quality.map_layers import MapLayers
from napari_sr.interactive.judging import assess
from napari_sr.metrics.descriptions import FIGURES

if TYPE_CHECKING:
    from napari_sr._napari.parts.worker import Flow
    from napari_sr.image.stack import Stack
    from napari_sr.trust.assessment import Assessment


class QualityTable(Findings):
    """Measure a result in the viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be chosen.
    """

    TIP = "Compute the metrics of the result."
    DO_FIRST = "Choose a result and the recording that it was made from."

    def __init__(self, napari_viewer: Viewer) -> None:
        self._about: tuple[Image, tuple[Stack, Stack, Stack | None]] | None = None
        self.maps = MapLayers(napari_viewer, self._say_of_maps)
        self.maps_button = button("Show maps", self.show_maps)
        self.report_button = button("Report …", self.write_report)
        self.save_button = button("Save CSV …", self.save)
        self._afterwards = (self.maps_button, self.report_button, self.save_button)
        super().__init__(napari_viewer, QualityChoice(napari_viewer))
        when_closed(self.native, self.maps.leave)

    def save(self) -> None:
        """Write all figures in full to a file."""
        if self._found is not None:
            table = self._comparison.as_csv()
            ask_and_write(
                self.native,
                ("Save metrics", "quality.csv", "CSV (*.csv)"),
                lambda path: Path(path).write_text(table, "utf-8", newline=""),
            )

    def show_maps(self) -> None:
        """Add layers that show what can be believed; they follow the plane in view.

        They show where the result disagrees with the recording, what no recording can
        confirm, the uncertainty of each pixel, what the textured end added, and the
        error where there is a reference.
        """
        if self._found is not None and self._about is not None:
            recording, stacks = self._about
            self.maps.show(recording, self._found, stacks)

    def write_report(self) -> None:
        """Write one page with everything, to read, print and keep."""
        if self._found is not None:
            kinds = "Page (*.html);;All metrics (*.json)"
            ask_and_write(
                self.native,
                ("Write report", "report.html", kinds),
                partial(_write_report, self._found),
            )

    def _lay_out(self) -> None:
        super()._lay_out()
        self.put(
            Buttons(self.maps_button, self.report_button),
            Buttons(self.copy_button, self.save_button),
        )

    def _ask(self) -> tuple[str, Flow, *tuple[Any, ...]]:
        stacks, recording = self.chosen.stacks(), self.chosen.recording.value
        self._forget()
        self._about = (recording, stacks)
        index = plane_in_view(recording, self._viewer)
        return f"Quality of {stacks[0].name}", assess, *stacks, index

    def _show(self, found: Assessment) -> None:
        self._found = found
        comparison = found.comparison
        tips = [FIGURES[name].meaning for name in comparison.names]
        rows = [
            [(text, tip) for text in texts]
            for texts, tip in zip(comparison.rows(), tips, strict=True)
        ]
        titles = [("", ""), *((method, "") for method in comparison.figures)]
        show_rows(self.table, titles, rows)
        share_room(self.table)
        self.basis.value = self._words

    @property
    def _words(self) -> str:
        found = self._found
        about = (found.badge, found.uncertainty, found.comparison.basis, *found.remarks)
        return "\n\n".join(about)

    def _say_of_maps(self, words: str) -> None:
        if self._found is not None:
            self.basis.value = words or self._words

    def _forget(self) -> None:
        """Forget what was found: it may be of another result."""
        self._found = None
        self.maps.forget()
        self.table.setRowCount(0)
        self.table.setVisible(False)


def _write_report(assessment: Assessment, path: str) -> None:
    """Write a report; what draws it is loaded when it is asked for."""
    from napari_sr.trust.report import write_report

    write_report(assessment, path)

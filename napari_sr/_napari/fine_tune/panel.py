"""The fine-tuning widget as it looks: its parts, one below the other.

This module alone knows where they are, and what is folded away when. What they do is
the business of `fine_tune`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QMessageBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.fine_tune.bars import RunBar, SaveBar, UnfinishedBar
from napari_sr._napari.fine_tune.examples_panel import ExamplesPanel
from napari_sr._napari.fine_tune.form import TrainingForm
from napari_sr._napari.fine_tune.live_view import LiveView
from napari_sr._napari.parts.section import Section

if TYPE_CHECKING:
    from napari.components import ViewerModel

WIDTH = 290


class FineTunePanel(QWidget):
    """The parts of the widget.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.unfinished_bar = UnfinishedBar()
        self.examples = ExamplesPanel(viewer)
        self.form = TrainingForm()
        self.live = LiveView()
        self.notes = QLabel()
        self.notes.setWordWrap(True)
        self.run_bar, self.save_bar = RunBar(), SaveBar()
        self._lay_out()
        self.live.hide()

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 2, 6, 2)
        column.setSpacing(2)
        self._images_section = Section("Images", self.examples)
        self._training_section = Section("Training", self.form)
        for part in (
            self.unfinished_bar,
            self._images_section,
            self._training_section,
            self.live,
            self.notes,
        ):
            column.addWidget(part, 100 if part is self.live else 0)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 4)
        for part in (scroll, self.save_bar, self.run_bar):
            rows.addWidget(part)
        self.setMinimumWidth(WIDTH)

    def fold(self, folded: bool) -> None:
        """Make room for what is to be looked at, or for what is to be chosen."""
        for section in (self._images_section, self._training_section):
            section.show_content(not folded)

    def is_sure(self, question: str) -> bool:
        """Ask before something is lost."""
        answer = QMessageBox.question(self, "Fine-tune", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

"""The fine-tuning panel as it looks: its parts, one below the other.

This module alone knows where they are, and what is folded away when. What they do is
the business of `widget`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox

from napari_sr._napari.fine_tune.bars import RunBar, SaveBar, UnfinishedBar
from napari_sr._napari.fine_tune.examples_panel import ExamplesPanel
from napari_sr._napari.fine_tune.form import TrainingForm
from napari_sr._napari.fine_tune.live_view import LiveView
from napari_sr._napari.parts.panel import Panel, text
from napari_sr._napari.parts.section import Section

if TYPE_CHECKING:
    from napari.components import ViewerModel


class FineTunePanel(Panel):
    """The parts of the panel.

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
        self.notes = text()
        self.run_bar, self.save_bar = RunBar(), SaveBar()
        self.put(self.unfinished_bar)
        self._sections = (
            Section("Images", self.examples),
            self.fold("Training", self.form, is_open=True),
            self.fold("More", self.form.more),
        )
        self.put(*self._sections)
        self.put(self.live, stretch=100)
        self.put(self.notes, self.save_bar, self.run_bar)
        self.end()
        self.live.hide()

    def fold_choices(self, folded: bool) -> None:
        """Make room for what is to be looked at, or for what is to be chosen."""
        for section in self._sections[:2]:
            section.show_content(not folded)

    def is_sure(self, question: str) -> bool:
        """Ask before something is lost."""
        answer = QMessageBox.question(self.native, "Fine-tune", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

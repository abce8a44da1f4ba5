"""The rows of buttons of the fine-tuning widget: go on later, run, save.

This module alone knows how they look; what they do is the widget's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.parts.panel import ShortenedBox, show_progress
from napari_sr.training.unsaved import unsaved_trainings

if TYPE_CHECKING:
    from napari_sr._napari.fine_tune.flow import TrainingOutcome
    from napari_sr.training.unsaved import UnsavedTraining

STEPS = 1000
BETTER, NOT_BETTER = "#35a978", "#d9822b"


class UnfinishedBar(QWidget):
    """Offers trainings that were not saved."""

    def __init__(self) -> None:
        super().__init__()
        self._known: list[UnsavedTraining] = []
        self._names = ShortenedBox()
        self._names.setAccessibleName("Unfinished training")
        self._names.setToolTip("Trainings that were begun and not saved yet.")
        self.resume = _button("Resume", "Go on with this training where it was left.")
        self.discard = _button("Discard", "Remove this training for good.")
        row = QGridLayout(self)
        row.setContentsMargins(0, 0, 0, 4)
        row.addWidget(QLabel("Not finished yet"), 0, 0, 1, 3)
        for column, part in enumerate((self._names, self.resume, self.discard)):
            row.addWidget(part, 1, column)
            row.setColumnStretch(column, 1)

    @property
    def chosen(self) -> UnsavedTraining | None:
        """The training that is chosen."""
        number = self._names.currentIndex()
        return self._known[number] if 0 <= number < len(self._known) else None

    def refresh(self) -> None:
        """Offer those that there are now."""
        self._known = unsaved_trainings()
        self._names.clear()
        self._names.addItems([training.recipe.name for training in self._known])

    def show_if(self, idle: bool) -> None:
        """Be there when there is something to resume and nothing under way."""
        self.setVisible(idle and bool(self._known))


class RunBar(QWidget):
    """Start, pause, stop; and how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.start = _button("Start", "Train with these images.")
        self.pause = _button("Pause", "Leave the machine to others for a while.")
        self.stop = _button("Stop", "End now and keep the best that was found.")
        self.use = _button("Use it now", "Choose the new model in Super-resolve.")
        self.use.hide()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(6)
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._why_not = ""
        row = QHBoxLayout()
        for button in (self.start, self.pause, self.stop):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 8, 2)
        column.setSpacing(4)
        column.addWidget(self._text)
        column.addWidget(self.use)
        column.addWidget(self._bar)
        column.addLayout(row)

    @property
    def text(self) -> str:
        """What it says."""
        return str(self._text.text())

    def say(self, text: str) -> None:
        """Say how it goes."""
        self._text.setText(text)

    def show_share(self, share: float) -> None:
        """Show how much of the time is spent."""
        show_progress(self._bar, round(STEPS * share), STEPS)

    def show_state(
        self, *, why_not: str, is_running: bool, is_paused: bool, is_stopping: bool
    ) -> None:
        """Enable what can be used now; say why it cannot be started, if so."""
        self.start.setEnabled(not why_not and not is_running)
        self.start.setToolTip(why_not or "Train with these images.")
        if why_not != self._why_not:
            self.say(why_not)
        self._why_not = why_not
        self.pause.setEnabled(is_running and not is_stopping)
        self.stop.setEnabled(is_running and not is_stopping)
        self._bar.setVisible(is_running)
        self.pause.setText("Go on" if is_paused else "Pause")
        if is_running and is_paused:
            self.say("Paused")


class SaveBar(QWidget):
    """The verdict, and what is done about it."""

    def __init__(self) -> None:
        super().__init__()
        self._verdict = QLabel()
        self._verdict.setWordWrap(True)
        self._name = QLineEdit()
        self._name.setToolTip("What the model is called where models are chosen.")
        self._name.setAccessibleName("Name of the model")
        self.save = _button("Save", "Put the model where models are chosen.")
        self.discard = _button("Discard", "Forget this model.")
        row = QHBoxLayout()
        for part, share in ((self._name, 3), (self.save, 2), (self.discard, 2)):
            row.addWidget(part, share)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 8, 2)
        column.addWidget(self._verdict)
        column.addLayout(row)

    @property
    def chosen_name(self) -> str:
        """Under which to save."""
        return str(self._name.text()).strip()

    @property
    def verdict(self) -> str:
        """What is said of the model."""
        return str(self._verdict.text())

    def show_outcome(self, outcome: TrainingOutcome) -> None:
        """Say what came of a training."""
        colour = BETTER if outcome.is_better else NOT_BETTER
        self._verdict.setText(outcome.verdict)
        self._verdict.setStyleSheet(
            f"border-left: 3px solid {colour}; padding-left: 6px; font-weight: bold"
        )
        self._name.setText(outcome.unfinished.recipe.name)
        self.save.setText("Save" if outcome.is_better else "Save anyway")


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button

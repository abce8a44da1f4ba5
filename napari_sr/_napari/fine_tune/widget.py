"""The widget: adapt a model to a lab's own images, and watch it learn.

This module alone knows what a user can do when: set up, train (pause, go on, stop),
then save or discard. What can be chosen is in `examples_panel` and `form`, what is seen
in `live_view`, what is computed in `flow`. napari reads annotations here, so they are
not postponed.
"""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from threading import Event

from magicgui.widgets import LineEdit
from napari.viewer import Viewer
from qtpy.QtWidgets import QMessageBox

from napari_sr._napari.fine_tune.examples_panel import (
    SIMULATED,
    ExamplesPanel,
)
from napari_sr._napari.fine_tune.form import TrainingForm
from napari_sr._napari.fine_tune.live_view import LiveView
from napari_sr._napari.layers.mixed_channels import may_run
from napari_sr._napari.layers.pixel_size import split_channels
from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.messages import tell_error
from napari_sr._napari.parts.model_choice import refresh_pickers
from napari_sr._napari.parts.panel import (
    Brief,
    Buttons,
    Choice,
    Form,
    Panel,
    bar,
    button,
    show_progress,
    text,
)
from napari_sr._napari.parts.remembered import recall, remember
from napari_sr._napari.parts.section import Section
from napari_sr._napari.parts.worker import Flow, once
from napari_sr._napari.super_resolve.preview_here import open_widget
from napari_sr.catalogue.lookup import list_cards, new_model_path
from napari_sr.interactive.fine_tuning import (
    TrainingOutcome,
    TrainingRequest,
    Update,
    resume,
    save,
    train,
)
from napari_sr.interactive.heavy_imports import load
from napari_sr.training.unsaved import UnsavedTraining, unsaved_trainings

STEPS = 1000
BETTER, NOT_BETTER = "#35a978", "#d9822b"
KEPT_AS = "fine-tune"


class FineTune(Panel):
    """Fine-tune a model.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be learnt from.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._outcome: TrainingOutcome | None = None
        self._saved_as = self._why_not = ""
        self._stop = Event()
        self._background = Background(self._refresh)
        self.examples, self.form = ExamplesPanel(napari_viewer), TrainingForm()
        self.live, self.notes = LiveView(), text()
        self._lay_out()
        self.form.base.changed.connect(self._on_base)
        self.examples.changed.connect(self._refresh)
        for leave in (self._background.leave, self.examples.leave):
            when_closed(self.native, leave)
        choices = recall(KEPT_AS)
        self.form.restore(choices)
        self.examples.kind.setCurrentText(str(choices.get("learn_from", SIMULATED)))
        self._on_base()
        self._refresh()

    def _lay_out(self) -> None:
        self.unfinished = Choice(
            lambda _: [(one.recipe.name, one) for one in unsaved_trainings()],
            name="unfinished",
            label="Not finished",
            tooltip="Trainings that are not saved yet.",
        )
        go_on, forget = (
            button("Resume", self.resume),
            button("Discard", self.discard_unfinished),
        )
        self.unfinished_bar = Form(self.unfinished, Buttons(go_on, forget))
        tip = "The name of the model in the lists of models."
        self.verdict = text()
        self.saved_name = LineEdit(name="saved_name", label="Name", tooltip=tip)
        self.save_button = button("Save", self.save)
        self.save_bar = Form(
            self.verdict,
            self.saved_name,
            Buttons(self.save_button, button("Discard", self.discard)),
        )
        self.status, self.bar = text(), bar()
        self.use_button = button("Use it now", self.use)
        self.start_button = button("Start", self.start)
        self.pause_button = button("Pause", self.pause_or_go_on)
        self.stop_button = button("Stop", self.stop)
        self.run_bar = Buttons(self.start_button, self.pause_button, self.stop_button)
        self._sections = (
            Section("Images", self.examples),
            self.fold("Training", self.form, is_open=True),
            self.fold("More", self.form.more),
        )
        self.put(self.unfinished_bar, *self._sections)
        self.put(self.live, stretch=100)
        self.put(self.notes, self.save_bar)
        self.begin_foot()
        self.put(Brief(self.status), self.use_button, self.bar, self.run_bar)
        self.end(stretch=0)
        self.live.hide()
        self.use_button.visible = False

    def _on_base(self, *_: object) -> None:
        self.examples.set_base(self.form.card)

    def reset_choices(self, *_: object) -> None:
        """Offer the layers, models and unfinished trainings that there are now."""
        self.examples.refresh_layers()
        self.form.reset_choices()
        if self._is_idle:
            self.unfinished.reset_choices()
            self._refresh()

    # ── what the user does ──────────────────────────────────────────────────────

    def start(self) -> None:
        """Train on these images."""
        if not self._is_idle:
            return
        split = partial(split_channels, self._viewer)
        if not may_run(self.examples.layers, self.native, split):
            return
        try:
            request = self._request()
        except ValueError as error:
            tell_error(error)
            return
        learn_from = self.examples.kind.currentText()
        choices = {**self.form.choices(), "learn_from": learn_from}
        remember(KEPT_AS, choices)
        self._follow(train, request, request.name)

    def resume(self) -> None:
        """Go on with this training where it was left."""
        chosen = self.unfinished.value
        if self._is_idle and chosen is not None:
            self._follow(resume, chosen, chosen.recipe.name)

    def pause_or_go_on(self) -> None:
        """Leave the machine to others for a while, or go on."""
        if self._background.is_paused:
            self._background.resume()
        else:
            self._background.pause()

    def stop(self) -> None:
        """End now and keep the best that was found."""
        self._stop.set()
        self._background.resume()
        self.status.value = "Stopping …"
        self.stop_button.enabled = False

    def save(self) -> None:
        """Put the model where models are chosen."""
        outcome, name = self._outcome, self.saved_name.value.strip()
        if outcome is None or self._background.is_busy:
            return
        try:
            path = new_model_path(name)
        except ValueError as error:
            tell_error(error)
            return
        known = {card.name for card in list_cards()}
        if name in known and not self._may_replace(name):
            return
        self._background.start(
            once, save, outcome, path, title=f"Save {name}", result=self._saved
        )

    def use(self) -> None:
        """Choose the new model in Super-resolve."""
        open_widget(self._viewer).use(self._saved_as)

    def discard(self) -> None:
        """Forget this model."""
        if self._outcome is not None and not self._background.is_busy:
            self._outcome.unfinished.discard()
            self._set_up_again("Discarded.")
            self._fold(False)

    # ── what is under way ───────────────────────────────────────────────────────

    @property
    def _is_idle(self) -> bool:
        return not self._background.is_busy and self._outcome is None

    def _find_why_not(self) -> str:
        """Say what is missing before a training can start."""
        if self.form.card is None:
            return "There is no model to start from: import one in Models."
        return self.form.base.missing or self.examples.what_is_missing

    def _request(self) -> TrainingRequest:
        """Gather what is chosen; refuse a name now, not after the training."""
        name = self.form.model_name.value.strip()
        new_model_path(name)
        images, low_images = self.examples.sources()
        return TrainingRequest(
            name=name,
            images=images,
            base=str(self.form.base.value),
            low_images=low_images,
            minutes=self.form.minutes.value,
            texture=self.form.texture.value and not self.examples.is_alone,
            recordings_only=self.examples.is_alone,
            instrument=self.examples.instrument,
            device=self.form.device.value,
            more=self.form.further_settings(),
        )

    def _follow(
        self, flow: Flow, what: TrainingRequest | UnsavedTraining, name: str
    ) -> None:
        self._stop = Event()
        self.live.clear()
        self.notes.value = ""
        self.use_button.visible = False
        self._show_share(0)
        self.status.value = "Preparing …"
        self._background.start(
            _with_plots,
            flow,
            what,
            self._stop,
            title=f"Fine-tune {name}",
            step=self._show_update,
            result=self._show_outcome,
            end=self._end,
        )
        self.live.show()
        self._fold(True)

    def _show_update(self, update: Update) -> None:
        self.live.show_update(update)
        self._show_share(update.share)
        if not self._stop.is_set() and not self._background.is_paused:
            self.status.value = update.text
        if update.notes is not None:
            self.notes.value = "\n".join(update.notes)
        self._background.show_progress(round(STEPS * update.share), STEPS)

    def _show_outcome(self, outcome: TrainingOutcome) -> None:
        self._outcome = outcome
        colour = BETTER if outcome.is_better else NOT_BETTER
        self.verdict.value = outcome.verdict
        self.verdict.native.setStyleSheet(
            f"border-left: 3px solid {colour}; padding-left: 6px; font-weight: bold"
        )
        self.saved_name.value = outcome.unfinished.recipe.name
        self.save_button.text = "Save" if outcome.is_better else "Save anyway"
        self._show_share(1)
        self.status.value = "Done"

    def _saved(self, path: Path) -> None:
        self._set_up_again(f"Saved: {path.stem} can now be chosen.")
        self._saved_as = path.stem
        self.use_button.visible = True
        self.reset_choices()
        refresh_pickers(self._viewer)

    def _end(self, outcome: str) -> None:
        if outcome == "failed":
            self.status.value = "Failed"
            self._fold(False)

    def _set_up_again(self, text: str) -> None:
        self._outcome = None
        self.status.value = text
        self._refresh()

    def _refresh(self) -> None:
        """Show and enable what can be used now."""
        busy, idle = self._background.is_busy, self._is_idle
        ended = self._outcome is not None
        why_not = self._find_why_not() if idle else ""
        is_running, is_paused = busy and not ended, self._background.is_paused
        self.examples.setEnabled(idle)
        self.form.enabled = self.form.more.enabled = idle
        self.form.texture.enabled = idle and not self.examples.is_alone
        self.start_button.enabled = not why_not and not is_running
        self.start_button.tooltip = why_not or "Train on these images."
        if why_not != self._why_not:
            self.status.value = why_not
        self._why_not = why_not
        for one in (self.pause_button, self.stop_button):
            one.enabled = is_running and not self._stop.is_set()
        self.pause_button.text = "Go on" if is_paused else "Pause"
        if is_running and is_paused:
            self.status.value = "Paused"
        self.bar.setVisible(is_running)
        self.status.visible = self.run_bar.visible = not ended
        self.save_bar.visible, self.save_bar.enabled = ended, not busy
        self.unfinished_bar.visible = idle and bool(self.unfinished.choices)

    def _show_share(self, share: float) -> None:
        show_progress(self.bar, round(STEPS * share), STEPS)

    def _fold(self, folded: bool) -> None:
        """Make room for what is to be looked at, or for what is to be chosen."""
        for section in self._sections[:2]:
            section.show_content(not folded)

    def _is_sure(self, question: str) -> bool:
        """Ask before something is lost."""
        answer = QMessageBox.question(self.native, "Fine-tune", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def discard_unfinished(self) -> None:
        """Remove this training for good."""
        chosen = self.unfinished.value
        if chosen is not None and self._is_sure(
            f"Discard the unfinished training {chosen.recipe.name!r}?"
        ):
            chosen.discard()
            self.reset_choices()

    def _may_replace(self, name: str) -> bool:
        return self._is_sure(f"There is a model named {name!r}. Replace it?")


def _with_plots(flow: Flow, *args: object) -> Generator[Update, None, TrainingOutcome]:
    """Load what draws curves, in the thread of a training and before it begins."""
    load("matplotlib.backends.backend_qtagg")
    outcome: TrainingOutcome = yield from flow(*args)
    return outcome

"""The widget: adapt a model to a lab's own images, and watch it learn.

This module alone knows what a user can do when: set up, train (pause, go on, stop),
then save or discard. What can be chosen is in `examples_panel` and `training_form`,
what is seen in `live_view`, what is computed in `fine_tune_flow`. napari reads
annotations here, so they are not postponed.
"""

from pathlib import Path
from threading import Event

from napari.viewer import Viewer

from napari_sr._napari.fine_tune.bars import STEPS
from napari_sr._napari.fine_tune.examples_panel import MEASURED, SIMULATED
from napari_sr._napari.fine_tune.flow import (
    TrainingOutcome,
    TrainingRequest,
    Update,
    resume,
    save,
    train,
)
from napari_sr._napari.fine_tune.panel import FineTunePanel
from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.messages import tell_error
from napari_sr._napari.parts.model_choice import refresh_pickers
from napari_sr._napari.parts.remembered import recall, remember
from napari_sr._napari.parts.worker import once
from napari_sr._napari.super_resolve.preview_here import open_widget
from napari_sr.catalogue.lookup import list_cards, new_model_path
from napari_sr.training.unsaved import UnsavedTraining

KEPT_AS = "fine-tune"


class FineTune(FineTunePanel):
    """Fine-tune a model.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be learnt from.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._viewer = napari_viewer
        self._outcome: TrainingOutcome | None = None
        self._saved_as = ""
        self._stop = Event()
        self._background = Background(self._refresh)
        self._connect()
        for leave in (self._background.leave, self.examples.leave):
            when_closed(self.native, leave)
        choices = recall(KEPT_AS)
        self.form.restore(choices)
        self.examples.kind.setCurrentText(
            MEASURED if choices.get("measured") is True else SIMULATED
        )
        self.examples.set_base(self.form.card)
        self.unfinished_bar.refresh()
        self._refresh()

    def _connect(self) -> None:
        self.form.base.changed.connect(
            lambda *_: self.examples.set_base(self.form.card)
        )
        self.examples.changed.connect(self._refresh)
        self.run_bar.start.clicked.connect(lambda *_: self.start())
        self.run_bar.pause.clicked.connect(lambda *_: self.pause_or_go_on())
        self.run_bar.use.clicked.connect(lambda *_: self.use())
        self.run_bar.stop.clicked.connect(lambda *_: self.stop())
        self.save_bar.save.clicked.connect(lambda *_: self.save())
        self.save_bar.discard.clicked.connect(lambda *_: self.discard())
        self.unfinished_bar.resume.clicked.connect(lambda *_: self.resume())
        self.unfinished_bar.discard.clicked.connect(lambda *_: self._discard_chosen())

    def _start_from(self, *_: object) -> None:
        self.examples.set_base(self.form.card)

    def reset_choices(self, *_: object) -> None:
        """Offer the layers, models and unfinished trainings that there are now."""
        self.examples.refresh_layers()
        self.form.reset_choices()
        if self._is_idle:
            self.unfinished_bar.refresh()

    # ── what the user does ──────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to train with what is chosen."""
        if not self._is_idle:
            return
        try:
            request = self._request()
        except ValueError as error:
            tell_error(error)
            return
        choices = {**self.form.choices(), "measured": self.examples.is_measured}
        remember(KEPT_AS, choices)
        self._follow(train, request, request.name)

    def resume(self) -> None:
        """Go on with the unfinished training that is chosen."""
        chosen = self.unfinished_bar.chosen
        if self._is_idle and chosen is not None:
            self._follow(resume, chosen, chosen.recipe.name)

    def pause_or_go_on(self) -> None:
        """Wait after the present step, or go on."""
        if self._background.is_paused:
            self._background.resume()
        else:
            self._background.pause()

    def stop(self) -> None:
        """End with the best that was found."""
        self._stop.set()
        self._background.resume()
        self.run_bar.say("Stopping …")
        self.run_bar.stop.setEnabled(False)

    def save(self) -> None:
        """Write the model into the user's folder; every picker offers it at once."""
        outcome, name = self._outcome, self.save_bar.chosen_name
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
        """Choose the model that was saved last in the widget that super-resolves."""
        open_widget(self._viewer).use(self._saved_as)

    def discard(self) -> None:
        """Forget the model that was found."""
        if self._outcome is not None and not self._background.is_busy:
            self._outcome.unfinished.discard()
            self._set_up_again("Discarded.")
            self.fold_choices(False)

    # ── what is under way ───────────────────────────────────────────────────────

    @property
    def _is_idle(self) -> bool:
        return not self._background.is_busy and self._outcome is None

    def _why_not(self) -> str:
        """Say what is missing before a training can start."""
        if self.form.card is None:
            return "There is no model to start from: import one in Models."
        return self.examples.what_is_missing

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
            texture=self.form.texture.value,
            instrument=self.examples.instrument,
            device=self.form.device.value,
            more=self.form.further_settings(),
        )

    def _follow(
        self, flow: object, what: TrainingRequest | UnsavedTraining, name: str
    ) -> None:
        self._stop = Event()
        self.live.clear()
        self.notes.value = ""
        self.run_bar.show_share(0)
        self.run_bar.use.hide()
        self.run_bar.say("Preparing …")
        self._background.start(
            flow,  # type: ignore[arg-type]
            what,
            self._stop,
            title=f"Fine-tune {name}",
            step=self._show_update,
            result=self._show_outcome,
            end=self._end,
        )
        self.live.show()
        self.fold_choices(True)

    def _show_update(self, update: Update) -> None:
        self.live.show_update(update)
        self.run_bar.show_share(update.share)
        if not self._stop.is_set() and not self._background.is_paused:
            self.run_bar.say(update.text)
        if update.notes is not None:
            self.notes.value = "\n".join(update.notes)
        self._background.show_progress(round(STEPS * update.share), STEPS)

    def _show_outcome(self, outcome: TrainingOutcome) -> None:
        self._outcome = outcome
        self.save_bar.show_outcome(outcome)
        self.run_bar.show_share(1)
        self.run_bar.say("Done")

    def _saved(self, path: Path) -> None:
        self._set_up_again(f"Saved: {path.stem} can now be chosen.")
        self._saved_as = path.stem
        self.run_bar.use.show()
        self.reset_choices()
        refresh_pickers(self._viewer)

    def _end(self, outcome: str) -> None:
        if outcome == "failed":
            self.run_bar.say("Failed")
            self.fold_choices(False)

    def _set_up_again(self, text: str) -> None:
        self._outcome = None
        self.run_bar.say(text)
        self._refresh()

    def _refresh(self) -> None:
        """Show and enable what can be used now."""
        busy, idle = self._background.is_busy, self._is_idle
        ended = self._outcome is not None
        self.examples.setEnabled(idle)
        self.form.enabled = self.form.more.enabled = idle
        self.run_bar.show_state(
            why_not=self._why_not() if idle else "",
            is_running=busy and not ended,
            is_paused=self._background.is_paused,
            is_stopping=self._stop.is_set(),
        )
        self.run_bar.setVisible(not ended)
        self.save_bar.setVisible(ended)
        self.save_bar.setEnabled(not busy)
        self.unfinished_bar.show_if(idle)

    def _discard_chosen(self) -> None:
        chosen = self.unfinished_bar.chosen
        if chosen is not None and self.is_sure(
            f"Discard the unfinished training {chosen.recipe.name!r}?"
        ):
            chosen.discard()
            self.unfinished_bar.refresh()

    def _may_replace(self, name: str) -> bool:
        return self.is_sure(f"There is a model named {name!r}. Replace it?")

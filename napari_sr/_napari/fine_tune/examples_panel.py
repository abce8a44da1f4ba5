"""The widget part in which it is chosen what a training learns from.

Sharp images, whose recordings are simulated, or measured pairs, or recordings alone.
This module alone knows what is shown before a training begins: a simulated patch beside
a real one, or a pair as it was registered.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QPushButton, QWidget

from napari_sr._napari.fine_tune.image_sources import SourcePicker
from napari_sr._napari.fine_tune.instrument_panel import InstrumentPanel
from napari_sr._napari.parts.background import Background
from napari_sr._napari.parts.image_view import LinkedViews
from napari_sr._napari.parts.messages import tell_error
from napari_sr._napari.parts.panel import ShortenedBox
from napari_sr._napari.parts.plain import caption, fill
from napari_sr._napari.parts.worker import once
from napari_sr.interactive import instrument as instrument_flow

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sr.cards.model_card import ModelCard
    from napari_sr.image.stack import Stack
    from napari_sr.instrument.estimation import InstrumentEstimate
    from napari_sr.instrument.ranges import Instrument
    from napari_sr.interactive.instrument import Patches

SIMULATED, MEASURED = "Sharp images alone", "Measured pairs"
ALONE = "Only recordings"
SETTLED = 250
"""Milliseconds after the last change when the patch is simulated again."""


class ExamplesPanel(QWidget):
    """Chooses images and, where recordings are simulated, the instrument.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._card: ModelCard | None = None
        self._patches: Patches | None = None
        self.background = Background(self._refresh)
        self.kind = ShortenedBox()
        self.kind.setAccessibleName("What to learn from")
        self.kind.setToolTip(
            "Sharp images are enough: their recordings are simulated with a "
            "degradation model of your instrument. If you have recordings of the same "
            "fields, use measured pairs. Without sharp images, learn from recordings "
            "alone: a blur or a noise that the base was not trained for."
        )
        self.kind.addItems([SIMULATED, MEASURED, ALONE])
        self.images, self.recordings = SourcePicker(viewer), SourcePicker(viewer)
        self.images.describe(
            "Sharp images",
            "Images as sharp as the results should be, of your own kind of specimen; a "
            "few are enough, ten are better. Some are held out to evaluate the model.",
        )
        self.ask = QPushButton()
        self.instrument_panel = InstrumentPanel()
        self.views = LinkedViews(("simulated", "recorded"))
        self.notes = caption()
        self.ask.setSizePolicy(self.notes.sizePolicy())
        chosen = (self.kind, self.images, self.recordings, self.ask, self.notes)
        fill(self, *chosen, self.instrument_panel, self.views, spacing=5)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLED)
        self._connect()
        self._choose_kind()

    def _connect(self) -> None:
        self._settled.timeout.connect(self._look)
        self.kind.currentIndexChanged.connect(self._choose_kind)
        self.images.changed.connect(self._forget)
        self.recordings.changed.connect(self._forget)
        self.instrument_panel.changed.connect(self._settled.start)
        self.ask.clicked.connect(self._answer)

    def leave(self) -> None:
        """Look at nothing any more."""
        self.background.leave()
        with suppress(RuntimeError):  # Qt may have destroyed it already
            self._settled.stop()

    # ── what is chosen ──────────────────────────────────────────────────────────

    @property
    def is_measured(self) -> bool:
        """Whether pairs were measured."""
        return bool(self.kind.currentText() == MEASURED)

    @property
    def is_alone(self) -> bool:
        """Whether there are no sharp images."""
        return bool(self.kind.currentText() == ALONE)

    @property
    def what_is_missing(self) -> str:
        """Say what is to be chosen before there is something to learn from."""
        if self._learnt_from.is_empty():
            what = "recordings" if self.is_alone else "sharp images"
            return f"Tick {what} to learn from, or add files."
        if self.is_measured and self.recordings.is_empty():
            return "Tick the recordings of the same fields, or add files."
        return ""

    @property
    def layers(self) -> list[Image]:
        """The layers that are chosen."""
        return self.images.layers + self.recordings.layers

    def sources(self) -> tuple[tuple[Stack | str, ...], tuple[Stack | str, ...]]:
        """Give what is learnt from and, for measured pairs, the recordings of it."""
        low = self.recordings.sources() if self.is_measured else ()
        return self._learnt_from.sources(), low

    @property
    def _learnt_from(self) -> SourcePicker:
        """Where it is ticked what is learnt from: recordings are not sharp images."""
        return self.recordings if self.is_alone else self.images

    @property
    def instrument(self) -> Instrument | None:
        """To train for; none for measured pairs, which show it."""
        return None if self.is_measured else self.instrument_panel.instrument

    def set_base(self, card: ModelCard | None) -> None:
        """Start from the instrument of a base model."""
        self._card = card
        if card is not None:
            self.instrument_panel.set_instrument(card.instrument)
        self._forget()

    def refresh_layers(self) -> None:
        """Offer the layers that there are now."""
        self.images.refresh()
        self.recordings.refresh()

    # ── what is shown ───────────────────────────────────────────────────────────

    def _choose_kind(self) -> None:
        measured, alone = self.is_measured, self.is_alone
        for part in (self.images, self.ask):
            part.setVisible(not alone)
        if alone:
            self.recordings.describe(
                "Recordings",
                "Made with your instrument; ten are better than a few. The noise is "
                "estimated from them. Some are held out to evaluate the model.",
            )
        elif measured:
            self.recordings.describe(
                "Recordings of them",
                "The same fields as recorded by your instrument, with larger pixels. "
                "Files are matched by name, layers by order.",
            )
            self.ask.setText("Check the pairs")
            self.ask.setToolTip("Register the pairs and report their shifts.")
        else:
            self.recordings.describe(
                "Recordings (optional)",
                "Recordings made with your instrument, of any fields. Its blur and "
                "noise are estimated from them.",
            )
            self.ask.setText("Estimate …")
            self.ask.setToolTip(
                "Estimate the blur and noise for which the degraded sharp images "
                "match the recordings; takes a minute."
            )
        self.instrument_panel.setVisible(not measured)
        self.instrument_panel.show_noise(not alone)
        first, second = self.views.views
        first.set_title("recorded" if measured else "simulated")
        second.set_title("sharp, registered" if measured else "recorded")
        self._forget()

    def _forget(self) -> None:
        """Look again: other images, or another base."""
        self._patches = None
        self.notes.clear()
        for view in self.views.views:
            view.clear()
        self._settled.start()
        self._refresh()
        self.changed.emit()

    def _refresh(self) -> None:
        """Enable what can be used now."""
        some = not self.images.is_empty() and not self.recordings.is_empty()
        can_ask = some and self._card is not None and not self.background.is_busy
        self.ask.setEnabled(can_ask)
        self.views.setVisible(not self.images.is_empty() and not self.is_alone)
        self.notes.setVisible(bool(self.notes.text()))

    def _look(self) -> None:
        """Show the simulated patch beside a real one."""
        if self.kind.currentText() != SIMULATED or not self.isEnabled():
            return
        if self.images.is_empty():
            return
        if self.background.is_busy:
            self._settled.start()
        elif self._patches is None:
            self._start(instrument_flow.find_patches, "patches", self._show_patches)
        else:
            self.background.start(
                once,
                instrument_flow.simulate,
                self._patches,
                self.instrument_panel.instrument,
                title="Simulate a recording",
                result=self._show_simulated,
            )

    def _answer(self) -> None:
        """Do what the button says."""
        if self.background.is_busy:
            return
        if self.is_measured:
            self._say("Registering …")
            self._start(instrument_flow.check_pairs, "pairs", self._show_pairs)
        else:
            self._say("Estimating; this takes a minute …")
            self._start(instrument_flow.estimate, "instrument", self._show_estimate)

    def _start(self, task: object, what: str, show: object) -> None:
        """Have something found out about the chosen images."""
        try:
            chosen = self.images.sources(), self.recordings.sources()
        except ValueError as error:
            tell_error(error)
            return
        self.background.start(
            once,
            task,
            *chosen,
            self._card,
            title=f"Show the {what}",
            result=show,  # type: ignore[arg-type]
            end=self._end,
        )

    def _end(self, outcome: str) -> None:
        if outcome == "failed":
            self._say("")

    def _show_patches(self, patches: Patches) -> None:
        self._patches = patches
        if patches.recorded is not None:
            self.views.views[1].show_image(patches.recorded, (0.0, 1.0))
        self._settled.start()

    def _show_simulated(self, recorded: NDArray) -> None:
        self.views.views[0].show_image(recorded, (0.0, 1.0))

    def _show_pairs(self, patches: Patches) -> None:
        assert patches.recorded is not None
        self.views.views[0].show_image(patches.recorded, (0.0, 1.0))
        self.views.views[1].show_image(patches.sharp, (0.0, 1.0))
        self._say("\n".join(patches.notes))

    def _show_estimate(self, estimate: InstrumentEstimate) -> None:
        self.instrument_panel.set_instrument(estimate.instrument)
        self._say(estimate.describe())

    def _say(self, text: str) -> None:
        self.notes.setText(text)
        self._refresh()

"""A panel that measures something: choose, measure, read, copy.

This module alone knows how that goes: what is computed in a thread, what can be used
when, and that what was found stays until something else is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QApplication

from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.panel import (
    Buttons,
    Form,
    Panel,
    bar,
    button,
    show_progress,
    text,
)
from napari_sr._napari.parts.tables import plain_table
from napari_sr.image.stack import StackError
from napari_sr.settings import explain

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sr._napari.parts.worker import Flow


class Findings(Panel):
    """What all such panels have.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    chosen
        What is measured; it has `is_complete`.
    """

    WORD, TIP, DO_FIRST = "Measure", "", ""
    """Of the main button; and what to do before it can be pressed."""

    def __init__(self, viewer: ViewerModel, chosen: Form) -> None:
        super().__init__()
        self._viewer = viewer
        self._background = Background(self._refresh)
        self._found: Any = None
        self.chosen: Any = chosen
        self.measure_button = button(self.WORD, self.measure, is_main=True)
        self.measure_button.tooltip = self.TIP
        self.stop_button = button("Stop", self.stop)
        self.bar, self.table, self.basis = bar(), plain_table(), text()
        self.table.setVisible(False)
        self.table.setAccessibleName("Figures")
        self.copy_button = button("Copy", self.copy)
        self._lay_out()
        self.begin_foot()
        self.put(self.bar, Buttons(self.measure_button, self.stop_button))
        self.end(stretch=0)
        self.chosen.changed.connect(lambda *_: self._refresh())
        when_closed(self.native, self._background.leave)
        self.reset_choices()

    def reset_choices(self, *_: object) -> None:
        """Offer the layers and models that there are now."""
        self.chosen.reset_choices()
        self._refresh()

    def measure(self) -> None:
        """Compute in a thread."""
        if not self.chosen.is_complete or self._background.is_busy:
            return
        try:
            title, flow, *args = self._ask()
        except StackError as error:
            show_error(explain(error))
            return
        self.basis.value = f"{self.WORD} …"
        show_progress(self.bar, 0, 0)
        self._background.start(
            flow,
            *args,
            title=title,
            step=self._show_step,
            result=self._show,
            end=self._end,
        )

    def stop(self) -> None:
        """Stop after this plane."""
        self._background.stop()

    def copy(self) -> None:
        """Copy the table as Markdown."""
        if self._found is not None:
            QApplication.clipboard().setText(self._comparison.as_markdown())
            show_info("The table is in the clipboard, as Markdown.")

    # ── what each of them does in its own way ───────────────────────────────────────

    _afterwards: tuple[PushButton, ...] = ()
    """Buttons that need something found."""

    def _lay_out(self) -> None:
        self.put(self.chosen, self.table, self.basis)

    def _ask(self) -> tuple[str, Flow, *tuple[Any, ...]]:
        """Give a title, a flow, and what it is called with."""
        raise NotImplementedError

    def _show(self, found: Any) -> None:  # noqa: ANN401
        """Keep what was found, and show it."""
        raise NotImplementedError

    @property
    def _comparison(self) -> Any:  # noqa: ANN401
        return self._found.comparison

    @property
    def _words(self) -> str:
        """Say what was found."""
        return str(self._comparison.basis)

    # ── what is the same for all ────────────────────────────────────────────────────

    def _show_step(self, step: tuple[int, int]) -> None:
        done, total = step
        self.basis.value = f"Step {done} of {total} …"
        show_progress(self.bar, done, total)
        self._background.show_progress(done, total)

    def _end(self, outcome: str) -> None:
        """Leave what was found before where nothing came of it, and say so."""
        if outcome != "done":
            words = self._words if self._found is not None else ""
            rest = f". The previous results are shown: {words}" if words else ""
            self.basis.value = f"{outcome.capitalize()}{rest}"

    def _refresh(self) -> None:
        """Enable what can be used now."""
        busy, ready = self._background.is_busy, self.chosen.is_complete
        self.chosen.enabled = not busy
        self.measure_button.enabled = ready and not busy
        self.stop_button.enabled = busy
        self.bar.setVisible(busy)
        for one in (*self._afterwards, self.copy_button):
            one.enabled = self._found is not None
        if not (ready or busy or self._found is not None):
            self.basis.value = self.DO_FIRST

"""Which model, and for a method without weights which factor.

This module alone knows how models are offered where something is super-resolved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
from napari.utils.notifications import show_warning
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sr._napari.parts.form import choose, combo, fill, row
from napari_sr.catalogue.lookup import FOR_ALL_KINDS, scan_models
from napari_sr.methods.names import METHODS

if TYPE_CHECKING:
    from napari_sr.cards.model_card import ModelCard

FACTORS = (2, 3, 4, 8)


class ModelPicker(QWidget):
    """Offers the trained models, then the methods without weights."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: dict[str, ModelCard] = {}
        self.box = combo("Trained models first, then methods without weights.")
        self.factor_box = combo("How many times as many rows and columns.")
        self.factor_box.setMinimumContentsLength(3)
        self.factor_box.setSizePolicy(
            QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed
        )
        fill(self.factor_box, [(f"×{factor}", factor) for factor in FACTORS])
        side_by_side = row(self.box, self.factor_box, first=0)
        side_by_side.setContentsMargins(0, 0, 0, 0)
        self.setLayout(side_by_side)
        self.refresh()
        self.box.currentIndexChanged.connect(self._on_chosen)
        self.factor_box.currentIndexChanged.connect(self.changed)

    @property
    def name(self) -> str:
        """A name that the catalogue knows."""
        return str(self.box.currentData())

    @property
    def model(self) -> ModelCard | str:
        """The card of a trained model, or the name of a method."""
        return self._cards.get(self.name, self.name)

    @property
    def factor(self) -> int | None:
        """For methods; a trained model has its own."""
        return None if self.name in self._cards else self.factor_box.currentData()

    def refresh(self) -> None:
        """Offer the models that there are now; what was chosen stays if it is there."""
        before = self.model if self.box.count() else None
        cards, unreadable = scan_models()
        _tell_once(unreadable)
        self._cards = {card.name: card for card in cards}
        trained = [
            (f"{card.name}  ×{card.factor} · {card.domain}", card.name)
            for card in self._cards.values()
        ]
        chosen = self.box.currentData()
        with QSignalBlocker(self.box):
            # A picker has no place for a file beside the name.
            methods = [(name, name) for name, m in METHODS.items() if not m.needs_file]
            fill(self.box, [*trained, *methods])
            self.box.setCurrentIndex(max(0, self.box.findData(FOR_ALL_KINDS)))
            self._choose(chosen)
        if self.model != before:
            self._on_chosen()

    def choose(self, name: object, factor: object = None) -> None:
        """Choose a model, and a factor, where they are offered."""
        self._choose(name)
        choose(self.factor_box, factor)

    def _choose(self, name: object) -> None:
        """Choose a model; where it is no longer there, say so."""
        choose(self.box, name)
        if name not in (None, self.name):
            show_warning(f"The model {name} is no longer there; {self.name} is chosen.")

    def _on_chosen(self) -> None:
        self.factor_box.setVisible(self.factor is not None)
        self.changed.emit()


_told: set[str] = set()


def _tell_once(unreadable: list[str]) -> None:
    """Tell of files that are no models, of each once for as long as it is the same."""
    for text in unreadable:
        if text not in _told:
            _told.add(text)
            show_warning(text)


def refresh_pickers(viewer: object = None) -> None:
    """Let every open widget offer the models that there are now.

    Parameters
    ----------
    viewer
        Whose widgets; that of the current window when not given.
    """
    viewer = viewer or napari.current_viewer()
    window = getattr(viewer, "window", None)  # none where nothing is drawn
    for widget in window.dock_widgets.values() if window else ():
        if hasattr(widget, "reset_choices"):
            widget.reset_choices()

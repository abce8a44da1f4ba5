"""Which model, and for a method without weights which factor.

This module alone knows how models are offered where something is super-resolved, and
who hears of models that come and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
from napari.utils.notifications import show_warning

from napari_sr._napari.parts.panel import Choice
from napari_sr.catalogue.lookup import (
    FOR_ALL_KINDS,
    REPLACED,
    in_place_of,
    scan_models,
)
from napari_sr.methods.names import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_sr.cards.model_card import ModelCard

TIP = "Trained models first, then methods without weights."
FACTORS = (2, 3, 4, 8)
_told: set[str] = set()


def _general(offered: tuple[Any, ...]) -> object:
    return FOR_ALL_KINDS if FOR_ALL_KINDS in offered else next(iter(offered), None)


class ModelChoice(Choice):
    """Offers the trained models, then the methods without weights.

    Parameters
    ----------
    otherwise
        As for `Choice`: what is chosen at first.
    label
        Of the row.
    methods
        Those without weights that are offered.
    **options
        As for `Choice`.
    """

    def __init__(
        self,
        otherwise: Callable[[tuple[Any, ...]], object] = _general,
        label: str = "Model",
        methods: Iterable[str] = METHODS,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self._methods = methods
        self._cards: dict[str, ModelCard] = {}
        self._kept: ModelCard | None = None  # of what was chosen when it was last seen
        self._gone = ""
        super().__init__(
            self._offered,
            otherwise=otherwise,
            label=label,
            **{"name": "model", "tooltip": TIP, **options},
        )

    @property
    def model(self) -> ModelCard | str:
        """The card of a trained model, or the name of a method."""
        return self._cards.get(self.value, str(self.value))

    @property
    def missing(self) -> str:
        """Why what is chosen cannot be used, in one sentence; empty where it can."""
        if not self._gone or self.value != self._gone:
            return ""
        return (
            f"The model {self._gone} is chosen, and its file is missing or cannot be "
            f"read: put it back, or choose another model."
        )

    def recall(self, name: object) -> None:
        """Choose the model that was used last; where it is gone, say so."""
        if name is None or self.offer(name):
            return
        if isinstance(name, str) and self.offer(REPLACED.get(name)):
            show_warning(in_place_of(name))
        else:
            _tell_gone(name, self.value)

    def reset_choices(self, *_: object) -> None:
        """Offer the models that there are now; the chosen one stays, be it missing."""
        name = self.native.currentData()
        self._kept = self._cards.get(name)
        super().reset_choices()
        if self._kept != self._cards.get(name):
            self.changed.emit(name)  # another file of the same name

    def choose_as(self, other: ModelChoice) -> None:
        """Choose what is chosen in another picker, be it missing."""
        self._kept = other._cards.get(other.value)
        super().reset_choices()
        self.offer(other.value)

    def _offered(self, _widget: Any = None) -> list[tuple[str, str]]:  # noqa: ANN401
        cards, unreadable = scan_models()
        for text in unreadable:
            if text not in _told:  # of each file once, for as long as it is the same
                _told.add(text)
                show_warning(text)
        self._cards = {card.name: card for card in cards}
        kept = self._kept
        self._gone = kept.name if kept and kept.name not in self._cards else ""
        # A row has no place for a file beside the name.
        without = [name for name in self._methods if not METHODS[name].needs_file]
        methods = [(name, name) for name in without]
        trained = [(f"{c.name}  ×{c.factor} · {c.domain}", c.name) for c in cards]
        if kept and self._gone:  # nothing else is chosen without the user
            self._cards[kept.name] = kept
            trained.append((f"{kept.name} (missing)", kept.name))
        return trained + methods


class FactorChoice(Choice):
    """By which factor, for what has none of its own."""

    def __init__(self) -> None:
        super().__init__(
            [(f"×{factor}", factor) for factor in FACTORS],
            name="factor",
            label="Factor",
            tooltip="How many times as many rows and columns.",
        )

    def asked_of(self, model: ModelCard | str) -> int | None:
        """Give the factor for a method; a trained model has its own."""
        return int(self.value) if isinstance(model, str) else None


def _tell_gone(name: object, chosen: object) -> None:
    show_warning(f"The model {name} is no longer there; {chosen} is chosen.")


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

"""What is compared: a recording, a reference if there is one, a factor and methods.

This module alone knows which methods are ticked at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sr._napari.layers.place import as_stack
from napari_sr._napari.parts.model_choice import FactorChoice
from napari_sr._napari.parts.panel import Choice, weakly
from napari_sr._napari.parts.tables import TickList
from napari_sr._napari.quality.choice import NO_REFERENCE, LayersForm
from napari_sr.interactive.judging import comparable
from napari_sr.interactive.roles import guess_sharper, is_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.evaluation.side_by_side import Named
    from napari_sr.image.stack import Stack

TICKED = ("lanczos", "wiener", "edge-prior", "general-x2", "general-x4")
"""Of the methods, at first; bicubic is always compared."""
_ROWS = (6, 8)
"""Methods in sight, at least and at most."""


class CompareChoice(LayersForm):
    """Rows of layers and a factor, and a list of methods to tick."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.factor = FactorChoice()
        self.recording = Choice(
            self._recorded,
            otherwise=self._likely,
            name="recording",
            label="Recording",
            tooltip="One channel; any number of planes.",
        )
        self.methods = TickList(_ROWS)
        self.methods.setAccessibleName("Methods")
        self.methods.setToolTip(
            "The ticked methods are compared; bicubic is always included."
        )
        super().__init__(viewer, self.recording, self.factor)
        self._offer_methods()
        self.recording.changed.connect(self._guess)
        self.factor.changed.connect(self._on_factor)
        self.methods.itemChanged.connect(weakly(self._on_ticked))

    @property
    def named(self) -> list[Named]:
        """Names and options of what is ticked."""
        return self.methods.ticked

    @property
    def is_complete(self) -> bool:
        """Whether there is something to compare."""
        return self.recording.value is not None and bool(self.named)

    def reset_choices(self, *_: object) -> None:
        """Offer the layers and models that there are now."""
        super().reset_choices()
        if not self.recording.is_by_hand:
            self.recording.offer(self._likely(self.recording.choices))
        self._offer_methods()
        self._guess()

    def stacks(self) -> tuple[Stack, Stack | None]:
        """Give recording and reference.

        Raises
        ------
        StackError
            If a layer cannot be taken, in one sentence.
        """
        reference = self.reference.value
        return (
            as_stack(self.recording.value),
            None if reference == NO_REFERENCE else as_stack(reference),
        )

    def _recorded(self, _widget: object = None) -> list[tuple[str, Image]]:
        return [one for one in self._named() if not is_result(one[1])]

    def _likely(self, recorded: tuple[Any, ...]) -> Image | None:
        """Find a layer of which there is a sharper one, else what is selected."""
        for layer in recorded:
            if guess_sharper(layer, self.factor.value, recorded):
                return layer
        selected = self._viewer.layers.selection.active
        return selected if selected in recorded else next(iter(recorded), None)

    def _on_ticked(self, _item: object) -> None:
        self.changed.emit(self)

    def _on_factor(self) -> None:
        self._offer_methods(())
        self._guess()

    def _guess(self, *_: object) -> None:
        """Choose a reference that fits recording and factor, or none."""
        recording, layers = self.recording.value, self._images()
        if recording is not None:
            self._guess_reference(guess_sharper(recording, self.factor.value, layers))

    def _offer_methods(self, kept: Sequence[Named] | None = None) -> None:
        """List what there is for the factor; what was ticked or not stays so."""
        known, before = self.methods.entries, self.methods.ticked
        offered = comparable(self.factor.value, before if kept is None else kept)
        offered.sort(key=lambda one: one[2][0] not in TICKED)
        ticked = [
            named
            for _, _, named in offered
            if (named in before if named in known else named[0] in TICKED)
        ]
        self.methods.offer(offered, ticked)

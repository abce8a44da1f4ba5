"""What is compared: a recording, a reference if there is one, a factor and methods.

This module alone knows which methods are offered for a factor, and which are ticked at
first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QListWidget, QListWidgetItem, QWidget

from napari_sr._napari.layers.place import layer_stack
from napari_sr._napari.layers.roles import guess_sharper, images_in, is_result
from napari_sr._napari.parts.form import choose, combo, fill, offer
from napari_sr._napari.parts.model_choice import FACTORS
from napari_sr._napari.quality.choice import NO_REFERENCE
from napari_sr.catalogue.lookup import list_cards
from napari_sr.methods.names import METHODS
from napari_sr.metrics.quality import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_sr.evaluation.side_by_side import Named
    from napari_sr.image.stack import Stack

TICKED = ("lanczos", "wiener", "edge-prior", "general-x2", "general-x4")
"""Of the methods, at first; bicubic is always compared."""
_SHOWN = 6
"""Rows of the list of methods."""
_METHOD = Qt.ItemDataRole.UserRole


class CompareChoice(QWidget):
    """Boxes of layers, a factor, and a list of methods to tick.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._is_by_hand = False  # else a recording with a reference is chosen
        self.recording = combo("The recording: one channel; any number of planes.")
        self.reference = combo(
            "What the results should be, in their pixels: a sharper recording, or the "
            "truth of a synthetic sample. Without one, only what needs none is "
            "measured."
        )
        self.factor_box = combo("How many times as many rows and columns.")
        fill(self.factor_box, [(f"×{factor}", factor) for factor in FACTORS])
        self.methods = QListWidget()
        self.methods.setToolTip("Ticked ones are compared, bicubic always with them.")
        self.methods.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self._lay_out()
        self._offer_methods()
        self.recording.currentIndexChanged.connect(self._guess)
        self.recording.activated.connect(self._keep)
        self.factor_box.currentIndexChanged.connect(self._on_factor)
        self.methods.itemChanged.connect(lambda _: self.changed.emit())

    @property
    def factor(self) -> int:
        """Super-resolution factor."""
        return int(self.factor_box.currentData())

    @property
    def named(self) -> list[Named]:
        """Names and options of what is ticked."""
        return [item.data(_METHOD) for item in self._items() if _is_ticked(item)]

    @property
    def is_complete(self) -> bool:
        """Whether there is something to compare."""
        return self.recording.currentData() is not None and bool(self.named)

    def refresh(self) -> None:
        """Offer the layers and models that there are now."""
        images = images_in(self._viewer.layers)
        recorded = [layer for layer in images if not is_result(layer)]
        gone = self.recording.currentData() not in recorded
        with QSignalBlocker(self.recording):
            offer(self.recording, [(layer.name, layer) for layer in recorded])
        if gone or not self._is_by_hand:
            self._is_by_hand = False
            choose(self.recording, self._likely(recorded))
        items = [(layer.name, layer) for layer in images]
        with QSignalBlocker(self.reference):
            offer(self.reference, [(NO_REFERENCE, None), *items])
        self._offer_methods()
        self._guess()

    def stacks(self) -> tuple[Stack, Stack | None]:
        """Give recording and reference.

        Raises
        ------
        StackError
            If a layer cannot be taken, in one sentence.
        """
        reference = self.reference.currentData()
        return (
            layer_stack(self.recording.currentData()),
            None if reference is None else layer_stack(reference),
        )

    def in_order(self) -> list[QWidget]:
        """Give what can be used, from top to bottom."""
        return [self.recording, self.reference, self.factor_box, self.methods]

    def _keep(self, _place: int) -> None:
        """Remember that the user chose the recording."""
        self._is_by_hand = True

    def _likely(self, recorded: Sequence[Image]) -> Image | None:
        """Find a layer of which there is a sharper one, else what is selected."""
        for layer in recorded:
            if guess_sharper(layer, self.factor, recorded):
                return layer
        selected = self._viewer.layers.selection.active
        return selected if selected in recorded else next(iter(recorded), None)

    def _on_factor(self) -> None:
        self._offer_methods()
        self._guess()

    def _guess(self, *_: object) -> None:
        """Choose a reference that fits recording and factor, or none."""
        recording, boxes = self.recording.currentData(), range(self.reference.count())
        layers = [self.reference.itemData(i) for i in boxes][1:]
        guessed = recording and guess_sharper(recording, self.factor, layers)
        choose(self.reference, guessed)
        self.changed.emit()

    def _items(self) -> list[QListWidgetItem]:
        return [self.methods.item(i) for i in range(self.methods.count())]

    def _offer_methods(self) -> None:
        """List what there is for the factor; what was ticked or not stays so."""
        before = {item.text(): _is_ticked(item) for item in self._items()}
        with QSignalBlocker(self.methods):
            self.methods.clear()
            for text, tip, named in _offered(self.factor):
                item = QListWidgetItem(text)
                item.setData(_METHOD, named)
                item.setToolTip(tip)
                item.setFlags(
                    Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable
                )
                ticked = before.get(text, named[0] in TICKED)
                state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
                item.setCheckState(state)
                self.methods.addItem(item)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        titles = ("Recording", "Reference", "Factor", "Methods")
        for title, part in zip(titles, self.in_order(), strict=True):
            form.addRow(title, part)
        rows = _SHOWN * (self.methods.fontMetrics().height() + 5)
        self.methods.setFixedHeight(rows)


def _offered(factor: int) -> Sequence[tuple[str, str, Named]]:
    """Give text, explanation, and name with options; a model's ends are two.

    Those that are ticked at first come first.
    """
    offered: list[tuple[str, str, Named]] = []
    for card in list_cards():
        if card.factor != factor:
            continue
        about = card.description
        dials: list[tuple[str, dict[str, float | str]]] = [("", {})]
        if "textured" in card.digests:
            dials = [(", dial 0", {"dial": 0.0}), (", dial 1", {"dial": 1.0})]
        offered += [(card.name + end, about, (card.name, on)) for end, on in dials]
    offered += [
        (name, method.description, (name, {}))
        for name, method in METHODS.items()
        if name != BASELINE and not method.needs_file
    ]
    return sorted(offered, key=lambda choice: choice[2][0] not in TICKED)


def _is_ticked(item: QListWidgetItem) -> bool:
    return bool(item.checkState() == Qt.CheckState.Checked)

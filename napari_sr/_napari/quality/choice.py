"""What is measured: a result, its recording, and a reference if there is one.

This module alone knows how these three are chosen; what is not chosen is guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_sr._napari.layers.place import layer_stack
from napari_sr._napari.layers.roles import (
    guess_recording,
    guess_reference,
    guess_result,
    images_in,
)
from napari_sr._napari.parts.form import combo, offer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QComboBox

    from napari_sr.image.stack import Stack

NO_REFERENCE = "none"


class QualityChoice(QWidget):
    """Three boxes of layers.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._is_by_hand = False  # else a newer result is chosen when there is one
        self.result = combo("The super-resolved layer.")
        self.recording = combo("What the result was made from.")
        self.reference = combo(
            "What the result should be, in the same pixels: a sharper recording, or "
            "the truth of a synthetic sample. Without one, only what needs none is "
            "measured."
        )
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for name, box in zip(
            ("Result", "Recording", "Reference"), self.in_order(), strict=True
        ):
            form.addRow(name, box)
        self.result.currentIndexChanged.connect(self._guess)
        self.result.activated.connect(self._keep)
        self.recording.currentIndexChanged.connect(lambda _: self.changed.emit())

    @property
    def is_complete(self) -> bool:
        """Whether a result and another layer as its recording are chosen."""
        result, recording = self.result.currentData(), self.recording.currentData()
        return result is not None and recording is not None and result is not recording

    def refresh(self) -> None:
        """Offer the layers that there are now."""
        images = self._images()
        items = [(layer.name, layer) for layer in images]
        gone = self.result.currentData() not in images
        with QSignalBlocker(self.result):
            offer(self.result, items)
        offer(self.recording, items)
        offer(self.reference, [(NO_REFERENCE, None), *items])
        if gone or not self._is_by_hand:
            self._is_by_hand = False
            _choose(self.result, guess_result(images))
        self._guess()

    def stacks(self) -> tuple[Stack, Stack, Stack | None] | None:
        """Give result, recording and reference; None where the first two are not there.

        Raises
        ------
        StackError
            If a layer cannot be taken, in one sentence.
        """
        result, recording, reference = (_stack(box) for box in self.in_order())
        if result is None or recording is None:
            return None
        return result, recording, reference

    def in_order(self) -> tuple[QComboBox, QComboBox, QComboBox]:
        """Give the boxes from top to bottom."""
        return self.result, self.recording, self.reference

    def _images(self) -> list[Image]:
        return images_in(self._viewer.layers)

    def _keep(self, _place: int) -> None:
        """Remember that the user chose the result."""
        self._is_by_hand = True

    def _guess(self, *_: object) -> None:
        """Choose what belongs to the result, as far as it can be told."""
        result, images = self.result.currentData(), self._images()
        if result is not None:
            recording = guess_recording(result, images)
            if recording is not None:
                _choose(self.recording, recording)
            _choose(self.reference, guess_reference(result, images))
        self.changed.emit()


def _stack(box: QComboBox) -> Stack | None:
    layer = box.currentData()
    if layer is None:
        return None
    stack = layer_stack(layer)
    stack.provenance = dict(layer.metadata.get("napari_sr") or {})
    return stack


def _choose(box: QComboBox, layer: Image | None) -> None:
    """Choose a layer, or the entry of none."""
    for place in range(box.count()):
        if box.itemData(place) is layer:
            box.setCurrentIndex(place)

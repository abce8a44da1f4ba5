"""A question before channels that lie along an axis are taken as if they were planes.

napari's own reader puts them there, without a label. This module alone knows what can
be answered, and which layers the user has said hold planes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from qtpy.QtWidgets import QMessageBox, QWidget

from napari_sr._napari.layers.pixel_size import channels_along_an_axis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Image

SPLIT, PLANES, AS_IT_IS = "Split channels", "They are z or time", "Run as it is"
_known: WeakKeyDictionary[Image, tuple[object, int]] = WeakKeyDictionary()
"""Of each layer its pixels, and how many channels they are; 0 where they are planes."""


def may_run(
    layers: Sequence[Image], parent: QWidget, split: Callable[[Image], object]
) -> bool:
    """Tell whether layers can be taken as they are; the user is asked where need be.

    The file of a layer is looked at once, for as long as the pixels are the same.

    Parameters
    ----------
    layers
        Of any reader.
    parent
        Of the question.
    split
        Puts the channels into the place of a layer.
    """
    for layer in layers:
        pixels, n_channels = _known.get(layer, (None, 0))
        if pixels is not layer.data:
            n_channels = channels_along_an_axis(layer)
            _known[layer] = (layer.data, n_channels)
        answer = _ask(layer, n_channels, parent) if n_channels else PLANES
        if answer == SPLIT:
            split(layer)
        if answer == PLANES:
            _known[layer] = (layer.data, 0)
        if answer not in (PLANES, AS_IT_IS):
            return False
    return True


def _ask(layer: Image, n_channels: int, parent: QWidget) -> str:
    """Ask what is to be done; empty where the run is cancelled."""
    box = QMessageBox(parent)
    box.setWindowTitle("Super-resolve")
    box.setText(f"Are these {n_channels} channels?")
    box.setInformativeText(
        f"The file of {layer.name} has {n_channels} channels, and napari's reader has "
        f"put them along one axis. A run would take them for planes of one stack: one "
        f"intensity range and one noise level for all. Split them, or say that they "
        f"are planes of z or time."
    )
    # By the button and not by its text, into which some desktops put an ampersand.
    answers = {
        words: box.addButton(words, QMessageBox.ButtonRole.AcceptRole)
        for words in (SPLIT, PLANES, AS_IT_IS)
    }
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.exec()
    clicked = box.clickedButton()
    return next((words for words, one in answers.items() if one == clicked), "")

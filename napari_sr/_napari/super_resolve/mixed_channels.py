"""A question before channels that lie along an axis are run as if they were planes.

napari's own reader puts them there, without a label. This module alone knows what can
be answered, and which layers the user has said hold planes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from qtpy.QtWidgets import QMessageBox, QWidget

from napari_sr._napari.layers.pixel_size import channels_along_an_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

SPLIT, PLANES, AS_IT_IS = "Split channels", "They are z or time", "Run as it is"


class MixedChannels:
    """Asks once about each layer that may hold channels along an axis.

    Parameters
    ----------
    split
        Puts the channels into the place of a layer.
    """

    def __init__(self, split: Callable[[Image], None]) -> None:
        self._split = split
        self._are_planes: WeakSet[Image] = WeakSet()

    def may_run(self, layer: Image, parent: QWidget) -> bool:
        """Tell whether a layer can be run as it is; the user is asked where need be."""
        n_channels = 0 if layer in self._are_planes else channels_along_an_axis(layer)
        if not n_channels:
            return True
        answer = _ask(layer, n_channels, parent)
        if answer == SPLIT:
            self._split(layer)
        if answer == PLANES:
            self._are_planes.add(layer)
        return answer in (PLANES, AS_IT_IS)


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

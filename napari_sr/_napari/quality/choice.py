"""What is measured: a result, its recording, and a reference if there is one.

This module alone knows how these three are chosen; what is not chosen is guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr._napari.layers.place import as_stack
from napari_sr._napari.layers.roles import images_in
from napari_sr._napari.parts.panel import Choice, Form
from napari_sr.interactive.roles import guess_recording, guess_reference, guess_result

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.image.stack import Stack

NO_REFERENCE = "none"
REFERENCE_TIP = (
    "The ground truth on the pixel grid of the result: a sharper recording, or the "
    "truth of a synthetic sample. Without one, only metrics that need none are "
    "computed."
)


class LayersForm(Form):
    """Chooses among the layers of a viewer.

    Parameters
    ----------
    viewer
        The viewer.
    *choices
        One row for each.
    """

    def __init__(self, viewer: ViewerModel, *choices: Choice) -> None:
        self._viewer = viewer
        self.reference = Choice(
            self._or_none,
            name="reference",
            label="Reference",
            tooltip=REFERENCE_TIP,
        )
        super().__init__(*choices, self.reference)

    def _images(self) -> list[Image]:
        return images_in(self._viewer.layers)

    def _named(self, _widget: object = None) -> list[tuple[str, Image]]:
        return [(layer.name, layer) for layer in self._images()]

    def _or_none(self, _widget: object = None) -> list[tuple[str, object]]:
        return [(NO_REFERENCE, NO_REFERENCE), *self._named()]

    def _guess_reference(self, layer: Image | None) -> None:
        self.reference.offer(NO_REFERENCE if layer is None else layer)


class QualityChoice(LayersForm):
    """Three rows of layers."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.result = Choice(
            self._named,
            otherwise=guess_result,
            name="result",
            label="Result",
            tooltip="The super-resolved layer.",
        )
        self.recording = Choice(
            self._named,
            otherwise=_nothing,
            name="recording",
            label="Recording",
            tooltip="The recording that the result was made from.",
        )
        super().__init__(viewer, self.result, self.recording)
        self.result.changed.connect(self._guess)

    @property
    def is_complete(self) -> bool:
        """Whether a result and another layer as its recording are chosen."""
        result, recording = self.result.value, self.recording.value
        return result is not None and recording is not None and result is not recording

    def reset_choices(self, *_: object) -> None:
        """Offer the layers that there are now; a newer result unless one was chosen."""
        super().reset_choices()
        if not self.result.is_by_hand:
            self.result.offer(guess_result(self._images()))
        self._guess()

    def stacks(self) -> tuple[Stack, Stack, Stack | None]:
        """Give result, recording and reference.

        Raises
        ------
        StackError
            If a layer cannot be taken, in one sentence.
        """
        reference = self.reference.value
        return (
            stack_of(self.result.value),
            stack_of(self.recording.value),
            None if reference == NO_REFERENCE else stack_of(reference),
        )

    def _guess(self, *_: object) -> None:
        """Choose what belongs to the result, as far as that is known."""
        result, images = self.result.value, self._images()
        if result is not None:
            self.recording.offer(guess_recording(result, images))
            self._guess_reference(guess_reference(result, images))


def stack_of(layer: Image) -> Stack:
    """Look at a layer as a stack in its place, with what is said of it."""
    stack = as_stack(layer)
    stack.provenance = dict(layer.metadata.get("napari_sr") or {})
    return stack


def _nothing(_offered: object) -> None:
    """Choose none where none can be guessed."""

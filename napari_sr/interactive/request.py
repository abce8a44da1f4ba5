"""What the user asked for when a layer is super-resolved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sr.cards.model_card import ModelCard
    from napari_sr.image.stack import Stack
    from napari_sr.settings import UpscaleSettings


@dataclass(frozen=True, slots=True)
class UpscaleRequest:
    """What the user asked for; two of them are equal if the pixels would be."""

    stack: Stack
    """The recording, from `as_stack`."""
    model: ModelCard | str
    """The card of a trained model, or the name of an interpolation."""
    factor: int | None
    """For interpolations; None for a trained model, which has its own."""
    settings: UpscaleSettings
    """The same as those of Python and the command line."""
    part: tuple[slice, slice] | None = None
    """Recorded rows and columns, where not all of a plane is to be done."""

    @property
    def in_plane(self) -> UpscaleRequest:
        """The same without finer planes along z, as a preview shows it."""
        settings = self.settings.model_copy(update={"z": None, "factor": None})
        return replace(self, settings=settings)

    @property
    def model_name(self) -> str:
        """A name that the catalogue knows."""
        return self.model if isinstance(self.model, str) else self.model.name

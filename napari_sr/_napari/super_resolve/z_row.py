"""Whether there are to be finer planes along z.

This module alone knows how that is chosen.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from napari_sr._napari.parts.panel import Form, text
from napari_sr._napari.parts.settings_form import Asked, rows_of
from napari_sr.settings import MOST_ALONG_Z, UpscaleSettings

OFF, ISOTROPIC, NUMBER = "off", "isotropic", "a number"
_FIELDS = UpscaleSettings.model_fields


class AlongZ(Asked):
    """What is asked for along z."""

    z: Literal["off", "isotropic", "a number"] = Field("off", title=_FIELDS["z"].title)
    """By the same model. Isotropic: in steps as small as the pixels of the result. Run
    does it; the preview shows the plane."""
    z_planes: float = Field(2.0, ge=1, le=MOST_ALONG_Z, title="Planes for each")
    """Of the result, for each recorded one: 2, 3.5, ..."""
    z_alone: bool = Field(False, title="Keep the pixel size in the plane")
    """Finer along z alone: the result has the pixels of the recording."""


class ZRow(Form):
    """Offers finer planes along z, and to leave the plane as it is."""

    def __init__(self) -> None:
        rows = rows_of(AlongZ)
        self.kind, self.planes, self.alone = rows.values()
        self.voxel = text(name="voxel")
        super().__init__(self.kind, self.planes, self.alone, self.voxel, name="along_z")
        self._has_z = False
        self.kind.changed.connect(self._show_rows)
        self.offer(False)

    @property
    def values(self) -> dict[str, Any]:
        """What is chosen, as `UpscaleSettings` has it."""
        z = {ISOTROPIC: ISOTROPIC, NUMBER: self.planes.value}.get(self.kind.value)
        if not self._has_z or z in (None, 1):
            return {}
        return {"z": z, "factor": 1 if self.alone.value else None}

    def offer(self, has_z: bool) -> None:
        """Offer it for a stack that may have an axis z."""
        self._has_z = has_z
        self._show_rows()

    def say(self, about: str) -> None:
        """Say what comes of it."""
        self.voxel.value = about
        self.show_row(self.voxel, self._has_z and bool(about))

    def _show_rows(self, *_: object) -> None:
        self.show_row(self.kind, self._has_z)
        self.show_row(self.planes, self._has_z and self.kind.value == NUMBER)
        self.show_row(self.alone, self._has_z and self.kind.value != OFF)
        self.say("" if not self._has_z else self.voxel.value)

"""Whether there are to be finer planes along z, and how large a voxel is then.

This module alone knows how that is chosen, and what is said of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from napari_sr._napari.layers.pixel_size import size_in_words
from napari_sr._napari.parts.panel import Form, text
from napari_sr._napari.parts.settings_form import Asked, rows_of
from napari_sr.image.stack import StackError
from napari_sr.settings import MOST_ALONG_Z, UpscaleSettings

if TYPE_CHECKING:
    from napari_sr.image.stack import Stack

OFF, ISOTROPIC, NUMBER = "off", "isotropic", "a number"
_FIELDS = UpscaleSettings.model_fields
_NOT_AT_ALL = 1.01
"""Planes for each recorded one below which a voxel is as good as isotropic."""


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


def voxel_in_words(stack: Stack, factor: int, settings: UpscaleSettings) -> str:
    """Say how large a voxel is before and after; or what z would do where it is off.

    It loads torch, and is to be called in a thread.

    Parameters
    ----------
    stack
        The recording.
    factor
        Of the model, in the plane.
    settings
        What is asked for.
    """
    from napari_sr.upscaling.plan import planes_along_z

    names = [axis.name for axis in stack.axes[:-2]]
    if not names:
        return ""
    place = names.index("z") if "z" in names else len(names) - 1
    asked = settings.z is not None
    wanted = settings if asked else settings.model_copy(update={"z": ISOTROPIC})
    try:
        ratio = planes_along_z(stack, factor, wanted)
    except StackError as error:
        return str(error) if asked else ""
    before = [stack.axes[place], *stack.axes[-2:]]
    if not asked:
        return (
            f"If only the plane becomes finer, voxels of {size_in_words(before)} "
            f"become {ratio:.3g} times as long as wide."
            if ratio > _NOT_AT_ALL
            else ""
        )
    fine = settings.factor or factor
    after = [
        axis.upscaled(by) for axis, by in zip(before, (ratio, fine, fine), strict=True)
    ]
    return f"{size_in_words(before)} → {size_in_words(after)}"

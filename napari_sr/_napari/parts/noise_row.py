"""How much noise to remove.

This module alone knows how a level of noise is chosen, and when it can be.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from magicgui.widgets import FloatSpinBox

from napari_sr._napari.parts.panel import Choice, Form
from napari_sr.image.intensity import NoiseLevel
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    from collections.abc import Callable

AUTO, NONE, GIVEN = "auto", "none", "given"
_MOST = 1e9
_LEVEL = {
    "gain": "Variance per count: photon noise.",
    "read": "Standard deviation without light, in counts.",
    "offset": "Counts without light: the detector's dark level.",
    "correlation": "Pixels by which the noise was blurred, as in reconstructed, "
    "registered or resized stacks; 0: white noise.",
}
_ABOUT = str(UpscaleSettings.model_fields["noise"].description).replace("`", "")


class NoiseRow(Form):
    """Offers to estimate the noise, to keep it, or to give its level.

    Parameters
    ----------
    found
        Gives the level that was found last, with which a given one begins; None where
        none was found yet.
    """

    def __init__(self, found: Callable[[], NoiseLevel | None] = lambda: None) -> None:
        self._found = found
        self.kind = Choice([AUTO, NONE, GIVEN], name="kind", label="Noise")
        self.level = {
            field.name: FloatSpinBox(
                name=field.name,
                label=field.name.capitalize(),
                tooltip=_LEVEL[field.name],
                min=-_MOST if field.name == "offset" else 0,
                max=_MOST,
                step=0.001,
            )
            for field in fields(NoiseLevel)
        }
        super().__init__(self.kind, *self.level.values(), name="noise")
        for row in self.level.values():
            row.native.setKeyboardTracking(False)
            row.native.setSingleStep(1)
        self.kind.changed.connect(self._on_kind)
        self.show_told(True)

    @property
    def value(self) -> Literal["auto"] | NoiseLevel:
        """As `UpscaleSettings` has it; it can be set to the same, and to 0."""
        if not self.kind.enabled or self.kind.value == AUTO:
            return "auto"
        if self.kind.value == NONE:
            return NoiseLevel()
        return NoiseLevel(**{name: row.value for name, row in self.level.items()})

    @value.setter
    def value(self, value: Any) -> None:  # noqa: ANN401
        noise = UpscaleSettings(noise=value).noise
        if isinstance(noise, str):
            self.kind.value = AUTO
        else:
            self.kind.value = GIVEN
            self._show(noise)

    def show_told(self, is_told: bool) -> None:
        """Let a level be chosen for a model that is told the noise."""
        self.kind.enabled = is_told
        self.kind.tooltip = (
            f"{_ABOUT} A given level begins with what was found in the last preview or "
            f"run."
            if is_told
            else "This model is not told the noise, so it cannot remove a given level."
        )
        self._show_rows()

    def _on_kind(self) -> None:
        found = self._found()
        if self.kind.value == GIVEN and found and self.value == NoiseLevel():
            self._show(found)
        self._show_rows()

    def _show(self, noise: NoiseLevel) -> None:
        for name, row in self.level.items():
            row.value = getattr(noise, name)

    def _show_rows(self) -> None:
        is_given = self.kind.value == GIVEN and self.kind.enabled
        for row in self.level.values():
            self.show_row(row, is_given)

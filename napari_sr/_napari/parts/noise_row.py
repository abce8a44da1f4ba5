"""How much noise to remove.

This module alone knows how a level of noise is chosen, and when it can be.
"""

from __future__ import annotations

from dataclasses import fields
from math import floor, log10
from typing import TYPE_CHECKING, Any, Literal

from magicgui.widgets import FloatSlider, FloatSpinBox, Widget

from napari_sr._napari.parts.panel import Choice, Form, button
from napari_sr.image.intensity import NoiseLevel
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sr.interactive.prepared import FoundNoise

AUTO, NONE, GIVEN = "auto", "none", "given"
_MOST, _DECIMALS = 1e9, 3
_TIMES = 4
"""As much noise as was found can be removed, at most, by the slider."""
_LEVEL = {
    "gain": "Variance per count: photon noise.",
    "read": "Standard deviation without light, in counts.",
    "offset": "Counts without light: the detector's dark level.",
    "correlation": (
        "Correlation length of the noise in pixels, as in reconstructed, registered "
        "or resized stacks; 0: white noise."
    ),
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

    def __init__(self, found: Callable[[], FoundNoise | None] = lambda: None) -> None:
        self._look_up = found
        self._found: FoundNoise | None = None
        self.strength = FloatSlider(
            name="strength",
            label="Noise σ",
            tooltip=(
                "Standard deviation of the noise to remove, in counts, at medium "
                "signal. The estimate is used until you drag the slider; the preview "
                "follows."
            ),
        )
        self.auto_button = button("Back to auto", self.remove_what_is_found)
        self.kind = Choice([AUTO, NONE, GIVEN], name="kind", label="Noise")
        self.level = {
            field.name: FloatSpinBox(
                name=field.name,
                label=field.name.capitalize(),
                tooltip=_LEVEL[field.name],
                min=-_MOST if field.name == "offset" else 0,
                max=_MOST,
                step=10**-_DECIMALS,
            )
            for field in fields(NoiseLevel)
        }
        rows = (self.kind, self.strength, self.auto_button, *self.level.values())
        super().__init__(*rows, name="noise")
        for row in self.level.values():
            row.native.setKeyboardTracking(False)
            row.native.setSingleStep(1)
            row.changed.connect(self._show_strength)
        self.kind.changed.connect(self._on_kind)
        self.strength.changed.connect(self._on_strength)
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
        """Let a level be chosen for a noise-conditioned model."""
        self.kind.enabled = is_told
        self.kind.tooltip = (
            f"{_ABOUT} A given level starts from the estimate of the last preview or "
            "run."
            if is_told
            else (
                "This model is not noise-conditioned, so it cannot remove a given "
                "noise level."
            )
        )
        self._show_rows()

    def show_found(self) -> None:
        """Show what was found since, as a number that can be dragged."""
        found = self._look_up()
        most = _TIMES * found.strength_of(found.level) if found else 0
        found = found if most else None
        if found == self._found:
            return
        self._found = found
        if found is not None:
            with self.strength.changed.blocked():
                self.strength.min, self.strength.max = 0, most
                self.strength.step = 10 ** floor(log10(most)) / 100
        self._show_strength()
        self._show_rows()

    def _on_kind(self) -> None:
        found = self._look_up()
        if self.kind.value == GIVEN and found and self.value == NoiseLevel():
            self._show(found.level)
        self._show_strength()
        self._show_rows()

    def _on_strength(self, strength: float) -> None:
        """Give a level, of the kind of noise that was found."""
        if self._found is not None:
            with self.changed.blocked():
                self.kind.value = GIVEN
                self._show(self._found.as_strong_as(strength))

    def remove_what_is_found(self) -> None:
        """Remove the noise that is found, as before."""
        self.kind.value = AUTO

    def _show(self, noise: NoiseLevel) -> None:
        for name, row in self.level.items():
            value = getattr(noise, name)
            order = floor(log10(abs(value))) if value else 0
            row.native.setDecimals(max(_DECIMALS, _DECIMALS - order))
            with row.changed.blocked():
                row.value = value
        self.changed.emit(self)

    def _show_strength(self) -> None:
        """Let the slider say how strong the noise is that is removed."""
        found, value = self._found, self.value
        if found is not None:
            level = found.level if isinstance(value, str) else value
            with self.strength.changed.blocked():
                most = self.strength.max
                self.strength.value = min(found.strength_of(level), most)

    def _show_rows(self) -> None:
        is_told, kind = self.kind.enabled, self.kind.value
        given: tuple[Widget, ...] = (self.auto_button, *self.level.values())
        for row in given:
            self.show_row(row, is_told and kind == GIVEN)
        has_found = self._found is not None
        self.show_row(self.strength, is_told and has_found and kind != NONE)

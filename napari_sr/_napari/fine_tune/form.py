"""What to train, and for how long.

This module alone knows what is offered there, and what is folded away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from napari_sr._napari.parts.model_choice import ModelChoice
from napari_sr._napari.parts.panel import Form
from napari_sr._napari.parts.preferences import preferences
from napari_sr._napari.parts.remembered import SUPER_RESOLVE, recall
from napari_sr._napari.parts.settings_form import Asked, SettingsForm, others, rows_of
from napari_sr.interactive.fine_tuning import propose_name
from napari_sr.settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sr.cards.model_card import ModelCard

MINUTES = 5.0
GIVEN = (
    *("factor", "architecture", "arguments", "instrument", "learning_rate", "batch"),
    *("iterations", "validate_every", "patience", "adversarial", "minutes", "drops"),
    *("schedule", "adam_betas"),
)
"""Settings that have no row of their own: the base, the images, the time and the box
for texture say what they are, or they mean little without one of those."""


class NewModel(Asked):
    """What is asked for beside the base."""

    minutes: float = Field(MINUTES, ge=0.1)
    """Time to spend. You can stop earlier and keep the best."""
    model_name: str = Field("", title="Name")
    """What the new model is called where models are chosen."""
    texture: bool = Field(False, title="Then learn texture")
    """After the faithful stage, learn texture that looks real (adversarial), at some
    cost in faithfulness. The dial of the model then mixes both."""


class TrainingForm(Form):
    """Chooses base, time, stages and name."""

    def __init__(self) -> None:
        self._proposed = ""
        tip = "The model to start from; best one for similar images."
        self.base = ModelChoice(label="Base", methods=(), name="base", tooltip=tip)
        asked = rows_of(NewModel)
        self.minutes, self.model_name, self.texture = asked.values()
        self.more = SettingsForm(TrainingSettings, others(TrainingSettings, GIVEN))
        self.device = self.more.rows["device"]
        super().__init__(self.base, self.minutes, self.model_name, self.texture)
        self.device.offer(preferences().device)
        self.base.changed.connect(self._propose_name)
        self._propose_name()

    @property
    def card(self) -> ModelCard | None:
        """Of the base that is chosen."""
        card = self.base.model
        return None if isinstance(card, str) else card

    def further_settings(self) -> dict[str, Any]:
        """Give what is not as by default, as fields of `TrainingSettings`."""
        return {k: v for k, v in self.more.values.items() if k != "device"}

    def choices(self) -> dict[str, Any]:
        """Give what is remembered for the next time."""
        names = ("base", "minutes", "texture", "device")
        return {name: getattr(self, name).value for name in names}

    def restore(self, choices: Mapping[str, Any]) -> None:
        """Choose what was remembered, where it is still offered.

        Else the model that is super-resolved with is the base, if it is a trained one.
        """
        self.base.offer(choices.get("base", recall(SUPER_RESOLVE).get("model")))
        self.device.offer(choices.get("device"))
        minutes = choices.get("minutes", MINUTES)
        self.minutes.value = minutes if isinstance(minutes, int | float) else MINUTES
        self.texture.value = choices.get("texture") is True

    def _propose_name(self, *_: object) -> None:
        """Propose a name, unless the user has chosen one."""
        if self.model_name.value != self._proposed:
            return
        name = propose_name(self.base.value, self.base.choices)
        self.model_name.value = self._proposed = name

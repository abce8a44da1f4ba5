"""The widget part in which it is chosen what to train, and for how long.

This module alone knows what is offered there, and what is folded away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.parts.form import combo
from napari_sr._napari.parts.preferences import DEVICES, preferences
from napari_sr._napari.parts.remembered import SUPER_RESOLVE, recall
from napari_sr._napari.parts.section import Section
from napari_sr.catalogue.lookup import FOR_ALL_KINDS, list_cards
from napari_sr.settings import TrainingSettings
from napari_sr.training.unsaved import unsaved_trainings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sr.cards.model_card import ModelCard

MINUTES = 5.0


class TrainingForm(QWidget):
    """Chooses base, time, stages and name."""

    base_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: dict[str, ModelCard] = {}
        self.base = combo("The model to start from; one for similar images is best.")
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, 10_000)
        self.minutes.setDecimals(1)
        self.minutes.setSuffix(" minutes")
        self.minutes.setValue(MINUTES)
        self.minutes.setToolTip(
            "Time to spend. You can stop earlier and keep the best."
        )
        self.texture = QCheckBox("Then learn texture (adversarial)")
        self.texture.setToolTip(
            "After the faithful stage, learn texture that looks real, at some cost in "
            "faithfulness. The dial of the model then mixes both."
        )
        self.name = QLineEdit()
        self.name.setToolTip("What the new model is called where models are chosen.")
        self.device = combo("auto takes a GPU where there is one.")
        self.device.addItems(DEVICES)
        self.device.setCurrentText(preferences().device)
        self.seed = QSpinBox()
        self.seed.setMaximum(2**31 - 1)
        self.seed.setToolTip("Another number draws other patches and noise.")
        self._lay_out()
        self.refresh()
        self.base.currentIndexChanged.connect(self._base_was_chosen)
        self._propose_name()

    def _lay_out(self) -> None:
        form, more = QFormLayout(), QFormLayout()
        for rows in (form, more):
            rows.setContentsMargins(0, 0, 0, 0)
            rows.setFieldGrowthPolicy(
                QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
            )
        form.addRow("Base", self.base)
        form.addRow("Time", self.minutes)
        form.addRow("Name", self.name)
        form.addRow(self.texture)
        more.addRow("Device", self.device)
        more.addRow("Seed", self.seed)
        folded = QWidget()
        folded.setLayout(more)
        self.more = Section("More", folded, is_open=False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addWidget(self.more)

    @property
    def card(self) -> ModelCard | None:
        """Of the base that is chosen."""
        return self._cards.get(self.base.currentText())

    def refresh(self) -> None:
        """Offer the models that there are now; what was chosen stays chosen."""
        self._cards = {card.name: card for card in list_cards()}
        chosen = self.base.currentText()
        self.base.blockSignals(True)
        self.base.clear()
        self.base.addItems(list(self._cards))
        place = self.base.findText(chosen or FOR_ALL_KINDS)
        self.base.setCurrentIndex(max(0, place))
        self.base.blockSignals(False)
        if self.base.currentText() != chosen:
            self.base_changed.emit()

    def further_settings(self) -> dict[str, Any]:
        """Give what differs from the defaults, as fields of `TrainingSettings`."""
        seed = self.seed.value()
        default = TrainingSettings.model_fields["seed"].default
        return {} if seed == default else {"seed": seed}

    def choices(self) -> dict[str, Any]:
        """Give what is remembered for the next time."""
        return {
            "base": self.base.currentText(),
            "minutes": self.minutes.value(),
            "texture": self.texture.isChecked(),
            "device": self.device.currentText(),
        }

    def restore(self, choices: Mapping[str, Any]) -> None:
        """Choose what was remembered, where it is still offered.

        Else the model that is super-resolved with is the base, if it is a trained one.
        """
        in_use = recall(SUPER_RESOLVE).get("model")
        for box, wanted in (
            (self.base, choices.get("base", in_use)),
            (self.device, choices.get("device")),
        ):
            place = box.findText(str(wanted))
            box.setCurrentIndex(place if place >= 0 else box.currentIndex())
        minutes = choices.get("minutes", MINUTES)
        self.minutes.setValue(minutes if isinstance(minutes, int | float) else MINUTES)
        self.texture.setChecked(choices.get("texture") is True)

    def _base_was_chosen(self) -> None:
        self._propose_name()
        self.base_changed.emit()

    def _propose_name(self) -> None:
        """Propose a name, unless the user has chosen one."""
        if self.name.isModified():
            return
        base = self.base.currentText()
        number, name = 1, f"my {base}"
        taken = {
            *self._cards,
            *(training.recipe.name for training in unsaved_trainings()),
        }
        while name in taken:
            number += 1
            name = f"my {base} {number}"
        self.name.setText(name if base else "")

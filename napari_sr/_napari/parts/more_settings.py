"""Rows for the settings that a form does not draw itself.

This module alone makes a row from a field of a settings type, so that a new setting
appears without a line of code in any form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from magicgui.widgets import create_widget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_sr._napari.parts.section import Section

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_BOUNDS = {"ge": "min", "gt": "min", "le": "max", "lt": "max"}


class MoreSettings(Section):
    """A folded section with a row for each setting that has none yet.

    Parameters
    ----------
    settings
        The type whose fields are rows.
    drawn
        Names of those that the form draws itself.
    """

    changed = Signal()

    def __init__(self, settings: type[BaseModel], drawn: Collection[str]) -> None:
        fields = settings.model_fields.items()
        self.rows = {
            name: _row_of(name, field) for name, field in fields if name not in drawn
        }
        self._defaults = {name: row.value for name, row in self.rows.items()}
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for row in self.rows.values():
            form.addRow(row.label, row.native)
            row.changed.connect(lambda: self.changed.emit())
        super().__init__("More settings", content, is_open=False)

    @property
    def values(self) -> dict[str, object]:
        """What is chosen, by name; what is left as it was is not among it."""
        return {
            name: _typed(row.value)
            for name, row in self.rows.items()
            if row.value != self._defaults[name]
        }

    def in_order(self) -> list[QWidget]:
        """List what can be used, from top to bottom."""
        return [self.toggleButton(), *(row.native for row in self.rows.values())]


def _row_of(name: str, field: FieldInfo) -> ValueWidget:
    """Make a row: a choice, a number, a tick, or a line of text for all else."""
    annotation: Any = field.annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    options: dict[str, Any] = {"tooltip": (field.description or "").replace("`", "")}
    default = field.default
    if annotation in (int, float):
        for bound in field.metadata:
            for word, option in _BOUNDS.items():
                if hasattr(bound, word):
                    options[option] = getattr(bound, word)
        options["step"] = 1 if annotation is int else 0.05
    elif get_origin(annotation) is not Literal and annotation is not bool:
        is_pair = any(get_origin(kind) is tuple for kind in kinds)
        annotation, default = str, "" if default is None else str(default)
        options["tooltip"] += " Numbers with ; between them." if is_pair else ""
    label = field.title or name.replace("_", " ").capitalize()
    row = create_widget(default, annotation, name=name, label=label, options=options)
    assert isinstance(row, ValueWidget)
    return row


def _typed(value: object) -> object:
    """Split numbers that were typed; the settings check them."""
    if isinstance(value, str) and ";" in value:
        return tuple(part.strip() for part in value.split(";"))
    return value

"""Rows made from the fields of a settings type, or of what only a panel asks for.

This module alone makes a row from a field: its choices, its range and its explanation
are the field's own, so that a new setting appears without a line of code in any panel.
"""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from magicgui.widgets import (
    CheckBox,
    FloatSlider,
    FloatSpinBox,
    LineEdit,
    SpinBox,
)
from magicgui.widgets.bases import ValueWidget
from pydantic import BaseModel, ConfigDict
from qtpy.QtWidgets import QSizePolicy, QSlider

from napari_sr._napari.parts.numbers import as_typed
from napari_sr._napari.parts.panel import Choice, Form
from napari_sr.interactive.prepared import DEVICES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

_BOUNDS = {"ge": "min", "gt": "min", "le": "max", "lt": "max"}
_MOST = 1e9
AUTO = "auto"


class Asked(BaseModel):
    """What a panel asks for beside the settings: a field for each row."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class RoundingSlider(FloatSlider):
    """A slider whose values have as many decimals as its box shows.

    Parameters
    ----------
    n_decimals
        Of a value. A press of an arrow key moves by five of the last one, and a click
        beside the handle by ten.
    **options
        As for `FloatSlider`.
    """

    def __init__(self, n_decimals: int, **options: Any) -> None:  # noqa: ANN401
        self._n_decimals = n_decimals
        super().__init__(step=10**-n_decimals, **options)
        # magicgui leaves the large step at ten of a million.
        slider = self.native.findChild(QSlider)
        slider.setPageStep(10 * slider.singleStep())
        slider.setSingleStep(5 * slider.singleStep())

    def get_value(self) -> float:
        """Give what is shown."""
        return round(super().get_value(), self._n_decimals)


class SettingsForm(Form):
    """A row for each of some fields of a settings type.

    Parameters
    ----------
    settings
        The type.
    names
        Of the fields, in order.
    """

    def __init__(self, settings: type[BaseModel], names: Iterable[str]) -> None:
        fields = settings.model_fields
        self.rows: dict[str, Any] = {name: row_of(name, fields[name]) for name in names}
        self._defaults = {name: row.value for name, row in self.rows.items()}
        self._kinds = {name: _kinds_of(fields[name]) for name in self.rows}
        super().__init__(*self.rows.values())

    @property
    def values(self) -> dict[str, object]:
        """What is chosen, by name; what is left as it was is not among it."""
        return {
            name: _typed(row.value, self._kinds[name])
            for name, row in self.rows.items()
            if row.value != self._defaults[name]
        }


def rows_of(settings: type[BaseModel]) -> dict[str, Any]:
    """Make a row for each field, by its name."""
    return {name: row_of(name, each) for name, each in settings.model_fields.items()}


def others(settings: type[BaseModel], drawn: Iterable[str]) -> list[str]:
    """Name the fields of a settings type that a panel has not drawn."""
    return [name for name in settings.model_fields if name not in drawn]


def row_of(name: str, field: FieldInfo) -> ValueWidget[Any]:
    """Make a row: a choice, a slider, a number, a tick, or text for all else.

    Parameters
    ----------
    name
        Of the field, and of the row.
    field
        Of a settings type.
    """
    kinds, default = _kinds_of(field), field.get_default(call_default_factory=True)
    options: dict[str, Any] = {
        "name": name,
        "label": field.title or name.replace("_", " ").capitalize(),
        "tooltip": (field.description or "").replace("`", ""),
    }
    row: Any
    if name == "device":
        row = Choice([*DEVICES], **options)
    elif all(get_origin(kind) is Literal for kind in kinds):
        offered = [(str(one), one) for kind in kinds for one in get_args(kind)]
        row = Choice([("–", "")] * (default is None) + offered, **options)
        row.offer(default)
    elif kinds == [bool]:
        row = CheckBox(value=bool(default), text=options.pop("label"), **options)
    elif kinds[0] in (int, float) and (len(kinds) == 1 or default == AUTO):
        row = _number_row(field, kinds, default, options)
    else:
        is_pair = any(get_origin(kind) is tuple for kind in kinds)
        options["tooltip"] += " Numbers with ; between them." if is_pair else ""
        row = LineEdit(value="" if default is None else str(default), **options)
        row.native.setPlaceholderText("".join(field.examples or ()))
    row.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return row  # type: ignore[no-any-return]


def _number_row(
    field: FieldInfo,
    kinds: list[Any],
    default: Any,  # noqa: ANN401
    options: dict[str, Any],
) -> ValueWidget[Any]:
    """Make a slider where there are two bounds, else a box; auto is the lowest."""
    bounds = {
        option: getattr(bound, word)
        for bound in field.metadata
        for word, option in _BOUNDS.items()
        if hasattr(bound, word)
    }
    if kinds == [float] and len(bounds) == 2:
        n_decimals = max(2, len(f"{default or 0:g}".partition(".")[2]))
        options |= bounds
        return RoundingSlider(n_decimals, value=default or 0.0, **options)
    is_auto = default == AUTO
    bounds = {"min": 0 if is_auto else -_MOST, "max": _MOST} | bounds
    bounds["max"] = min(bounds["max"], 2**31 - 1)
    value = default or 0 if not is_auto else 0
    step = 1 if kinds[0] is int else min(0.05, 10 ** floor(log10(value or 1)) / 10)
    # Of these two only the box of floats can show a word for its lowest value.
    box: Any = FloatSpinBox if is_auto or kinds[0] is float else SpinBox
    row = box(value=value, step=step, **bounds, **options)
    if is_auto:
        row.native.setDecimals(0)
        row.native.setSpecialValueText(AUTO)
    row.native.setKeyboardTracking(False)
    return row  # type: ignore[no-any-return]


def _kinds_of(field: FieldInfo) -> list[Any]:
    """Give the alternatives of a field's type, without None."""
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal or not get_args(annotation):
        return [annotation]
    if get_origin(annotation) in (tuple, dict, list):
        return [annotation]
    return [kind for kind in get_args(annotation) if kind is not type(None)]


def _typed(value: object, kinds: list[Any]) -> object:
    """Split numbers that were typed; the settings check them."""
    if isinstance(value, str) and ";" in value:
        return tuple(as_typed(part) for part in value.split(";"))
    if isinstance(value, str) and float in kinds:
        return as_typed(value)
    if len(kinds) > 1 and get_args(kinds[-1]) == (AUTO,):
        return int(value) or AUTO  # type: ignore[call-overload]
    return value

"""What a user chose last, for the next time.

This module alone knows where it is kept: in Qt's place for settings of a user.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPER_RESOLVE = "super_resolve"
"""The widget that super-resolves: others begin with the model in use there."""


def remember(widget: str, choices: Mapping[str, Any]) -> None:
    """Keep the choices of a widget: anything that JSON can hold."""
    _settings().setValue(widget, json.dumps(dict(choices)))


def recall(widget: str) -> dict[str, Any]:
    """Give the choices that were kept last, or none."""
    try:
        recalled = json.loads(str(_settings().value(widget, "{}")))
    except json.JSONDecodeError:
        return {}
    return recalled if isinstance(recalled, dict) else {}


def _settings() -> QSettings:
    return QSettings(
        QSettings.Format.IniFormat, QSettings.Scope.UserScope, "napari-sr", "widgets"
    )

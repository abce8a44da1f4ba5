"""What the user chose last time.

This module alone knows where choices are kept between sessions: in a small file of the
plugin's own, where Qt keeps such files.
"""

from __future__ import annotations

from qtpy.QtCore import QSettings


def _settings() -> QSettings:
    # The same kind of file on each system: it can be found, read, and moved in tests.
    kind, scope = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    return QSettings(kind, scope, "napari-sr", "napari-sr")


def remember(widget: str, **choices: str) -> None:
    """Keep what was chosen.

    Parameters
    ----------
    widget
        Whose choices they are.
    **choices
        Name → what was chosen.
    """
    settings = _settings()
    for name, choice in choices.items():
        settings.setValue(f"{widget}/{name}", choice)


def remembered(widget: str, name: str, default: str) -> str:
    """Give what was chosen last time, or the default.

    Parameters
    ----------
    widget, name
        As in `remember`.
    default
        For the first time.
    """
    return str(_settings().value(f"{widget}/{name}", default))

"""What the user prefers, from napari's Preferences.

This module alone reads them. Older versions of napari have no Preferences for plugins;
there the defaults hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.catalogue.lookup import prefer_model_folder
from napari_sr.files.formats import COMPRESSIONS
from napari_sr.settings import SHARE_OF_MEMORY, UpscaleSettings

if TYPE_CHECKING:
    from napari.settings._plugin_settings import PluginSettings


@dataclass(frozen=True, slots=True)
class Preferences:
    """What holds where nothing else was chosen."""

    device: str = "auto"
    share_of_memory: float = SHARE_OF_MEMORY
    model_folder: Path | None = None
    """For the user's own models; None: the system's place."""
    compression: str = COMPRESSIONS[0]


def preferences() -> Preferences:
    """Read what the user prefers now."""
    settings = _settings()
    if settings is None:
        return Preferences()
    folder = settings.files.model_folder.strip()
    return Preferences(
        device=settings.computing.device,
        share_of_memory=settings.computing.share_of_memory,
        model_folder=Path(folder).expanduser() if folder else None,
        compression=settings.files.compression,
    )


def preferred_settings(**options: object) -> UpscaleSettings:
    """Gather settings for a run: the preferred ones, where no option says otherwise.

    Parameters
    ----------
    **options
        Fields of `UpscaleSettings`.
    """
    preferred = preferences()
    return UpscaleSettings.model_validate(
        {
            "device": preferred.device,
            "share_of_memory": preferred.share_of_memory,
            **options,
        }
    )


def follow_preferences() -> None:
    """Put the preferred model folder into effect, now and whenever it is changed."""
    settings = _settings()
    if settings is not None:
        settings.files.events.model_folder.connect(_use_model_folder)
    _use_model_folder()


def _use_model_folder(_event: object = None) -> None:
    from napari_sr._napari.parts.model_choice import refresh_pickers

    prefer_model_folder(preferences().model_folder)
    refresh_pickers()


def _settings() -> PluginSettings | None:
    """Give napari's settings of this plugin; None where it keeps none."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9
        return None
    try:
        return get_plugin_settings("napari-sr")
    except KeyError:  # the plugin is used without being installed in napari
        return None

"""What this user has said may be run: files of models that hold code, by their digests.

This module alone remembers it, in a folder of the user's own and not beside the models:
whoever can write a model folder, which a lab may share, could say there what they like.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs


def config_folder() -> Path:
    """Folder for what the user has decided: NAPARI_SR_CONFIG, or the system's place."""
    chosen = os.environ.get("NAPARI_SR_CONFIG")
    return Path(chosen) if chosen else platformdirs.user_config_path("napari-sr", False)


def remember_trust(content: bytes, name: str) -> None:
    """Remember that the user trusts a file.

    Parameters
    ----------
    content
        All of it; another file of the same name is not trusted.
    name
        Of the file, for people who look at what is remembered.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    note = _note_of(content)
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    note.write_text(f"{name}\n", "utf-8")


def forget_trust(content: bytes) -> None:
    """Trust a file no more."""
    _note_of(content).unlink(missing_ok=True)


def is_trusted(content: bytes) -> bool:
    """Say whether this user, and not another one, has trusted a file."""
    try:
        owner = _note_of(content).stat().st_uid
    except OSError:
        return False
    return not hasattr(os, "getuid") or owner == os.getuid()


def _note_of(content: bytes) -> Path:
    return config_folder() / "trusted" / hashlib.sha256(content).hexdigest()

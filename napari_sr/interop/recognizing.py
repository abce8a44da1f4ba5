"""Which files hold third-party networks; nothing of them is loaded for that."""

from __future__ import annotations

import os
from pathlib import Path

CHECKPOINTS = (".pth", ".pt", ".ckpt", ".tar")
DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml", "model.yaml")
"""Names of the description in a package of bioimage.io, the first found counts."""
ARCHIVE, DESCRIBED = ".zip", (".yaml", ".yml")


def is_package(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a package of bioimage.io, its folder or description."""
    path = Path(path)
    if path.is_dir():
        return any((path / name).is_file() for name in DESCRIPTIONS)
    return path.suffix.lower() in (ARCHIVE, *DESCRIBED)


def is_foreign(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of a third-party network."""
    return os.fspath(path).lower().endswith(CHECKPOINTS) or is_package(path)

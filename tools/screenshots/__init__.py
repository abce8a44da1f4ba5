"""The pictures of the documentation, in napari as it is when it is new."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

if "napari" not in sys.modules:  # which looks only once where its settings are
    _folder = TemporaryDirectory()
    os.environ["NAPARI_CONFIG"] = str(Path(_folder.name) / "settings.yaml")

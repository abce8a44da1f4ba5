"""Super-resolution of 16-bit X-ray and microscopy stacks.

This module alone knows the public names. Each is resolved on first use, so that
importing the package (or asking the command line for help) loads neither torch nor
napari nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sr.assessing import assess
    from napari_sr.assessment import Assessment
    from napari_sr.batching import upscale_file, upscale_files
    from napari_sr.card import ModelCard, ModelFormatError
    from napari_sr.catalogue import list_models, load_model
    from napari_sr.files import open_stack
    from napari_sr.finetuning import finetune, settings_for, train
    from napari_sr.instrument_estimation import estimate_instrument
    from napari_sr.intensity import IntensityRange, NoiseLevel
    from napari_sr.lazily import upscale
    from napari_sr.model import SRModel, save_model
    from napari_sr.report import write_report
    from napari_sr.session import Training
    from napari_sr.settings import (
        AdversarialSettings,
        TrainingSettings,
        UpscaleSettings,
    )
    from napari_sr.stack import Axis, Stack, StackError
    from napari_sr.uncertainty import upscale_with_interval
    from napari_sr.upscaling import upscale_planes

__version__ = "0.1.0"

__all__ = [
    "AdversarialSettings",
    "Assessment",
    "Axis",
    "IntensityRange",
    "ModelCard",
    "ModelFormatError",
    "NoiseLevel",
    "SRModel",
    "Stack",
    "StackError",
    "Training",
    "TrainingSettings",
    "UpscaleSettings",
    "__version__",
    "assess",
    "estimate_instrument",
    "finetune",
    "list_models",
    "load_model",
    "open_stack",
    "save_model",
    "settings_for",
    "train",
    "upscale",
    "upscale_file",
    "upscale_files",
    "upscale_planes",
    "upscale_with_interval",
    "write_report",
]

_ROOM_OF = {
    "AdversarialSettings": "settings",
    "Assessment": "assessment",
    "Axis": "stack",
    "IntensityRange": "intensity",
    "ModelCard": "card",
    "ModelFormatError": "card",
    "NoiseLevel": "intensity",
    "SRModel": "model",
    "Stack": "stack",
    "StackError": "stack",
    "Training": "session",
    "TrainingSettings": "settings",
    "UpscaleSettings": "settings",
    "assess": "assessing",
    "estimate_instrument": "instrument_estimation",
    "finetune": "finetuning",
    "list_models": "catalogue",
    "load_model": "catalogue",
    "open_stack": "files",
    "save_model": "model",
    "settings_for": "finetuning",
    "train": "finetuning",
    "upscale": "lazily",
    "upscale_file": "batching",
    "upscale_files": "batching",
    "upscale_planes": "upscaling",
    "upscale_with_interval": "uncertainty",
    "write_report": "report",
}


def __getattr__(name: str) -> object:
    """Resolve a public name to the room that holds it."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, resolved or not."""
    return sorted(__all__)

"""Super-resolution of 16-bit X-ray and microscopy stacks.

This module alone knows the public names. Each is resolved on first use, so that
importing the package (or asking the command line for help) loads neither torch nor
napari nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_sr._version import __version__

if TYPE_CHECKING:
    from napari_sr.cards.model_card import ModelCard, ModelFormatError
    from napari_sr.catalogue.lookup import list_models, load_model
    from napari_sr.files import open_channels, open_stack
    from napari_sr.image.intensity import IntensityRange, NoiseLevel
    from napari_sr.image.stack import Axis, Stack, StackError
    from napari_sr.instrument.estimation import estimate_instrument
    from napari_sr.models.sr_model import SRModel, save_model
    from napari_sr.runs.one_file import upscale_file, upscale_files
    from napari_sr.settings import (
        AdversarialSettings,
        TrainingSettings,
        UpscaleSettings,
    )
    from napari_sr.training.presets import finetune, settings_for, train
    from napari_sr.training.session import Training
    from napari_sr.trust.assessment import Assessment
    from napari_sr.trust.flow import assess
    from napari_sr.trust.report import write_report
    from napari_sr.trust.uncertainty import upscale_with_interval
    from napari_sr.upscaling.dask_arrays import upscale
    from napari_sr.upscaling.flow import (
        BlurAlongZWarning,
        PixelTypeWarning,
        upscale_planes,
    )

__all__ = [
    "AdversarialSettings",
    "Assessment",
    "Axis",
    "BlurAlongZWarning",
    "IntensityRange",
    "ModelCard",
    "ModelFormatError",
    "NoiseLevel",
    "PixelTypeWarning",
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
    "open_channels",
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
    "Assessment": "trust.assessment",
    "Axis": "image.stack",
    "IntensityRange": "image.intensity",
    "ModelCard": "cards.model_card",
    "ModelFormatError": "cards.model_card",
    "NoiseLevel": "image.intensity",
    "SRModel": "models.sr_model",
    "Stack": "image.stack",
    "StackError": "image.stack",
    "Training": "training.session",
    "TrainingSettings": "settings",
    "UpscaleSettings": "settings",
    "assess": "trust.flow",
    "estimate_instrument": "instrument.estimation",
    "finetune": "training.presets",
    "list_models": "catalogue.lookup",
    "load_model": "catalogue.lookup",
    "open_channels": "files",
    "open_stack": "files",
    "save_model": "models.sr_model",
    "settings_for": "training.presets",
    "train": "training.presets",
    "upscale": "upscaling.dask_arrays",
    "upscale_file": "runs.one_file",
    "upscale_files": "runs.one_file",
    "BlurAlongZWarning": "upscaling.flow",
    "PixelTypeWarning": "upscaling.flow",
    "upscale_planes": "upscaling.flow",
    "upscale_with_interval": "trust.uncertainty",
    "write_report": "trust.report",
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

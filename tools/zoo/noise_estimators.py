"""Train what answers `noise="auto"`: one for all shipped models of a factor.

    python -m tools.zoo.noise_estimators --data DIR --factors 2 4

Noise is told from texture best by what has seen many textures and all kinds of noise,
so images of all domains are taken, whatever a model itself was trained for.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import torch

from benchmarks.accuracy.evaluate import shipped
from benchmarks.accuracy.real_images import add_data_argument, training_images
from napari_sr.catalogue.lookup import SHIPPED
from napari_sr.instrument.ranges import Correlation, Defects, Instrument, Jpeg
from napari_sr.models.sr_model import SRModel, save_model
from napari_sr.settings import TrainingSettings
from napari_sr.training.auxiliary.noise_estimator import train_noise_estimator

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

N_RECORDINGS, N_EPOCHS = 120_000, 12
RATHER_MORE = {2: -1.0, 4: 0.4}
"""What lost least against the level given, on calibrate images: at ×2 fine texture that
is taken for noise costs more, at ×4 blurred noise that is left."""


def settings_for(factor: int) -> TrainingSettings:
    """Say which recordings are learnt from."""
    instrument = Instrument(
        psf_sigma=(0.0, factor / 2),
        share_point=0.5,
        read=(0.001, 0.12),
        share_clean=0.35,
        share_read=0.8,
        correlation=Correlation(share=0.5, sampled=(0, 1), share_ramp=0.2),
        defects=Defects(share=0.05, bad_pixels=(0, 0.005), stripes=(0, 0.05)),
        jpeg=Jpeg(share=0.05),
    )
    return TrainingSettings(factor=factor, instrument=instrument, seed=factor)


def trained_for(factor: int, root: Path) -> dict[str, Tensor]:
    """Train the estimator of a factor; give its weights."""
    everything = training_images(root, None, smallest=96)
    return train_noise_estimator(
        *everything,
        settings_for(factor),
        N_RECORDINGS,
        N_EPOCHS,
        RATHER_MORE.get(factor, 0.0),
    ).state_dict()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--threads", type=int)
    add_data_argument(parser)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for factor in arguments.factors:
        weights = trained_for(factor, arguments.data)
        for model in shipped():
            if model.factor == factor and "noise_estimator" in model.weights:
                parts = {**model.weights, "noise_estimator": weights}
                path = SHIPPED / f"{model.name}.safetensors"
                print(save_model(SRModel(model.card, parts), path), flush=True)


if __name__ == "__main__":
    main()

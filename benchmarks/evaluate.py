"""Measure shipped models on real test images, beside bicubic.

    python -m benchmarks.evaluate --data DIR [--models NAME …] [--write]

Every sharp test image of the model's domain is recorded (binned, with noise of 1000,
200 and 50 photons at white or none), super-resolved by the whole upscaling flow with
the noise given and with `noise="auto"`, and compared with the sharp image: means over
the images of a dataset, then over datasets. `--write` puts the figures into the card.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

import napari_sr as sr
from benchmarks.real_images import (
    BLACK,
    BORDER,
    DATA_RANGE,
    add_data_argument,
    recorded,
    rows_of,
    sharp_planes,
)
from napari_sr.card import Figure
from napari_sr.catalogue import SHIPPED
from napari_sr.metrics import psnr, ssim
from napari_sr.model import SRModel, save_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SCALE = {"data_range": DATA_RANGE, "border": BORDER}
PHOTONS = (None, 1000, 200, 50)
PROTOCOL = (
    "Sharp test images scaled to 1,000 … 21,000 counts (0.1 and 99.9 percentiles), "
    "binned by the factor, photon noise at the stated photons per 20,000 counts, "
    "uint16; data range 20,000 counts, outer 8 pixels left out; means over the images "
    "of each dataset. Noise given: the true level. Noise auto: estimated."
)


def measure(model: SRModel, root: Path) -> list[Figure]:
    """Measure one model on the test role of its domain."""
    values: dict[tuple[str, float | None, str], list[tuple[float, float]]]
    values = defaultdict(list)
    domain = None if model.domain == "general" else model.domain
    for row in rows_of(root, "test", domain):
        for sharp in sharp_planes(root, row):
            for photons in PHOTONS:
                heights = row.domain == "topography"
                low = recorded(sharp, model.factor, photons, heights=heights)
                for method, result in results_of(low, photons, heights, model):
                    values[row.dataset, photons, method].append(
                        (psnr(result, sharp, **SCALE), ssim(result, sharp, **SCALE))
                    )
    return [
        Figure(
            dataset=dataset,
            photons=photons,
            method=method,
            n_images=len(pairs),
            psnr=round(float(np.mean([psnr for psnr, _ in pairs])), 3),
            ssim=round(float(np.mean([ssim for _, ssim in pairs])), 4),
        )
        for (dataset, photons, method), pairs in values.items()
    ]


def results_of(
    low: NDArray, photons: float | None, heights: bool, model: SRModel
) -> Iterator[tuple[str, NDArray]]:
    """Super-resolve a recording in every way that is compared."""
    level = noise_of(photons, heights)
    bicubic = sr.load_model("bicubic", factor=model.factor)
    yield "bicubic", sr.upscale(low, bicubic, dtype="float32")
    yield "given", sr.upscale(low, model, noise=level, dtype="float32")
    yield "auto", sr.upscale(low, model, dtype="float32")


def noise_of(photons: float | None, heights: bool = False) -> sr.NoiseLevel:
    """Tell the noise level of a recording that `recorded` made."""
    if photons is None:
        return sr.NoiseLevel()
    gain = DATA_RANGE / photons
    if heights:
        return sr.NoiseLevel(read=(gain * DATA_RANGE / 2) ** 0.5)
    return sr.NoiseLevel(gain=gain, offset=BLACK)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--write", action="store_true", help="into the model's card")
    add_data_argument(parser)
    arguments = parser.parse_args()
    names = arguments.models or [path.stem for path in SHIPPED.glob("*.safetensors")]
    for name in names:
        model = sr.load_model(name)
        assert isinstance(model, SRModel)
        figures = tuple(measure(model, arguments.data))
        card = model.card.model_copy(
            update={"quality": figures, "quality_protocol": PROTOCOL}
        )
        print(f"## {name}\n\n{PROTOCOL}\n\n{card.quality_table()}\n")
        if arguments.write:
            save_model(SRModel(card, model.weights), SHIPPED / f"{name}.safetensors")


if __name__ == "__main__":
    main()

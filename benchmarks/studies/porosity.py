"""What micro-CT users measure, before and after: shares of phases, and histograms.

    python -m benchmarks.studies.porosity --data DIR [--model general-x2]

The X-ray test images, and foam that the model was not trained on, are recorded in three
ways and super-resolved, noise given. Each picture is parted by its own threshold of
Otsu; of bright matter, one minus the share is the porosity. Histograms are compared
with that of the sharp image by the earth mover's distance. The table goes to
`benchmarks/results/trust/porosity.md`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import wasserstein_distance

import napari_sr as sr
from benchmarks.accuracy.evaluate import specimens
from benchmarks.accuracy.real_images import add_data_argument
from napari_sr.evaluation.protocol import DATA_RANGE, noise_of, on_scale, recorded
from napari_sr.metrics import bright_share
from napari_sr.metrics.quality import as_markdown
from napari_sr.models.sr_model import SRModel
from napari_sr.phantoms import make_phantom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PHOTONS = (None, 200.0, 50.0)
SEEDS = (900, 901, 902)
"""Of foam; those of training images are others."""
RESULTS = Path("benchmarks/results/trust/porosity.md")
HEAD = [
    *("image", "recorded", "picture"),
    *("above its threshold", "off by", "histogram off by"),
]


def images(root: Path) -> Iterator[tuple[str, NDArray]]:
    """Give sharp images with a name each, sides divisible by eight."""
    found = [
        (f"{one.dataset}", one.sharp) for _, one in specimens(root, "xray", "test")
    ]
    for seed in SEEDS:
        truth = make_phantom("foam", n_planes=1, size=512, seed=seed).truth
        plane = truth.reshape(truth.shape[-2:]).astype(np.float32)
        found.append((f"foam {seed}", on_scale(plane)))
    for name, sharp in found:
        height, width = (side - side % 8 for side in sharp.shape)
        yield name, sharp[:height, :width]


def rows_for(name: str, sharp: NDArray, model: SRModel) -> Iterator[list[str]]:
    """Measure one image in all recordings."""
    truth, _ = bright_share(sharp)
    bicubic = sr.load_model("bicubic", factor=model.factor)
    for photons in PHOTONS:
        low = recorded(sharp, model.factor, photons)
        pictures = {
            "recording": low,
            "bicubic": sr.upscale(low, bicubic),
            "dial 0": sr.upscale(low, model.at_dial(0.0), noise=noise_of(photons)),
        }
        if "textured" in model.weights:
            told = {"noise": noise_of(photons)}
            pictures[f"dial {model.dial:g}"] = sr.upscale(low, model, **told)
        recording = "clean" if photons is None else f"{photons:g} photons"
        for title, picture in pictures.items():
            share, _ = bright_share(picture)
            apart = wasserstein_distance(picture.ravel(), sharp.ravel()) / DATA_RANGE
            cells = f"{share:.2%}", f"{100 * (share - truth):+.2f}", f"{apart:.2%}"
            yield [name, recording, title, *cells]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="general-x2")
    add_data_argument(parser)
    arguments = parser.parse_args()
    model = sr.load_model(arguments.model)
    assert isinstance(model, SRModel)
    rows: list[list[str]] = []
    for name, sharp in images(arguments.data):
        share, _ = bright_share(sharp)
        rows.append([name, "sharp", "itself", f"{share:.2%}", "–", "–"])
        rows += rows_for(name, sharp, model)
    text = (
        "# Shares of phases before and after super-resolution\n\n"
        f"    python -m benchmarks.studies.porosity --data DIR --model {model.name}\n\n"
        "Shares are found with each picture's own threshold of Otsu; off by:\n"
        "percentage points from the sharp image. Histograms: earth mover's distance\n"
        "from that of the sharp image, in per cent of the data range.\n\n"
        f"{as_markdown(HEAD, rows)}\n"
    )
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Draw what ×4 models make of test images, for docs/pictures.md.

    python -m benchmarks.accuracy.pictures --data DIR

One picture for each scene: a flat field at 50 photons, and test images of four kinds at
200 photons. Super-resolved are parts of 512 px; shown are closer crops, all of a scene
in one range of grey. Below stand PSNR and lattice of the whole part.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.accuracy.evaluate import shipped
from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr.evaluation.baselines import baselines
from napari_sr.evaluation.protocol import (
    BLACK,
    BORDER,
    DATA_RANGE,
    FLAT_SIDE,
    WHITE,
    noise_of,
    recorded,
    way_at,
)
from napari_sr.metrics.descriptions import FIGURES, as_text
from napari_sr.metrics.quality import BASELINE, measure
from napari_sr.trust.report.drawing import show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.evaluation.baselines import Method
    from napari_sr.models.sr_model import SRModel

FACTOR, SIDE, CLOSE_UP = 4, 512, 96
GENERAL, SRGAN = "general-x4", "srgan-x4"
BELOW = ("psnr", "lattice")
FOLDER = Path("docs/images")
COLUMNS, INCHES, DPI = 4, 2.4, 110
FLAT_HALF = 1500.0
"""Counts from the middle to white where there is nothing to be seen."""


class Scene(NamedTuple):
    """What is recorded and where it is looked at closely."""

    name: str
    file: str
    """Of the test images; empty for a flat field."""
    photons: float
    part: tuple[int, int]
    """First row and column of the part, in pixels of the file."""
    close_up: tuple[int, int]
    """First row and column of the crop, in pixels of the part."""


SCENES = (
    Scene("flat-field", "", 50.0, (0, 0), (208, 208)),
    Scene("fluorescence", "fluorescence/bns_fluo/images_Osteosarcoma_01_c0.tif",
          200.0, (300, 400), (120, 340)),
    Scene("em", "em/fibsem_medulla_validation/grayscale_maps_iso.03882.tif",
          200.0, (0, 0), (200, 200)),
    Scene("ct", "xray/sandstone_versa_microct/Train_images_Sandstone_Versa0250.tif",
          200.0, (240, 240), (200, 200)),
    Scene("mammogram", "xray/cbis_ddsm/sfm-malign-0_0.tif",
          200.0, (400, 24), (250, 100)),
)  # fmt: skip


def sharp_part(scene: Scene, root: Path) -> NDArray:
    """Give the sharp part of a scene in counts."""
    if not scene.file:
        side = FACTOR * FLAT_SIDE
        return np.full((side, side), (BLACK + WHITE) / 2, np.float32)
    (row,) = (row for row in rows_of(root, "test") if row.file == scene.file)
    top, left = scene.part
    return next(sharp_planes(root, row))[top : top + SIDE, left : left + SIDE]


def methods_of(general: SRModel, srgan: SRModel, *, is_flat: bool) -> dict[str, Method]:
    """Name what stands beside the truth: each dial once."""
    known = (BLACK, WHITE) if is_flat else None
    found = {BASELINE: baselines(FACTOR)[BASELINE]}
    dials = [(general, d) for d in sorted({general.card.recommended_dial, 1.0})]
    dials += [(srgan, d) for d in sorted({0.0, srgan.card.recommended_dial, 1.0})]
    for model, dial in dials:
        is_recommended = dial == model.card.recommended_dial
        name = f"{model.name}, dial {dial:g}{', recommended' * is_recommended}"
        placed = model.at_dial(dial)
        found[name] = way_at(placed, known, is_told="noise" in model.conditions)
    return found


def draw(scene: Scene, sharp: NDArray, methods: dict[str, Method]) -> Figure:
    """Draw the whole part, then the crop of recording, truth and every result."""
    low = recorded(sharp, FACTOR, scene.photons)
    results = {name: one(low, noise_of(scene.photons)) for name, one in methods.items()}
    top, left = scene.close_up
    crop = slice(top, top + CLOSE_UP), slice(left, left + CLOSE_UP)
    coarse = tuple(slice(one.start // FACTOR, one.stop // FACTOR) for one in crop)
    black, white = _greys(sharp[crop])
    rows = -(-(len(results) + 3) // COLUMNS)
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(
            (INCHES * COLUMNS, (INCHES + 0.55) * rows), layout="constrained"
        )
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        show(axes[0], sharp, "gray", *_greys(sharp))
        corner = (left - 0.5, top - 0.5)
        box = Rectangle(corner, CLOSE_UP, CLOSE_UP, fill=False, color="#f59e0b")
        axes[0].add_patch(box)
        axes[0].set_title("truth, and where\nit is enlarged")
        axes[0].set_xlabel(f"crops: {black:,.0f} to {white:,.0f} counts")
        show(axes[1], low[coarse], "gray", black, white)
        axes[1].set_title(f"recorded\n{scene.photons:g} photons")
        for place, (name, picture) in zip(
            axes[2:], {"truth": sharp, **results}.items(), strict=False
        ):
            show(place, picture[crop], "gray", black, white)
            place.set_title(name.replace(", ", "\n", 1))
            place.set_xlabel(_figures_of(picture, sharp, low))
        for place in axes[len(results) + 3 :]:
            place.set_axis_off()
    return figure


def _greys(truth: NDArray) -> tuple[float, float]:
    """Find the counts that are black and white; of a flat field, around its own."""
    black, white = np.percentile(truth, (0.3, 99.7)).tolist()
    return (black, white) if black < white else (black - FLAT_HALF, white + FLAT_HALF)


def _figures_of(picture: NDArray, sharp: NDArray, low: NDArray) -> str:
    quality = measure(picture, sharp, low, data_range=DATA_RANGE, border=BORDER)
    shown = [name for name in BELOW if np.isfinite(getattr(quality, name))]
    return ", ".join(
        f"{FIGURES[name].title} {as_text(name, getattr(quality, name))}"
        for name in shown
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_argument(parser)
    arguments = parser.parse_args()
    general, srgan = shipped([GENERAL, SRGAN])
    FOLDER.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        methods = methods_of(general, srgan, is_flat=not scene.file)
        figure = draw(scene, sharp_part(scene, arguments.data), methods)
        path = FOLDER / f"{scene.name}.png"
        figure.savefig(path, dpi=DPI, metadata={"Software": "napari-sr"})
        print(path)


if __name__ == "__main__":
    main()

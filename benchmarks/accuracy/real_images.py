"""Real sharp images with a fixed split, and the one way in which figures are taken.

The images are not part of the project: a folder with `INDEX.csv`, `split.csv` and the
files they name is given on the command line or in the environment variable
NAPARI_SR_DATA.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from napari_sr.evaluation.protocol import BLACK, DATA_RANGE, on_scale, recorded
from napari_sr.image.sampling import binned
from napari_sr.phantoms import make_phantom

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "BLACK",
    "DATA_RANGE",
    "Row",
    "add_data_argument",
    "binned",
    "recorded",
    "rows_of",
    "sharp_planes",
    "training_images",
]


@dataclass(frozen=True, slots=True)
class Row:
    """One image of the split."""

    file: str
    dataset: str
    domain: str
    licence: str
    source: str
    usable_as_target: bool
    group: str = ""
    """What belongs together: slices of one volume, channels of one field."""


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where the images are."""
    default = os.environ.get("NAPARI_SR_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(default) if default else None,
        required=default is None,
        help="folder with INDEX.csv and split.csv (default: NAPARI_SR_DATA)",
    )


LEAKS = (
    "brightfield/cp_worms/"
    "images_101210OranePlt1_C16_w1__9AA4D9EA-18E4-4354-8C7D-0202029A8048_.tif",
)
"""Test images that judge nothing: the split has another channel of their field among
those to learn from (found by `benchmarks.accuracy.leaks`)."""


def rows_of(root: Path, role: str, domain: str | None = None) -> list[Row]:
    """List the images with one role of the split, all domains or one."""
    with (root / "INDEX.csv").open(newline="") as file:
        index = {row["file"]: row for row in csv.DictReader(file)}
    with (root / "split.csv").open(newline="") as file:
        return [
            Row(
                file=row["file"],
                dataset=row["dataset"],
                domain=row["modality"],
                licence=index[row["file"]]["licence"],
                source=index[row["file"]]["source_repo"],
                usable_as_target=not row["exclude_as_target"],
                group=f"{row['dataset']}/{row['group']}",
            )
            for row in csv.DictReader(file)
            if row["role"] == role
            and domain in (None, row["modality"])
            and not (role == "test" and row["file"] in LEAKS)
        ]


def sharp_planes(root: Path, row: Row) -> Iterator[NDArray]:
    """Read the sharp planes of a file in counts, on the scale of all figures.

    Yields
    ------
    ndarray
        `(y, x)` float32; 0.1 and 99.9 percentiles at `BLACK` and `WHITE`; sides are
        multiples of 4.
    """
    image = tifffile.imread(root / row.file).astype(np.float32)
    for plane in image.reshape(-1, *image.shape[-2:]):
        prepared = _levelled(plane) if row.domain == "topography" else plane
        if row.dataset.startswith("biosr_sim"):
            prepared = binned(prepared, 2)  # stored oversampled about two times
        yield on_scale(prepared)


def phantoms_for(domain: str | None) -> Iterator[tuple[str, int, NDArray]]:
    """Draw the phantoms of a domain: name, seed, sharp plane `(y, x)` without noise."""
    for name in PHANTOMS.get(domain or "", ()):
        for seed in range(100, 100 + N_PHANTOMS):
            truth = make_phantom(name, n_planes=1, size=512, seed=seed).truth
            yield name, seed, truth.reshape(truth.shape[-2:]).astype(np.float32)


def _levelled(plane: NDArray) -> NDArray:
    """Fill gaps with the median and subtract the best plane."""
    filled = np.where(np.isfinite(plane), plane, np.nanmedian(plane))
    y, x = np.indices(filled.shape, dtype=np.float64)
    terms = np.stack([np.ones(y.size), y.ravel(), x.ravel()], axis=1)
    coefficients = np.linalg.lstsq(terms, filled.ravel(), rcond=None)[0]
    return (filled - (terms @ coefficients).reshape(filled.shape)).astype(np.float32)


PHANTOMS = {"xray": ("foam", "mammogram")}
"""Synthetic specimens that complement a domain of which there are few images."""
N_PHANTOMS = 6


def training_images(
    root: Path, domain: str | None, *, smallest: int
) -> tuple[list[NDArray], list[float]]:
    """Gather sharp training planes in network units, and how often to draw each.

    Each image stands twice: as it is, and binned 2 × 2, where its own noise is halved.
    Datasets are drawn as the square root of their pixels. Where there are few images,
    phantoms stand beside them.
    """
    gathered: list[tuple[str, NDArray]] = []
    for row in rows_of(root, "train", domain):
        if not row.usable_as_target:
            continue
        for plane in sharp_planes(root, row):
            network = (plane - BLACK) / DATA_RANGE
            for image in (network, binned(network, 2)):
                if min(image.shape) >= smallest:
                    gathered.append((row.dataset, image))
    for name, _, plane in phantoms_for(domain):
        gathered.append((name, (on_scale(plane) - BLACK) / DATA_RANGE))
    pixels: dict[str, float] = {}
    for dataset, image in gathered:
        pixels[dataset] = pixels.get(dataset, 0) + image.size
    weights = [image.size / pixels[name] ** 0.5 for name, image in gathered]
    return [image for _, image in gathered], weights

"""Retrieval from a bank of neighbouring slices, and from one of something else.

    python -m benchmarks.studies.retrieval --data DIR [--n 3] [--slices DIR] [--write]

Test slices of two volumes of electron microscopy are recorded (as all figures of this
package are taken) and super-resolved with the other test slices of that volume as the
bank, and with images of other specimens, the other volume among them, as the bank; the
base is bicubic or the faithful general model. Slices of the one (C. elegans) follow
each other; of the other (FIB-SEM) every fourth is there: `--slices` takes a folder of
its slices that follow each other (iso.03898.png and on, from the repository that
INDEX.csv names). The share of the variance of detail that the next slice explains says
how much there is to be gained. A volume of foam, drawn by this package, stands beside
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch
from skimage.io import imread

import napari_sr as sr
from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr.evaluation.protocol import (
    BORDER,
    DATA_RANGE,
    noise_of,
    on_scale,
    recorded,
)
from napari_sr.image.sampling import binned
from napari_sr.methods.bank import write_bank
from napari_sr.metrics import psnr
from napari_sr.metrics.quality import as_markdown
from napari_sr.networks.resampling import resample
from napari_sr.phantoms import make_phantom
from napari_sr.upscaling.progress import run_to_end

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACTOR, LARGEST = 2, 384
VOLUMES = {
    "neubias_em": "C. elegans",
    "fibsem_medulla_validation": "FIB-SEM, every fourth",
}
OTHERS = ("biosr_sim_factin", "bbbc039_u2os_hoechst", "cp_examplefly")
RESULTS = Path("benchmarks/results/retrieval.md")
HEAD = ("volume", "recorded", "base", "base/dB", "neighbours", "others", "explained")


def detail(sharp: NDArray) -> NDArray:
    """Give what bicubic interpolation of a recording lacks, without the border."""
    low = torch.from_numpy(binned(sharp, FACTOR).astype(np.float32))[None, None]
    lacking = sharp - resample(low, FACTOR, "bicubic")[0, 0].numpy()
    found: NDArray = lacking[BORDER:-BORDER, BORDER:-BORDER]
    return found


def bank_of(planes: list[NDArray], folder: Path, name: str) -> Path:
    """Write images and index them."""
    files = []
    for number, plane in enumerate(planes):
        files.append(folder / f"{name}{number}.tif")
        counts = np.clip(np.rint(plane), 0, 65_535).astype(np.uint16)
        tifffile.imwrite(files[-1], counts)
    run_to_end(write_bank(files, folder / f"{name}.npz"))
    return folder / f"{name}.npz"


def measured(
    name: str, volume: list[NDArray], others: list[NDArray], n: int
) -> list[list[str]]:
    """Measure slices of one volume; means over `n` of them."""
    rows = []
    chosen = range(1, len(volume) - 1, max(1, (len(volume) - 2) // n))[:n]
    bases = {
        "bicubic": sr.load_model("bicubic", factor=FACTOR),
        "general-x2, faithful": sr.load_model("general-x2").at_dial(0.0),
    }
    for photons in (None, 200.0):
        for base_name, base in bases.items():
            found = []
            for number in chosen:
                found.append(_one(volume, number, others, base, photons))
            alone, near, far, explained = np.mean(found, axis=0)
            rows.append(
                [
                    name,
                    "clean" if photons is None else f"{photons:g} photons",
                    base_name,
                    f"{alone:.2f}",
                    f"{near - alone:+.2f}",
                    f"{far - alone:+.2f}",
                    f"{explained:.1%}",
                ]
            )
            print(*rows[-1], flush=True)
    return rows


def _one(
    volume: list[NDArray],
    number: int,
    others: list[NDArray],
    base: object,
    photons: float | None,
) -> list[float]:
    from napari_sr.methods.retrieval import Retrieval

    truth = volume[number][:LARGEST, :LARGEST]
    rest = volume[:number] + volume[number + 1 :]
    low = recorded(truth, FACTOR, photons)
    told = "noise" in base.conditions
    noise = noise_of(photons) if told else "auto"

    def quality(upscaler: object) -> float:
        result = sr.upscale(low, upscaler, dtype="float32", device="cpu", noise=noise)  # type: ignore[arg-type]
        return psnr(result, truth, data_range=DATA_RANGE, border=BORDER)

    with TemporaryDirectory() as folder:
        near = bank_of(rest, Path(folder), "near")
        far = bank_of(others, Path(folder), "far")
        values = [
            quality(base),
            *(
                quality(Retrieval(FACTOR, bank=str(bank), base=base))  # type: ignore[arg-type]
                for bank in (near, far)
            ),
        ]
    nearest = volume[number + 1][:LARGEST, :LARGEST]
    likeness = np.corrcoef(detail(truth).ravel(), detail(nearest).ravel())[0, 1]
    return [*values, float(likeness**2)]


def slices_of(root: Path, dataset: str) -> list[NDArray]:
    """Give the test slices of a volume, in order."""
    rows = sorted(rows_of(root, "test", "em"), key=lambda row: row.file)
    chosen = (row for row in rows if row.dataset == dataset)
    return [next(iter(sharp_planes(root, row))) for row in chosen]


def first_of(root: Path, dataset: str) -> NDArray:
    """Give the first training image of a dataset."""
    row = next(row for row in rows_of(root, "train") if row.dataset == dataset)
    return next(iter(sharp_planes(root, row)))


def foam() -> list[NDArray]:
    """Draw neighbouring slices of foam, without noise."""
    truth = make_phantom("foam", n_planes=6, size=256, seed=7).truth
    return [on_scale(plane) for plane in truth]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=3, help="slices of each volume")
    parser.add_argument("--slices", type=Path)
    parser.add_argument("--write", action="store_true")
    add_data_argument(parser)
    arguments = parser.parse_args()
    volumes = {
        name: slices_of(arguments.data, dataset) for dataset, name in VOLUMES.items()
    }
    others = [first_of(arguments.data, dataset) for dataset in OTHERS]
    elegans, fibsem = volumes.values()
    foreign = dict(zip(volumes, (others + fibsem, others + elegans), strict=True))
    if arguments.slices:
        files = sorted(arguments.slices.iterdir())
        volumes["FIB-SEM, every one"] = [on_scale(imread(file)) for file in files]
        foreign["FIB-SEM, every one"] = others + elegans
    volumes["foam (phantom)"], foreign["foam (phantom)"] = foam(), others
    table = [
        row
        for name, volume in volumes.items()
        for row in measured(name, volume, foreign[name], arguments.n)
    ]
    text = (
        f"Means over at most {arguments.n} slices, factor {FACTOR}. Gains over the "
        "base in dB with a bank of the other slices, and of other specimens. "
        "Explained: share of the variance of detail that the next slice explains.\n\n"
        f"{as_markdown(HEAD, table)}\n"
    )
    print(text)
    if arguments.write:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

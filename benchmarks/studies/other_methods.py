"""The other methods of the article beside each other, on real test images.

    python -m benchmarks.studies.other_methods --data DIR [--models FILE …] [--write]

Of every dataset of fluorescence, electron microscopy and X-ray, one test image (its
middle, at most 192 pixels a side) is recorded as all figures of this package are taken
and super-resolved by each method. The example of `exemplar` is the first usable
training image of the same dataset, or of the same domain. Beside PSNR and SSIM stand
the error to the truth and the disagreement with the recording, both in counts (HR-RMS
and LR-RMS, as Tai et al. report them), and how steep the steepest twentieth of the
truth's edges is in the result. `--write` puts the table into benchmarks/results.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import tifffile

import napari_sr as sr
from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr import metrics
from napari_sr.evaluation.protocol import BORDER, DATA_RANGE, noise_of, recorded
from napari_sr.image.sampling import binned
from napari_sr.metrics.quality import as_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.models.upscaler import Upscaler

    Method = Callable[[NDArray, NoiseLevel], NDArray]

DOMAINS = ("fluorescence", "em", "xray")
PHOTONS = (None, 200.0)
LARGEST = 192
RESULTS = Path("benchmarks/results/other_methods")
HEAD = (
    "recorded",
    "method",
    "PSNR/dB",
    "SSIM",
    "HR-RMS",
    "LR-RMS",
    "steepness of edges",
    "spectrum error",
)


def sharp_images(
    root: Path, role: str, factor: int
) -> Iterator[tuple[str, str, NDArray]]:
    """Give one image of each dataset: domain, dataset, its middle in counts."""
    seen = set()
    for domain in DOMAINS:
        for row in rows_of(root, role, domain):
            if row.dataset in seen or not row.usable_as_target:
                continue
            sharp = next(iter(sharp_planes(root, row)))
            if min(sharp.shape) < 128:
                continue
            seen.add(row.dataset)
            sides = [
                min(side, LARGEST) // (4 * factor) * 4 * factor for side in sharp.shape
            ]
            starts = [
                (whole - side) // 2
                for whole, side in zip(sharp.shape, sides, strict=True)
            ]
            rows, columns = (
                slice(start, start + side)
                for start, side in zip(starts, sides, strict=True)
            )
            yield domain, row.dataset, sharp[rows, columns]


def steepness(result: NDArray, truth: NDArray) -> float:
    """Compare gradients where those of the truth are among the steepest twentieth."""
    inside = (slice(BORDER, -BORDER),) * 2
    found, wanted = (np.hypot(*np.gradient(image))[inside] for image in (result, truth))
    edges = wanted > np.percentile(wanted, 95)
    return float(found[edges].mean() / wanted[edges].mean())


def figures(result: NDArray, truth: NDArray, low: NDArray, factor: int) -> list[float]:
    """Take all figures of one result."""

    def whole(metric: Callable[..., float]) -> float:
        return metric(result, truth, data_range=DATA_RANGE, border=BORDER)

    inside = (slice(BORDER, -BORDER),) * 2
    coarse = (slice(BORDER // factor, -(BORDER // factor)),) * 2
    return [
        whole(metrics.psnr),
        whole(metrics.ssim),
        float(np.sqrt(np.mean((result - truth)[inside] ** 2))),
        float(np.sqrt(np.mean((binned(result, factor) - low)[coarse] ** 2))),
        steepness(result, truth),
        metrics.spectrum_error(result, truth, factor, border=BORDER),
    ]


def by(upscaler: Upscaler) -> Method:
    """Super-resolve by the whole flow; who can be told the noise is told it."""
    told = "noise" in upscaler.conditions
    return lambda low, noise: sr.upscale(
        low, upscaler, dtype="float32", device="cpu", noise=noise if told else "auto"
    )


def methods(factor: int, example: Path, files: list[str]) -> dict[str, Method]:
    """Load everything that is compared."""
    general = sr.load_model(f"general-x{factor}")
    return {
        "bicubic": by(sr.load_model("bicubic", factor=factor)),
        "lanczos": by(sr.load_model("lanczos", factor=factor)),
        "back-projection alone": by(
            sr.load_model("edge-prior", factor=factor, strength=0.0)
        ),
        "edge-prior": by(sr.load_model("edge-prior", factor=factor)),
        "exemplar": by(sr.load_model("exemplar", factor=factor, example=str(example))),
        **{Path(file).stem: by(sr.load_model(file)) for file in files},
        **{
            f"{Path(file).stem}, eightfold": by(sr.load_model(file, n_views=8))
            for file in files
            if "scn" in Path(file).stem
        },
        f"general-x{factor}, faithful": by(general.at_dial(0.0)),
    }


def measured(root: Path, factor: int, files: list[str]) -> str:
    """Measure all methods; write the table of the means over the datasets."""
    examples = {name: image for _, name, image in sharp_images(root, "train", factor)}
    of_domain = {
        domain: image for domain, _, image in sharp_images(root, "train", factor)
    }
    found: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    names = []
    with TemporaryDirectory() as folder:
        for domain, dataset, truth in sharp_images(root, "test", factor):
            example = Path(folder) / f"{dataset}.tif"
            sharp = examples.get(dataset, of_domain[domain])
            tifffile.imwrite(
                example, np.clip(np.rint(sharp), 0, 65_535).astype(np.uint16)
            )
            compared = methods(factor, example, files)
            names.append(dataset)
            for photons in PHOTONS:
                low = recorded(truth, factor, photons)
                for name, method in compared.items():
                    result = method(low, noise_of(photons))
                    how = "clean" if photons is None else f"{photons:g} photons"
                    found[how, name].append(figures(result, truth, low, factor))
            print(dataset, flush=True)
    rows = []
    for (how, name), many in found.items():
        psnr, ssim, high, low_rms, steep, spectrum = np.mean(many, axis=0)
        rows.append(
            [
                how,
                name,
                f"{psnr:.2f}",
                f"{ssim:.4f}",
                f"{high:.0f}",
                f"{low_rms:.1f}",
                f"{steep:.3f}",
                f"{spectrum:.3f}",
            ]
        )
    return (
        f"One test image each of {', '.join(names)}, factor {factor}; means over them. "
        f"RMS in counts, of a data range of {DATA_RANGE:,.0f}.\n\n"
        f"{as_markdown(HEAD, rows)}\n"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--write", action="store_true")
    add_data_argument(parser)
    arguments = parser.parse_args()
    table = measured(arguments.data, arguments.factor, arguments.models)
    print(table)
    if arguments.write:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"x{arguments.factor}.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()

"""A blind model on images blurred by an unknown width, over eight kernels.

    python -m benchmarks.studies.blind MODEL --data DIR [--n 3] [--write]

Test images of fluorescence and electron microscopy (their middle, at most 256 pixels a
side) are blurred by the eight round Gaussians of the paper's test set for the factor,
binned and rounded. The model finds the width by itself; the same generator is also told
the narrowest of the eight widths, as one would who takes the recording to be sharp, and
the true one. PSNR in dB over 20,000 counts; means over the images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import napari_sr as sr
from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr.evaluation.protocol import BORDER, DATA_RANGE
from napari_sr.image.stack import Stack
from napari_sr.instrument.degradation import record
from napari_sr.instrument.psf import gaussian_psf
from napari_sr.metrics import psnr
from napari_sr.metrics.quality import as_markdown
from napari_sr.models.blind_model import BlindModel
from napari_sr.models.upscaler import BlurEstimate
from napari_sr.networks.generators.ikc import as_kernel
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import upscale_plane
from napari_sr.upscaling.plan import make_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.upscaling.plan import Plan

WIDTHS = {2: (0.8, 1.6), 3: (1.35, 2.4), 4: (1.8, 3.2)}
"""Smallest and largest standard deviation, in pixels of the result, by factor."""
DOMAINS = ("fluorescence", "em")
LARGEST = 256
RESULTS = Path("benchmarks/results/blind")
HEAD = (
    "images",
    "σ",
    "σ predicted",
    "after 1",
    "after 3",
    "after 7",
    "bicubic",
    "narrowest given",
    "blind",
    "true blur given",
)


def images(root: Path, domain: str, n: int) -> list[NDArray]:
    """Take the middles of test images, evenly spread."""
    rows = [row for row in rows_of(root, "test", domain) if row.usable_as_target]
    found = []
    for row in rows[:: max(1, len(rows) // n)][:n]:
        sharp = next(iter(sharp_planes(root, row)))
        starts = [max(0, side - LARGEST) // 2 for side in sharp.shape]
        part = sharp[starts[0] :, starts[1] :][:LARGEST, :LARGEST]
        found.append(part[: part.shape[0] // 12 * 12, : part.shape[1] // 12 * 12])
    return found


def told(plan: Plan, model: BlindModel, sigma: float) -> Plan:
    """Give a plan in which the blur is another one."""
    parts = (torch.tensor([one]) for one in (sigma, 1.0, 0.0))
    code = model.network.code_of(as_kernel(gaussian_psf(*parts)))[0].tolist()
    blur = BlurEstimate(code=tuple(code), sigma=sigma, ratio=1.0, angle=0.0)
    return plan.model_copy(update={"blur": blur, "psf_sigma": sigma})


def measured(
    model: BlindModel, sharp: NDArray, sigma: float, least: float
) -> list[float]:
    """Take the widths found, and the PSNR of each way."""
    low = record(torch.from_numpy(sharp)[None, None], model.factor, psf_sigma=sigma)
    counts = np.rint(np.clip(low[0, 0].numpy(), 0, 65_535)).astype(np.uint16)
    settings = UpscaleSettings(dtype="float32", device="cpu")
    plan = make_plan(Stack.from_array(counts), model, settings)
    assert plan.blur is not None
    results = [
        sr.upscale(
            counts, sr.load_model("bicubic", factor=model.factor), dtype="float32"
        ),
        upscale_plane(counts, model, told(plan, model, least)),
        upscale_plane(counts, model, plan),
        upscale_plane(counts, model, told(plan, model, sigma)),
    ]
    found = [psnr(one, sharp, data_range=DATA_RANGE, border=BORDER) for one in results]
    return [*(plan.blur.course[step] for step in (0, 1, 3, 7)), *found]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--n", type=int, default=3, help="images of each domain")
    parser.add_argument("--write", action="store_true")
    add_data_argument(parser)
    arguments = parser.parse_args()
    model = sr.load_model(arguments.model)
    assert isinstance(model, BlindModel)
    least, most = WIDTHS[model.factor]
    rows = []
    for domain in DOMAINS:
        sharp = images(arguments.data, domain, arguments.n)
        for sigma in np.linspace(least, most, 8):
            many = [measured(model, one, float(sigma), least) for one in sharp]
            row = np.mean(many, axis=0)
            rows.append([domain, f"{sigma:.2f}", *(f"{value:.2f}" for value in row)])
            print(*rows[-1], flush=True)
    table = as_markdown(HEAD, rows)
    if arguments.write:
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{arguments.model.stem}.md"
        path.write_text(f"{arguments.n} images of each.\n\n{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

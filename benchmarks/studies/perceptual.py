"""MSE, content and adversarial training from the same fidelity model, side by side.

    python -m benchmarks.studies.perceptual --data DIR [--domain em] [--base NAME]
        [--iterations 400] [--only gan …]

Each is trained for the same number of steps on the images of one domain of the train
role and measured on the test role, noise given. Checkpoints are kept in
`training_runs/`; the same command goes on from there. The table goes to
`benchmarks/results/perceptual/`, with the spectra and a picture.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    recorded,
    rows_of,
    sharp_planes,
    training_images,
)
from napari_sr.cli.training import describe_step
from napari_sr.evaluation.protocol import BORDER, noise_of
from napari_sr.metrics import (
    gradient_similarity,
    psnr,
    radial_spectrum,
    spectrum_error,
    ssim,
)
from napari_sr.settings import AdversarialSettings, TrainingSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.models.sr_model import SRModel

FACTOR = 2
RUNS, RESULTS = Path("training_runs"), Path("benchmarks/results/perceptual")
PHOTONS = (None, 200)
SCALE = {"data_range": DATA_RANGE, "border": BORDER}
N_PER_DATASET = 3
PATCH = 32
CONTENTS = {
    "domain": {"content_layers": {"3_2": 1.0}, "content_weight": 0.035},
    "gradient": {"content_weight": 0.5},
    "spectrum": {"content_weight": 2.0},
    "ms-ssim": {"content_weight": 0.2},
}
"""Weights that give each about the gradient of the L1 loss; four times for spectra."""
CANDIDATES: dict[str, dict[str, Any]] = {
    "mse": {},
    **{f"content-{c}": {"weight": 0.0, "content": c, **CONTENTS[c]} for c in CONTENTS},
    "gan": {"content": None, "weight": 0.005},
    "gan-default": {},
}


def settings_of(candidate: str, iterations: int) -> TrainingSettings:
    """Give each candidate the same steps from the same start."""
    shared = {
        "batch": 8,
        "patch": PATCH,
        "seed": 1,
        "validate_every": 100,
        "patience": 1000,
    }
    if candidate == "mse":
        return TrainingSettings(
            iterations=iterations, fidelity_loss="mse", learning_rate=1e-4, **shared
        )
    adversarial = AdversarialSettings(iterations=iterations, **CANDIDATES[candidate])
    return TrainingSettings(iterations=0, adversarial=adversarial, **shared)


def trained(candidate: str, arguments: argparse.Namespace) -> SRModel:
    """Train a candidate, or go on with its training, to its end."""
    RUNS.mkdir(exist_ok=True)
    root, domain, iterations = arguments.data, arguments.domain, arguments.iterations
    images, weights = training_images(root, domain, smallest=96)
    judged_by = [
        next(iter(sharp_planes(root, row)))[:384, :384]
        for row in rows_of(root, "calibrate", domain)
        if row.usable_as_target
    ]
    training = sr.train(
        [image * DATA_RANGE + BLACK for image in images],
        settings_of(candidate, iterations),
        base=arguments.base,
        weights=weights,
        judged_by=judged_by[:: max(1, len(judged_by) // 8)],
        checkpoint=RUNS / f"perceptual-{domain}-{candidate}-{iterations}.pt",
        name=candidate,
    )
    for step in training:
        if step.validation is not None or step.message:
            print(candidate, describe_step(step), flush=True)
    return training.model


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--domain", default="fluorescence")
    parser.add_argument("--base", default="general-x2")
    parser.add_argument("--only", nargs="+", default=list(CANDIDATES))
    add_data_argument(parser)
    arguments = parser.parse_args()
    models: dict[str, Any] = {"bicubic": sr.load_model("bicubic", factor=FACTOR)}
    models["base (L1)"] = sr.load_model(arguments.base).at_dial(0.0)
    for candidate in arguments.only:
        model = trained(candidate, arguments)
        has_texture = "textured" in model.weights
        models[candidate] = model.at_dial(1.0) if has_texture else model
        if candidate != "mse" and not has_texture:
            print(candidate, "found nothing worth keeping")
    images = test_images(arguments.data, arguments.domain)
    results = RESULTS / arguments.domain
    results.mkdir(parents=True, exist_ok=True)
    table = as_table(measure(models, images))
    print(table)
    (results / "table.md").write_text(table + "\n")
    draw_spectra(models, images).savefig(results / "spectra.png", dpi=110)
    draw_picture(models, images).savefig(results / "picture.png", dpi=110)


Results = dict[tuple[str, str], list[tuple[float, ...]]]


Images = list[tuple[str, "NDArray"]]


def test_images(root: Path, domain: str) -> Images:
    """Take a few test images of each dataset."""
    found: dict[str, list[NDArray]] = defaultdict(list)
    for row in rows_of(root, "test", domain):
        if len(found[row.dataset]) < N_PER_DATASET:
            found[row.dataset].append(next(iter(sharp_planes(root, row)))[:512, :512])
    return [(name, image) for name, images in found.items() for image in images]


def measure(models: dict[str, Any], images: Images) -> Results:
    """Measure every model on the same recordings."""
    found: Results = defaultdict(list)
    for dataset, sharp in images:
        for photons in PHOTONS:
            low = recorded(sharp, FACTOR, photons)
            for name, model in models.items():
                high = super_resolved(low, model, photons)
                found[name, _label(photons)].append(
                    (
                        psnr(high, sharp, **SCALE),
                        ssim(high, sharp, **SCALE),
                        gradient_similarity(high, sharp, **SCALE),
                        spectrum_error(high, sharp, factor=FACTOR, border=BORDER),
                    )
                )
        print("measured", dataset, flush=True)
    return found


def super_resolved(low: NDArray, model: Any, photons: float | None) -> NDArray:  # noqa: ANN401
    """Super-resolve with the noise given."""
    told = {} if model.name == "bicubic" else {"noise": noise_of(photons)}
    return sr.upscale(low, model, dtype="float32", **told)


def as_table(found: Results) -> str:
    """Write means over all images as a Markdown table."""
    lines = [
        "| trained for | recorded | PSNR/dB | SSIM | gradient similarity |"
        " spectrum error |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (name, label), values in found.items():
        mean = np.mean(values, axis=0)
        cells = f"{mean[0]:.2f} | {mean[1]:.4f} | {mean[2]:.4f} | {mean[3]:.3f}"
        lines.append(f"| {name} | {label} | {cells} |")
    return "\n".join(lines)


def _label(photons: float | None) -> str:
    return f"{photons} photons" if photons else "clean"


def draw_spectra(models: dict[str, Any], images: Images) -> Figure:
    """Draw the power of each model's results relative to the truth's."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(PHOTONS), sharey=True)
    for axes, photons in zip(panels, PHOTONS, strict=True):
        for name, model in models.items():
            ratios = []
            for _, sharp in images[::3]:
                high = super_resolved(recorded(sharp, FACTOR, photons), model, photons)
                frequency, power = radial_spectrum(high[8:-8, 8:-8])
                true = radial_spectrum(sharp[8:-8, 8:-8])[1]
                grid = np.linspace(0.02, 0.5, 60)
                ratio = np.log10(np.maximum(power, 1e-12) / np.maximum(true, 1e-12))
                ratios.append(np.interp(grid, frequency, ratio))
            axes.plot(grid, 10 ** np.mean(ratios, axis=0), label=name)
        axes.axhline(1, color="0.6", linewidth=0.8)
        axes.axvline(0.25, color="0.6", linewidth=0.8, linestyle=":")
        axes.set(yscale="log", xlabel="cycles per sharp pixel", title=_label(photons))
    panels[0].set_ylabel("power relative to the truth")
    panels[0].legend(frameon=False, fontsize=7)
    return figure


def most_structured(image: NDArray, side: int) -> tuple[slice, slice]:
    """Find where a square of the image varies most."""
    starts = [range(16, length - side - 16, side // 4) for length in image.shape]
    places = [
        (slice(y, y + side), slice(x, x + side)) for y in starts[0] for x in starts[1]
    ]
    return max(places, key=lambda place: float(image[place].std()))


def draw_picture(models: dict[str, Any], images: Images) -> Figure:
    """Show one test image as each model makes it, clean and noisy."""
    named = dict(reversed(images))
    sharp = named.get("biosr_sim_microtubules", images[0][1])
    crop = most_structured(sharp, 112)
    columns = [*models, "truth"]
    figure = Figure(figsize=(1.9 * len(columns), 4.1), layout="constrained")
    panels = figure.subplots(len(PHOTONS), len(columns), squeeze=False)
    low_end, high_end = np.percentile(sharp[crop], (0.5, 99.7))
    for row, photons in zip(panels, PHOTONS, strict=True):
        low = recorded(sharp, FACTOR, photons)
        for axes, name in zip(row, columns, strict=True):
            image = sharp
            if name != "truth":
                image = super_resolved(low, models[name], photons)
            axes.imshow(image[crop], cmap="magma", vmin=low_end, vmax=high_end)
            axes.set(xticks=[], yticks=[])
            if photons is None:
                axes.set_title(name, fontsize=9)
        row[0].set_ylabel(_label(photons))
    return figure


if __name__ == "__main__":
    main()

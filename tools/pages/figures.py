"""Draw the figures of the pages, and print the numbers beside them.

    python -m tools.pages.figures NAME …     (all when none is named)

Images come with scikit-image or are drawn by `napari_sr.phantoms`, and recordings are
simulated from a seed, so that every run prints the same. The pages quote what is
printed; `tests/test_docs.py` compares.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imsave
from scipy.ndimage import gaussian_filter
from skimage import data, transform

import napari_sr as sr
from napari_sr.catalogue.lookup import list_cards
from napari_sr.catalogue.summary import models_table
from napari_sr.instrument.degradation import record
from napari_sr.metrics.similarity import psnr
from napari_sr.metrics.spectra import out_of_band_share, split_bands, windowed
from napari_sr.phantoms import make_phantom
from napari_sr.phantoms.drawing import bin_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sr.models.upscaler import Upscaler

IMAGES, PAGE = Path("docs/images"), Path("docs/which_model.md")
BEGIN, END = "<!-- gains -->", "<!-- end of gains -->"
BORDER = 8
N_CANDIDATES = 200
GALLERY = {
    "cell": "general-x2",
    "tissue": "general-x2",
    "filaments": "general-x2",
    "nuclei": "general-x2",
    "foam": "general-x2",
    "mammogram": "general-x2",
    "surface": "general-x2",
}
"""What is shown, and by which model."""
KINDS = {
    "fluorescence": (
        "bbbc039_u2os_hoechst", "biosr_sim_er", "biosr_sim_factin",
        "biosr_sim_microtubules", "bns_fluo", "cp_examplefly", "cp_illumcorr",
        "cp_misc", "neubias",
    ),
    "X-ray and CT": (
        "cbis_ddsm", "edsr_rock", "qbi_ct", "qim3d_bone", "qim3d_cement", "qim3d_fly",
        "qim3d_nt", "sandstone_versa_microct",
    ),
    "EM": ("fibsem_isotropic", "fibsem_medulla_validation", "neubias_em"),
    "height maps": ("surfacetopography_examples",),
    "brightfield": ("dlegland_plant",),
}  # fmt: skip
"""Test datasets by what they are of."""


class Specimen(NamedTuple):
    """A truth and its simulated recording, in counts."""

    truth: NDArray
    recorded: NDArray


class Scene(NamedTuple):
    """What is shown of a specimen, in counts."""

    recorded: NDArray
    bicubic: NDArray
    result: NDArray
    truth: NDArray


def frequencies() -> Iterator[str]:
    """Split an image into what pixels four times as large can hold, and the rest."""
    image = _tissue()[200:328, 200:328]
    low, high = split_bands(image, 4)
    share = out_of_band_share(image, 4)
    power = np.log10(np.fft.fftshift(np.abs(windowed(image)) ** 2) + 1)
    panels = {
        "image": image,
        "low-pass": low,
        "high-pass": high,
        "spectrum": power,
    }
    figure, axes = _row(panels)
    centre, half = len(power) / 2, len(power) / 8
    axes[-1].plot(
        centre + half * np.array([-1, 1, 1, -1, -1]),
        centre + half * np.array([-1, -1, 1, 1, -1]),
        color="tab:orange",
    )
    _save(figure, "frequencies.png")
    yield f"share of the power above the recorded Nyquist frequency: {share:.1%}"
    yield f"standard deviation of the image: {image.std():.0f} counts"
    yield f"standard deviation of the high-pass part: {high.std():.0f} counts"


def plausible() -> Iterator[str]:
    """Average images that all explain one recording."""
    factor, side = 4, 96
    tissue = _tissue()
    rng = np.random.default_rng(0)
    truth = tissue[200 : 200 + side, 200 : 200 + side]
    low = bin_blocks(truth, factor)
    smooth = _consistent(low, factor)
    candidates = []
    for _ in range(N_CANDIDATES):
        top, left = rng.integers(0, np.array(tissue.shape) - side)
        other = tissue[top : top + side, left : left + side]
        detail = other - _consistent(bin_blocks(other, factor), factor)
        candidates.append(smooth + detail)
    mean = np.mean(candidates, axis=0)
    differs = max(np.abs(bin_blocks(one, factor) - low).max() for one in candidates)
    pairs = zip(candidates[::2], candidates[1::2], strict=True)
    apart = np.sqrt(np.mean([(one - other) ** 2 for one, other in pairs]))
    off = np.sqrt(np.mean([(one - mean) ** 2 for one in candidates]))
    panels = {
        "recording": low,
        "explanation 1": candidates[0],
        "explanation 2": candidates[1],
        "explanation 3": candidates[2],
        f"mean of {N_CANDIDATES}": mean,
    }
    figure, _ = _row(panels, shared=True)
    _save(figure, "plausible.png")
    yield f"largest residual of any, re-degraded: {differs:.1f} counts"
    yield f"RMS error of one, if another is true: {apart:.0f} counts"
    yield f"RMS error of their mean, if one is true: {off:.0f} counts"
    yield f"gain of the mean: {20 * np.log10(apart / off):.1f} dB"


def dial() -> Iterator[str]:
    """Show both ends of the dial of one model."""
    truth = _tissue()[96:352, 96:352]
    recorded = _record(truth, 4, photons=1000)
    model = sr.load_model("general-x4")
    panels = {"recording": recorded}
    panels["bicubic"] = sr.upscale(recorded, sr.load_model("bicubic", factor=4))
    for end in (0, 0.5, 1):
        panels[f"dial {end:g}"] = sr.upscale(recorded, model, dial=end)
    panels["truth"] = truth
    shown = {name: _crop(image, (96, 96), 96, 256) for name, image in panels.items()}
    figure, _ = _row(shown, shared=True)
    _save(figure, "dial.png")
    yield "             PSNR        power beyond the recorded Nyquist frequency"
    for name, image in list(panels.items())[1:]:
        share = out_of_band_share(image.astype(np.float64), 4)
        error = "" if name == "truth" else f"{_psnr(image, truth):.2f} dB"
        yield f"{name:12} {error:11} {share:.2%}"


def structures() -> Iterator[str]:
    """Measure the gain by the width of structures, with and without noise."""
    side, names = 256, ["clean", "200 photons", "50 photons"]
    yield f"{'width':>6}   " + "".join(f"{name:>14}" for name in names)
    for width in (1, 2, 3, 4, 6, 8, 12, 16):
        gained = []
        for photons in (None, 200, 50):
            pairs = []
            for seed in range(3):
                rng = np.random.default_rng(seed)
                # Edges of such a field are π√2 σ apart along a line, on average.
                sigma = 2 * width / (np.pi * 2**0.5)
                field = gaussian_filter(rng.normal(size=(side, side)), sigma)
                truth = 1000 + 20_000 / (1 + np.exp(-6 * field / field.std()))
                low = _record(truth, 2, photons)
                bicubic = sr.upscale(low, sr.load_model("bicubic", factor=2))
                result = sr.upscale(low, "general-x2", dial=0)
                pairs.append(_psnr(result, truth) - _psnr(bicubic, truth))
            gained.append(np.mean(pairs))
        yield f"{width:>6} px" + "".join(f"{gain:>+11.1f} dB" for gain in gained)


def overview() -> Iterator[str]:
    """Draw the picture of the README."""
    figure = Figure(figsize=(9.2, 4.9), layout="constrained")
    axes = figure.subplots(2, 4)
    titles = ("recorded", "bicubic", "napari-sr", "truth")
    for row, name in zip(axes, ("cell", "filaments"), strict=True):
        scene = _scene(name)
        corner = _busiest(scene.truth, 112)
        low, high = np.percentile(scene.truth, (0.1, 99.9))
        for axis, title, image in zip(row, titles, scene, strict=True):
            side = len(scene.truth)
            crop = _crop(image, corner, 112, side)
            axis.imshow(crop, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.set_title(_titled(title, image, scene.truth), fontsize=11)
        row[0].set_ylabel(name, fontsize=11)
    _save(figure, "overview.png")
    for name in ("cell", "filaments"):
        yield _compared(name)


def gallery() -> Iterator[str]:
    """Write what the sliders show: the recording and the result."""
    folder = IMAGES / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for name in GALLERY:
        scene = _scene(name)
        low, high = np.percentile(scene.truth, (0.2, 99.8))
        for part in ("recorded", "result"):
            image = getattr(scene, part)
            crop = _crop(image, _busiest(scene.truth, 192), 192, len(scene.truth))
            crop = np.kron(crop, np.ones((384 // len(crop),) * 2))
            bytes_ = np.clip((crop - low) / (high - low) * 255, 0, 255).astype(np.uint8)
            _write_gray(folder / f"{name}_{part}.png", bytes_)
        yield _compared(name)


def gains() -> Iterator[str]:
    """Write the gains of the shipped models into the page that recommends them."""
    rows = []
    for row in models_table([card for card in list_cards() if card.quality]).split(
        "\n"
    ):
        cells = row.strip("| ").split(" | ")
        rows.append("| " + " | ".join(cells[0:1] + cells[3:4] + cells[5::2]) + " |")
    rows[1] = "| --- | --- | --- | --- | --- |"
    before, rest = PAGE.read_text("utf-8").split(BEGIN)
    table = "\n".join(rows).replace(", auto", "")
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", "utf-8")
    yield from table.split("\n")


def kinds() -> Iterator[str]:
    """Give the gains of the general models by kind of image, from their cards."""
    denoised = "non-local means"
    for name in ("general-x2", "general-x4"):
        figures: dict[tuple[str, float | None], dict[str, float]] = {}
        for one in sr.load_model(name).card.quality:  # type: ignore[attr-defined]
            of_recording = figures.setdefault((one.dataset, one.photons), {})
            of_recording[one.method] = one.quality.psnr
        if name == "general-x4":
            yield ""
        yield f"{name:26}   clean   200 photons    50 photons   denoised 200, 50"
        for kind, datasets in KINDS.items():
            gains = {
                (method, photons): np.mean(
                    [
                        figures[dataset, photons][method]
                        - figures[dataset, photons]["bicubic"]
                        for dataset in datasets
                    ]
                )
                for method in (f"{name} auto", denoised)
                for photons in (None, 200.0, 50.0)
            }
            title = f"{kind} ({len(datasets)} dataset{'s' * (len(datasets) > 1)})"
            ours = [gains[f"{name} auto", photons] for photons in (None, 200.0, 50.0)]
            theirs = [gains[denoised, photons] for photons in (200.0, 50.0)]
            yield (
                f"{title:26} {ours[0]:+4.1f} dB {ours[1]:+10.1f} dB {ours[2]:+10.1f} dB"
                f" {theirs[0]:+9.1f}, {theirs[1]:+.1f} dB"
            )


def times() -> Iterator[str]:
    """Time each model on one thread, relative to bicubic interpolation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    plane = random.poisson(200, (384, 384)).astype(np.uint16)
    volume = random.poisson(200, (24, 96, 96)).astype(np.uint16)
    try:
        for card in (card for card in list_cards() if card.quality):
            model, bicubic = (
                sr.load_model(name, factor=card.factor)
                for name in (card.name, "bicubic")
            )
            ratio = _seconds(plane, model) / _seconds(plane, bicubic)
            yield f"{card.name:16} ×{card.factor}: {ratio:5.0f} times bicubic"
        model, bicubic = (sr.load_model(n, factor=2) for n in ("general-x2", "bicubic"))
        along_z = _seconds(volume, model, z=2, factor=1)
        own = along_z / _seconds(volume, bicubic, z=2, factor=1)
        plain = along_z / _seconds(volume, model)
        yield f"general-x2, z=2: {own:5.0f} times bicubic along z"
        yield f"general-x2, z=2: {plain:5.1f} times general-x2 in the plane"
    finally:
        torch.set_num_threads(threads)


def _seconds(image: NDArray, model: Upscaler, **options: object) -> float:
    """Give the least processor time of three results, in seconds."""
    seconds = []
    for _ in range(3):
        started = process_time()
        sr.upscale(image, model, **options)
        seconds.append(process_time() - started)
    return min(seconds)


@cache
def _scene(name: str) -> Scene:
    """Record and super-resolve one specimen, as the gallery does."""
    truth, recorded = _specimen(name)
    bicubic = sr.upscale(recorded, sr.load_model("bicubic", factor=2))
    return Scene(recorded, bicubic, sr.upscale(recorded, GALLERY[name]), truth)


def _specimen(name: str) -> Specimen:
    if name in ("cell", "tissue"):
        truth = _cell() if name == "cell" else _tissue()
        return Specimen(truth, _record(truth, 2, photons=400))
    phantom = make_phantom(name)
    truth, recorded = phantom.truth, phantom.recorded
    if truth.ndim > 2:
        truth, recorded = truth[0], recorded[0]
    return Specimen(truth, recorded)


def _cell() -> NDArray:
    """Give scikit-image's cell in saline, `(512, 512)` counts of 1,000 to 52,000."""
    cell: NDArray = data.cell()  # type: ignore[no-untyped-call]
    return cell[:512, :512].astype(np.float64) * 200 + 1000


def _tissue() -> NDArray:
    """Give stained tissue, green channel, `(512, 512)` counts of 1,000 to 21,000."""
    tissue: NDArray = data.immunohistochemistry()  # type: ignore[no-untyped-call]
    return tissue[..., 1].astype(np.float64) / 255 * 20_000 + 1000


def _record(truth: NDArray, factor: int, photons: float | None) -> NDArray[np.uint16]:
    """Bin, and count photons: so many for the brightest pixel of the truth."""
    span = float(truth.max()) - 1000
    low = record(
        torch.from_numpy((truth - 1000) / span).float()[None, None],
        factor,
        gain=0.0 if photons is None else 1 / photons,
        generator=torch.Generator().manual_seed(0),
    )
    counts = low[0, 0].numpy() * span + 1000
    return np.rint(counts).clip(0, 65_535).astype(np.uint16)


def _consistent(low: NDArray, factor: int) -> NDArray:
    """Interpolate, and correct until its blocks average to `low` exactly."""
    shape = tuple(side * factor for side in low.shape)
    smooth = transform.resize(low, shape, order=3, mode="reflect")
    for _ in range(20):
        residual = low - bin_blocks(smooth, factor)
        smooth = smooth + transform.resize(residual, shape, order=1, mode="reflect")
    residual = low - bin_blocks(smooth, factor)
    return smooth + np.kron(residual, np.ones((factor, factor)))


def _psnr(image: NDArray, truth: NDArray) -> float:
    low, high = np.percentile(truth, (0.1, 99.9))
    return psnr(image, truth, data_range=float(high - low), border=BORDER)


def _compared(name: str) -> str:
    scene = _scene(name)
    ours, rival = _psnr(scene.result, scene.truth), _psnr(scene.bicubic, scene.truth)
    return f"{name:10} {GALLERY[name]:16} bicubic {rival:.1f} dB, result {ours:.1f} dB"


def _titled(title: str, image: NDArray, truth: NDArray) -> str:
    if title in ("recorded", "truth"):
        return title
    return f"{title}, {_psnr(image, truth):.1f} dB"


def _crop(image: NDArray, corner: tuple[int, int], side: int, of: int) -> NDArray:
    """Cut out a square that is given in the pixels of an image of `of` rows."""
    step = of // len(image)
    top, left = (place // step for place in corner)
    return image[top : top + side // step, left : left + side // step]


def _busiest(truth: NDArray, side: int) -> tuple[int, int]:
    """Find the square with most detail, in steps of 16 pixels."""
    edges = np.hypot(*np.gradient(truth.astype(np.float64)))
    places = [
        (top, left)
        for top in range(0, truth.shape[0] - side + 1, 16)
        for left in range(0, truth.shape[1] - side + 1, 16)
    ]
    return max(places, key=lambda p: edges[p[0] :, p[1] :][:side, :side].sum())


def _row(panels: dict[str, NDArray], *, shared: bool = False) -> tuple[Figure, NDArray]:
    """Show images side by side; `shared`: all from the same black to the same white."""
    figure = Figure(figsize=(1.9 * len(panels), 2.2), layout="constrained")
    axes = figure.subplots(1, len(panels))
    last = list(panels.values())[-1]
    limits = np.percentile(last, (0.5, 99.5)) if shared else (None, None)
    for axis, (title, image) in zip(axes, panels.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1])
        axis.images[0].set_interpolation("nearest")
        axis.set_title(title, fontsize=10)
        axis.set(xticks=[], yticks=[])
    return figure, axes


def _save(figure: Figure, name: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / name, dpi=110, metadata={"Software": None})


def _write_gray(path: Path, pixels: NDArray[np.uint8]) -> None:
    imsave(path, pixels, cmap="gray", vmin=0, vmax=255, metadata={"Software": None})


FIGURES: dict[str, Callable[[], Iterator[str]]] = {
    one.__name__: one
    for one in (
        frequencies,
        plausible,
        dial,
        structures,
        overview,
        gallery,
        gains,
        kinds,
        times,
    )
}


def main(names: Sequence[str]) -> None:
    """Draw what is named, or everything."""
    for name in names or FIGURES:
        print(f"-- {name}")
        print(*FIGURES[name](), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

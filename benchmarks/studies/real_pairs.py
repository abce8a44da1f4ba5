"""What real pairs of volumes teach beside simulated ones, on recordings that are real.

    python -m benchmarks.studies.real_pairs --data DIR --write

Micro-CT of rock at a third of the resolution and at full (`edsr_rock`): each pair of
volumes is registered (`match_volumes`). Two small networks are trained alike, by a
factor of 3 in the plane: one on the recorded coarse planes, one on the fine planes
binned. PSNR in dB of what they make of the test volumes' recordings, beside the fine
ones, brightness matched by least squares, within the span of each fine volume.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import napari_sr as sr
from benchmarks.accuracy.along_z import RESULTS
from benchmarks.accuracy.real_images import add_data_argument, rows_of
from benchmarks.accuracy.sections import replace_section
from napari_sr.cards.model_card import Instrument
from napari_sr.datasets.pairs import PairError, match_volumes
from napari_sr.files import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.datasets.pairs import VolumePair

N_LEARNT = 10
"""Pairs of volumes that are learnt from."""
NETWORK = {"channels": 24, "n_blocks": 4}
BORDER = 6


class Recorded(NamedTuple):
    """A specimen recorded twice."""

    low: NDArray
    high: NDArray
    pair: VolumePair
    """What both show."""


def pairs(root: Path, role: str) -> dict[str, Recorded]:
    """Register the pairs of volumes of a role."""
    names = [row.file for row in rows_of(root, role) if row.dataset == "edsr_rock"]
    found = {}
    for name in sorted(name for name in names if name.endswith("_low.tif")):
        high = name.replace("_low", "_high")
        try:
            both = volume(root / name), volume(root / high)
            found[name[-10:-8]] = Recorded(*both, match_volumes(*both))
        except PairError as error:
            print(f"{name}: {error}")
    return found


def volume(path: Path) -> NDArray:
    """Read all planes."""
    with open_stack(path) as stack:
        return np.stack([stack.plane(index) for index in stack.indices()])


def trained(learnt: Sequence[Recorded], iterations: int, *, real: bool) -> sr.SRModel:
    """Train on recorded coarse planes, or on fine ones that are binned."""
    settings = sr.TrainingSettings(
        factor=3,
        architecture="srresnet",
        arguments=NETWORK,
        instrument=Instrument(share_clean=1),
        iterations=iterations,
        batch=8,
        patch=20,
        share_flat=0,
        validate_every=100,
        device="cpu",
    )
    if real:
        low = [each.low for each in learnt]
        training = sr.train([each.high for each in learnt], settings, low_images=low)
    else:
        training = sr.train([each.pair.high for each in learnt], settings)
    for _ in training:
        pass
    return training.model


def psnr(result: NDArray, truth: NDArray) -> float:
    """Compare inner parts, after the best gain and offset."""
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    own, true = result[inner].astype(float).ravel(), truth[inner].astype(float).ravel()
    fitted = np.polyval(np.polyfit(own, true, 1), own)
    low, high = np.percentile(truth, (0.1, 99.9))
    return float(10 * np.log10((high - low) ** 2 / np.mean((fitted - true) ** 2)))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS}")
    add_data_argument(parser)
    arguments = parser.parse_args()
    learnt = list(pairs(arguments.data, "train").values())[:N_LEARNT]
    models = {
        name: trained(learnt, arguments.iterations, real=real)
        for name, real in (("simulated", False), ("real", True))
    }
    bicubic = sr.load_model("bicubic", factor=3)
    lines = [
        "| volume | shift, coarse voxels | bicubic | simulated | real | simulated, of "
        "binned planes | real, of binned planes |",
        "| --- " * 7 + "|",
    ]
    for name, (_, _, pair) in pairs(arguments.data, "test").items():
        binned = pair.high.reshape(
            len(pair.high), pair.low.shape[1], 3, pair.low.shape[2], 3
        ).mean(axis=(2, 4), dtype=np.float32)
        ways = [(bicubic, pair.low), *((m, pair.low) for m in models.values())]
        ways += [(model, binned) for model in models.values()]
        figures = [
            f"{psnr(sr.upscale(np.float32(low), model), pair.high):.2f}"
            for model, low in ways
        ]
        shift = ", ".join(f"{-place:.2f}" for place in pair.place)
        lines.append(f"| {name} | {shift} | {' | '.join(figures)} |")
        print(lines[-1], flush=True)
    if arguments.write:
        title = f"Real pairs of volumes, {arguments.iterations} steps"
        replace_section(RESULTS, title, "\n".join(lines))


if __name__ == "__main__":
    main()

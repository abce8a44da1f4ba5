"""Whether more than the spread tells where errors are: intervals by dataset.

    python -m benchmarks.studies.intervals --data DIR --models general-x2

The size of errors is predicted from the spread alone (as shipped), from a sum of
squares of spread, noise and local detail, and by a small network on ten local features,
each fitted to the train role by the pinball loss of log errors. The scale is found on
the calibrate role as for shipped intervals; printed is of how many test datasets 85 to
95 % of the pixels lie inside.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import minimize

import napari_sr as sr
from benchmarks.accuracy.calibrate import recordings
from benchmarks.accuracy.real_images import add_data_argument
from napari_sr.cards.interval import SMOOTHING, doubt, scale_for
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.stack import Stack
from napari_sr.metrics.quality import as_markdown
from napari_sr.models.sr_model import SRModel
from napari_sr.settings import UpscaleSettings
from napari_sr.training.calibration import BORDER
from napari_sr.trust.uncertainty import spread
from napari_sr.upscaling.plan import make_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.training.calibration import Known

N_PIXELS = 3000
"""Of each recording, drawn at random."""
LEVEL, LEAST, MOST = 0.9, 0.85, 0.95
FEW = [0, 1, 2]
"""Spread, noise and finest detail among the features."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Some pixels of a recording."""

    dataset: str
    image: int
    error: NDArray
    """`(n,)` |result - truth| as shares of the intensity range."""
    features: NDArray
    """`(n, 10)` in the same unit, the spread first."""


def seen(model: SRModel, known: Known, random: np.random.Generator) -> Seen:
    """Super-resolve a recording and describe its pixels."""
    plan = make_plan(
        Stack.from_array(known.low),
        model,
        UpscaleSettings(noise=known.noise, dtype="float32"),
    )
    span, factor = plan.intensity.high - plan.intensity.low, model.factor
    result, apart = spread(known.low, model, plan)
    level = known.noise
    assert isinstance(level, NoiseLevel)
    light = np.maximum(result - level.offset, 0)
    features = [
        doubt(apart / span, SMOOTHING, 0.0),
        np.sqrt(level.gain * light + level.read**2) / span,
    ]
    for width in (factor / 2, factor, 2 * factor):
        detail = (result - ndimage.gaussian_filter(result, width)) ** 2
        features += [
            np.sqrt(ndimage.gaussian_filter(detail, around)) / span
            for around in (factor, 4 * factor)
        ]
    slope = np.hypot(ndimage.sobel(result, 0), ndimage.sobel(result, 1)) / 8
    features.append(ndimage.gaussian_filter(slope, factor / 2) / span)
    height, width = known.low.shape
    binned = result.reshape(height, factor, width, factor).mean((1, 3))
    left = np.sqrt(ndimage.gaussian_filter((known.low - binned) ** 2, 4)) / span
    features.append(np.kron(left, np.ones((factor, factor))))
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = np.abs(result - known.sharp)[inside].ravel() / span
    of_pixel = np.stack([one[inside].ravel() for one in features], 1)
    chosen = random.choice(len(error), min(N_PIXELS, len(error)), replace=False)
    return Seen(known.dataset, known.image, error[chosen], of_pixel[chosen])


def pinball(error: NDArray, size: NDArray) -> float:
    """Compare log errors with what `LEVEL` of them should be below."""
    above = np.log(np.maximum(error, 1e-6)) - np.log(size)
    return float(np.mean(np.where(above > 0, LEVEL * above, (LEVEL - 1) * above)))


def sum_of_squares(train: list[Seen]) -> NDArray:
    """Fit weights of the few features and of a constant, as logarithms."""
    error = np.concatenate([one.error for one in train])
    few = np.concatenate([one.features[:, FEW] for one in train]) ** 2
    start = np.array([-1.0] * len(FEW) + [-6.0])
    found = minimize(
        lambda logs: pinball(
            error, np.sqrt(few @ np.exp(2 * logs[:-1]) + np.exp(2 * logs[-1]))
        ),
        start,
        method="Powell",
    )
    weights: NDArray = np.exp(2 * found.x)
    return weights


def network(train: list[Seen], hidden: int = 48, n_epochs: int = 10) -> torch.nn.Module:
    """Fit a network from log features to the log of the size of errors."""
    torch.manual_seed(0)
    log = torch.cat([_logs(one) for one in train])
    error = np.concatenate([one.error for one in train])
    wanted = torch.from_numpy(np.log(np.maximum(error, 1e-5))).float()
    standard = torch.nn.BatchNorm1d(log.shape[1], affine=False, momentum=None)
    layers = torch.nn.Sequential(
        standard,
        torch.nn.Linear(log.shape[1], hidden), torch.nn.Tanh(),
        torch.nn.Linear(hidden, hidden), torch.nn.Tanh(),
        torch.nn.Linear(hidden, 1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(layers.parameters(), 3e-3, weight_decay=0.01)
    for _ in range(n_epochs):
        for rows in torch.split(torch.randperm(len(log)), 4096):
            above = wanted[rows] - log[rows, 0] - layers(log[rows])[:, 0]
            loss = torch.where(above > 0, LEVEL * above, (LEVEL - 1) * above).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 0.6
    return layers.eval()


def _logs(one: Seen) -> torch.Tensor:
    return torch.from_numpy(np.log(one.features + 1e-4)).float()


def row_of(name: str, by_role: dict[str, list[Seen]], size: object) -> list[str]:
    """Find the scale on the calibrate role, and see test datasets."""
    assert callable(size)
    ratios: dict[str, dict[tuple[str, int], list[NDArray]]] = {}
    for role in ("calibrate", "test"):
        of_image = ratios.setdefault(role, {})
        for one in by_role[role]:
            key = (one.dataset, one.image)
            of_image.setdefault(key, []).append(one.error / size(one))
    errors = [np.concatenate(own) for own in ratios["calibrate"].values()]
    scale = scale_for(errors, [np.ones_like(own) for own in errors], LEVEL).scale
    inside: dict[str, list[float]] = {}
    for (dataset, _), own in ratios["test"].items():
        inside.setdefault(dataset, []).append(
            float(np.mean(np.concatenate(own) <= scale))
        )
    shares = np.array([np.mean(own) for own in inside.values()])
    n_right = int(np.sum((shares >= LEAST) & (shares <= MOST)))
    width = 2 * scale * np.mean([size(one).mean() for one in by_role["test"]])
    return [name, f"{n_right} of {len(shares)}", f"{shares.min():.0%}",
            f"{shares.mean():.0%}", f"{shares.max():.0%}", f"{width:.1%}"]  # fmt: skip


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["general-x2"])
    add_data_argument(parser)
    arguments = parser.parse_args()
    for name in arguments.models:
        model = sr.load_model(name)
        assert isinstance(model, SRModel)
        by_role = {
            role: [
                seen(model.at_dial(0.0), known, np.random.default_rng(number))
                for number, known in enumerate(
                    recordings(model, Path(arguments.data), role)
                )
            ]
            for role in ("train", "calibrate", "test")
        }
        assert model.card.interval is not None
        floor = model.card.interval.floor
        weights, layers = sum_of_squares(by_role["train"]), network(by_role["train"])

        def learnt(one: Seen, layers: torch.nn.Module = layers) -> NDArray:
            log = _logs(one)
            with torch.no_grad():
                return torch.exp(log[:, 0] + layers(log)[:, 0]).numpy()

        def summed(one: Seen, weights: NDArray = weights) -> NDArray:
            few = one.features[:, FEW] ** 2
            size: NDArray = np.sqrt(few @ weights[:-1] + weights[-1])
            return size

        def shipped(one: Seen, floor: float = floor) -> NDArray:
            return one.features[:, 0] + floor

        head = ["size of errors from", "datasets in 85 to 95 %", "least", "mean",
                "most", "mean width"]  # fmt: skip
        rows = [
            row_of("the spread, as shipped", by_role, shipped),
            row_of("spread, noise, finest detail", by_role, summed),
            row_of("a network on ten features", by_role, learnt),
        ]
        print(f"## {name}\n\n{as_markdown(head, rows)}", flush=True)


if __name__ == "__main__":
    main()

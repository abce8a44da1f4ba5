"""Measure the lattices that shipped models paint, and hold the bound on them.

    python -m benchmarks.accuracy.lattice --data DIR [--models NAME …] [--write]

Test images of a model's domain (the first plane of the first two files of a dataset, at
most 512 px a side, without poor sharp targets) and flat fields of 160² recorded pixels
are recorded and super-resolved at several dials. An image may have at most twice the
lattice of the truth plus 10 counts, a flat field 5 counts more than bicubic makes of
it. The dial is chosen on calibrate images: the largest in tenths within the bound, and
not above what the card recommends. `--write` puts it into the card; weights and their
digests stay. A model's part of `benchmarks/results/lattice.md` is replaced.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.accuracy.evaluate import shipped
from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from benchmarks.accuracy.sections import replace_section
from napari_sr.catalogue.lookup import SHIPPED
from napari_sr.evaluation.baselines import baselines
from napari_sr.evaluation.protocol import (
    BLACK,
    BORDER,
    DATA_RANGE,
    FLAT_SIDE,
    SMALLEST,
    WHITE,
    noise_of,
    recorded,
    way_at,
)
from napari_sr.metrics.quality import (
    BASELINE,
    as_markdown,
    lattice_on_scale,
    most_on_flat_fields,
    most_on_images,
    recorded_as,
)
from napari_sr.models.sr_model import SRModel, save_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sr.evaluation.baselines import Method

N_PER_DATASET, SIDE = 2, 512
IMAGE_PHOTONS, PHOTONS = (None, 200.0), (None, 200.0, 50.0)
RESULTS = Path("benchmarks/results/lattice.md")


class Scene(NamedTuple):
    """A recording, and what a lattice on it is compared with."""

    kind: str
    """What it is a recording of, and how it was made."""
    photons: float | None
    low: NDArray
    heights: bool
    range: tuple[float, float] | None
    true_lattice: float | None
    """`None` for a flat field."""
    bicubic_lattice: float

    @property
    def most(self) -> float:
        """The largest lattice that a shipped model may have."""
        if self.true_lattice is None:
            return most_on_flat_fields(self.bicubic_lattice)
        return most_on_images(self.true_lattice)


def image_scenes(root: Path, model: SRModel, role: str) -> Iterator[Scene]:
    """Record some images of a model's domain."""
    domain = None if model.domain == "general" else model.domain
    bicubic, seen = baselines(model.factor)[BASELINE], Counter[str]()
    for row in rows_of(root, role, domain):
        if not row.usable_as_target or seen[row.dataset] == N_PER_DATASET:
            continue
        sharp = _middle(next(sharp_planes(root, row)))
        if min(sharp.shape) < SMALLEST:
            continue
        seen[row.dataset] += 1
        heights = row.domain == "topography"
        for photons in IMAGE_PHOTONS:
            low = recorded(sharp, model.factor, photons, heights=heights)
            yield Scene(
                f"images, {recorded_as(photons)}", photons, low, heights, None,
                _lattice_of(sharp, model.factor),
                _lattice_of(bicubic(low, noise_of(photons)), model.factor),
            )  # fmt: skip


def flat_scenes(model: SRModel) -> Iterator[Scene]:
    """Record flat fields: on the scale of all figures, and alone in their stack."""
    bicubic, side = baselines(model.factor)[BASELINE], model.factor * FLAT_SIDE
    flat = np.full((side, side), (BLACK + WHITE) / 2, np.float32)
    for alone in (False, True):
        # Without noise, a flat field alone has no range at all.
        for photons in PHOTONS[alone:]:
            low = recorded(flat, model.factor, photons)
            yield Scene(
                f"flat field{' alone' * alone}, {recorded_as(photons)}",
                photons, low, False, None if alone else (BLACK, WHITE), None,
                _lattice_of(bicubic(low, noise_of(photons)), model.factor),
            )  # fmt: skip


def lattice_at(model: SRModel, scene: Scene, *, is_told: bool) -> float:
    """Measure what a model at its dial makes of a scene."""
    way: Method = way_at(model, scene.range, is_told=is_told)
    result = way(scene.low, noise_of(scene.photons, heights=scene.heights))
    return _lattice_of(result, model.factor)


def dial_within_the_bound(model: SRModel, scenes: Sequence[Scene]) -> float | None:
    """Find the largest dial in tenths, from the recommended one down; `None`: not 0."""
    for tenths in range(round(10 * model.card.recommended_dial), -1, -1):
        placed = model.at_dial(tenths / 10)
        if all(
            lattice_at(placed, scene, is_told=is_told) <= scene.most
            for is_told in _ways(model)
            for scene in scenes
        ):
            return tenths / 10
    return None


def table(model: SRModel, scenes: Sequence[Scene]) -> str:
    """Show truth, bicubic and the model at its dials: means, and how many are over."""
    kinds: dict[str, list[Scene]] = {}
    for scene in scenes:
        kinds.setdefault(scene.kind, []).append(scene)
    dials = [0.0]
    if "textured" in model.weights:
        dials = sorted({0.0, model.card.recommended_dial, 1.0})
    rows = []
    for kind, of_kind in kinds.items():
        true = [one.true_lattice for one in of_kind if one.true_lattice is not None]
        row = [kind, str(len(of_kind)), f"{np.mean(true):.1f}" if true else "–"]
        row.append(f"{np.mean([one.bicubic_lattice for one in of_kind]):.1f}")
        for dial in dials:
            placed = model.at_dial(dial)
            for is_told in _ways(model):
                found = [lattice_at(placed, one, is_told=is_told) for one in of_kind]
                over = sum(f > s.most for f, s in zip(found, of_kind, strict=True))
                row.append(f"{np.mean(found):.1f}" + f" ({over} over)" * bool(over))
        rows.append(row)
    names = [
        f"dial {dial:g}, {'given' if is_told else 'auto'}"
        for dial in dials
        for is_told in _ways(model)
    ]
    return as_markdown(["recorded", "n", "truth", BASELINE, *names], rows)


def _ways(model: SRModel) -> tuple[bool, ...]:
    return (True, False) if "noise" in model.conditions else (False,)


def _lattice_of(image: NDArray, factor: int) -> float:
    return lattice_on_scale(image, factor, DATA_RANGE, BORDER)


def _middle(sharp: NDArray) -> NDArray:
    starts = [max(0, side - SIDE) // 8 * 4 for side in sharp.shape]
    return sharp[starts[0] : starts[0] + SIDE, starts[1] : starts[1] + SIDE]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--write", action="store_true", help="the dial into the card")
    add_data_argument(parser)
    arguments = parser.parse_args()
    for model in shipped(arguments.models):
        flat = list(flat_scenes(model))
        chosen_on = chain(flat, image_scenes(arguments.data, model, "calibrate"))
        dial = dial_within_the_bound(model, list(chosen_on))
        before = model.card.recommended_dial
        said = f"Recommended until now: dial {before:g}. Within the bound: "
        said += "not even dial 0." if dial is None else f"dial {dial:g}."
        card = model.card.model_copy(update={"recommended_dial": dial or 0.0})
        placed = SRModel(card, model.weights)
        scenes = [*image_scenes(arguments.data, model, "test"), *flat]
        text = f"{said}\n\n{table(placed, scenes)}"
        print(f"## {model.name}\n\n{text}", flush=True)
        replace_section(RESULTS, model.name, text)
        if arguments.write:
            save_model(placed, SHIPPED / f"{model.name}.safetensors")


if __name__ == "__main__":
    main()

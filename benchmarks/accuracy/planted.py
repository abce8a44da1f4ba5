"""Whether planted inventions light up in the map that is meant for them.

    python -m benchmarks.accuracy.planted --data DIR [--models general-x2 …]

Test images are recorded at 200 photons and super-resolved at the recommended dial, with
the noise given and with the noise that is estimated. Into each result is planted, one
at a time: a cell that was not recorded (a part of another place, added over its own
background), a structure that stands there twice (a place put in the place of another),
a line erased (the strongest ridge of a place, filled from both sides), a texture
swapped (the out-of-band part of a place taken from the sharp image of another one, at
no less than the strength of noise), all counts scaled by 2 %, and over all a
lattice or rings of 0.5 % of the range. The score of a place is the root mean square of
a map over it. For the scaling the place is as large as all others, at the map of
agreement. Periodic artefacts are in no map: they are found where the report names them.

The threshold of a map lies where 5 % of untouched places of the *calibrate* role score
higher; both rates are counted on the test role. The table goes to
`benchmarks/results/trust/`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

import napari_sr as sr
from benchmarks.accuracy.evaluate import specimens
from benchmarks.accuracy.real_images import add_data_argument
from napari_sr.evaluation.protocol import DATA_RANGE, noise_of, recorded
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.stack import Stack
from napari_sr.metrics import split_bands
from napari_sr.metrics.quality import as_markdown
from napari_sr.models.sr_model import SRModel
from napari_sr.settings import UpscaleSettings
from napari_sr.trust.agreement import check
from napari_sr.trust.artefacts import artefacts_of, periodic_figures, span_of
from napari_sr.trust.assessment import PlaneFigures
from napari_sr.upscaling.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_sr.evaluation.protocol import SharpPlane

PHOTONS = 200.0
LARGEST, SIDE, N_PLACES = 384, 32, 6
"""Pixels of the result: of an image, of a place; and how many places of each image."""
N_PER_DATASET = 3
FALSE_ALARMS = 0.05
RESULTS = Path("benchmarks/results/trust")
MAPS = ("agreement", "out of band", "from faithful", "error", "periodic")
PERIODIC = 0.005
"""Of the range: how strong what is planted over a whole result is."""
TITLES = {
    "agreement": "disagreement with the recording",
    "out of band": "out of band",
    "from faithful": "result less the faithful end",
    "error": "error (with a reference)",
    "periodic": "named as periodic",
}

Place = tuple[slice, slice]
Scores = dict[str, dict[str, list[float]]]


class Case:
    """One image, recorded and super-resolved, with its maps."""

    def __init__(self, specimen: SharpPlane, model: SRModel, *, is_told: bool) -> None:
        self.sharp = specimen.sharp[:LARGEST, :LARGEST]
        self.factor = model.factor
        self.low = recorded(self.sharp, model.factor, PHOTONS, heights=specimen.heights)
        level = noise_of(PHOTONS, heights=specimen.heights) if is_told else "auto"
        told = {"noise": level, "dtype": "float32"}
        self.high = sr.upscale(self.low, model, **told)
        self.faithful = sr.upscale(self.low, model.at_dial(0.0), **told)
        stack = Stack.from_array(self.low)
        plan = make_plan(stack, model, UpscaleSettings(noise=level))
        # As a report does, by what is known of the result.
        self.noise, self.psf = plan.noise or NoiseLevel(), plan.psf_sigma
        bicubic = sr.load_model("bicubic", factor=self.factor)
        self._span = span_of(self.low)
        self._beside = self._periodic(sr.upscale(self.low, bicubic, dtype="float32"))

    def _periodic(self, picture: NDArray) -> PlaneFigures:
        return PlaneFigures(**periodic_figures(picture, self._span, self.factor))

    @property
    def middle(self) -> list[float]:
        """Row and column around which rings lie."""
        return [(side - 1) / 2 for side in self.high.shape]

    def is_named(self, high: NDArray) -> bool:
        """Tell whether a report names something periodic."""
        figures = {"result": self._periodic(high), "bicubic": self._beside}
        return bool(artefacts_of(figures))

    def maps(self, high: NDArray) -> dict[str, NDArray]:
        """Make every map of a result, on its own pixels."""
        found = check(high, self.low, self.noise, self.factor, self.psf)
        block = np.ones((self.factor, self.factor), np.float32)
        return {
            "agreement": np.kron(found.deviations, block),
            "out of band": split_bands(high, self.factor)[1],
            "from faithful": high - self.faithful,
            "error": high - self.sharp,
            "periodic": np.full(high.shape, float(self.is_named(high))),
        }

    def places(self, random: np.random.Generator) -> Iterator[Place]:
        """Draw places on the recorded grid, off the border."""
        for _ in range(N_PLACES):
            corner = [
                int(random.integers(8, length - SIDE - 8)) // 8 * 8
                for length in self.high.shape
            ]
            yield slice(corner[0], corner[0] + SIDE), slice(corner[1], corner[1] + SIDE)


def with_cell(case: Case, place: Place, random: np.random.Generator) -> NDArray:
    """Add what stands out most elsewhere, with a soft edge."""
    others = [*case.places(random)]
    brightest = max(others, key=lambda one: float(np.ptp(case.high[one])))
    part = case.high[brightest]
    soft = np.outer(*[np.hanning(side) for side in part.shape])
    planted = case.high.copy()
    planted[place] += soft * (part - np.percentile(part, 10))
    return planted


def with_twin(case: Case, place: Place, random: np.random.Generator) -> NDArray:
    """Put the most structured of other places there, with a soft edge."""
    twin = max(case.places(random), key=lambda one: float(case.high[one].std()))
    soft = np.outer(*[np.hanning(SIDE) ** 0.5] * 2)
    planted = case.high.copy()
    planted[place] += soft * (case.high[twin] - case.high[place])
    return planted


def with_lattice(case: Case, _place: Place, _random: np.random.Generator) -> NDArray:
    """Raise every other pixel of every other row over the whole result."""
    planted = case.high.copy()
    planted[:: case.factor, :: case.factor] += 2 * PERIODIC * DATA_RANGE
    return planted


def with_rings(case: Case, _place: Place, random: np.random.Generator) -> NDArray:
    """Add rings of random sign around the middle."""
    y, x = np.indices(case.high.shape)
    radius = np.hypot(y - case.middle[0], x - case.middle[1]).astype(int)
    signs = random.choice([-1.0, 1.0], int(radius.max()) + 1)
    return (case.high + PERIODIC * DATA_RANGE * signs[radius]).astype(np.float32)


def without_line(case: Case, place: Place, _random: np.random.Generator) -> NDArray:
    """Fill the strongest ridge of a place from what lies beside it."""
    part = case.high[place]
    ridge = ndimage.gaussian_filter(part, 1) - ndimage.gaussian_filter(part, 4)
    line = ridge > np.percentile(ridge, 85)
    beside = ndimage.distance_transform_edt(
        line, return_distances=False, return_indices=True
    )
    filled = ndimage.gaussian_filter(part[tuple(beside)], 2)
    planted = case.high.copy()
    planted[place] = np.where(line, filled, part)
    return planted


def with_texture(case: Case, place: Place, random: np.random.Generator) -> NDArray:
    """Take the out-of-band part of a place from the sharp image of another."""
    _, own = split_bands(case.high, case.factor)
    _, sharp = split_bands(case.sharp, case.factor)
    other = max(case.places(random), key=lambda one: float(sharp[one].std()))
    planted = case.high.copy()
    planted[place] += sharp[other] - own[place]
    return planted


def scaled(case: Case, _place: Place, _random: np.random.Generator) -> NDArray:
    """Scale all counts by 2 %."""
    return case.high * 1.02


PLANTED: dict[str, tuple[str, Callable[..., NDArray]]] = {
    "a cell pasted in": ("agreement", with_cell),
    "a structure there twice": ("agreement", with_twin),
    "a line erased": ("agreement", without_line),
    "a texture swapped": ("from faithful", with_texture),
    "counts scaled by 2 %": ("agreement", scaled),
    "a lattice": ("periodic", with_lattice),
    "rings": ("periodic", with_rings),
}
"""By name: the map that is meant for it, and how it is planted."""


def score(image: NDArray, place: Place) -> float:
    """Tell how strong a map is in a place."""
    return float(np.sqrt(np.mean(np.square(image[place], dtype=np.float64))))


def scores_of(model: SRModel, root: Path, role: str, *, is_told: bool) -> Scores:
    """Score untouched and planted places of the images of a role."""
    found: Scores = defaultdict(lambda: defaultdict(list))
    seen: dict[str, int] = defaultdict(int)
    random = np.random.default_rng(0)
    for _, specimen in specimens(root, model.domain, role):
        seen[specimen.dataset] += 1
        if seen[specimen.dataset] > N_PER_DATASET or min(specimen.sharp.shape) < 96:
            continue
        case = Case(specimen, model, is_told=is_told)
        untouched = case.maps(case.high)
        for place in case.places(random):
            for name, image in untouched.items():
                found["untouched"][name].append(score(image, place))
        if role == "calibrate":
            continue
        for what, (_, plant) in PLANTED.items():
            for place in [*case.places(random)][: N_PLACES // 2]:
                planted = case.maps(plant(case, place, random))
                for name, image in planted.items():
                    found[what][name].append(score(image, place))
    return found


def table(model: SRModel, root: Path, *, is_told: bool) -> str:
    """Count detections at the threshold that the calibrate role sets."""
    untouched = scores_of(model, root, "calibrate", is_told=is_told)["untouched"]
    limits = {
        name: float(np.quantile(scores, 1 - FALSE_ALARMS))
        for name, scores in untouched.items()
    }
    limits["periodic"] = 0.5  # it is named, or it is not
    rows = []
    for what, by_map in scores_of(model, root, "test", is_told=is_told).items():
        meant = PLANTED[what][0] if what in PLANTED else None
        cells = []
        for name in MAPS:
            rate = np.mean(np.array(by_map[name]) > limits[name])
            cells.append(f"**{rate:.0%}**" if name == meant else f"{rate:.0%}")
        label = "nothing (false alarms)" if what == "untouched" else what
        rows.append([label, str(len(by_map[MAPS[0]])), *cells])
    return as_markdown(["planted", "places", *(TITLES[name] for name in MAPS)], rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["general-x2"])
    add_data_argument(parser)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    parts = []
    for name in arguments.models:
        model = sr.load_model(name)
        assert isinstance(model, SRModel)
        for is_told, words in ((True, "given"), (False, "estimated")):
            found = table(model, arguments.data, is_told=is_told)
            parts.append(f"## {name}, noise {words}\n\n{found}")
            print(parts[-1], flush=True)
    (RESULTS / "planted.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

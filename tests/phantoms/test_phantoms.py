"""Phantoms: the truth is known, the recording is what an instrument makes of it."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import zoom

from napari_sr.files import open_stack
from napari_sr.image.stack import StackError
from napari_sr.phantoms import PHANTOM_NAMES, Phantom, make_phantom, write_samples

SAMPLES = Path(__file__).parents[2] / "sample_data"
SAMPLES_LIMIT_BYTES = 4_000_000
SAMPLES_TORCH = "2.13"
"""torch does not promise the same random numbers in other releases."""

# name: domain, usual planes, their axis, pixel size of the recording at factor 2, its
# unit, highest count of the digitiser, noise (gain, read, offset) in counts
FACTS = {
    "filaments": ("fluorescence microscopy", 5, "z", 0.2, "um", 65535, (50, 60, 1000)),
    "nuclei": ("fluorescence microscopy", 4, "t", 0.325, "um", 4095, (2.2, 3.5, 100)),
    "foam": ("micro-CT", 4, "z", 10.0, "um", 65535, (37.5, 400, 1000)),
    "mammogram": ("mammography", 1, None, 0.1, "mm", 16383, (4, 12, 100)),
    "surface": ("surface topography", 3, "t", 1.0, "um", 65535, (0, 15, 0)),
}

# Share of the truth's standard deviation that a cubic enlargement of the noise-free
# recording misses. Breast tissue varies mostly over centimetres.
DETAIL = {
    "filaments": 0.15,
    "nuclei": 0.07,
    "foam": 0.09,
    "mammogram": 0.02,
    "surface": 0.07,
}

REFUSALS = {
    "unknown name": ({"name": "rocks"}, "Choose one of filaments, nuclei"),
    "no plane": ({"n_planes": 0}, "at least 1"),
    "factor 0": ({"factor": 0}, "at least 1"),
    "not a multiple": ({"factor": 3, "size": 64}, "multiples of the factor 3"),
    "too small": ({"size": (16, 64)}, "at least 32 pixels"),
}

names = st.sampled_from(PHANTOM_NAMES)


def binned(phantom: Phantom) -> np.ndarray:
    """What the instrument would have recorded without noise."""
    *leading, y, x = phantom.recorded.shape
    blocks = phantom.truth.reshape(*leading, y, phantom.factor, x, phantom.factor)
    return blocks.mean(axis=(-3, -1))


def variance(phantom: Phantom) -> np.ndarray:
    """Of the noise of each recorded pixel, with that of rounding to whole counts."""
    noise = phantom.noise
    return noise.gain * (binned(phantom) - noise.offset) + noise.read**2 + 1 / 12


@pytest.fixture(scope="module", params=PHANTOM_NAMES)
def phantom(request: pytest.FixtureRequest) -> Phantom:
    """Each phantom as it is by default."""
    return make_phantom(request.param)


def test_every_phantom_is_described_here() -> None:
    assert tuple(FACTS) == PHANTOM_NAMES


def test_facts(phantom: Phantom) -> None:
    domain, n_planes, leading, pixel_size, unit, _, noise = FACTS[phantom.name]
    assert phantom.domain == domain
    assert phantom.title
    assert phantom.meaning
    assert (phantom.noise.gain, phantom.noise.read, phantom.noise.offset) == noise
    assert phantom.truth.dtype == phantom.recorded.dtype == np.uint16
    planes = () if leading is None else (n_planes,)
    side = phantom.recorded.shape[-1]
    assert phantom.recorded.shape == (*planes, side, side)
    assert phantom.truth.shape == (*planes, 2 * side, 2 * side)
    assert [axis.name for axis in phantom.axes] == [*(leading or ""), "y", "x"]
    for axis in phantom.axes[-2:]:
        assert (axis.spacing, axis.unit, axis.origin) == (pixel_size, unit, 0.0)


def test_truth_and_recording_lie_in_the_same_world(phantom: Phantom) -> None:
    assert phantom.truth_axes[:-2] == phantom.axes[:-2]
    for low, high in zip(phantom.axes[-2:], phantom.truth_axes[-2:], strict=True):
        assert high.spacing == low.spacing / 2
        # The outer borders of the first pixels coincide.
        first_low, first_high = (a.origin - a.spacing / 2 for a in (low, high))
        assert first_high == pytest.approx(first_low, abs=1e-12)


def test_the_recording_is_the_binned_truth_within_the_noise(phantom: Phantom) -> None:
    errors = phantom.recorded - binned(phantom)
    chi_square = np.mean(errors**2 / variance(phantom))
    assert chi_square == pytest.approx(1, abs=0.02)


def test_the_noise_grows_with_the_signal_as_said(phantom: Phantom) -> None:
    expected = variance(phantom)
    middle = np.median(expected)
    errors = (phantom.recorded - binned(phantom)) ** 2
    for part in (expected <= middle, expected >= middle):
        assert errors[part].mean() == pytest.approx(expected[part].mean(), rel=0.05)


def test_the_mean_flux_is_kept(phantom: Phantom) -> None:
    standard_error = np.sqrt(variance(phantom).sum()) / phantom.recorded.size
    difference = phantom.recorded.mean() - phantom.truth.mean()
    assert abs(difference) < 4 * standard_error


def test_counts_stay_inside_the_digitiser(phantom: Phantom) -> None:
    ceiling = FACTS[phantom.name][5]
    for planes in (phantom.truth, phantom.recorded):
        # Nothing is clipped, and the range is not wasted.
        assert planes.min() > 0
        assert planes.max() < ceiling
        assert np.ptp(planes) > 0.02 * ceiling


def test_planes_belong_together_but_differ(phantom: Phantom) -> None:
    if phantom.truth.ndim == 2:
        pytest.skip("a single plane")
    for this, following in zip(phantom.truth, phantom.truth[1:], strict=False):
        correlation = np.corrcoef(this.ravel(), following.ravel())[0, 1]
        assert 0.3 < correlation < 0.999


def test_the_recording_lacks_detail_that_the_truth_has(phantom: Phantom) -> None:
    side = phantom.truth.shape[-1]
    truth = phantom.truth.reshape(-1, side, side).astype(float)
    low = binned(phantom).reshape(-1, side // 2, side // 2)
    enlarged = zoom(low, (1, 2, 2), order=3, mode="nearest", grid_mode=True)
    assert np.std(enlarged - truth) > DETAIL[phantom.name] * np.std(truth)


def test_the_truth_is_not_aliased(phantom: Phantom) -> None:
    side = phantom.truth.shape[-1]
    plane = phantom.truth.reshape(-1, side, side)[0].astype(float)
    taper = np.hanning(side)[:, None] * np.hanning(side)
    power = np.abs(np.fft.fft2((plane - plane.mean()) * taper)) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    only_in_truth = power[(frequency > 0.25) & (frequency < 0.35)].mean()
    at_its_limit = power[(frequency > 0.45) & (frequency < 0.5)].mean()
    assert 1e-4 < at_its_limit / only_in_truth < 0.1


@pytest.mark.parametrize("name", PHANTOM_NAMES)
def test_the_same_seed_gives_the_same_pixels(name: str) -> None:
    first, again, other = (
        make_phantom(name, size=64, n_planes=2, seed=seed) for seed in (5, 5, 6)
    )
    assert np.array_equal(first.truth, again.truth)
    assert np.array_equal(first.recorded, again.recorded)
    assert not np.array_equal(first.truth, other.truth)
    assert not np.array_equal(first.recorded, other.recorded)


@settings(max_examples=12, deadline=None)
@given(
    name=names,
    factor=st.integers(1, 4),
    n_planes=st.integers(1, 3),
    rows=st.integers(3, 8),
    columns=st.integers(3, 8),
    seed=st.integers(0, 99),
)
def test_any_size_and_factor(
    name: str, factor: int, n_planes: int, rows: int, columns: int, seed: int
) -> None:
    shape = (12 * rows, 12 * columns)
    phantom = make_phantom(
        name, factor=factor, n_planes=n_planes, size=shape, seed=seed
    )
    planes = (n_planes,) if n_planes > 1 else ()
    assert phantom.truth.shape == (*planes, *shape)
    assert phantom.recorded.shape == (*planes, *(side // factor for side in shape))
    assert len(phantom.axes) == phantom.recorded.ndim
    errors = phantom.recorded - binned(phantom)
    chi_square = np.mean(errors**2 / variance(phantom))
    assert chi_square == pytest.approx(1, abs=6 * np.sqrt(2 / errors.size))


@pytest.mark.parametrize("name", PHANTOM_NAMES)
def test_the_truth_does_not_depend_on_the_factor(name: str) -> None:
    fine, coarse = (
        make_phantom(name, size=64, n_planes=1, factor=factor) for factor in (2, 4)
    )
    assert np.array_equal(fine.truth, coarse.truth)
    assert fine.truth_axes[0].spacing == coarse.truth_axes[0].spacing


@pytest.mark.parametrize(("given", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_say_the_cure(given: dict, sentence: str) -> None:
    arguments = {"name": "foam", "size": 64, "n_planes": 1} | given
    with pytest.raises(ValueError, match=sentence):
        make_phantom(**arguments)


# ── the sample data ────────────────────────────────────────────────────────────────


def read(path: Path) -> tuple[np.ndarray, tuple]:
    with open_stack(path) as stack:
        planes = np.stack([stack.plane(index) for index in stack.indices()])
        return planes.reshape(stack.shape), stack.axes


def test_the_sample_files_hold_the_default_phantoms(phantom: Phantom) -> None:
    truth, truth_axes = read(SAMPLES / f"{phantom.name}_truth.ome.tif")
    recorded, axes = read(SAMPLES / f"{phantom.name}_recorded.ome.tif")
    assert truth.shape == phantom.truth.shape
    # Another processor or library version may round the last bit of a sum otherwise.
    assert np.abs(truth.astype(int) - phantom.truth).max() <= 1
    assert recorded.shape == phantom.recorded.shape
    errors = recorded - binned(phantom)
    assert np.mean(errors**2 / variance(phantom)) == pytest.approx(1, abs=0.02)
    for written, expected in ((axes, phantom.axes), (truth_axes, phantom.truth_axes)):
        assert [axis.name for axis in written] == [axis.name for axis in expected]
        for axis, other in zip(written, expected, strict=True):
            assert axis.unit == other.unit
            assert axis.spacing == pytest.approx(other.spacing, rel=1e-9)
            assert axis.origin == pytest.approx(other.origin, abs=1e-9)


@pytest.mark.skipif(
    not torch.__version__.startswith(SAMPLES_TORCH) or platform.machine() != "x86_64",
    reason=f"random numbers of another torch than {SAMPLES_TORCH} on x86_64",
)
def test_the_sample_recordings_are_made_again_exactly(phantom: Phantom) -> None:
    recorded, _ = read(SAMPLES / f"{phantom.name}_recorded.ome.tif")
    assert np.array_equal(recorded, phantom.recorded)


def test_the_sample_files_are_small_and_complete() -> None:
    found = sorted(path.name for path in SAMPLES.iterdir())
    pairs = [
        f"{name}_{part}.ome.tif"
        for name in PHANTOM_NAMES
        for part in ("recorded", "truth")
    ]
    assert found == sorted(["README.md", *pairs])
    total = sum(path.stat().st_size for path in SAMPLES.iterdir())
    assert total < SAMPLES_LIMIT_BYTES


def test_the_sample_readme_states_the_true_noise(phantom: Phantom) -> None:
    text = (SAMPLES / "README.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if f"`{phantom.name}`" in line)
    noise = phantom.noise
    spacing = phantom.axes[-1]
    assert f"{spacing.spacing:g} {spacing.unit.replace('um', 'µm')}" in row
    assert f"| {noise.gain:g} | {noise.read:g} | {noise.offset:g} |" in row


def test_samples_are_not_overwritten_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sr.phantoms.making.PHANTOM_NAMES", ("surface",))
    paths = write_samples(tmp_path / "new")
    assert [path.name for path in paths] == [
        "surface_recorded.ome.tif",
        "surface_truth.ome.tif",
    ]
    with pytest.raises(StackError, match="surface_recorded"):
        write_samples(tmp_path / "new")
    assert write_samples(tmp_path / "new", overwrite=True) == paths

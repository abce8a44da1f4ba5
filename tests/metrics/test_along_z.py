"""Where more planes along z show no more detail, by spectra of known volumes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from stacks_on_disk import PLACED, write_stack

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.files import open_stack
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack
from napari_sr.methods.interpolation import Interpolation
from napari_sr.metrics.along_z import LITTLE, blur_along_z, detail_along_z

CUBIC = Interpolation("bicubic", 2)


def specimen(shape=(32, 40, 48), blur=0.0):
    """Alike in all directions, but for a blur of so many planes along z."""
    grain = np.random.default_rng(0).normal(size=shape)
    alike = gaussian_filter(grain, 0.7, mode="wrap")
    alike = gaussian_filter1d(alike, blur, axis=0) if blur else alike
    return 20_000 + 4000 * alike / alike.std()


def recorded(volume):
    return np.random.default_rng(1).poisson(volume * 20).astype("float64") / 20


def test_what_is_alike_in_all_directions_has_as_much_along_z():
    assert detail_along_z(specimen()) == pytest.approx(1, rel=0.1)
    assert detail_along_z(recorded(specimen())) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("blur", [0.7, 1.0])
def test_a_blur_takes_from_it_what_its_transfer_function_says(blur):
    kernel = np.zeros(64)
    kernel[32] = 1
    own, transfer = (
        np.abs(np.fft.fft(gaussian_filter1d(kernel, s))) ** 2 for s in (0.7, blur)
    )
    fine = np.abs(np.fft.fftfreq(64)) >= 0.2
    # The blur takes from the contrast of the planes, too.
    contrast = (own * transfer).sum() / own.sum()
    expected = (own * transfer)[fine].sum() / own[fine].sum() / contrast
    share = detail_along_z(specimen((64, 64, 64), blur))
    assert share == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("noisy", [False, True])
def test_a_blur_far_longer_than_the_step_is_found_and_nothing_else(noisy):
    seen = recorded if noisy else np.array
    assert detail_along_z(seen(specimen(blur=3))) < LITTLE / 2
    assert detail_along_z(seen(specimen(blur=1))) > 2 * LITTLE


def test_planes_are_compared_at_the_frequencies_of_the_specimen():
    volume = specimen((64, 40, 48))
    coarse = volume.reshape(16, 4, 40, 48).mean(axis=1)
    assert 0.2 < detail_along_z(coarse, (4, 1, 1)) < 1


def test_what_cannot_be_told_is_not():
    noise = np.random.default_rng(0).normal(500, 20, (32, 40, 48))
    assert detail_along_z(noise) is None
    assert detail_along_z(specimen()[:15]) is None
    assert detail_along_z(specimen()[:, :8, :8]) is None


def test_it_is_said_wherever_more_planes_are_asked_for(tmp_path, capsys):
    blurred = specimen(blur=3).astype("uint16")
    with pytest.warns(sr.BlurAlongZWarning, match="more planes show no more detail"):
        sr.upscale(blurred, CUBIC, z=2, factor=1)
    sr.upscale(blurred, CUBIC)  # in the plane it is no matter
    sharp = specimen().astype("uint16")
    sr.upscale(sharp, CUBIC, z=2, factor=1)
    for array, is_said in ((blurred, True), (sharp, False)):
        source = str(write_stack(tmp_path / "a.ome.tif", array, "zyx"))
        output = str(tmp_path / "r.ome.tif")
        typed = [source, "-o", output, "-m", "bicubic", "--z", "2", "--factor", "1"]
        assert main(["upscale", *typed, "--overwrite"]) == 0
        assert ("no more detail" in capsys.readouterr().out) == is_said
        assert main(["info", source]) == 0
        assert ("no more detail" in capsys.readouterr().out) == is_said
        Path(source).unlink()


def test_a_part_in_the_middle_is_read_of_the_volume_that_is_there():
    times = np.stack([specimen(), specimen(blur=3)]).repeat(3, axis=-1)
    axes = (Axis("t"), *(PLACED[name] for name in "zyx"))
    stack = Stack.from_array(times.astype("uint16"), axes=axes)
    assert blur_along_z(stack, 1)
    swapped = Stack.from_array(times[::-1].astype("uint16"), axes=axes)
    assert not blur_along_z(swapped, 1)


def test_no_false_alarm_on_real_volumes():
    if "NAPARI_SR_DATA" not in os.environ:
        pytest.skip("NAPARI_SR_DATA does not name the folder of the test images")
    root = Path(os.environ["NAPARI_SR_DATA"])
    files = [*root.glob("xray/qim3d_*/*.tif"), *root.glob("em/fibsem_isotropic/*.tif")]
    for file in files:
        with open_stack(file) as stack:
            assert not blur_along_z(stack, 0), file
            planes = [stack.window(i, (slice(0, 99),) * 2) for i in stack.indices()]
        blurred = gaussian_filter1d(np.float32(planes), 3, axis=0)
        if not file.name.startswith("fly_test"):  # no detail above its noise
            assert blur_along_z(Stack.from_array(blurred), 0), file

"""Recordings to learn from: what is told is what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sr.cards.model_card import Instrument
from napari_sr.instrument.noise import noise_map
from napari_sr.networks.resampling import resample
from napari_sr.settings import ForZ, TrainingSettings
from napari_sr.training.simulation import (
    simulated,
    steps_along_z,
    typical_recording,
)

CLEAN = Instrument(share_clean=1)
SMALL = TrainingSettings(
    arguments={"channels": 4, "n_blocks": 1}, iterations=8, batch=2, patch=16, seed=3
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sharp_batch(n=64, side=16):
    return torch.rand(n, 1, side, side, generator=seeded())


def test_recordings_are_scaled_and_shifted_together_with_their_truth():
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.0})

    seen = simulated(sharp_batch(), settings, seeded())

    binned = torch.nn.functional.avg_pool2d(seen.sharp, 2)
    torch.testing.assert_close(seen.low, binned, rtol=0, atol=1e-6)
    span = (seen.sharp - seen.offset).amax((1, 2, 3)) / sharp_batch().amax((1, 2, 3))
    assert span.min() >= np.exp(-0.5) * 0.999
    assert span.max() <= np.exp(0.1) * 1.001
    assert seen.offset.min() >= -0.02
    assert seen.offset.max() <= 0.08
    assert not seen.noise_map().any()


def test_the_noise_that_is_told_is_the_noise_that_was_drawn():
    n, side = 40, 128
    flat = torch.rand(n, 1, 1, 1, generator=seeded()).expand(n, 1, side, side)
    settings = SMALL.model_copy(update={"share_flat": 0.0})

    seen = simulated(flat, settings, seeded())

    truth = seen.sharp[:, :, ::2, ::2]
    drawn = (seen.low - truth).std(dim=(1, 2, 3))
    told = noise_map(truth, seen.gain, seen.read, seen.offset).mean((1, 2, 3))
    torch.testing.assert_close(drawn, told, rtol=0.08, atol=1e-6)


def test_a_share_of_the_patches_are_flat_fields():
    n = 2000
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.2})

    sharp = simulated(sharp_batch(n, 4), settings, seeded()).sharp
    is_flat = sharp.amax((1, 2, 3)) - sharp.amin((1, 2, 3)) < 1e-6

    assert is_flat.float().mean().item() == pytest.approx(0.2, abs=5 * 0.4 / n**0.5)
    assert sharp[is_flat].std() > 0.1  # of different brightness


@pytest.mark.parametrize(("share", "n_flat"), [(0.0, 0), (1.0, 64)])
def test_no_patch_or_every_patch_can_be_flat(share, n_flat):
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": share})

    sharp = simulated(sharp_batch(), settings, seeded()).sharp

    assert (sharp.std(dim=(1, 2, 3)) < 1e-6).sum() == n_flat


def test_a_recording_is_at_the_pixel_grid_of_the_result():
    # bicubic, on the same grid, is nearly right for a smooth specimen
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    settings = SMALL.model_copy(update={"instrument": CLEAN, "share_flat": 0.0})

    seen = simulated(ramp, settings, seeded())

    error = resample(seen.low, 2, "bicubic") - seen.sharp
    assert error[..., 8:-8, 8:-8].abs().max() < 1e-5


# ── to look at ──────────────────────────────────────────────────────────────────────


def test_a_typical_recording_is_that_of_the_middle_of_the_range():
    sharp = sharp_batch(1, 128)[0, 0].numpy()
    instrument = Instrument(photons=(25, 400), read=(0.01, 0.04), share_clean=1)

    low = typical_recording(sharp, instrument, 2)

    light = torch.nn.functional.avg_pool2d(torch.from_numpy(sharp)[None, None], 2)
    expected = light.mean() / 100 + 0.02**2  # 100 photons, geometric means
    found = (torch.from_numpy(low) - light[0, 0]).square().mean()
    assert found == pytest.approx(float(expected), rel=0.1)
    assert np.array_equal(low, typical_recording(sharp, instrument, 2))


def test_a_typical_recording_of_heights_has_no_photons():
    sharp = np.full((16, 16), 0.5, np.float32)
    instrument = Instrument(photons=None, read=(1e-6, 1e-6), psf_sigma=(0, 2))

    np.testing.assert_allclose(
        typical_recording(sharp, instrument, 4), 0.5, rtol=0, atol=1e-4
    )


# ── as along z ──────────────────────────────────────────────────────────────────────


def along_z(ratio, blur=0.0, instrument=CLEAN):
    update = {"instrument": instrument, "share_flat": 0.0}
    return SMALL.model_copy(update={**update, "for_z": ForZ(ratio=ratio, blur=blur)})


@pytest.mark.parametrize(
    ("ratio", "steps"),
    [(1.5, [1]), (2, [1]), (3, [2, 1]), (4, [2, 1]), (6, [3, 2, 1])],
)
def test_each_pass_has_a_step_of_its_own(ratio, steps):
    assert steps_along_z(ratio, 2) == steps
    sharp, seen_steps = sharp_batch(4, 24), set()
    for seed in range(20):
        seen = simulated(sharp, along_z(ratio), seeded(seed))
        step = 24 // seen.sharp.shape[-2]
        seen_steps.add(step)
        assert seen.low.shape == (4, 1, 24 // step // 2, 24)  # as fine along x
        binned = torch.nn.functional.avg_pool2d(seen.sharp, (2, 1))
        torch.testing.assert_close(seen.low, binned, rtol=0, atol=1e-6)
    assert seen_steps == set(steps)


def test_only_the_first_pass_has_blur_and_noise():
    noisy = Instrument(share_clean=0, photons=(50, 50), share_read=0)
    sharp = sharp_batch(4, 24)
    for seed in range(20):
        seen = simulated(sharp, along_z(4, 2.0, noisy), seeded(seed))
        is_first = seen.sharp.shape[-2] == 12
        assert bool(seen.noise_map().any()) == is_first
        binned = torch.nn.functional.avg_pool2d(seen.sharp, (2, 1))
        assert torch.allclose(seen.low, binned, atol=1e-6) != is_first


def test_the_blur_is_along_the_same_axis_in_pixels_of_the_plane():
    line = torch.zeros(1, 1, 64, 64)
    line[..., 32, :] = 1
    low = simulated(line, along_z(2, 3.0), seeded()).low[0, 0]
    low = low - low.min()
    profile = low[:, 32] / low[:, 32].sum()
    places = torch.arange(32) * 2 + 0.5
    centre = (profile * places).sum()
    width = (profile * (places - centre) ** 2).sum().sqrt()
    assert width == pytest.approx(np.hypot(3.0, 2 / np.sqrt(12)), rel=0.03)
    assert torch.equal(low, low[:, :1].expand_as(low))


def test_a_result_is_binned_back_where_the_recording_was_fine():
    seen = simulated(sharp_batch(2, 24), along_z(2), seeded())
    result = seen.low.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = seen.low.repeat_interleave(2, 2)
    torch.testing.assert_close(seen.comparable(result), expected)
    usual = simulated(sharp_batch(2, 24), SMALL, seeded())
    assert usual.comparable(usual.sharp) is usual.sharp

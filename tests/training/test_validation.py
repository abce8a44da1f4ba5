"""Held-out images: the figures of a patch are those of its pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny_fast

from napari_sr.metrics import psnr
from napari_sr.networks import build_generator
from napari_sr.phantoms import make_phantom
from napari_sr.settings import TrainingSettings
from napari_sr.training.simulation import Recording
from napari_sr.training.validation import HeldOut, held_out

NO_NOISE = [torch.zeros(1, 1, 1, 1)] * 3


def test_a_preview_says_how_good_it_and_bicubic_are_on_its_patch():
    sharp = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    seen = Recording(sharp, torch.nn.functional.avg_pool2d(sharp, 2), *NO_NOISE)
    held_out = HeldOut([seen], 1)

    trained = held_out.preview(tiny_fast(tail=0.5).network)
    bicubic = held_out.preview(tiny_fast(tail=0.0).network)

    expected = psnr(trained.now, trained.truth, data_range=1, border=4)
    assert trained.psnr == pytest.approx(expected)
    assert bicubic.psnr == pytest.approx(bicubic.psnr_bicubic, abs=1e-3)
    assert trained.psnr_bicubic == bicubic.psnr_bicubic
    np.testing.assert_array_equal(trained.truth, sharp[0, 0])


@pytest.mark.parametrize("in_channels", [1, 2])
@pytest.mark.parametrize("factor", [2, 4])
def test_the_untrained_network_of_the_paper_is_judged_like_bicubic(factor, in_channels):
    """It starts as an interpolation: in another range than the truth it is far off."""
    specimen = make_phantom("nuclei", n_planes=1, size=256, seed=1).truth
    sharp = specimen.reshape(specimen.shape[-2:]) / specimen.max()
    settings = TrainingSettings(factor=factor)
    judge = held_out([sharp.astype(np.float32)], settings)
    torch.manual_seed(0)
    arguments = {"in_channels": in_channels}

    found = judge.judge(build_generator("srresnet", factor, arguments))

    assert found.psnr == pytest.approx(judge.judge_bicubic().psnr, abs=0.3)


def test_a_preview_shows_the_recording_with_most_to_see():
    random = torch.Generator().manual_seed(0)
    dim, full = torch.zeros(1, 1, 48, 48), torch.rand(1, 1, 48, 48, generator=random)
    seen = [
        Recording(sharp, torch.nn.functional.avg_pool2d(sharp, 2), *NO_NOISE)
        for sharp in (dim, full)
    ]

    shown = HeldOut(seen, 2).preview(tiny_fast().network)

    np.testing.assert_array_equal(shown.truth, full[0, 0])

"""Our own metrics beside independent implementations, where these are installed.

Where a convention differs (no pixels made up at borders, images not halved first), the
other implementation is asked for ours, or the tolerance says how much it matters.
"""

from __future__ import annotations

import importlib
import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sr import metrics

RANGE = 20_000.0


def imported_piq():
    """Import piq, also where torchvision is not there or made for another torch.

    It wants torchvision for metrics with trained networks, which are not asked for.
    """
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):
        with pytest.MonkeyPatch.context() as patch:
            for name in ("torchvision", "torchvision.models"):
                patch.setitem(sys.modules, name, MagicMock())
            return pytest.importorskip("piq")
    return pytest.importorskip("piq")


def pair(side=256, seed=0):
    """A structured image and one that differs in noise, blur and brightness."""
    random = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(random.random((side, side)), 2)
    truth = (truth - truth.min()) / np.ptp(truth)
    result = 0.95 * ndimage.gaussian_filter(truth, 0.7) + 0.02
    result += 0.01 * random.normal(size=truth.shape)
    return result * RANGE + 1000, truth * RANGE + 1000


def tensors(*images):
    """Images in units of the data range, as both packages take them."""
    return [torch.from_numpy((image - 1000) / RANGE)[None, None] for image in images]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1])
class TestTorchmetrics:
    @pytest.fixture(autouse=True)
    def _theirs(self):
        self.theirs = pytest.importorskip("torchmetrics.functional.image")

    def test_psnr(self, seed):
        images = pair(seed=seed)
        expected = self.theirs.peak_signal_noise_ratio(*tensors(*images), data_range=1)
        found = metrics.psnr(*images, data_range=RANGE)
        assert found == pytest.approx(expected.item(), abs=1e-4)

    def test_ssim(self, seed):
        result, truth = (image - 1000 for image in pair(seed=seed))
        expected = self.theirs.structural_similarity_index_measure(
            *tensors(result + 1000, truth + 1000), data_range=1.0
        )
        found = metrics.ssim(result, truth, data_range=RANGE)
        assert found == pytest.approx(expected.item(), abs=2e-3)

    def test_ms_ssim(self, seed):
        result, truth = (image - 1000 for image in pair(seed=seed))
        expected = self.theirs.multiscale_structural_similarity_index_measure(
            *tensors(result + 1000, truth + 1000), data_range=1.0
        )
        found = metrics.ms_ssim(result, truth, data_range=RANGE)
        assert found == pytest.approx(expected.item(), abs=2e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1])
class TestPiq:
    @pytest.fixture(autouse=True)
    def _theirs(self):
        self.theirs = imported_piq()

    def test_psnr(self, seed):
        images = pair(seed=seed)
        inside = [tensor.clamp(0, 1) for tensor in tensors(*images)]
        expected = self.theirs.psnr(*inside)
        found = metrics.psnr(
            *(image.clip(1000, 1000 + RANGE) for image in images), data_range=RANGE
        )
        assert found == pytest.approx(expected.item(), abs=1e-3)

    def test_ssim(self, seed):
        result, truth = (image.clip(1000, 21_000) - 1000 for image in pair(seed=seed))
        expected = self.theirs.ssim(
            *tensors(result + 1000, truth + 1000), downsample=False
        )
        found = metrics.ssim(result, truth, data_range=RANGE)
        assert found == pytest.approx(expected.item(), abs=1e-5)

    def test_gradient_similarity(self, seed):
        result, truth = (image.clip(1000, 21_000) for image in pair(seed=seed))
        fine = [tensor.repeat_interleave(2, 2).repeat_interleave(2, 3)
                for tensor in tensors(result, truth)]  # fmt: skip
        expected = self.theirs.gmsd(*fine, t=170 / 255**2)  # it halves images first
        found = 1 - metrics.gradient_similarity(result, truth, data_range=RANGE)
        assert found == pytest.approx(expected.item(), rel=0.03)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_resolution_beside_nanopyx(sigma):
    """Not among the development packages: it brings OpenCV with a Qt of its own.

    Their curve is smoothed otherwise, so that noisy crossings differ by some per cent.
    """
    theirs = pytest.importorskip("nanopyx.core.analysis.frc").FIRECalculator
    random = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(random.random((256, 256)), sigma)
    truth = (truth - truth.min()) / np.ptp(truth) * 1000
    one, other = (truth + random.normal(0, 30, truth.shape) for _ in range(2))

    expected = theirs(pixel_size=1.0, units="pixel").calculate_fire_number(
        one.astype(np.float32), other.astype(np.float32)
    )

    found = metrics.resolution_of(*metrics.ring_correlation(one, other))
    assert found == pytest.approx(expected, rel=0.1)

"""Sparse coding as a network: the published layers, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny_scn

from napari_sr.catalogue.lookup import load_model
from napari_sr.image.factor import FACTORS
from napari_sr.models.sr_model import save_model
from napari_sr.networks import build_generator
from napari_sr.networks.generators.scn import CONTRAST
from napari_sr.networks.resampling import resample
from napari_sr.phantoms import make_phantom
from napari_sr.settings import TrainingSettings
from napari_sr.training.presets import train
from napari_sr.upscaling.flow import upscale


def test_the_layers_are_those_of_the_paper():
    network = build_generator("scn", 2)
    shapes = {name: tuple(one.shape) for name, one in network.named_parameters()}
    assert shapes == {
        "stage.features": (100, 1, 9, 9),
        "stage.into_code.weight": (128, 100, 1, 1),
        "stage.step.weight": (128, 128, 1, 1),
        "stage.from_code.weight": (25, 128, 1, 1),
        "stage.weights": (25, 1, 1, 1),
    }
    # 8,100 + 12,800 + 16,384 + 3,200 + 25; thresholds are 1 and have no weights
    assert sum(one.numel() for one in network.parameters()) == 40_509
    assert CONTRAST == 1.1
    assert network.stage.low_pass.shape[-2:] == (13, 13)


@pytest.mark.parametrize(("factor", "n_stages"), [(2, 1), (3, 2), (4, 2), (8, 3)])
def test_a_cascade_repeats_the_same_stage(factor, n_stages):
    assert build_generator("scn", factor).n_stages == n_stages


@pytest.mark.parametrize("factor", FACTORS)
def test_an_untrained_network_is_near_bicubic(factor):
    torch.manual_seed(0)
    network = build_generator("scn", factor).eval()
    batch = resample(torch.rand(1, 1, 9, 9), 3, "bicubic")
    bicubic = resample(batch, factor, "bicubic")
    inside = slice(network.halo * factor, -network.halo * factor)
    apart = (network(batch) - bicubic)[..., inside, inside]
    assert apart.std() < 0.3 * bicubic[..., inside, inside].std()


def test_a_flat_field_stays_flat_whatever_was_learnt():
    network = build_generator("scn", 2).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    flat = network(torch.full((1, 1, 30, 30), 0.7))[..., 20:-20, 20:-20]
    assert (flat - 0.7).abs().max() < 1e-4


def test_eight_views_are_the_mean_of_flips_and_turns(tmp_path):
    path = tmp_path / "small.safetensors"
    save_model(tiny_scn(), path)
    once, eightfold = load_model(path), load_model(path, n_views=8)
    low = np.random.default_rng(0).uniform(0, 1, (24, 24)).astype("float32")
    said = {"consistency": "off", "intensity_range": (0, 1)}

    expected = np.mean(
        [np.rot90(upscale(np.rot90(low, k).copy(), once, **said), -k) for k in range(4)]
        + [
            np.rot90(upscale(np.rot90(low[:, ::-1], k).copy(), once, **said), -k)[
                :, ::-1
            ]
            for k in range(4)
        ],
        axis=0,
    )

    np.testing.assert_allclose(upscale(low, eightfold, **said), expected, atol=1e-5)
    assert eightfold.digest != once.digest
    assert eightfold.at_dial(0).to("cpu").options == {"n_views": 8}
    with pytest.raises(ValueError, match="n_views is 1 or 8"):
        load_model(path, n_views=5)
    with pytest.raises(ValueError, match="only the options n_views, got sigma"):
        load_model(path, sigma=5)


@pytest.mark.slow
def test_a_short_training_beats_bicubic_on_the_phantom():
    truth = make_phantom("nuclei", n_planes=6, size=128, seed=1).truth
    settings = TrainingSettings(
        architecture="scn", iterations=60, batch=4, patch=16, validate_every=30,
        fidelity_loss="mse", instrument={"share_clean": 1.0, "share_read": 0.0},
    )  # fmt: skip
    training = train(list(truth), settings)
    for _ in training:
        pass
    assert training.held_out.judge(training.model.network).psnr > (
        training.baselines()["bicubic"] + 0.1
    )

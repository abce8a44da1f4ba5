"""The recipe of the SRGAN paper: what it says, that it runs, what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_sr.recipes import read_recipe
from napari_sr.training.losses import CONTENT_SCALE
from napari_sr.training.session import Training

RECIPES = Path(__file__).parents[2] / "recipes"
RECIPE = read_recipe(RECIPES / "srgan-paper-x4.toml")
SMALL = {"iterations": 2, "batch": 1, "validate_every": 2}


def shortened(**more):
    """The recipe, for a few steps of one patch."""
    adversarial = RECIPE.settings.adversarial.model_copy(update={"iterations": 2})
    update = {**SMALL, "device": "cpu", "adversarial": adversarial, **more}
    return RECIPE.settings.model_copy(update=update)


def images():
    noise = np.random.default_rng(0).normal(size=(4, 128, 128))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2), mode="wrap")
    return list((20_000 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint16))


def test_it_is_that_of_the_paper():
    settings, second = RECIPE.settings, RECIPE.settings.adversarial
    assert (settings.iterations, second.iterations) == (1_000_000, 200_000)
    assert (settings.learning_rate, second.learning_rate) == (1e-4, 1e-4)
    assert (settings.drops, second.drops) == ((), (0.5,))
    assert settings.adam_betas == second.discriminator_betas == (0.9, 0.999)
    assert settings.largest_gradient is None
    assert (settings.architecture, settings.arguments) == ("srresnet", {})
    assert (settings.fidelity_loss, settings.batch) == ("mse", 16)
    assert second.discriminator == "srgan"
    assert second.content == "vgg19"
    assert second.content_layers == {"5_4": 1.0}
    assert second.content_weight == pytest.approx(CONTENT_SCALE, rel=1e-5)
    assert (second.weight, second.pixel_weight) == (1e-3, 0.0)
    assert second.gradient_penalty == second.lattice_weight == 0
    assert second.real_label == 1


def test_without_torchvision_it_is_refused_before_the_first_step(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)

    with pytest.raises(ValueError, match="need torchvision"):
        Training(images(), shortened())


@pytest.mark.usefixtures("torchvision")
def test_without_the_weights_of_vgg_it_is_refused_before_the_first_step():
    with pytest.raises(ValueError, match="which does not exist"):
        Training(images(), shortened())


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"content_layers": {"6_1": 1.0}}, "have the layers"),
        ({"content": "ms-ssim"}, "MS-SSIM"),
    ],
)
def test_what_a_loss_cannot_do_is_refused_before_the_first_step(change, why):
    settings = shortened(patch=12)
    adversarial = settings.adversarial.model_copy(update=change)

    with pytest.raises(ValueError, match=why):
        Training(images(), settings.model_copy(update={"adversarial": adversarial}))


@pytest.mark.slow
@pytest.mark.usefixtures("cached")
def test_it_runs_both_stages_and_goes_on_where_it_was(tmp_path):
    """With random weights in place of those of VGG-19, which are not here."""
    path = tmp_path / "training.pt"
    stages = []
    for step in Training(images(), shortened(), checkpoint=path):
        stages.append(step.stage)
        if len(stages) == 3:
            break

    resumed = Training(images(), shortened(), checkpoint=path)
    resumed_at = (resumed.state.stage, resumed.state.iteration)
    losses = [dict(step.losses) for step in resumed]

    assert stages == ["fidelity", "fidelity", "adversarial"]
    assert resumed_at == ("adversarial", 0)  # of the look at the end of the first stage
    assert len(losses) == 2
    assert all({"content", "adversarial", "accuracy"} <= set(one) for one in losses)
    model = resumed.model
    assert model.card.output_step == (0.5, 0.5)
    # Two steps may find no texture worth keeping; what is kept is recommended whole.
    assert model.dial == ("textured" in model.weights)

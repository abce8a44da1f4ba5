"""Small untrained models that behave like trained ones, for the tests of the flow."""

from __future__ import annotations

import torch

from napari_sr.cards.model_card import ModelCard
from napari_sr.instrument.noise import NoiseEstimator
from napari_sr.models.blind_model import BlindModel
from napari_sr.models.sr_model import SRModel
from napari_sr.networks import build_generator
from napari_sr.networks.generators.ikc import Corrector, Predictor


def tiny_fast(factor=2, *, tail=0.05, seed=0, name="tiny"):
    """A model that is told the noise; with `tail=0` it is bicubic."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        arguments = {"channels": 8, "n_blocks": 2}
        network = build_generator("fast", factor, arguments)
        torch.nn.init.normal_(network.tail.weight, std=tail)
        estimator = NoiseEstimator()
    return _model(network, "fast", arguments, name, noise_estimator=estimator)


def tiny_srresnet(factor=2, *, seed=0, **more):
    """The paper's shape, small: not told the noise, unless it has `in_channels` 2."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        arguments = {"channels": 8, "n_blocks": 2, **more}
        network = build_generator("srresnet", factor, arguments)
    return _model(network, "srresnet", arguments, "tiny-srresnet")


def tiny_scn(factor=2, *, n_views=1, seed=0):
    """Sparse coding, small, with a step that does something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        arguments = {"n_features": 30, "n_atoms": 32, "n_views": n_views}
        network = build_generator("scn", factor, arguments)
        torch.nn.init.normal_(network.stage.step.weight, std=0.05)
    return _model(network, "scn", arguments, "tiny-scn")


def tiny_blind(factor=2, *, seed=0):
    """A blind model that does something with what it guesses."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        arguments = {"channels": 4, "n_blocks": 1}
        network = build_generator("sftmd", factor, arguments)
        torch.nn.init.normal_(network.tail.weight, std=0.02)
        predictor, corrector = Predictor(4), Corrector(4)
    return _model(
        network, "sftmd", arguments, "tiny-blind", BlindModel,
        predictor=predictor, corrector=corrector,
    )  # fmt: skip


def _model(network, architecture, arguments, name, kind=SRModel, **other_parts):
    card = ModelCard(
        name=name,
        description="Untrained, for tests.",
        domain="test",
        factor=network.factor,
        architecture=architecture,
        arguments=arguments,
        halo=network.halo,
        output_scale=network.output_step[0],
        output_offset=network.output_step[1],
    )
    parts = {"faithful": network, **other_parts}
    return kind(card, {part: one.state_dict() for part, one in parts.items()})

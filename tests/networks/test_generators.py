"""Generators: what they give, what they see of a plane, and what they cost."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.image.factor import FACTORS
from napari_sr.networks import ARCHITECTURES, build_generator
from napari_sr.networks.inference.fold import fold_batch_norm
from napari_sr.networks.resampling import kernel_radius, resample
from napari_sr.networks.weights import between, fitting

SMALL = {"channels": 4, "n_blocks": 2}
SMALL_SCN = {"n_features": 4, "n_atoms": 4}
PAPER_BLOCKS = 16

every_factor = pytest.mark.parametrize("factor", FACTORS)
every_architecture = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))


def random_batch(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def with_learned_norms(network):
    """Give every batch norm statistics and weights as a training would leave them."""
    random = torch.Generator().manual_seed(1)
    for norm in [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]:
        norm.running_mean.normal_(0, 0.5, generator=random)
        norm.running_var.uniform_(0.2, 3.0, generator=random)
        nn.init.normal_(norm.weight, 1, 0.3, generator=random)
        nn.init.normal_(norm.bias, 0, 0.3, generator=random)
    return network.eval()


# ── what they give ──────────────────────────────────────────────────────────────────


@every_factor
@every_architecture
def test_a_batch_becomes_factor_times_larger(architecture, factor):
    small = SMALL_SCN if architecture == "scn" else SMALL
    network = build_generator(architecture, factor, small)

    fine = network(random_batch(3, network.in_channels, 11, 7))

    assert network.factor == factor
    assert fine.shape == (3, 1, 11 * factor, 7 * factor)


@every_factor
def test_an_untrained_fast_network_is_bicubic_whatever_the_noise(factor):
    network = build_generator("fast", factor, SMALL)
    batch = random_batch(2, 2, 16, 13)

    assert torch.equal(network(batch), resample(batch[:, :1], factor, "bicubic"))


@every_factor
def test_an_untrained_paper_network_hardly_differs_from_an_interpolation(factor):
    network = build_generator("srresnet", factor)
    batch = resample(random_batch(2, 1, 8, 8), 3, "bicubic").clamp(0, 1)

    difference = network(batch) - resample(batch, factor, "bicubic")

    inside = slice(4 * factor, -4 * factor)
    assert difference[..., inside, inside].square().mean().sqrt() < 0.02


@every_factor
@pytest.mark.parametrize("name", ["srresnet", "msrresnet", "sftmd"])
def test_the_sub_pixels_of_a_channel_start_with_equal_weights(name, factor):
    """Drawn apart, they would paint a lattice that training has to remove."""
    network = build_generator(name, factor, {"channels": 8, "n_blocks": 1})
    for layer in network.upsampling.children():
        if isinstance(layer, torch.nn.Conv2d):
            channels = layer.weight.view(8, -1, *layer.weight.shape[1:])
            others = channels[1:]  # the first may carry the image
            assert torch.equal(others, others[:, :1].expand_as(others))


def test_the_paper_network_may_be_told_the_noise_and_uses_it():
    torch.manual_seed(0)
    network = build_generator("srresnet", 2, {**SMALL, "in_channels": 2})
    image, noise = random_batch(1, 1, 40, 40), torch.full((1, 1, 40, 40), 0.1)

    quiet, loud = (network(torch.cat([image, n], 1)) for n in (0 * noise, noise))

    assert network.in_channels == 2
    assert not torch.equal(quiet, loud)
    assert (quiet - loud).abs().max() < 0.05  # before training it hardly matters


def test_the_paper_network_takes_one_or_two_channels():
    with pytest.raises(ValueError, match=r"image and its noise map .*in_channels 3"):
        build_generator("srresnet", 2, {"in_channels": 3})


@every_factor
def test_an_untrained_fast_network_keeps_a_flat_field_flat(factor):
    network = build_generator("fast", factor)
    flat = torch.cat([torch.full((1, 1, 40, 40), 0.7), torch.full((1, 1, 40, 40), 0.1)])
    batch = flat.view(1, 2, 40, 40)

    inside = slice(network.halo * factor, -network.halo * factor)
    fine = network(batch)[..., inside, inside]

    assert (fine - 0.7).abs().max() < 0.005


def test_the_fast_network_is_told_the_noise_and_uses_it():
    network = build_generator("fast", 2, SMALL)
    nn.init.normal_(network.tail.weight)
    quiet = random_batch(1, 2, 12, 12)
    noisy = quiet.clone()
    noisy[:, 1] += 0.05

    assert network.in_channels == 2
    assert not torch.equal(network(quiet), network(noisy))


REFUSED = [
    pytest.param(
        "unet", 2, {}, "architecture 'unet'.*fast, msrresnet, scn, s", id="name"
    ),
    pytest.param("fast", 5, {}, "2, 3, 4 or 8, not 5", id="factor 5"),
    pytest.param("srresnet", 1, {}, "2, 3, 4 or 8, not 1", id="factor 1"),
    pytest.param("fast", 2, {"depth": 3}, "does not take.*depth", id="argument"),
    pytest.param("fast", 2, {"factor": 3}, "does not take.*factor", id="factor twice"),
    pytest.param("fast", 2, {"channels": 0}, "numbers from 1", id="no channels"),
    pytest.param("srresnet", 2, {"n_blocks": -1}, "numbers from 1", id="no blocks"),
]


@pytest.mark.parametrize(("architecture", "factor", "arguments", "why"), REFUSED)
def test_what_cannot_be_built_is_refused(architecture, factor, arguments, why):
    with pytest.raises(ValueError, match=why):
        build_generator(architecture, factor, arguments)


# ── how far they see ────────────────────────────────────────────────────────────────


def positive(network):
    """Make all weights positive: then nothing cancels, and no ReLU hides a pixel."""
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.05, 0.15)
    return network.eval().double()


def influence(network):
    """Sum up what each low pixel means for the block of fine pixels in the middle."""
    radius = network.halo + 2
    side = 2 * radius + 1
    batch = torch.ones(1, network.in_channels, side, side, dtype=torch.float64)
    batch.requires_grad_()
    block = slice(radius * network.factor, (radius + 1) * network.factor)
    network(batch)[..., block, block].sum().backward()
    return batch.grad.abs()[0]


def assert_sees_exactly_its_halo(network):
    seen = influence(network)
    halo, middle = network.halo, seen.shape[-1] // 2
    inside = slice(middle - halo, middle + halo + 1)
    beyond = seen.clone()
    beyond[:, inside, inside] = 0
    assert (beyond == 0).all(), "a pixel outside the halo has an influence"
    for edge in (middle - halo, middle + halo):
        # of the image and its noise; the code of a blur is the same everywhere
        assert (seen[:2, edge, inside].sum(1) > 0).all() or len(seen) > 2
        assert seen[0, edge, inside].sum() > 0, "the halo is larger than needed"
        assert seen[0, inside, edge].sum() > 0


@every_factor
@every_architecture
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_the_halo_is_the_true_receptive_radius(architecture, factor, n_blocks):
    small = {"channels": 2, "n_blocks": n_blocks}
    network = build_generator(
        architecture, factor, SMALL_SCN if architecture == "scn" else small
    )
    if hasattr(network, "at_output"):  # pixel by pixel; saturated, it hides the reach
        network.at_output = lambda fine: fine

    assert_sees_exactly_its_halo(positive(network))


def test_bicubic_alone_stays_inside_the_halo_of_the_smallest_fast_network():
    assert kernel_radius("bicubic") <= build_generator("fast", 2, {"n_blocks": 1}).halo


def test_the_paper_sees_40_pixels_at_factor_4():
    # 4 (head) + 32 (blocks) + 1 (middle) + 1 + 1/2 (sub-pixel) + 4/4 (tail) = 39.5
    arguments = {"channels": 1, "n_blocks": PAPER_BLOCKS}
    network = positive(build_generator("srresnet", 4, arguments))

    assert network.halo == build_generator("srresnet", 4).halo == 40
    assert_sees_exactly_its_halo(network)


# ── the paper, layer by layer ───────────────────────────────────────────────────────

CONVOLUTIONS_OF_THE_PAPER = [
    (1, 64, 9),
    *[(64, 64, 3)] * 2 * PAPER_BLOCKS,
    (64, 64, 3),
    (64, 256, 3),
    (64, 256, 3),
    (64, 1, 9),
]


def of_kind(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def test_the_paper_layer_by_layer():
    network = build_generator("srresnet", 4)
    convolutions = of_kind(network, nn.Conv2d)

    assert [
        (c.in_channels, c.out_channels, *set(c.kernel_size)) for c in convolutions
    ] == CONVOLUTIONS_OF_THE_PAPER
    assert {c.stride for c in convolutions} == {(1, 1)}
    assert len(of_kind(network, nn.BatchNorm2d)) == 2 * PAPER_BLOCKS + 1
    # one after the head, one in each block, one after each sub-pixel step
    assert len(of_kind(network, nn.PReLU)) == 1 + PAPER_BLOCKS + 2
    assert [s.upscale_factor for s in of_kind(network, nn.PixelShuffle)] == [2, 2]


def test_the_paper_has_1_52_million_parameters_at_factor_4():
    network = build_generator("srresnet", 4)
    expected = sum(
        n_in * n_out * side**2 + n_out
        for n_in, n_out, side in CONVOLUTIONS_OF_THE_PAPER
    ) + len(of_kind(network, nn.PReLU))

    folded = fold_batch_norm(copy.deepcopy(network).eval())

    assert sum(p.numel() for p in folded.parameters()) == expected == 1_524_500
    norms = (2 * PAPER_BLOCKS + 1) * 2 * 64
    assert sum(p.numel() for p in network.parameters()) == expected + norms


def test_a_residual_block_without_its_second_norm_is_an_identity():
    network = build_generator("srresnet", 2, SMALL).eval()
    block = network.blocks[0]
    nn.init.zeros_(block.layers[-1].weight)  # its bias is zero from the start
    features = random_batch(1, 4, 6, 6) - 0.5

    # negative features come through: there is no activation after the sum
    assert torch.equal(block(features), features)


def multiply_adds(network, side=32):
    """Count the multiply-adds of all convolutions for each fine pixel."""
    total = 0

    def look(convolution, _inputs, output):
        nonlocal total
        total += output.numel() * convolution.weight[0].numel()

    for convolution in of_kind(network, nn.Conv2d):
        convolution.register_forward_hook(look)
    with torch.inference_mode():
        network(torch.zeros(1, network.in_channels, side, side))
    if hasattr(network, "bicubic"):
        total += side**2 * network.bicubic.numel()
    return total / (side * network.factor) ** 2


def test_the_fast_network_costs_a_fraction_of_the_paper():
    fast = multiply_adds(build_generator("fast", 4))
    paper = multiply_adds(build_generator("srresnet", 4))

    assert paper * 16 == 2_041_920
    assert paper > 9 * fast


# ── exact rewrites ──────────────────────────────────────────────────────────────────


@every_factor
def test_folding_batch_norm_changes_nothing(factor):
    network = with_learned_norms(build_generator("srresnet", factor, SMALL))
    batch = random_batch(2, 1, 12, 9)

    with torch.inference_mode():
        before = network(batch)
        after = fold_batch_norm(network)(batch)

    assert not of_kind(network, nn.BatchNorm2d)
    assert before.std() > 0.01
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


def test_folding_leaves_a_network_without_norms_alone():
    network = build_generator("fast", 2, SMALL).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    after = fold_batch_norm(network).state_dict()

    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


# ── weights ─────────────────────────────────────────────────────────────────────────


def test_weights_that_fit_are_given_in_the_types_of_the_network():
    network = build_generator("srresnet", 2, SMALL)
    halved = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }

    given = fitting(network, halved, "m")

    assert {name: t.dtype for name, t in given.items()} == {
        name: t.dtype for name, t in network.state_dict().items()
    }


WRONG_WEIGHTS = [
    pytest.param(lambda w: w.pop("tail.bias"), "tail.bias", id="missing"),
    pytest.param(lambda w: w.update(more=torch.ones(1)), "more", id="surplus"),
    pytest.param(
        lambda w: w.update({"head.weight": w["head.weight"][:2]}),
        "head.weight",
        id="misshapen",
    ),
]


@pytest.mark.parametrize(("spoil", "named"), WRONG_WEIGHTS)
def test_weights_that_do_not_fit_are_refused(spoil, named):
    network = build_generator("fast", 2, SMALL)
    weights = dict(network.state_dict())
    spoil(weights)

    with pytest.raises(ModelFormatError, match=f"'m' do not fit its card.*{named}"):
        fitting(network, weights, "m")


def test_between_two_ends():
    faithful = {"weight": torch.tensor([0.1, -2.0]), "steps": torch.tensor(7)}
    textured = {"weight": torch.tensor([0.3, 6.0]), "steps": torch.tensor(9)}

    for dial, expected in [(0, faithful), (1, textured)]:
        assert torch.equal(
            between(faithful, textured, dial)["weight"], expected["weight"]
        )
    quarter = between(faithful, textured, 0.25)
    torch.testing.assert_close(quarter["weight"], torch.tensor([0.15, 0.0]))
    assert quarter["steps"] == 7

"""Generators arranged for inference compute what they computed in training."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_sr.networks import build_generator
from napari_sr.networks.inference import cache_pieces as pieces
from napari_sr.networks.inference.as_trained import working_memory
from napari_sr.networks.inference.cache_pieces import Maps, in_pieces
from napari_sr.networks.inference.fold import before_shuffle
from napari_sr.networks.inference.runners import for_inference

SMALL = {"channels": 8, "n_blocks": 2}
every_factor = pytest.mark.parametrize("factor", [2, 3, 4, 8])


def trained(architecture, factor):
    """A generator whose every number counts: norms, slopes and last layer too."""
    torch.manual_seed(0)
    architecture, _, told = architecture.partition(" told")
    arguments = {**SMALL, "in_channels": 2} if told else SMALL
    network = build_generator(architecture, factor, arguments)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, 0.05, 0.5)
    if architecture == "fast":
        nn.init.normal_(network.tail.weight, std=0.1)
    return network.eval().requires_grad_(False)


@every_factor
@pytest.mark.parametrize("architecture", ["fast", "srresnet", "srresnet told noise"])
@pytest.mark.parametrize("piece_bytes", [1, 2**14, 2**24])
def test_what_runs_is_what_was_trained(monkeypatch, architecture, factor, piece_bytes):
    monkeypatch.setitem(pieces.PIECE_BYTES, "cpu", piece_bytes)
    network = trained(architecture, factor)
    halo = network.halo
    batch = torch.rand(2, network.in_channels, 2 * halo + 19, 2 * halo + 34)
    ring = slice(halo * factor, -halo * factor)

    expected = network(batch)[..., ring, ring]
    found = for_inference(copy.deepcopy(network))(batch)

    assert expected.std() > 0.01
    span = float(expected.max() - expected.min())
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-6 * span)


@pytest.mark.parametrize("architecture", ["msrresnet", "srresnet-tanh"])
def test_what_has_no_form_of_its_own_runs_as_it_was_trained(architecture):
    network = trained(architecture, 4)
    batch = torch.rand(1, 1, 2 * network.halo + 9, 2 * network.halo + 14)
    ring = slice(network.halo * 4, -network.halo * 4)
    expected = network(batch)[..., ring, ring]
    torch.testing.assert_close(for_inference(network)(batch), expected)


def test_working_memory_is_that_of_the_largest_feature_map():
    network = build_generator("srresnet-tanh", 4, SMALL)
    largest = 8 * 16  # channels at fourfold resolution

    assert working_memory(network) == 4 * 4 * largest  # float32, four maps alive
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("side", [1, 3, 5, 9])
@pytest.mark.parametrize("step", [2, 3])
def test_a_convolution_moves_before_a_shuffle(step, side, bias):
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 2, side, bias=bias).requires_grad_(False)
    shuffle = nn.PixelShuffle(step)
    coarse = torch.randn(1, 3 * step**2, 12, 11)

    moved = before_shuffle(convolution, step)
    expected, found = convolution(shuffle(coarse)), shuffle(moved(coarse))

    cut = (expected.shape[-1] - found.shape[-1]) // 2
    inner = slice(cut, -cut or None)
    torch.testing.assert_close(found, expected[..., inner, inner])


@pytest.mark.parametrize("architecture", ["fast", "srresnet"])
def test_wide_networks_run_as_trained_too(architecture):
    torch.manual_seed(0)
    network = build_generator(architecture, 2, {"channels": 64, "n_blocks": 3})
    network.eval().requires_grad_(False)
    halo = network.halo
    batch = torch.rand(1, network.in_channels, 2 * halo + 33, 2 * halo + 50)
    ring = slice(halo * 2, -halo * 2)

    expected = network(batch)[..., ring, ring]
    runner = for_inference(copy.deepcopy(network))
    span = float(expected.max() - expected.min())

    torch.testing.assert_close(runner(batch), expected, rtol=0, atol=5e-6 * span)


def test_maps_take_turns_and_keep_their_memory():
    maps, like = Maps(), torch.zeros(1)
    first, second = maps.next((1, 2, 9, 8), like), maps.next((1, 2, 8, 7), like)
    first.fill_(1)
    second.fill_(2)
    assert (first == 1).all()
    third = maps.next((1, 2, 7, 6), like)
    assert third.data_ptr() == first.data_ptr()
    assert third.is_contiguous(memory_format=torch.channels_last)
    assert (second == 2).all()


def test_a_stage_in_pieces_sees_what_it_needs_of_each_source(monkeypatch):
    monkeypatch.setitem(pieces.PIECE_BYTES, "cpu", 1)
    near, far = torch.randn(1, 2, 42, 35), torch.randn(1, 2, 46, 39)

    def stage(near, far):
        return (near[..., 1:-1, 1:-1] + far[..., 3:-3, 3:-3]).repeat_interleave(2, -1)

    def twice(near, far):
        return stage(near, far).repeat_interleave(2, -2)

    found = in_pieces(twice, (near, 1), (far, 3), bytes_per_pixel=4, factor=2)
    torch.testing.assert_close(found, twice(near, far), rtol=0, atol=0)

"""Content features: which maps they give, how they are loaded, and what is refused."""

from __future__ import annotations

import json
import struct
import sys

import pytest
import torch
from thin_vgg import FILE, VGG_BLOCKS, thin_vgg19
from torch import nn
from torch.nn import functional

from napari_sr.cards.model_card import ModelFormatError, TrainingImage
from napari_sr.instrument.degradation import blur
from napari_sr.models import feature_file
from napari_sr.models.feature_file import (
    SHIPPED,
    FeatureCard,
    load_features,
    read_features,
    save_features,
)
from napari_sr.networks.features import CENTRE, SPREAD, DomainFeatures, places_of
from napari_sr.training.losses import content_loss

ALL_LAYERS = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "4_1", "4_2")
CARD = FeatureCard(
    name="test",
    training_images=(TrainingImage(file="a.tif", licence="CC0", source="here"),),
)


def random_image(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def untrained(*layers, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DomainFeatures(layers or None)


# ── which maps they give ────────────────────────────────────────────────────────────


def test_all_layers_are_given_when_none_are_named():
    found = untrained()(random_image(2, 1, 32, 24))

    assert {name: tuple(one.shape) for name, one in found.items()} == {
        "1_1": (2, 16, 32, 24),
        "1_2": (2, 16, 32, 24),
        "2_1": (2, 32, 16, 12),
        "2_2": (2, 32, 16, 12),
        "3_1": (2, 64, 8, 6),
        "3_2": (2, 64, 8, 6),
        "4_1": (2, 128, 4, 3),
        "4_2": (2, 128, 4, 3),
    }


def test_a_layer_is_a_convolution_after_its_relu_and_before_the_pool():
    network = untrained("2_1", "2_2")
    image = random_image(1, 1, 16, 16)
    convolutions = [layer for layer in network.stack if isinstance(layer, nn.Conv2d)]

    by_hand = {}
    maps = (image - CENTRE) / SPREAD
    for number, convolution in enumerate(convolutions[:4]):
        if number == 2:
            maps = functional.max_pool2d(maps, 2)
        maps = functional.conv2d(maps, convolution.weight, convolution.bias, padding=1)
        maps = by_hand[number] = functional.relu(maps)

    found = network(image)
    assert torch.equal(found["2_1"], by_hand[2])
    assert torch.equal(found["2_2"], by_hand[3])


def test_the_maps_come_in_the_order_asked():
    found = untrained("3_1", "1_2")(random_image(1, 1, 16, 16))

    assert list(found) == ["3_1", "1_2"]


def test_a_map_does_not_depend_on_which_others_are_asked():
    image = random_image(1, 1, 16, 16)

    alone, among = untrained("2_2")(image), untrained()(image)

    assert torch.equal(alone["2_2"], among["2_2"])


class Unwanted(nn.Module):
    def forward(self, maps):
        raise AssertionError("computed what nobody asked for")


@pytest.mark.parametrize("deepest", ALL_LAYERS)
def test_nothing_beyond_the_deepest_layer_is_computed(deepest):
    network = untrained("1_1", deepest)
    for place in range(places_of(network.stack)[deepest] + 1, len(network.stack)):
        network.stack[place] = Unwanted()

    assert deepest in network(random_image(1, 1, 16, 16))


def test_the_input_is_not_standardised_by_its_own_content():
    image = random_image(1, 1, 64, 64)
    brighter_elsewhere = image.clone()
    brighter_elsewhere[..., 32:] = 50.0
    network = untrained("2_2")

    first, second = (network(one)["2_2"] for one in (image, brighter_elsewhere))

    assert torch.equal(first[..., :10], second[..., :10])
    assert not torch.equal(first[..., 16:], second[..., 16:])


def test_they_are_small():
    assert sum(p.numel() for p in untrained().parameters()) <= 350_000


REFUSED_LAYERS = [
    pytest.param(["2_3"], r"have the layers 1_1, .*4_2; asked for: 2_3\.", id="third"),
    pytest.param(["5_1"], "asked for: 5_1", id="block"),
    pytest.param(["1_1", "conv"], "asked for: 1_1, conv", id="one of two"),
    pytest.param([], "asked for: none", id="none"),
]


@pytest.mark.parametrize(("layers", "why"), REFUSED_LAYERS)
def test_layers_that_are_not_there_are_refused(layers, why):
    with pytest.raises(ValueError, match=why):
        DomainFeatures(layers)


REFUSED_IMAGES = [
    pytest.param((1, 3, 16, 16), id="colour"),
    pytest.param((1, 1, 16, 7), id="narrow"),
    pytest.param((1, 1, 7, 16), id="low"),
]


@pytest.mark.parametrize("shape", REFUSED_IMAGES)
def test_images_that_they_cannot_see_are_refused(shape):
    why = "one grey channel of at least 8 px a side, got .*Use larger patches"
    with pytest.raises(ValueError, match=why):
        untrained("4_2")(torch.zeros(shape))


def test_the_smallest_image_still_has_features():
    assert untrained("4_2")(torch.zeros(1, 1, 8, 8))["4_2"].shape[-2:] == (1, 1)


# ── the shipped ones ────────────────────────────────────────────────────────────────


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """The place of the shipped file, with an untrained network in it."""
    path = tmp_path / "domain.safetensors"
    save_features(untrained(seed=7), CARD, path)
    monkeypatch.setattr(feature_file, "SHIPPED", path)
    return path


def test_what_is_written_is_read_back_in_float32(shipped):
    loaded = load_features("domain", ["1_2"])

    for name, weight in untrained(seed=7).state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == torch.float32
        assert torch.equal(found, weight.half().float())
    card, halves = read_features(shipped)
    assert card.training_images == CARD.training_images
    assert {half.dtype for half in halves.values()} == {torch.float16}


@pytest.mark.usefixtures("shipped")
def test_loaded_features_pass_gradients_to_the_image_and_learn_nothing():
    network = load_features("domain", ["1_2", "3_2"])
    image = random_image(1, 1, 16, 16).requires_grad_()

    found, wanted = network(image), network(random_image(1, 1, 16, 16, seed=1))
    content_loss(found, wanted).backward()

    assert not network.training
    assert network.layers == ("1_2", "3_2")
    assert (image.grad != 0).any()
    assert not any(p.requires_grad for p in network.parameters())


def test_the_shipped_file_says_what_it_was_trained_on():
    card, _ = read_features(SHIPPED)

    assert len(card.training_images) > 300
    assert all(image.licence and image.source for image in card.training_images)
    assert card.training_settings["seed"] == 0
    assert "| domain 3_2 |" in card.quality


def test_the_shipped_features_find_more_blur_further():
    truth = random_image(4, 1, 48, 48)
    truth = blur(truth, 1.0)
    network = load_features("domain", ALL_LAYERS)
    wanted = network(truth)

    for layer in ALL_LAYERS:
        distances = [
            content_loss(
                {layer: network(blur(truth, sigma))[layer]}, {layer: wanted[layer]}
            )
            for sigma in (0.0, 0.5, 1.0, 2.0)
        ]
        assert distances[0] == 0
        assert distances == sorted(distances)


def test_unknown_features_are_refused():
    with pytest.raises(ValueError, match=r"no content features 'vgg'.*domain, vgg19"):
        load_features("vgg", ["1_1"])


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def forget_the_card(path):
    content = path.read_bytes()
    n_header = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + n_header])
    del header["__metadata__"]
    text = json.dumps(header).encode()
    body = content[8 + n_header :]
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def write_text(path):
    path.write_text("no safetensors file")


def write_another_network(path):
    save_features(nn.Sequential(nn.Conv2d(1, 4, 3)), CARD, path)


DAMAGED = [
    pytest.param(lambda path: path.unlink(), "no weight file .*Install", id="missing"),
    pytest.param(cut_off, "cut off or not a file of content features", id="cut off"),
    pytest.param(write_text, "cut off or not a file of content", id="something else"),
    pytest.param(forget_the_card, "cut off or not a file of content", id="no card"),
    pytest.param(flip_a_bit, "have been changed.*Install", id="changed"),
    pytest.param(write_another_network, "do not fit", id="another network"),
]


@pytest.mark.parametrize(("damage", "why"), DAMAGED)
def test_a_damaged_file_is_refused(shipped, damage, why):
    damage(shipped)

    with pytest.raises(ModelFormatError, match=why):
        load_features("domain", ["1_1"])


# ── VGG-19 ──────────────────────────────────────────────────────────────────────────


def as_imagenet(image):
    """Repeat grey to three colours, and normalise each as ImageNet."""
    colours = [
        (image - mean) / deviation
        for mean, deviation in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    ]
    return torch.cat(colours, dim=1)


@pytest.mark.parametrize(
    ("layer", "n_modules"),
    [("1_1", 2), ("2_2", 9), ("3_4", 18), ("5_1", 30), ("5_4", 36)],
)
def test_layers_of_vgg19_are_those_of_the_paper(cached, layer, n_modules):
    image = random_image(2, 1, 32, 16)

    found = load_features("vgg19", [layer])(image)

    wanted = cached.network.features[:n_modules](as_imagenet(image))
    assert list(found) == [layer]
    torch.testing.assert_close(found[layer], wanted, rtol=1e-5, atol=1e-6)


def test_vgg19_has_sixteen_layers(cached):
    network = thin_vgg19(weights=None)

    assert list(places_of(network.features)) == [
        f"{block}_{number}"
        for block, n_convolutions in enumerate(VGG_BLOCKS, start=1)
        for number in range(1, n_convolutions + 1)
    ]


def test_vgg19_passes_gradients_to_the_image_and_learns_nothing(cached):
    network = load_features("vgg19", ["1_1", "2_2"])
    image = random_image(1, 1, 16, 16).requires_grad_()

    sum(one.sum() for one in network(image).values()).backward()

    assert not network.training
    assert (image.grad != 0).any()
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.usefixtures("torchvision")
def test_weights_that_were_never_fetched_are_not_downloaded(tmp_path):
    why = rf"need the file .*{FILE}, which does not exist.*torchvision\.models\.vgg19\("
    with pytest.raises(ValueError, match=why):
        load_features("vgg19", ["2_2"])

    assert not list(tmp_path.rglob("*.pth"))


@pytest.mark.parametrize("name", ["torchvision", "torchvision.models"])
def test_vgg19_without_torchvision_says_how_to_get_it(monkeypatch, name):
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    monkeypatch.setitem(sys.modules, name, None)

    why = r"need torchvision.*pip install 'napari-sr\[vgg\]'.*use 'domain'"
    with pytest.raises(ValueError, match=why):
        load_features("vgg19", ["2_2"])


def test_a_torchvision_made_for_another_torch_is_refused(monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.import_module", broken)

    with pytest.raises(ValueError, match=r"nms does not exist.*napari-sr\[vgg\]"):
        load_features("vgg19", ["2_2"])


DAMAGED_WEIGHTS = [
    pytest.param(lambda path: path.write_bytes(b""), "damaged", id="empty"),
    pytest.param(lambda path: path.write_bytes(b"<html>"), "damaged", id="text"),
    pytest.param(cut_off, "damaged", id="cut off"),
    pytest.param(lambda path: torch.save([1], path), "damaged", id="a list"),
    pytest.param(
        lambda path: torch.save({"features.0.weight": torch.zeros(1)}, path),
        "do not fit",
        id="other weights",
    ),
]


@pytest.mark.parametrize(("damage", "why"), DAMAGED_WEIGHTS)
def test_a_damaged_weight_file_of_vgg19_is_refused(cached, damage, why):
    damage(cached.path)

    with pytest.raises(ModelFormatError, match=why):
        load_features("vgg19", ["2_2"])


def test_a_layer_that_vgg19_does_not_have_is_refused(cached):
    with pytest.raises(ValueError, match=r"5_4; asked for: 2_3\."):
        load_features("vgg19", ["2_3"])

"""Discriminators: what they are, what they see, and how still they can be held."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from napari_sr.networks.discriminators import (
    DISCRIMINATORS,
    SRGANDiscriminator,
    UNetDiscriminator,
    build_discriminator,
    frozen,
)
from napari_sr.training.losses import adversarial_loss, content_loss, discriminator_loss

PATCH = 32
every_discriminator = pytest.mark.parametrize("name", sorted(DISCRIMINATORS))


def random_images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def image_and_noise(n=2, side=PATCH, seed=0):
    image, noise = random_images(2, n, 1, side, side, seed=seed)
    return image, 0.05 * noise


def built(name, seed=0):
    torch.manual_seed(seed)
    return build_discriminator(name, PATCH)


def of_kind(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def judged(network, image, noise):
    return network(image, noise) if network.is_told_noise else network(image)


def same_state(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[k], other[k]) for k in one
    )


def copied_state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


# ── what is built ───────────────────────────────────────────────────────────────────


@every_discriminator
def test_the_same_seed_builds_the_same_weights(name):
    assert same_state(built(name).state_dict(), built(name).state_dict())
    assert not same_state(built(name).state_dict(), built(name, seed=1).state_dict())


def test_an_unknown_discriminator_is_refused():
    with pytest.raises(
        ValueError, match=r"discriminator 'vgg'.*srgan, srgan-detail, unet"
    ):
        build_discriminator("vgg", 96)


@every_discriminator
def test_patches_too_small_to_be_halved_are_refused(name):
    with pytest.raises(ValueError, match=r"at least 16 px a side, got 15.*larger"):
        build_discriminator(name, 15)
    with pytest.raises(ValueError, match=r"at least 16 px a side, got 12"):
        UNetDiscriminator()(*image_and_noise(side=12))


# ── the discriminator of the paper ──────────────────────────────────────────────────

CONVOLUTIONS_OF_THE_PAPER = [  # channels in and out, stride
    (1, 64, 1),
    (64, 64, 2),
    (64, 128, 1),
    (128, 128, 2),
    (128, 256, 1),
    (256, 256, 2),
    (256, 512, 1),
    (512, 512, 2),
]


def test_srgan_has_the_layers_of_the_paper():
    with torch.device("meta"):
        network = SRGANDiscriminator(96)
    convolutions = of_kind(network, nn.Conv2d)
    kinds = [type(module) for module in of_kind(network, nn.Module)]

    assert [
        (c.in_channels, c.out_channels, c.stride[0]) for c in convolutions
    ] == CONVOLUTIONS_OF_THE_PAPER
    assert {c.kernel_size for c in convolutions} == {(3, 3)}
    kinds = [k for k in kinds if k not in (nn.Sequential, SRGANDiscriminator)]
    assert kinds == [
        *(nn.Conv2d, nn.LeakyReLU),  # the first has no norm
        *(nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU) * 7,
        *(nn.Flatten, nn.Linear, nn.LeakyReLU, nn.Linear),  # and no sigmoid
    ]
    assert {m.negative_slope for m in of_kind(network, nn.LeakyReLU)} == {0.2}
    assert [(m.in_features, m.out_features) for m in of_kind(network, nn.Linear)] == [
        (512 * 6 * 6, 1024),
        (1024, 1),
    ]


def test_its_dense_layer_is_what_makes_it_large():
    with torch.device("meta"):
        network = SRGANDiscriminator(96)
    convolutions, dense = (
        sum(p.numel() for p in part.parameters())
        for part in (network.convolutions, network.dense)
    )

    assert round(convolutions / 1e6, 1) == 4.7
    assert round(dense / 1e6, 1) == 18.9


def test_srgan_judges_whole_patches_in_logits():
    network = built("srgan").eval()
    image, _ = image_and_noise(n=3)
    with torch.no_grad():
        logits = network(image)
        for parameter in network.dense[-1].parameters():
            parameter.mul_(-1000)

        assert logits.shape == (3, 1)
        torch.testing.assert_close(network(image), -1000 * logits)
        assert network(image).abs().max() > 1


@pytest.mark.parametrize("sides", [(16, 16), (32, 33), (96, 32)])
def test_srgan_refuses_patches_of_another_side(sides):
    with pytest.raises(
        ValueError, match=rf"of 32 × 32 px, got {sides[0]} × {sides[1]}\..*'unet'"
    ):
        built("srgan")(torch.zeros(1, 1, *sides))


@pytest.mark.parametrize("patch", [17, 40])
def test_srgan_can_be_built_for_any_patch(patch):
    network = SRGANDiscriminator(patch)

    assert network(torch.rand(2, 1, patch, patch)).shape == (2, 1)


# ── the U-Net ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sides", [(16, 16), (17, 23), (31, 64), (96, 96), (130, 50)])
def test_the_unet_judges_every_pixel_of_any_patch(sides):
    image, noise = random_images(2, 2, 1, *sides)

    assert built("unet")(image, noise).shape == (2, 1, *sides)


def test_the_unet_is_small_enough_to_ship_beside_every_generator():
    assert sum(p.numel() for p in built("unet").parameters()) <= 700_000


def test_all_but_its_first_and_last_convolution_have_spectral_norm():
    network = built("unet")
    for _ in range(60):
        network(*image_and_noise(n=1, side=16))
    convolutions = of_kind(network, nn.Conv2d)
    inner = [c for c in convolutions if is_parametrized(c)]

    assert [c for c in convolutions if not is_parametrized(c)] == [
        network.first,
        network.last,
    ]
    assert len(inner) == 8
    for convolution in inner:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.02)


def seen_by(network, image, noise):
    """Catch what the first convolution gets."""
    caught = []
    hook = network.first.register_forward_pre_hook(
        lambda _, given: caught.extend(given)
    )
    network(image, noise)
    hook.remove()
    return caught[0]


def test_the_unet_sees_the_image_its_detail_and_the_noise():
    image, noise = image_and_noise()

    seen = seen_by(built("unet"), image, noise)

    around = image[..., 9:12, 19:22]  # of the pixel at 10, 20
    binomial = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    detail = image[..., 10, 20] - (around * binomial).sum((-1, -2))
    assert torch.equal(seen[:, :1], image)
    torch.testing.assert_close(
        seen[:, 1:2, 10, 20], torch.asinh(500 * detail), rtol=1e-4, atol=1e-4
    )
    assert torch.equal(seen[:, 2:], 10 * noise)


def checkerboard(side=PATCH):
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((-1.0) ** (y + x)).view(1, 1, side, side)


@pytest.mark.parametrize("strength", [0.001, 0.01, 0.1])
def test_detail_is_of_unit_size_whether_weak_or_strong(strength):
    noise = torch.zeros(1, 1, PATCH, PATCH)
    ramp = torch.linspace(0, 1, PATCH).expand(1, 1, PATCH, PATCH)
    inside = (..., slice(1, -1), slice(1, -1))

    network = built("unet")
    textured, smooth = (
        seen_by(network, image, noise)[:, 1][inside].abs().mean()
        for image in (ramp + strength * checkerboard(), ramp)
    )

    assert 0.4 < textured < 5
    assert smooth < 1e-3


def test_detail_survives_the_half_precision_of_the_network():
    image, noise = image_and_noise()
    network = built("unet")
    exact = seen_by(network, image, noise)

    with torch.autocast("cpu", torch.bfloat16):
        seen = seen_by(network, image, noise)

    assert seen.dtype == torch.float32
    assert torch.equal(seen, exact)


def test_the_unet_is_told_the_noise_and_the_paper_is_not():
    unet, srgan = built("unet").eval(), built("srgan").eval()
    image, noise = image_and_noise()

    assert unet.is_told_noise
    assert not torch.equal(unet(image, noise), unet(image, 2 * noise))
    assert not srgan.is_told_noise
    with pytest.raises(TypeError):
        srgan(image, noise)  # rather than leave it out of account


def test_the_unet_judges_each_patch_by_itself():
    network = built("unet").eval()
    image, noise = image_and_noise(n=3)
    with torch.no_grad():
        together = network(image, noise)
        alone = torch.cat(
            [network(image[i : i + 1], noise[i : i + 1]) for i in range(3)]
        )

    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def textured_and_smooth(step, n=4, side=16):
    """Give patches with and without detail of half a hundredth of the range."""
    random = torch.Generator().manual_seed(step)
    coarse = torch.rand(n, 1, 4, 4, generator=random)
    smooth = nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    detail = torch.randn(n, 1, side, side, generator=random)
    return smooth + 0.005 * detail, smooth


def test_the_unet_is_soon_ahead_of_chance_where_detail_is_tiny():
    torch.manual_seed(0)
    network = UNetDiscriminator(channels=8)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    noise = torch.zeros(4, 1, 16, 16)
    losses = []
    for step in range(60):
        real, fake = textured_and_smooth(step)
        loss = discriminator_loss(network(real, noise), network(fake, noise))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[0] > 1.38  # chance is 1.386, where it stayed without the detail
    assert sum(losses[-10:]) / 10 < 1.2


def test_its_features_make_a_content_loss_without_other_weights():
    network = built("unet")
    image, noise = image_and_noise(side=36)
    result = (image + 0.1).requires_grad_()

    with frozen(network):
        found, wanted = network.features(result, noise), network.features(image, noise)
    content_loss(found, wanted, dict.fromkeys(found, 1.0)).backward()

    assert {name: tuple(f.shape[1:]) for name, f in found.items()} == {
        "1": (24, 36, 36),
        "2": (48, 18, 18),
        "3": (96, 9, 9),
        "4": (192, 4, 4),
    }
    assert result.grad.abs().max() > 0


# ── its state ───────────────────────────────────────────────────────────────────────


def take_step(network, optimizer, step):
    """Train as a flow does: the discriminator, then something through it."""
    image, noise = image_and_noise(seed=step)
    fake = (image.roll(1, -1) + image) / 2
    loss = discriminator_loss(
        judged(network, image, noise), judged(network, fake, noise)
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with frozen(network):
        fooled = adversarial_loss(judged(network, fake.requires_grad_(), noise))
    fooled.backward()
    return fake.grad


@every_discriminator
def test_stopped_saved_and_resumed_it_is_as_if_it_had_never_stopped(name):
    unbroken = built(name)
    optimizer = torch.optim.Adam(unbroken.parameters(), 1e-3)
    take_step(unbroken, optimizer, 0)
    stored, position = (
        save(unbroken.state_dict()),
        copy.deepcopy(optimizer.state_dict()),
    )
    gradients = [take_step(unbroken, optimizer, step) for step in (1, 2)]

    resumed = built(name, seed=9)
    resumed.load_state_dict(load(stored))
    optimizer = torch.optim.Adam(resumed.parameters(), 1e-3)
    optimizer.load_state_dict(position)
    again = [take_step(resumed, optimizer, step) for step in (1, 2)]

    assert all(map(torch.equal, gradients, again))
    assert same_state(resumed.state_dict(), unbroken.state_dict())


def test_its_power_iteration_goes_on_in_training_alone_and_is_stored():
    network = built("unet")
    start = copied_state(network)
    vectors = {name for name in start if name.endswith(("._u", "._v"))}

    network.eval()(*image_and_noise())
    in_evaluation = copied_state(network)
    network.train()(*image_and_noise())
    moved = {n for n, t in network.state_dict().items() if not torch.equal(t, start[n])}

    assert len(vectors) == 2 * 8
    assert same_state(in_evaluation, start)
    assert moved == vectors


# ── held still ──────────────────────────────────────────────────────────────────────


@every_discriminator
def test_what_is_trained_through_a_frozen_network_leaves_it_as_it_was(name):
    network = built(name)
    image, noise = image_and_noise()
    image.requires_grad_()
    before = copied_state(network)

    with frozen(network):
        assert not any(p.requires_grad for p in network.parameters())
        loss = adversarial_loss(judged(network, image, noise))
    loss.backward()  # after leaving

    assert image.grad.abs().max() > 0
    assert all(p.grad is None for p in network.parameters())
    assert same_state(network.state_dict(), before)


@every_discriminator
def test_afterwards_it_learns_as_before(name):
    network, untouched = built(name), built(name)
    image, noise = image_and_noise()

    with frozen(network):
        judged(network, image, noise)
    for discriminator in (network, untouched):
        judged(discriminator, image, noise).mean().backward()

    assert same_state(network.state_dict(), untouched.state_dict())
    for one, other in zip(network.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_frozen_batch_norms_still_normalise_by_the_batch():
    network = built("srgan")
    image, _ = image_and_noise()

    with frozen(network):
        held = network(image)

    assert torch.equal(held, network(image))
    assert not torch.allclose(held, network.eval()(image))


@every_discriminator
def test_what_was_frozen_before_stays_so_and_an_error_thaws_the_rest(name):
    network = built(name).eval()
    first = next(network.parameters()).requires_grad_(False)

    def fail():
        with frozen(network):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()

    assert not first.requires_grad
    assert all(p.requires_grad for p in list(network.parameters())[1:])
    assert not any(module.training for module in network.modules())

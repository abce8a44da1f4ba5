"""Losses: by hand on small tensors, value and gradient, and what each is good for."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from napari_sr.training.losses import (
    ADVERSARIAL_WEIGHT,
    CONTENT_SCALE,
    adversarial_loss,
    charbonnier,
    content_loss,
    discriminator_loss,
    gradient_loss,
    gradient_penalty,
    lattice_loss,
    mean_absolute_error,
    mean_squared_error,
    ms_ssim_loss,
    perceptual_loss,
    spectrum_loss,
)

CHANCE = 2 * math.log(2)


def random_tensor(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradient_by_differences(function, array, step=1e-5):
    """Differentiate a function of one float64 array by moving each of its numbers."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        there, back = array.copy(), array.copy()
        there[place] += step
        back[place] -= step
        gradient[place] = (function(there) - function(back)) / (2 * step)
    return gradient


# ── by hand: numpy, float64, pixel by pixel ─────────────────────────────────────────


def absolute_by_hand(x, y):
    return sum(abs(x[i] - y[i]) for i in np.ndindex(x.shape)) / x.size


def squared_by_hand(x, y):
    return sum((x[i] - y[i]) ** 2 for i in np.ndindex(x.shape)) / x.size


def charbonnier_by_hand(x, y, epsilon=1e-3):
    return sum(math.hypot(x[i] - y[i], epsilon) for i in np.ndindex(x.shape)) / x.size


def gradient_by_hand(x, y, n_scales=3):
    total = 0.0
    for step in [2**scale for scale in range(n_scales)]:
        n, _, height, width = x.shape
        rows, columns = height // step, width // step  # what fills no block is left out
        coarse_x, coarse_y = (
            image[:, 0, : rows * step, : columns * step]
            .reshape(n, rows, step, columns, step)
            .mean((2, 4))
            for image in (x, y)
        )
        along_y = (coarse_x[:, 1:] - coarse_x[:, :-1]) - np.diff(coarse_y, axis=1)
        along_x = (coarse_x[..., 1:] - coarse_x[..., :-1]) - np.diff(coarse_y, axis=2)
        total += abs(along_y).mean() + abs(along_x).mean()
    return total / n_scales


def spectrum_by_hand(x, y, band=(0.5, 1.0)):
    n, _, height, width = x.shape
    i, j = np.arange(height), np.arange(width)
    hann = [
        0.5 - 0.5 * np.cos(2 * np.pi * (k + 0.5) / len(k)) for k in (i, j)
    ]  # sin² at pixel centres
    window = np.outer(*hann)
    differences = []
    for p in range(height):
        for q in range(width):
            u, v = min(p, height - p) / height, min(q, width - q) / width
            if not band[0] <= 2 * math.hypot(u, v) <= band[1]:
                continue
            wave = np.exp(-2j * np.pi * (p * i[:, None] / height + q * j / width))
            for k in range(n):
                amplitudes = [
                    abs((image[k, 0] * window * wave).sum()) for image in (x, y)
                ]
                differences.append(abs(amplitudes[0] - amplitudes[1]))
    return np.mean(differences) / math.sqrt((window**2).sum())


OF_IMAGES = [
    pytest.param(mean_absolute_error, absolute_by_hand, id="absolute"),
    pytest.param(mean_squared_error, squared_by_hand, id="squared"),
    pytest.param(charbonnier, charbonnier_by_hand, id="charbonnier"),
    pytest.param(
        partial(charbonnier, epsilon=0.5),
        partial(charbonnier_by_hand, epsilon=0.5),
        id="charbonnier 0.5",
    ),
    pytest.param(gradient_loss, gradient_by_hand, id="gradient"),
    pytest.param(
        partial(gradient_loss, n_scales=1),
        partial(gradient_by_hand, n_scales=1),
        id="gradient at 1 scale",
    ),
    pytest.param(spectrum_loss, spectrum_by_hand, id="spectrum"),
    pytest.param(
        partial(spectrum_loss, band=(0.2, 0.6)),
        partial(spectrum_by_hand, band=(0.2, 0.6)),
        id="spectrum of another band",
    ),
]
all_of_images = pytest.mark.parametrize(("loss", "by_hand"), OF_IMAGES)


@all_of_images
def test_value_and_gradient_are_those_by_hand(loss, by_hand):
    result, truth = (random_tensor(2, 1, 9, 8, seed=seed) for seed in (0, 1))
    result.requires_grad_()
    y = truth.double().numpy()

    value = loss(result, truth)
    value.backward()

    x = result.detach().double().numpy()
    assert value.item() == pytest.approx(by_hand(x, y), rel=1e-5)
    np.testing.assert_allclose(
        result.grad.numpy(),
        gradient_by_differences(lambda x: by_hand(x, y), x),
        rtol=1e-3,
        atol=1e-6,
    )


@all_of_images
def test_identical_images_have_no_error(loss, by_hand):
    image = random_tensor(2, 1, 9, 8)
    nothing = by_hand(image.numpy(), image.numpy())  # ε for Charbonnier, else 0

    assert loss(image, image).item() == pytest.approx(nothing)


@all_of_images
def test_images_of_different_shapes_are_refused(loss, by_hand):
    with pytest.raises(ValueError, match=r"one shape.*\(2, 1, 8, 8\).*\(2, 1, 1, 8\)"):
        loss(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 1, 8))


def test_it_is_computed_in_float32_whatever_the_precision_of_the_network():
    half = torch.full((1, 1, 64, 64), 3.0, dtype=torch.float16)

    loss = mean_absolute_error(half, torch.zeros(1, 1, 64, 64))

    assert loss.dtype == torch.float32
    assert loss.item() == 3  # a sum of 12,288 is beyond exact float16


@all_of_images
def test_half_precision_images_give_a_float32_loss(loss, by_hand):
    halves = [random_tensor(1, 1, 16, 16, seed=seed).half() for seed in (0, 1)]

    assert torch.equal(loss(*halves), loss(*(image.float() for image in halves)))


def test_the_charbonnier_loss_lies_between_squared_and_absolute():
    zero = torch.zeros(1, 1, 1, 1)

    small = charbonnier(zero + 1e-6, zero, epsilon=1e-3).item() - 1e-3
    large = charbonnier(zero + 10, zero, epsilon=1e-3).item()

    assert small == pytest.approx(0, abs=1e-8)
    assert large == pytest.approx(10, abs=1e-6)
    with pytest.raises(ValueError, match=r"above 0, got 0.*absolute"):
        charbonnier(zero, zero, epsilon=0)


@runs(max_examples=20, deadline=None)
@given(offset=st.floats(-1, 1), n_scales=st.integers(1, 3))
def test_the_gradient_loss_knows_no_offset(offset, n_scales):
    image = random_tensor(1, 1, 9, 11)

    assert gradient_loss(image + offset, image, n_scales).item() < 1e-6


@pytest.mark.parametrize(("side", "n_scales"), [(7, 3), (1, 1), (8, 0)])
def test_a_gradient_loss_without_pixels_at_its_scales_is_refused(side, n_scales):
    image = torch.zeros(1, 1, side, 8)

    with pytest.raises(ValueError, match=f"{n_scales} scales needs.*{2**n_scales} px"):
        gradient_loss(image, image, n_scales)


def wave(cycles_per_pixel, side=32):
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cos(2 * math.pi * cycles_per_pixel * (x + 0 * y)).view(1, 1, side, -1)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_lattice_loss_is_the_variance_of_sub_pixels_from_their_mean(factor):
    truth = random_tensor(2, 1, 12 * factor, 12 * factor)
    lattice = random_tensor(1, 1, factor, factor, seed=1)
    lattice = lattice - lattice.mean()

    slope = torch.linspace(0, 1, 12 * factor)
    brighter = truth + 0.3 + slope  # of all positions alike
    painted = brighter + lattice.repeat(1, 1, 12, 12)

    assert lattice_loss(brighter, truth, factor) == pytest.approx(0, abs=1e-9)
    found = lattice_loss(painted, truth, factor)
    assert found == pytest.approx(lattice.square().mean().item(), rel=1e-4)


def test_the_lattice_loss_hardly_sees_other_errors():
    rows = torch.arange(48) * 2 * math.pi / 6  # a period of 6 pixels, the lattice has 4
    other = torch.sin(rows)[None, None, :, None].expand(1, 1, 48, 48)
    same = torch.sin(rows * 6 / 4)[None, None, :, None].expand(1, 1, 48, 48)
    flat = torch.zeros(1, 1, 48, 48)

    seen, hardly = (lattice_loss(one, flat, 4).item() for one in (same, other))

    assert hardly < 0.05 * seen


def test_a_lattice_is_not_sought_in_parts_of_blocks():
    with pytest.raises(ValueError, match=r"4 × 4 px .* whole blocks"):
        lattice_loss(torch.zeros(1, 1, 8, 10), torch.zeros(1, 1, 8, 10), 4)


def test_the_spectrum_loss_sees_its_band_alone():
    flat = torch.full((1, 1, 32, 32), 0.7)

    inside = spectrum_loss(flat + wave(12 / 32), flat).item()
    outside = spectrum_loss(flat + wave(4 / 32), flat).item()

    assert outside < 1e-6 < 1e-2 < inside


def test_the_spectrum_loss_does_not_see_phases():
    truth = random_tensor(1, 1, 32, 32)

    assert spectrum_loss(truth.flip(-1, -2), truth).item() < 1e-6  # a half turn
    assert spectrum_loss(-truth, truth).item() < 1e-6


def test_white_noise_has_amplitudes_of_its_size():
    noise = 0.3 * random_tensor(64, 1, 32, 32)

    amplitude = spectrum_loss(noise, torch.zeros_like(noise)).item()

    # the mean of a Rayleigh distribution is √π/2 of its root mean square
    assert amplitude == pytest.approx(0.3 * math.sqrt(math.pi) / 2, rel=0.02)


@pytest.mark.parametrize("band", [(1.5, 2.0), (0.6, 0.5)])
def test_a_band_without_frequencies_is_refused(band):
    image = torch.zeros(1, 1, 16, 16)

    with pytest.raises(ValueError, match=rf"No frequency.*{band[0]:g} and {band[1]:g}"):
        spectrum_loss(image, image, band)


# ── multi-scale structural similarity ───────────────────────────────────────────────


def windows_of(image):
    """All 11 × 11 windows, `(…, 121)`."""
    found = np.lib.stride_tricks.sliding_window_view(image, (11, 11))
    return found.reshape(*found.shape[:2], -1)


def ms_ssim_by_hand(x, y, n_scales):
    """Equations 2 to 7 of Wang et al. 2003, window by window."""
    i = np.arange(11) - 5
    gauss = np.exp(-(i**2) / (2 * 1.5**2))
    weights = np.outer(gauss, gauss).ravel() / gauss.sum() ** 2
    powers = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:n_scales]
    product = 1.0
    for scale, power in enumerate(powers / powers.sum()):
        if scale:
            x, y = (
                (z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4
                for z in (x, y)
            )
        u, v = windows_of(x), windows_of(y)
        mean_u, mean_v = u @ weights, v @ weights
        deviations = u - mean_u[..., None], v - mean_v[..., None]
        variance_u, variance_v = (d**2 @ weights for d in deviations)
        covariance = (deviations[0] * deviations[1]) @ weights
        similarity = (2 * covariance + 0.0009) / (variance_u + variance_v + 0.0009)
        if scale == n_scales - 1:
            similarity *= (2 * mean_u * mean_v + 0.0001) / (
                mean_u**2 + mean_v**2 + 0.0001
            )
        product *= similarity.mean() ** power
    return product


@pytest.mark.parametrize("n_scales", [1, 2])
def test_ms_ssim_and_its_gradient_are_those_by_hand(n_scales):
    truth = random_tensor(2, 1, 24, 22, seed=1) * 0.2 + 0.5
    result = truth + 0.1 * random_tensor(2, 1, 24, 22)
    result.requires_grad_()
    x, y = result.detach().double().numpy()[:, 0], truth.double().numpy()[:, 0]

    value = ms_ssim_loss(result, truth, n_scales)
    value.backward()

    by_hand = [ms_ssim_by_hand(*pair, n_scales) for pair in zip(x, y, strict=True)]
    assert value.item() == pytest.approx(1 - np.mean(by_hand), rel=1e-4)
    along = np.random.default_rng(0).normal(size=x.shape)
    there, back = (
        np.mean([ms_ssim_by_hand(*p, n_scales) for p in zip(x + d, y, strict=True)])
        for d in (1e-5 * along, -1e-5 * along)
    )
    slope = (result.grad.numpy()[:, 0] * along).sum()
    assert slope == pytest.approx((back - there) / 2e-5, rel=1e-3)


def test_ms_ssim_of_reversed_contrast_still_has_a_gradient():
    truth = random_tensor(1, 1, 44, 44) * 0.2
    result = (-truth).requires_grad_()

    value = ms_ssim_loss(result, truth)
    value.backward()

    assert value.item() > 0.99
    assert result.grad.isfinite().all()


def test_ms_ssim_without_room_for_its_scales_is_refused():
    with pytest.raises(ValueError, match=r"3 scales needs 44 px.*\(43, 60\)"):
        ms_ssim_loss(torch.zeros(1, 1, 43, 60), torch.zeros(1, 1, 43, 60))


# ── of features ─────────────────────────────────────────────────────────────────────


def feature_maps(seed):
    shapes = {"1_2": (2, 3, 4, 5), "2_2": (2, 6, 2, 2)}
    return {n: random_tensor(*shape, seed=seed) for n, shape in shapes.items()}


def content_by_hand(found, wanted, weights):
    total = 0.0
    for name, weight in weights.items():
        n, channels, height, width = found[name].shape
        for k, c, i, j in np.ndindex(n, channels, height, width):
            squared = (found[name][k, c, i, j] - wanted[name][k, c, i, j]) ** 2
            total += weight * squared / (height * width) / n
    return total


WEIGHTS = {"1_2": 0.5, "2_2": 2.0}


def test_the_content_loss_and_its_gradient_are_those_by_hand():
    found, wanted = feature_maps(0), feature_maps(1)
    for features in found.values():
        features.requires_grad_()

    value = content_loss(found, wanted, WEIGHTS)
    value.backward()

    x, y = (
        {name: f.detach().double().numpy() for name, f in features.items()}
        for features in (found, wanted)
    )
    assert value.item() == pytest.approx(content_by_hand(x, y, WEIGHTS), rel=1e-6)
    for name in WEIGHTS:
        expected = gradient_by_differences(
            lambda moved, name=name: content_by_hand({**x, name: moved}, y, WEIGHTS),
            x[name],
        )
        np.testing.assert_allclose(found[name].grad, expected, rtol=1e-4, atol=1e-6)


def test_by_default_each_map_has_the_weight_of_the_paper():
    found, wanted = feature_maps(0), feature_maps(1)

    default = content_loss(found, wanted)

    # features over 12.75, squared differences summed over channels, over the area
    expected = sum(
        (((found[name] - wanted[name]) / 12.75) ** 2).sum((1, 2, 3)).mean()
        / (found[name].shape[2] * found[name].shape[3])
        for name in found
    )
    assert default.item() == pytest.approx(expected.item(), rel=1e-6)
    assert round(CONTENT_SCALE, 3) == 0.006


def test_it_is_as_many_times_mse_loss_as_there_are_channels():
    found, wanted = random_tensor(2, 512, 3, 3), random_tensor(2, 512, 3, 3, seed=1)

    ours = content_loss({"5_4": found}, {"5_4": wanted}, {"5_4": 1.0})

    torch.testing.assert_close(
        ours, 512 * torch.nn.functional.mse_loss(found, wanted), rtol=1e-5, atol=0
    )


def test_its_gradient_reaches_what_made_the_result_and_not_the_truth():
    generator, eye = torch.nn.Conv2d(1, 1, 3), torch.nn.Conv2d(1, 4, 3)
    low, truth = random_tensor(1, 1, 8, 8), random_tensor(1, 1, 6, 6, seed=1)
    truth.requires_grad_()

    found, wanted = eye(generator(low)), eye(truth)
    content_loss({"1_1": found}, {"1_1": wanted}, {"1_1": 1.0}).backward()

    assert generator.weight.grad.abs().max() > 0
    assert truth.grad is None


def test_content_alone_can_train_a_generator():
    generator, eye = torch.nn.Conv2d(1, 1, 1), torch.nn.Conv2d(1, 8, 3)
    eye.requires_grad_(False)
    low = random_tensor(4, 1, 8, 8)
    with torch.no_grad():
        generator.weight.fill_(0.2)
        generator.bias.zero_()
    optimizer = torch.optim.Adam(generator.parameters(), 0.05)
    for _ in range(120):
        optimizer.zero_grad()
        content_loss({"1_1": eye(generator(low))}, {"1_1": eye(3 * low)}).backward()
        optimizer.step()

    assert generator.weight.item() == pytest.approx(3, abs=0.05)


DISAGREEING = [
    pytest.param({"2_2": 1.0}, {"1_2"}, {"1_2"}, "1_2; 1_2; 2_2", id="weights"),
    pytest.param({"1_2": 1.0}, {"1_2", "2_2"}, {"1_2"}, "1_2, 2_2; 1_2;", id="found"),
    pytest.param({"1_2": 1.0}, {"1_2"}, {"2_2"}, "1_2; 2_2; 1_2", id="wanted"),
    pytest.param({}, set(), set(), "none; none; none", id="nothing"),
    pytest.param(None, set(), set(), "none; none; none", id="nothing by default"),
]


@pytest.mark.parametrize(("weights", "found", "wanted", "told"), DISAGREEING)
def test_maps_that_are_not_the_same_are_refused(weights, found, wanted, told):
    maps = feature_maps(0)

    with pytest.raises(ValueError, match=f"same feature maps.*{told}"):
        content_loss(
            {name: maps[name] for name in found},
            {name: maps[name] for name in wanted},
            weights,
        )


# ── adversarial ─────────────────────────────────────────────────────────────────────


def cross_entropies_by_hand(real, fake):
    """−log D of real images and −log(1 − D) of results, with D a sigmoid."""
    sure = [-math.log(1 / (1 + math.exp(-x))) for x in real.ravel()]
    unsure = [-math.log(1 - 1 / (1 + math.exp(-x))) for x in fake.ravel()]
    return np.mean(sure) + np.mean(unsure)


def test_the_adversarial_loss_and_its_gradient_are_those_by_hand():
    logits = random_tensor(2, 1, 3, 4).requires_grad_()

    value = adversarial_loss(logits)
    value.backward()

    x = logits.detach().double().numpy()
    d = 1 / (1 + np.exp(-x))
    assert value.item() == pytest.approx(-np.log(d).mean(), rel=1e-6)
    np.testing.assert_allclose(logits.grad, (d - 1) / x.size, rtol=1e-5)


def test_the_discriminator_loss_and_its_gradient_are_those_by_hand():
    real = random_tensor(2, 1, 3, 4).requires_grad_()
    fake = random_tensor(3, 1, seed=1).requires_grad_()  # the means are separate

    value = discriminator_loss(real, fake)
    value.backward()

    x, y = (logits.detach().double().numpy() for logits in (real, fake))
    assert value.item() == pytest.approx(cross_entropies_by_hand(x, y), rel=1e-6)
    for logits, moved in [
        (real, lambda x: cross_entropies_by_hand(x, y)),
        (fake, lambda y: cross_entropies_by_hand(x, y)),
    ]:
        expected = gradient_by_differences(moved, logits.detach().double().numpy())
        np.testing.assert_allclose(logits.grad, expected, rtol=1e-4)


def test_labels_below_one_are_their_cross_entropy():
    real, fake = random_tensor(2, 1, 3, 4), random_tensor(3, 1, seed=1)

    value = discriminator_loss(real, fake, real_label=0.9)

    sure = -(0.9 * torch.sigmoid(real).log() + 0.1 * (1 - torch.sigmoid(real)).log())
    unsure = -(1 - torch.sigmoid(fake)).log()
    assert value.item() == pytest.approx((sure.mean() + unsure.mean()).item(), rel=1e-5)


def test_the_gradient_penalty_is_half_the_squared_slope_of_what_is_said():
    slope = random_tensor(1, 1, 5, 4)
    real = random_tensor(3, 1, 5, 4, seed=1).requires_grad_()

    value = gradient_penalty((slope * real).sum((1, 2, 3))[:, None], real)

    assert value.item() == pytest.approx(0.5 * slope.square().sum().item(), rel=1e-5)


def test_knowing_nothing_is_chance():
    nothing = torch.zeros(4, 1)

    assert discriminator_loss(nothing, nothing).item() == pytest.approx(CHANCE)
    assert adversarial_loss(nothing).item() == pytest.approx(CHANCE / 2)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_a_discriminator_that_is_sure_overflows_nowhere(logit):
    logits = torch.full((2, 1), logit, requires_grad=True)

    loss = adversarial_loss(logits) + discriminator_loss(logits, logits)
    loss.backward()

    assert math.isfinite(loss.item())
    assert logits.grad.isfinite().all()


def test_the_adversarial_gradient_is_strongest_where_the_result_is_found_out():
    """The other form, log(1 − D), would leave nothing to learn from there."""
    logits = torch.tensor([-8.0, 0.0, 8.0], requires_grad=True)

    adversarial_loss(logits).backward()

    found_out, undecided, believed = logits.grad.abs().tolist()
    assert found_out > undecided > believed
    assert found_out == pytest.approx(1 / 3, rel=1e-3)


def test_the_perceptual_loss_is_the_sum_of_the_paper():
    content, adversarial = (
        torch.tensor(value, requires_grad=True) for value in (0.25, 0.7)
    )

    total = perceptual_loss(content, adversarial)
    total.backward()

    assert total.item() == pytest.approx(0.25 + 0.0007)
    assert content.grad.item() == 1
    assert adversarial.grad.item() == pytest.approx(ADVERSARIAL_WEIGHT) == 0.001
    assert perceptual_loss(content, adversarial, weight=0).item() == 0.25

"""Losses: two images in, one number out."""

from __future__ import annotations

import torch

from napari_sr.losses import mean_absolute_error


def test_the_mean_absolute_error_by_hand():
    result = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    truth = torch.tensor([[1.0, 0.0], [4.0, 4.5]]).view(1, 1, 2, 2)

    assert mean_absolute_error(result, truth).item() == (0 + 2 + 1 + 0.5) / 4


def test_identical_images_have_no_error():
    image = torch.rand(2, 1, 4, 4)

    assert mean_absolute_error(image, image).item() == 0


def test_it_is_computed_in_float32_whatever_the_precision_of_the_network():
    half = torch.full((1, 1, 64, 64), 3.0, dtype=torch.float16)

    loss = mean_absolute_error(half, torch.zeros(1, 1, 64, 64))

    assert loss.dtype == torch.float32
    assert loss.item() == 3  # a sum of 12,288 is beyond exact float16


def test_its_gradient_is_the_sign_of_the_error():
    result = torch.tensor([[[[0.5, -0.5]]]], requires_grad=True)
    mean_absolute_error(result, torch.zeros(1, 1, 1, 2)).backward()

    assert result.grad.tolist() == [[[[0.5, -0.5]]]]

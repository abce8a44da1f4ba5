"""A network laid out like VGG-19, for tests without torchvision and its weights."""

from __future__ import annotations

from torch import nn

VGG_BLOCKS = (2, 2, 4, 4, 4)
"""Convolutions in the blocks of VGG-19, configuration E."""
FILE = "vgg19-00000000.pth"


def thin_vgg19(*, weights):
    """A network laid out like torchvision's VGG-19, with two or three channels."""
    assert weights is None, "torchvision would download weights"
    layers, n_before = [], 3
    for n_convolutions in VGG_BLOCKS:
        for _ in range(n_convolutions):
            layers += [nn.Conv2d(n_before, 2, 3, padding=1), nn.ReLU(inplace=True)]
            n_before = 2
        layers.append(nn.MaxPool2d(2))
    network = nn.Module()
    network.features = nn.Sequential(*layers)
    network.classifier = nn.Sequential(nn.Linear(2, 5))
    return network

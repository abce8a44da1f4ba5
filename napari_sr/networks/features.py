"""Feature maps that a content loss compares: φ(i,j) of a small network, or of VGG-19.

This module alone knows the feature networks and the names of their layers. φ(i,j) is
the j-th convolution after its ReLU, before the i-th max-pool (Ledig et al., CVPR 2017),
written "i_j". Their weights are read by `models.feature_file`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


CHANNELS = (16, 32, 64, 128)
"""Feature channels of the blocks of `DomainFeatures`; each block has two layers."""
CENTRE, SPREAD = 0.25, 0.25
"""Mean and deviation of the patches that `DomainFeatures` was trained on, about."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of the images that VGG-19 was trained on, for each colour."""


class FeatureNetwork(nn.Module):
    """A stack of convolutions, ReLUs and max-pools whose layers can be read.

    Parameters
    ----------
    stack
        The layers in their order.
    layers
        Names of the feature maps to give, such as `("2_2",)`.
    mean, deviation
        Subtracted from the input, and what it is then divided by: one number for each
        input channel. A grey image is repeated to as many channels.

    Raises
    ------
    ValueError
        If the stack has no such layer, or none is asked.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        stack: nn.Sequential,
        layers: Sequence[str],
        mean: Sequence[float],
        deviation: Sequence[float],
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self._places = places_of(stack)
        unknown = [name for name in layers if name not in self._places]
        if unknown or not layers:
            raise ValueError(
                f"Content features have the layers {', '.join(self._places)}; asked "
                f"for: {', '.join(layers) or 'none'}. Choose at least one of these."
            )
        self.stack = stack
        for name, values in (("mean", mean), ("deviation", deviation)):
            per_channel = torch.tensor(values).view(1, -1, 1, 1)
            self.register_buffer(name, per_channel, persistent=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Compute the asked feature maps, and nothing beyond the deepest.

        Parameters
        ----------
        image
            `(n, 1, h, w)` float in network range.

        Returns
        -------
        dict
            `(n, c, h', w')` float by name, in the order asked, all ≥ 0. The size is
            halved by each max-pool.

        Raises
        ------
        ValueError
            For an image of several channels, or of which the max-pools leave nothing.
        """
        smallest = 2 ** (max(int(name.partition("_")[0]) for name in self.layers) - 1)
        if image.shape[1] != 1 or min(image.shape[-2:]) < smallest:
            raise ValueError(
                f"Content features see one grey channel of at least {smallest} px a "
                f"side, got {tuple(image.shape)}. Use larger patches or ask for "
                f"layers before the last max-pool."
            )
        asked = {self._places[name]: name for name in self.layers}
        features = (image - self.mean) / self.deviation  # (n, 1 or 3, h, w)
        maps = {}
        for place in range(max(asked) + 1):
            features = self.stack[place](features)
            if place in asked:
                maps[asked[place]] = features
        return {name: maps[name] for name in self.layers}


def places_of(stack: nn.Sequential) -> dict[str, int]:
    """Find the ReLUs of a stack, named by block and convolution.

    Returns
    -------
    dict
        From "i_j" to the place in the stack: `stack[: place + 1]` gives φ(i,j).
    """
    places, block, convolution = {}, 1, 0
    for place, layer in enumerate(stack):
        if isinstance(layer, nn.Conv2d):
            convolution += 1
        elif isinstance(layer, nn.ReLU):
            places[f"{block}_{convolution}"] = place
        elif isinstance(layer, nn.MaxPool2d):
            block, convolution = block + 1, 0
    return places


class DomainFeatures(FeatureNetwork):
    """Four blocks of two 3×3 convolutions for grey images, 0.29 million parameters.

    Parameters
    ----------
    layers
        Names of the feature maps to give; all of them when `None`.
    """

    def __init__(self, layers: Sequence[str] | None = None) -> None:
        stack = nn.Sequential(*_domain_layers())
        asked = tuple(places_of(stack)) if layers is None else layers
        super().__init__(stack, asked, [CENTRE], [SPREAD])


def _domain_layers() -> Iterator[nn.Module]:
    n_before = 1
    for channels in CHANNELS:
        if n_before > 1:
            yield nn.MaxPool2d(2)
        for n_in in (n_before, channels):
            convolution = nn.Conv2d(n_in, channels, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            yield from (convolution, nn.ReLU())
        n_before = channels


# ── by name ─────────────────────────────────────────────────────────────────────────

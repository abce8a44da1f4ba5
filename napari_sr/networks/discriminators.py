"""The discriminators: they look at an image and say whether it is real.

This module alone knows what tells a real image from a generated one here, and how a
discriminator is made to see it. All give logits, above 0 for "real": the losses take
the sigmoid in a form that does not overflow.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import ParametrizationList

from napari_sr.networks.generators.fast import NOISE_GAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

SMALLEST_PATCH = 16
"""Four halvings leave at least one pixel of it."""
DETAIL_GAIN = 500.0
"""Detail of 1 / 500 of the network range is of unit size to a discriminator."""
SLOPE = 0.2
"""Of the leaky ReLUs, for negative values; the paper's."""


class SRGANDiscriminator(nn.Module):
    """The discriminator of the SRGAN paper, to the letter, for one channel.

    Ledig et al., CVPR 2017, figure 4: eight 3×3 convolutions of 64 to 512 channels,
    every other one with stride 2, with batch norm on all but the first; two dense
    layers. The first dense layer fixes the side of the patches and, at the paper's 96
    px, holds 18.9 of the 23.6 million parameters. It sees network range, where the
    paper's images lie in [−1, 1]. Real and generated patches are given to it one after
    the other, never in one batch: the norm would mix them.

    Parameters
    ----------
    patch
        Side of the sharp patches that it judges, at least 16.
    """

    is_told_noise = False
    n_inputs = 1

    def __init__(self, patch: int) -> None:
        super().__init__()
        _check_side(patch)
        self.patch = patch
        self.convolutions = nn.Sequential(
            nn.Conv2d(self.n_inputs, 64, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            *self._with_norm(64, 64, stride=2),
            *self._with_norm(64, 128, stride=1),
            *self._with_norm(128, 128, stride=2),
            *self._with_norm(128, 256, stride=1),
            *self._with_norm(256, 256, stride=2),
            *self._with_norm(256, 512, stride=1),
            *self._with_norm(512, 512, stride=2),
        )
        side = ceil(patch / 16)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(512 * side * side, 1024),
            nn.LeakyReLU(SLOPE),
            nn.Linear(1024, 1),
        )

    @staticmethod
    def _with_norm(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv2d(n_in, n_out, 3, stride, padding=1),
            nn.BatchNorm2d(n_out),
            nn.LeakyReLU(SLOPE),
        ]

    def forward(self, image: Tensor) -> Tensor:
        """Judge whole patches.

        Parameters
        ----------
        image
            `(n, 1, patch, patch)` float in network range.

        Returns
        -------
        Tensor
            `(n, 1)` logits.

        Raises
        ------
        ValueError
            If the patches have another side.
        """
        if image.shape[-2:] != (self.patch, self.patch):
            raise ValueError(
                f"This discriminator takes patches of {self.patch} × {self.patch} px, "
                f"got {image.shape[-2]} × {image.shape[-1]}. Cut them to that size, "
                "or use the discriminator 'unet', which takes any."
            )
        logits: Tensor = self.dense(self.convolutions(image))
        return logits


class DetailSRGANDiscriminator(SRGANDiscriminator):
    """The paper's discriminator, with fine detail and noise map as further inputs.

    Intensities alone hardly tell a result from the truth here; see
    `UNetDiscriminator`, which is given the same.

    Parameters
    ----------
    patch
        Side of the sharp patches that it judges, at least 16.
    """

    is_told_noise = True
    n_inputs = 3

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:  # type: ignore[override]
        """Judge whole patches `(n, 1, patch, patch)` with their noise maps."""
        return super().forward(_seen(image, noise))


class UNetDiscriminator(nn.Module):
    """Judges every pixel of patches of any size, and is noise-conditioned.

    After Real-ESRGAN (Wang et al., ICCVW 2021): three halvings, three bilinear
    doublings with what was there before added, spectral norm (Miyato et al., ICLR 2018)
    on all but the first and the last convolution. Smaller, and with two more inputs:
    the fine detail of the image and the map of the noise. What tells a generated image
    here lies in detail of a hundredth of the range; given intensities alone, this
    network stayed at chance.

    Each forward pass in training mode takes one step of the power iteration that the
    spectral norm rests on. Its vectors are part of the state dict: from the same state
    the same calls give the same numbers.

    Parameters
    ----------
    channels
        Feature channels at full resolution; twice as many at each halving.
    """

    is_told_noise = True

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        widths = [channels << level for level in range(4)]
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.ModuleList(
            _spectral(n, 2 * n, side=4, stride=2) for n in widths[:-1]
        )
        self.up = nn.ModuleList(_spectral(2 * n, n) for n in widths[-2::-1])
        self.end = nn.ModuleList(_spectral(channels, channels) for _ in range(2))
        self.last = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """Judge every pixel.

        Parameters
        ----------
        image
            `(n, 1, h, w)` float32 in network range, at least 16 px a side. Half
            precision would round away the detail.
        noise
            `(n, 1, h, w)`: the noise map of the recording, each value repeated over the
            sharp pixels of its own.

        Returns
        -------
        Tensor
            `(n, 1, h, w)` logits.
        """
        skips = list(self.features(image, noise).values())
        features = skips.pop()
        # Bilinear, not transposed convolutions, whose uneven overlap draws a
        # checkerboard of its own into the gradients.
        for convolution in self.up:
            skip = skips.pop()
            finer = functional.interpolate(features, skip.shape[-2:], mode="bilinear")
            features = _leaky(convolution(finer)) + skip
        for convolution in self.end:
            features = _leaky(convolution(features))
        logits: Tensor = self.last(features)
        return logits

    def hold_way_down(self) -> None:
        """Let training change only how features are judged, not what is seen."""
        for part in (self.first, self.down):
            part.requires_grad_(False)

    def features(self, image: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Give what it sees on its way down, for a content loss without other weights.

        Parameters
        ----------
        image, noise
            As for `forward`.

        Returns
        -------
        dict of str to Tensor
            By name, `"1"` at full resolution to `"4"` at an eighth:
            `(n, channels, h, w)`, `(n, 2·channels, h/2, w/2)` …
        """
        _check_side(min(image.shape[-2:]))
        seen = _seen(image, noise).contiguous(memory_format=torch.channels_last)
        features = {"1": _leaky(self.first(seen))}
        for level, convolution in enumerate(self.down, start=2):
            features[str(level)] = _leaky(convolution(features[str(level - 1)]))
        return features


DISCRIMINATORS: dict[str, type[SRGANDiscriminator] | type[UNetDiscriminator]] = {
    "srgan": SRGANDiscriminator,
    "srgan-detail": DetailSRGANDiscriminator,
    "unet": UNetDiscriminator,
}


def build_discriminator(
    name: str, patch: int
) -> SRGANDiscriminator | UNetDiscriminator:
    """Build an untrained discriminator.

    Parameters
    ----------
    name
        A key of `DISCRIMINATORS`.
    patch
        Side of the sharp patches that it will judge.

    Raises
    ------
    ValueError
        For an unknown name, or patches that are too small.
    """
    if name not in DISCRIMINATORS:
        known = ", ".join(sorted(DISCRIMINATORS))
        raise ValueError(f"Unknown discriminator {name!r}. Known ones are: {known}.")
    _check_side(patch)
    kind = DISCRIMINATORS[name]
    return kind(patch) if issubclass(kind, SRGANDiscriminator) else kind()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Hold a network still while something is trained through it.

    Inside, its parameters ask for no gradient, and forward passes change nothing of its
    state: the spectral norms take no step of their power iteration, and the batch norms
    normalise by the batch as in training without counting it. Gradients flow through to
    what the network is given, also when `backward` is called after leaving. So the step
    of a generator leaves the discriminator bit for bit as it was.

    Parameters
    ----------
    network
        Any network; on leaving it asks for gradients where it did before.
    """
    modules = list(network.modules())
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    spectral = [m for m in modules if isinstance(m, ParametrizationList) and m.training]
    batch = [m for m in modules if isinstance(m, nn.BatchNorm2d)]
    counting = [norm for norm in batch if norm.track_running_stats]

    def hold(still: bool) -> None:
        for weight in trained:
            weight.requires_grad_(not still)
        for parametrization in spectral:
            parametrization.train(not still)
        for norm in counting:
            norm.track_running_stats = not still

    hold(True)
    try:
        yield
    finally:
        hold(False)


def _spectral(n_in: int, n_out: int, side: int = 3, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(n_in, n_out, side, stride, padding=1, bias=False)
    normalised: nn.Module = spectral_norm(convolution)
    return normalised


def _check_side(side: int) -> None:
    if side < SMALLEST_PATCH:
        raise ValueError(
            f"A discriminator needs patches of at least {SMALLEST_PATCH} px a side, "
            f"got {side}. Use larger patches."
        )


def _seen(image: Tensor, noise: Tensor) -> Tensor:
    """Put the fine detail of an image and its noise map beside it."""
    return torch.cat([image, _detail(image), noise * NOISE_GAIN], dim=1)


def _detail(image: Tensor) -> Tensor:
    """Bring the finest detail of an image to unit size, whatever its strength.

    The image minus its 3 × 3 binomial average, on a scale that is logarithmic from
    1 / `DETAIL_GAIN` up: from patch to patch the detail of real images differs by two
    orders of magnitude. Divided by its own root mean square instead, that of a smooth
    image would look as strong as that of a real one; measured on unseen patches after
    100 steps, the loss of a discriminator that sees it so was twice as large.
    """
    # Pooling, unlike a convolution, keeps float32 where half precision is used.
    image = image.float()
    padded = functional.pad(image, (1, 1, 1, 1), mode="reflect")
    smooth = functional.avg_pool2d(functional.avg_pool2d(padded, 2, 1), 2, 1)
    return torch.asinh((image - smooth) * DETAIL_GAIN)


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, SLOPE)

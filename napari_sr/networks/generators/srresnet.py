"""The generator of the SRGAN paper, to the letter.

Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
Adversarial Network", CVPR 2017, figure 4: 9×9 head, sixteen residual blocks with batch
norm, long skip, one sub-pixel block for each factor of two, 9×9 tail, no activation at
the output. The paper's output lies in [−1, 1] (its input in [0, 1]): a newly built
network has the step from there to network range, a model's card may hold another. With
two input channels, which the paper does not have, it is noise-conditioned.
"""

from __future__ import annotations

from math import ceil, isqrt, log2
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_sr.networks.generator import Generator, start_without_lattice
from napari_sr.networks.generators.fast import NOISE_GAIN
from napari_sr.networks.resampling import phase_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


FAINT = 0.01
"""What the untrained network adds to an interpolation: little, but all of its reach."""
LIFT = 0.5
"""Added to the image on its way, since activations bend what is below 0."""


def _refinement(step: int) -> Tensor:
    """Weigh three coarse coefficients for each fine one, `(step, 3)`.

    Quadratic B-splines are sums of finer ones (for `step` 2, Chaikin's corner cutting):
    the mask is that of `step` pixels, convolved with itself twice.
    """
    # Subdivision of B-splines of degree d: β(x) = Σ h[k] β(step · x − k), where h is a
    # box of `step` ones convolved with itself d + 1 times over step^d. Here d = 2; for
    # step 2 it is Chaikin's corner cutting, (1, 3, 3, 1) / 4.
    mask = torch.ones(1, 1, 1, dtype=torch.float64)
    box = torch.ones(1, 1, step, dtype=torch.float64)
    for _ in range(3):
        mask = functional.conv1d(mask, box, padding=step - 1)
    mask = mask.flatten() / step**2
    weights = torch.zeros(step, 3, dtype=torch.float64)
    for phase in range(step):
        for tap in (-1, 0, 1):
            place = phase - step * tap + step - 1
            if 0 <= place < len(mask):
                weights[phase, tap + 1] = mask[place]
    return weights


SPLINE = torch.tensor([1 / 8, 3 / 4, 1 / 8], dtype=torch.float64)
"""Values of a quadratic B-spline at the pixel centres around it."""


def _prefilter(factor: int, steps: Sequence[int], reach: int) -> Tensor:
    """Find the filter after which B-splines interpolate as bicubic does.

    Interpolation by splines takes their coefficients first. The 2 · `reach` + 1 taps
    are those for which the response to a single pixel is, in the mean square, nearest
    to that of bicubic. They sum to 1: a flat field stays flat.
    """
    n = 2 * (reach + 4) + 1  # coarse pixels, wide enough for all that a pixel reaches
    middle = n // 2
    response = torch.zeros(n, dtype=torch.float64)
    response[middle] = 1.0
    for step in steps:
        padded = functional.pad(response, (1, 1)).unfold(0, 3, 1)  # (coarse, 3)
        response = (padded @ _refinement(step).T).flatten()  # (coarse · step,)
    response = functional.conv1d(response[None, None], SPLINE[None, None], padding=1)
    shifts = range(-reach, reach + 1)
    responses = torch.stack([response.flatten().roll(factor * s) for s in shifts], 1)
    bicubic = phase_kernel("bicubic", factor)[::factor, 0].double().sum(2)  # (f, 5)
    wanted = torch.zeros(n, factor, dtype=torch.float64)
    for tap in range(bicubic.shape[1]):
        wanted[middle - tap + bicubic.shape[1] // 2] = bicubic[:, tap]
    taps: Tensor = torch.linalg.lstsq(responses, wanted.reshape(-1, 1)).solution
    return taps.flatten() / taps.sum()


def _carry(layer: nn.Conv2d, taps: Tensor, gain: float, lift: float) -> None:
    """Let the first channels carry the image through a separable filter."""
    margin = (layer.weight.shape[-1] - len(taps)) // 2
    kernel = functional.pad(torch.outer(taps, taps), (margin,) * 4)
    layer.weight[0] = 0.0
    layer.weight[0, 0] = gain * kernel
    _set_bias(layer, 1, lift)


def _refine(layer: nn.Conv2d) -> None:
    """Let the sub-pixels of the first channel be finer spline coefficients."""
    n_sub_pixels = layer.out_channels // layer.in_channels
    step = isqrt(n_sub_pixels)
    start_without_lattice(layer, step)
    taps = _refinement(step)
    layer.weight[:n_sub_pixels] = 0.0
    layer.weight[:n_sub_pixels, 0] = torch.einsum("ai,bj->abij", taps, taps).flatten(
        0, 1
    )
    _set_bias(layer, n_sub_pixels, 0.0)


def _set_bias(layer: nn.Conv2d, n_first: int, value: float) -> None:
    assert layer.bias is not None
    layer.bias[:n_first] = value


def _convolution_with_norm(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)]


class ResidualBlock(nn.Module):
    """Convolution, norm, PReLU, convolution, norm; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution_with_norm(channels),
            nn.PReLU(),
            *_convolution_with_norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(n, channels, h, w)` to the same shape."""
        added: Tensor = self.layers(features)
        return features + added


class SRResNet(Generator):
    """The paper's generator, for one channel.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 4 or 8 by sub-pixel blocks of two, 3 by one of
        three.
    channels
        Feature channels; 64 in the paper.
    n_blocks
        Residual blocks; 16 in the paper.
    in_channels
        1 in the paper: the image. 2: the image and the map of the noise to remove.

    Raises
    ------
    ValueError
        For another number of input channels.
    """

    output_step = (0.5, 0.5)

    def __init__(
        self, factor: int, channels: int = 64, n_blocks: int = 16, in_channels: int = 1
    ) -> None:
        super().__init__()
        if in_channels not in (1, 2):
            raise ValueError(
                f"The paper's generator takes the image (in_channels 1), or the image "
                f"and its noise map (in_channels 2), got in_channels {in_channels}."
            )
        self.factor, self.in_channels = factor, in_channels
        if in_channels == 2:
            self.conditions = ("noise",)
        steps = [3] if factor == 3 else [2] * int(log2(factor))
        self.halo = self._receptive_radius(steps, n_blocks)
        first = nn.Conv2d(in_channels, channels, 9, padding=4)
        self.head = nn.Sequential(first, nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(n_blocks)))
        self.middle = nn.Sequential(*_convolution_with_norm(channels))
        self.upsampling = nn.Sequential(
            *(layer for step in steps for layer in self._sub_pixel(channels, step))
        )
        self.tail = nn.Conv2d(channels, 1, 9, padding=4)
        self._start_as_interpolation(first, steps)

    @torch.no_grad()
    def _start_as_interpolation(self, first: nn.Conv2d, steps: Sequence[int]) -> None:
        """Let the first channel carry the image, so that only detail is to be learnt.

        The paper says nothing of where its training starts. From here a short one gets
        far: the untrained network interpolates by quadratic splines, next to bicubic.
        """
        *between, last = [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in (*between[1::2], last):  # whatever is added to a skip
            nn.init.constant_(norm.weight, FAINT)
        reach = first.kernel_size[0] // 2
        _carry(first, _prefilter(self.factor, steps, reach), 1.0, LIFT)
        for layer in self.upsampling:
            if isinstance(layer, nn.Conv2d):
                _refine(layer)
        self.tail.weight.mul_(FAINT)
        scale, offset = self.output_step  # from network range to the paper's
        _carry(self.tail, SPLINE, 1 / scale, -(LIFT + offset) / scale)

    @staticmethod
    def _sub_pixel(channels: int, step: int) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, channels * step * step, 3, padding=1),
            nn.PixelShuffle(step),
            nn.PReLU(),
        ]

    @staticmethod
    def _receptive_radius(steps: list[int], n_blocks: int) -> int:
        """Add up the radii of all convolutions, in low-resolution pixels."""
        radius, resolution = 4.0 + 2 * n_blocks + 1, 1
        for step in steps:
            radius += 1 / resolution
            resolution *= step
        return ceil(radius + 4 / resolution)

    def raw_output(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, in_channels, h, w)` float: the image in network range, [0, 1] for
            typical counts, and the standard deviation of the noise that the result
            should not contain, if the network is noise-conditioned.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in the paper's output range, [−1, 1].
        """
        if self.in_channels == 2:
            batch = torch.cat([batch[:, :1], batch[:, 1:] * NOISE_GAIN], dim=1)
        shallow = self.head(batch)
        deep = self.middle(self.blocks(shallow))
        fine: Tensor = self.tail(self.upsampling(deep + shallow))
        return fine

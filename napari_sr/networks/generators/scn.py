"""The sparse-coding network: patches, sparse codes of them, sharper patches.

Wang et al., "Deep Networks for Image Super-Resolution with Sparse Prior", ICCV 2015:
one iteration of sparse coding (LISTA), unrolled into layers, on the bicubic image; a
network of factor 2 is repeated for larger factors (CSCN). It alone knows their layers:
nine-by-nine features brought to unit length, a code of 128 atoms with thresholds of 1,
patches of five by five, overlapped. The difference from the paper is the start of a
training: not from dictionaries learnt before, but from an identity, which interpolates.
"""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_sr.networks.generator import Generator
from napari_sr.networks.resampling import resample

if TYPE_CHECKING:
    from torch import Tensor

SEEN, PATCH, MEAN = 9, 5, 13
"""Sides of what a code is of, of a sharper patch, and of the local mean."""
CONTRAST = 1.1
"""Contrast of a sharper patch over that of the interpolated one."""
_LOUD = 40.0
"""Size of codes before training: thresholds of 1 then take little away."""
_LITTLE = 1e-4
"""Contrast, in network units, below which a patch counts as flat."""


def _shrunk(codes: Tensor) -> Tensor:
    """Take 1 from the size of each number; those below become 0."""
    return functional.softshrink(codes, 1.0)


class SparseStage(nn.Module):
    """Sharpen an interpolated image: one LISTA step on each of its patches.

    Parameters
    ----------
    n_features, n_atoms
        Length of a feature vector and of its code: 100 and 128 in the paper.
    """

    patches: Tensor
    placing: Tensor
    low_pass: Tensor

    def __init__(self, n_features: int, n_atoms: int) -> None:
        super().__init__()
        n = PATCH * PATCH
        self.features = nn.Parameter(torch.empty(n_features, 1, SEEN, SEEN))
        self.into_code = nn.Conv2d(n_features, n_atoms, 1, bias=False)
        self.step = nn.Conv2d(n_atoms, n_atoms, 1, bias=False)
        self.from_code = nn.Conv2d(n_atoms, n, 1, bias=False)
        self.weights = nn.Parameter(torch.full((n, 1, 1, 1), 1 / n))
        # Each pixel of a patch, less the mean of all that is seen.
        taken = torch.zeros(n, 1, SEEN, SEEN)
        margin = (SEEN - PATCH) // 2
        inner = taken[:, 0, margin:-margin, margin:-margin]
        inner.copy_(torch.eye(n).view(n, PATCH, PATCH))
        self.register_buffer("patches", taken - 1 / SEEN**2, persistent=False)
        placing = torch.eye(n).view(n, 1, PATCH, PATCH)
        self.register_buffer("placing", placing, persistent=False)
        low_pass = torch.full((1, 1, MEAN, MEAN), 1 / MEAN**2)
        self.register_buffer("low_pass", low_pass, persistent=False)
        self._start_as_identity(inner.shape[0])

    @torch.no_grad()
    def _start_as_identity(self, n: int) -> None:
        """Let the first features be the patch itself, and the code give it back."""
        n_features, n_atoms = self.features.shape[0], self.into_code.out_channels
        nn.init.normal_(self.features, std=1 / SEEN)
        known = min(n, n_features)
        self.features[:known] = self.patches[:known]
        turned = nn.init.orthogonal_(torch.empty(n_atoms, n_features))
        self.into_code.weight.copy_(_LOUD * turned[..., None, None])
        nn.init.zeros_(self.step.weight)
        back = turned.T[:known, :, None, None] / _LOUD
        nn.init.zeros_(self.from_code.weight)
        self.from_code.weight[:known] = back

    def forward(self, image: Tensor) -> Tensor:
        """Sharpen an interpolated image `(n, 1, h, w)`."""
        mean = functional.conv2d(image, self.low_pass, padding=MEAN // 2)
        # Filters without a mean: brightness is no feature, and a flat field stays flat.
        filters = self.features - self.features.mean((2, 3), keepdim=True)
        seen = functional.conv2d(image, filters, padding=SEEN // 2)
        codes = self.into_code(_unit(seen))
        codes = _shrunk(self.step(_shrunk(codes)) + codes)
        interpolated = functional.conv2d(image, self.patches, padding=SEEN // 2)
        contrast = CONTRAST * _length(interpolated)
        sharper = _unit(self.from_code(codes)) * contrast  # (n, 25, h, w)
        overlapped = functional.conv_transpose2d(
            sharper, self.weights * self.placing, padding=PATCH // 2
        )
        return mean + overlapped


def _length(vectors: Tensor) -> Tensor:
    """Measure `(n, c, h, w)` along the channels, `(n, 1, h, w)`; never quite 0."""
    return (vectors.square().sum(1, keepdim=True) + _LITTLE**2).sqrt()


def _unit(vectors: Tensor) -> Tensor:
    return vectors / _length(vectors)


class SparseCoding(Generator):
    """Bicubic ×2 and a sparse-coding stage, as often as the factor needs.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 3, 4 or 8; 3 is made from 4.
    n_features, n_atoms
        Of each stage; all have the same weights.
    n_views
        1, or 8 to average over flips and turns when used (the paper's "MV").

    Raises
    ------
    ValueError
        For another number of views.
    """

    in_channels = 1
    at_use = ("n_views",)
    """Arguments that may be chosen when the network is used: they change no weight."""

    def __init__(
        self, factor: int, n_features: int = 100, n_atoms: int = 128, n_views: int = 1
    ) -> None:
        super().__init__()
        if n_views not in (1, 8):
            raise ValueError(f"The option n_views is 1 or 8, got {n_views}.")
        self.factor, self.n_views = factor, n_views
        self.n_stages = ceil(log2(factor))
        self.stage = SparseStage(n_features, n_atoms)
        self.halo = self._receptive_radius()

    def _receptive_radius(self) -> int:
        """Add up the reaches of all stages, in low-resolution pixels."""
        reach = 3 if self.factor == 3 else 0  # of bringing four pixels to three
        for _ in range(self.n_stages):
            reach += MEAN // 2  # as far as the code of a patch, overlapped
            # An even pixel has two coarse ones before its own, an odd one only one.
            reach = reach // 2 + 2
        return reach

    def raw_output(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        Parameters
        ----------
        batch
            `(n, 1, h, w)` float image in network range.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """
        if self.training or self.n_views == 1:
            return self._once(batch)
        total = torch.zeros_like(self._once(batch))
        for turn in range(4):
            for axes in ((), (-1,)):
                view = torch.rot90(batch.flip(axes), turn, (-2, -1))
                fine = self._once(view)
                total += torch.rot90(fine, -turn, (-2, -1)).flip(axes)
        return total / 8

    def _once(self, batch: Tensor) -> Tensor:
        for _ in range(self.n_stages):
            batch = self.stage(resample(batch, 2, "bicubic"))
        return _three_of_four(batch) if self.factor == 3 else batch


def _three_of_four(fine: Tensor) -> Tensor:
    """Bring four pixels to three, aligned and without aliasing."""
    sides = [side // 4 * 3 for side in fine.shape[-2:]]
    return functional.interpolate(
        fine, sides, mode="bicubic", antialias=True, align_corners=False
    )

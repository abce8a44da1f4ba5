"""Sharp images as a book of patches: what is recorded, and the detail that it lacks.

This module alone knows how detail is looked up: a recorded patch, without its mean and
of unit length, is compared with all of the book; the detail of those like it, weighed
by how like they are, is scaled to its contrast and overlapped with that of its
neighbours (Freeman et al., IEEE CG&A 2002, with weights instead of one best patch, so
that nothing jumps).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch.nn import functional

from napari_sr.methods.back_projection import back_projected
from napari_sr.methods.edge_prior import reach_of_sharpening, sharpened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

SEEN, GIVEN = 5, 3
"""Sides of what is compared and of what detail is given for, in recorded pixels."""
REACH = SEEN // 2 + GIVEN // 2
"""Recorded pixels that take part around each pixel."""
LIKENESS = 0.015
"""Difference of correlation over which a weight falls to 1/e."""
ALIKE = 0.9
"""Correlation of half the trust; a patch of mere noise finds about 0.7 in a book."""
_SHARP = 0.03
_LITTLE = 1e-3
"""Length of a recorded patch, in network units, below which it counts as flat."""
LOUD = 0.1
"""Length of a patch of a book, at least, in network units."""
_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class PatchBook:
    """Patches that can be looked up."""

    recorded: Tensor
    """`(n, 25)` of unit length and without mean."""
    detail: Tensor
    """`(n, (3·factor)²)` for a recorded patch of length 1."""
    factor: int
    strength: float
    contrast: float
    """Of the edges of what detail is added to."""

    @classmethod
    def of(
        cls,
        sharp: Iterable[Tensor],
        factor: int,
        n_patches: int,
        strength: float,
        contrast: float,
        turned: bool = True,
    ) -> Self:
        """Make a book of sharp images.

        Parameters
        ----------
        sharp
            `(h, w)` each, in network range.
        factor, strength, contrast
            Of the sharpening to which detail is added.
        n_patches
            At most so many, the others left out at random.
        turned
            Whether every patch also stands there flipped and turned.
        """
        patches = [
            part
            for image in sharp
            for part in _patches_of(image, factor, strength, contrast)
        ]
        recorded = torch.cat([part[0] for part in patches])
        detail = torch.cat([part[1] for part in patches])
        n_views = 8 if turned else 1
        length = recorded.square().sum(1).sqrt() + _LITTLE
        # Faint detail must not be made loud.
        loud = length >= min(LOUD, float(length.max()) / 2)
        recorded, detail, length = recorded[loud], detail[loud], length[loud]
        chances = torch.Generator().manual_seed(0)
        n_kept = min(max(n_patches // n_views, 1), len(recorded))
        kept = torch.multinomial(length, n_kept, generator=chances)
        recorded, detail = recorded[kept], detail[kept]
        length = length[kept, None]
        if turned:
            recorded = _views(recorded, SEEN)
            detail = _views(detail, GIVEN * factor)
            length = length.repeat(8, 1)
        return cls(recorded / length, detail / length, factor, strength, contrast)

    def base_of(self, low: Tensor) -> Tensor:
        """Give what detail is added to: sharpened edges, `(n, 1, f·h, f·w)`."""
        return _base(low, self.factor, self.strength, self.contrast)

    def detail_for(self, low: Tensor) -> Tensor:
        """Look up the detail of a recording.

        Parameters
        ----------
        low
            `(n, 1, h, w)` in network range.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)`; nearly nothing where the book has nothing
            like it.
        """
        n, _, height, width = low.shape
        seen = functional.unfold(low, SEEN, padding=SEEN // 2)  # (n, 25, h·w)
        rows = seen.transpose(1, 2).reshape(-1, SEEN**2)
        rows = rows - rows.mean(1, keepdim=True)
        detail = torch.cat(
            [self._looked_up(part) for part in torch.split(rows, _AT_ONCE)]
        )
        side = GIVEN * self.factor
        columns = detail.view(n, height * width, side**2).transpose(1, 2)
        given = functional.fold(
            columns,
            (height * self.factor, width * self.factor),
            side,
            padding=self.factor * (GIVEN // 2),
            stride=self.factor,
        )
        return given / GIVEN**2

    def _looked_up(self, rows: Tensor) -> Tensor:
        """Look up `(k, 25)` patches without mean, `(k, (3·factor)²)`."""
        length = rows.square().sum(1, keepdim=True).sqrt() + _LITTLE
        alike = (rows / length) @ self.recorded.to(rows).T
        best = alike.amax(1, keepdim=True)
        weights = torch.softmax((alike - best) / LIKENESS, dim=1)
        trust = torch.sigmoid((best - ALIKE) / _SHARP)
        return (weights @ self.detail.to(rows)) * length * trust


def _base(low: Tensor, factor: int, strength: float, contrast: float) -> Tensor:
    return back_projected(sharpened(low, factor, strength, contrast), low, factor)


def _patches_of(
    sharp: Tensor, factor: int, strength: float, contrast: float
) -> Iterable[tuple[Tensor, Tensor]]:
    """Cut a sharp image into recorded patches and their detail, at every phase."""
    margin = reach_of_sharpening(factor) + REACH
    for row in range(factor):
        for column in range(factor):
            cut = sharp[row:, column:]
            height, width = (side // factor * factor for side in cut.shape)
            image = cut[None, None, :height, :width]
            low = functional.avg_pool2d(image, factor)
            around = min(margin, *(side - 1 for side in low.shape[-2:]))
            padded = functional.pad(low, (around,) * 4, mode="reflect")
            inside = slice(around * factor, -around * factor)
            base = _base(padded, factor, strength, contrast)[..., inside, inside]
            seen = functional.unfold(low, SEEN)[0].T
            lacking = functional.unfold(
                (image - base)[..., factor:-factor, factor:-factor],
                GIVEN * factor,
                stride=factor,
            )[0].T
            yield seen - seen.mean(1, keepdim=True), lacking


def _views(patches: Tensor, side: int) -> Tensor:
    """Give `(n, side²)` patches flipped and turned, `(8·n, side²)`."""
    square = patches.view(-1, side, side)
    views = [
        torch.rot90(view, turn, (1, 2))
        for view in (square, square.flip(2))
        for turn in range(4)
    ]
    return torch.cat(views).flatten(1)

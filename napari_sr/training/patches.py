"""Patches for training, drawn at random from sharp images or from measured pairs.

This module alone decides which part of which image a training step sees. Everything
drawn follows from the seed and the number of the step, so that a training that is
resumed sees what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sr.datasets import SharpImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.datasets.pairs import MeasuredPair

_STRUCTURED = 0.75
"""How often the more structured of two places is taken, and not just the first."""
_MOSTLY = 0.5
"""Share of a patch from which it is mostly gaps."""
_TRIES = 8
"""Places drawn at most, to find one that is not mostly gaps."""

Part = tuple[slice, slice]


@dataclass(frozen=True)
class PatchSource:
    """Draws batches of square sharp patches, turned and flipped.

    Parameters
    ----------
    images
        `(y, x)` float32 sharp images in network range, without gaps: arrays, or images
        of which pieces are read. A place of the latter that is mostly (filled) gaps is
        drawn again, up to eight places in all.
    size
        Side of a patch in sharp pixels; smaller images are left out.
    weights
        How often each image is drawn, relative to the others; equally when `None`.
    seed
        Start of the random sequence.
    structured
        How often the more structured of two places is taken, and not just the first.
    """

    images: Sequence[NDArray | SharpImage]
    size: int
    weights: Sequence[float] | None = None
    seed: int = 0
    structured: float = _STRUCTURED

    def __post_init__(self) -> None:
        """Refuse a source from which nothing can be drawn."""
        shapes = [image.shape for image in self.images]
        _check_source("images", shapes, self.size, self.weights)

    def batch(self, step: int, n_patches: int) -> Tensor:
        """Draw the batch of one training step.

        Parameters
        ----------
        step
            Number of the training step; the same number gives the same batch.
        n_patches
            Patches in the batch.

        Returns
        -------
        Tensor
            `(n_patches, 1, size, size)` float32 in network range.
        """
        random = np.random.default_rng([self.seed, step])
        shapes = [image.shape for image in self.images]
        chosen = _draw(shapes, self.size, self.weights, n_patches, random)
        return _stacked([self._patch(self.images[i], random) for i in chosen])

    def _patch(
        self, image: NDArray | SharpImage, random: np.random.Generator
    ) -> NDArray:
        """Take one of two places, mostly the more structured one."""
        pieces = [np.asarray(image[self._place(image, random)]) for _ in range(2)]
        if random.random() < self.structured:
            pieces.sort(key=np.std, reverse=True)
        return _turned(pieces[:1], random)[0]

    def _place(self, image: NDArray | SharpImage, random: np.random.Generator) -> Part:
        for _ in range(_TRIES):
            part = _draw_place(image.shape, self.size, random)
            if not (isinstance(image, SharpImage) and _mostly_gaps(image, part)):
                break
        return part


@dataclass(frozen=True)
class PairPatchSource:
    """Draws batches of aligned patches of measured pairs, both turned alike.

    Parameters
    ----------
    pairs
        Registered pairs, all of one factor. A place that is mostly gaps in either image
        is drawn again, up to eight places in all.
    size
        Side of a patch in low-resolution pixels; smaller pairs are left out.
    weights
        How often each pair is drawn, relative to the others; equally when `None`.
    seed
        Start of the random sequence.
    """

    pairs: Sequence[MeasuredPair]
    size: int
    weights: Sequence[float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a source from which nothing can be drawn."""
        shapes = [pair.shape for pair in self.pairs]
        _check_source("pairs", shapes, self.size, self.weights)
        factors = {pair.factor for pair in self.pairs}
        if len(factors) > 1:
            raise ValueError(
                f"Pairs of one batch have one factor, not {sorted(factors)}. Train "
                "with pairs of one factor."
            )

    def batch(self, step: int, n_patches: int) -> tuple[Tensor, Tensor]:
        """Draw the batch of one training step.

        Parameters
        ----------
        step
            Number of the training step; the same number gives the same batch.
        n_patches
            Patches in the batch.

        Returns
        -------
        tuple of Tensor
            `(n_patches, 1, size, size)` and `(n_patches, 1, factor · size, factor ·
            size)` float32 in network range.
        """
        random = np.random.default_rng([self.seed, step])
        shapes = [pair.shape for pair in self.pairs]
        chosen = _draw(shapes, self.size, self.weights, n_patches, random)
        drawn = [self._patches(self.pairs[i], random) for i in chosen]
        low, high = zip(*drawn, strict=True)
        return _stacked(low), _stacked(high)

    def drawn_from(self, step: int, n_patches: int) -> NDArray:
        """Tell which pair each patch of a batch is of, `(n_patches,)`."""
        shapes = [pair.shape for pair in self.pairs]
        random = np.random.default_rng([self.seed, step])
        return _draw(shapes, self.size, self.weights, n_patches, random)

    def _patches(
        self, pair: MeasuredPair, random: np.random.Generator
    ) -> list[NDArray]:
        """Take the place of more structure in the high image, as `PatchSource` does."""
        places = [self._place(pair, random) for _ in range(2)]
        if random.random() < _STRUCTURED:
            places.sort(
                key=lambda part: np.std(pair.high.thumbnail(_sharp(part, pair))),
                reverse=True,
            )
        pieces = [pair.low[places[0]], pair.high[_sharp(places[0], pair)]]
        return _turned(pieces, random)

    def _place(self, pair: MeasuredPair, random: np.random.Generator) -> Part:
        for _ in range(_TRIES):
            part = _draw_place(pair.shape, self.size, random)
            in_low = _mostly_gaps(pair.low, part)
            if not (in_low or _mostly_gaps(pair.high, _sharp(part, pair))):
                break
        return part


def _check_source(
    what: str,
    shapes: Sequence[tuple[int, ...]],
    size: int,
    weights: Sequence[float] | None,
) -> None:
    large = _are_large(shapes, size)
    if not any(large):
        raise ValueError(
            f"None of the {len(shapes)} training {what} is as large as a patch of "
            f"{size} × {size} pixels. Use larger {what}."
        )
    given = np.ones(len(large)) if weights is None else weights
    if len(given) != len(large) or min(given) < 0 or not np.dot(given, large):
        raise ValueError(
            f"{len(large)} training {what} need as many weights of at least 0, not "
            f"all 0 for the large enough ones, got {list(given)}. Leave the weights "
            f"out to draw all {what} with equal probability."
        )


def _draw(
    shapes: Sequence[tuple[int, ...]],
    size: int,
    weights: Sequence[float] | None,
    n_patches: int,
    random: np.random.Generator,
) -> NDArray:
    """Choose what each patch is taken from."""
    given = np.ones(len(shapes)) if weights is None else np.asarray(weights, float)
    shares = given * _are_large(shapes, size)
    return random.choice(len(shapes), n_patches, p=shares / shares.sum())


def _are_large(shapes: Sequence[tuple[int, ...]], size: int) -> list[bool]:
    return [min(shape) >= size for shape in shapes]


def _draw_place(shape: tuple[int, ...], size: int, random: np.random.Generator) -> Part:
    y, x = (int(random.integers(side - size + 1)) for side in shape)
    return slice(y, y + size), slice(x, x + size)


def _mostly_gaps(image: SharpImage, part: Part) -> bool:
    gaps = image.gaps(part)
    return gaps is not None and float(gaps.mean()) > _MOSTLY


def _sharp(part: Part, pair: MeasuredPair) -> Part:
    """Find the same place in the high image."""
    rows, columns = (
        slice(pair.factor * cut.start, pair.factor * cut.stop) for cut in part
    )
    return rows, columns


def _turned(patches: Sequence[NDArray], random: np.random.Generator) -> list[NDArray]:
    """Turn and flip patches of one place, all alike."""
    turns, flipped = int(random.integers(4)), random.random() < 0.5
    turned = [np.rot90(patch, turns) for patch in patches]
    if flipped:
        turned = [patch[:, ::-1] for patch in turned]
    return turned


def _stacked(patches: Sequence[NDArray]) -> Tensor:
    return torch.from_numpy(np.stack(patches).astype(np.float32)[:, None])

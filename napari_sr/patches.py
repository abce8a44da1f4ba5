"""Sharp patches for training, drawn at random from images.

This module alone decides which part of which image a training step sees. Everything
drawn follows from the seed and the number of the step, so that a training that is
resumed sees what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class PatchSource:
    """Draws batches of square sharp patches, turned and flipped.

    Parameters
    ----------
    images
        `(y, x)` float32 sharp images in network range, without gaps.
    size
        Side of a patch in sharp pixels; smaller images are left out.
    weights
        How often each image is drawn, relative to the others; equally when `None`.
    seed
        Start of the random sequence.
    """

    images: Sequence[NDArray]
    size: int
    weights: Sequence[float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a source from which nothing can be drawn."""
        large = self._are_large()
        if not any(large):
            raise ValueError(
                f"None of the {len(self.images)} training images is as large as a "
                f"patch of {self.size} × {self.size} pixels. Use a smaller patch or "
                f"larger images."
            )
        weights = np.ones(len(large)) if self.weights is None else self.weights
        if len(weights) != len(large) or min(weights) < 0 or not np.dot(weights, large):
            raise ValueError(
                f"{len(large)} training images need as many weights of at least 0, not "
                f"all 0 for the large enough ones, got {list(weights)}. Leave the "
                f"weights out to draw all images alike."
            )

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
        chosen = random.choice(len(self.images), n_patches, p=self._probabilities())
        patches = [self._patch(self.images[i], random) for i in chosen]
        return torch.from_numpy(np.stack(patches)[:, None])

    def _probabilities(self) -> NDArray:
        weights = np.ones(len(self.images)) if self.weights is None else self.weights
        shares = np.asarray(weights, float) * self._are_large()
        probabilities: NDArray = shares / shares.sum()
        return probabilities

    def _are_large(self) -> list[bool]:
        return [min(image.shape) >= self.size for image in self.images]

    def _patch(self, image: NDArray, random: np.random.Generator) -> NDArray:
        """Take the more structured of two places, three times out of four."""
        places = [self._crop(image, random) for _ in range(2)]
        if random.random() < 0.75:
            places.sort(key=np.std, reverse=True)
        patch = np.rot90(places[0], int(random.integers(4)))
        if random.random() < 0.5:
            patch = patch[:, ::-1]
        return np.ascontiguousarray(patch, np.float32)

    def _crop(self, image: NDArray, random: np.random.Generator) -> NDArray:
        y, x = (random.integers(side - self.size + 1) for side in image.shape)
        return image[y : y + self.size, x : x + self.size]

"""Detail from one image that the user knows to be alike.

After Tai et al. (CVPR 2010): edges by their prior, and elsewhere the detail of a sharp
example. This module alone knows how an example is read and which of its detail is let
through. What is added was never recorded: the result agrees with the recording, but its
error to the truth may well be larger than without.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.files import open_stack
from napari_sr.image.factor import check_factor
from napari_sr.image.intensity import IntensityPolicy, IntensityRange, fill_gaps
from napari_sr.methods.back_projection import REACH, back_projected
from napari_sr.methods.edge_prior import reach_of_sharpening, steepening
from napari_sr.methods.patch_book import REACH as LOOKING_UP
from napari_sr.methods.patch_book import SEEN, PatchBook
from napari_sr.methods.weightless import Weightless

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sr.image.stack import Stack

N_PATCHES = 4096
LARGEST = 512
"""Side of the middle of an example that is used, in its pixels."""


class Exemplar(Weightless):
    """Edges by their prior, detail by example.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    example
        Path of a sharp image of something alike, with pixels of the size of the result;
        of a stack, the first plane.
    amount
        Of the detail: 1 as in the example, 0 none.
    strength, contrast
        Of the edges, as for `edge-prior`.
    n_patches
        Of the example that are compared with; more take longer.
    example_sha256
        Of the pixels of the example, as a result states it: another one is refused.

    Raises
    ------
    ValueError
        For an option that cannot be used, or an example too small or changed.
    StackError
        If the example cannot be read.
    """

    def __init__(
        self,
        factor: int,
        *,
        example: str,
        amount: float = 1.0,
        strength: float = 0.4,
        contrast: float = 0.05,
        n_patches: int = N_PATCHES,
        example_sha256: str = "",
    ) -> None:
        check_factor(factor)
        if not 0 <= amount <= 4:
            raise ValueError(f"The amount of detail is from 0 to 4, got {amount:g}.")
        if not 8 <= n_patches <= 65_536:
            raise ValueError(
                f"An example is cut into 8 to 65,536 patches, got "
                f"n_patches={n_patches:g}."
            )
        sharp, digest = read_example(example, (SEEN + 1) * factor)
        if example_sha256 not in ("", digest):
            raise ValueError(
                f"{example} is not the example that was used before (the SHA-256 of "
                "its pixels differs). Give that one, or leave out example_sha256."
            )
        self.amount, self.strength, self.contrast = amount, strength, contrast
        self._sharp, self._n_patches = sharp, int(n_patches)
        super().__init__(
            "exemplar",
            factor,
            halo=reach_of_sharpening(factor) + 2 * REACH + LOOKING_UP,
            copies=24,
            example=str(example),
            amount=amount,
            strength=strength,
            contrast=contrast,
            n_patches=self._n_patches,
            example_sha256=digest,
        )

    @cached_property
    def book(self) -> PatchBook:
        """Cut the example into patches, when they are first needed."""
        settings = (self.factor, self._n_patches, self.strength, self.contrast)
        return PatchBook.of([self._sharp], *settings)

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch `(n, 1, h, w)` to `(n, 1, factor·h, factor·w)`."""
        base = self.book.base_of(batch)
        detail = self.amount * self.book.detail_for(batch)
        return back_projected(base + self._gate(base) * detail, batch, self.factor)

    def _gate(self, base: Tensor) -> Tensor:
        """Let detail through where the prior does not make an edge."""
        steeper = steepening(base, self.factor, self.strength, self.contrast)
        return 1 / (1 + functional.relu(steeper - 1))


def read_example(path: str, smallest: int) -> tuple[Tensor, str]:
    """Read the middle of a sharp image in its own network range, and its digest.

    Raises
    ------
    ValueError
        If it has fewer than `smallest` pixels a side.
    """
    with open_stack(Path(path)) as stack:
        if min(stack.plane_shape) < smallest:
            raise ValueError(
                f"The example {path} has {stack.plane_shape[0]} × "
                f"{stack.plane_shape[1]} px; expected at least {smallest} px a side."
            )
        return _normalized(stack)


def _normalized(stack: Stack) -> tuple[Tensor, str]:
    index = next(iter(stack.indices()))
    pixels = fill_gaps(stack.plane(index))[0]
    starts = [max(0, side - LARGEST) // 2 for side in pixels.shape]
    middle = pixels[starts[0] :, starts[1] :][:LARGEST, :LARGEST]
    intensity = IntensityRange.measure(stack, IntensityPolicy())
    digest = hashlib.sha256(middle.tobytes()).hexdigest()
    return torch.from_numpy(intensity.normalize(middle)), digest

"""Detail from a lab's own bank of sharp images.

After Yue et al. (IEEE TIP 22, 2013), whose images came from the web. For each plane the
most similar images of the bank are found, laid over it, moved to fit piece by piece,
and recorded as the plane was. This module alone knows what is taken from them: what the
base loses of them in such a recording, within recorded pixels, so that the result says
of each recorded pixel what its base says; as much of it as the plane's own detail is
like theirs; nothing where it is not.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Literal, Self

import torch
from torch.nn import functional

from napari_sr.methods.alignment import (
    AROUND,
    align_to,
    reach_of_alignment,
    refine_alignment,
)
from napari_sr.methods.bank import Bank
from napari_sr.methods.similarity_weights import REACH, trusted
from napari_sr.methods.weightless import FLOAT_BYTES, Weightless
from napari_sr.networks.resampling import kernel_radius, resample

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sr.image.intensity import IntensityRange, NoiseLevel
    from napari_sr.image.stack import Stack
    from napari_sr.methods.alignment import AlignedImage
    from napari_sr.models.upscaler import Prepared, Upscaler
    from napari_sr.networks import Condition

N_PLACES = (2 * AROUND + 1) ** 2


class Retrieval(Weightless):
    """What a base makes of a plane, with detail of the bank's most similar images.

    Parameters
    ----------
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    bank
        Path of an index that `napari-sr bank` wrote, of images with pixels of the size
        of the result.
    base
        The upscaler to which detail is added; `load_model` takes its name.
    n_images
        Images of the bank that are used for each plane.
    bank_sha256, base_sha256
        Of the index and of a trained base, as a result states them: others are refused.

    Raises
    ------
    ValueError
        For an option that cannot be used, or a bank that is none or has changed.
    """

    def __init__(
        self,
        factor: int,
        *,
        bank: str,
        base: Upscaler,
        n_images: int = 3,
        bank_sha256: str = "",
        base_sha256: str = "",
    ) -> None:
        if not 1 <= n_images <= 16:
            raise ValueError(f"1 to 16 images are used, got n_images={n_images:g}.")
        self.bank, self.base, self.n_images = Bank.read(bank), base, int(n_images)
        if bank_sha256 not in ("", self.bank.digest):
            raise ValueError(
                f"{bank} is not the bank that was used before (its SHA-256 differs). "
                "Give that one, or leave out bank_sha256."
            )
        digest = base.digest or ""
        of_base: dict[str, float | str] = {
            "base_sha256": digest,
            "dial": base.dial or 0.0,
        }
        if base_sha256 not in ("", digest):
            raise ValueError(
                f"{base.name} is not the base that was used before (its SHA-256 "
                "differs). Give that one, or leave out base_sha256."
            )
        super().__init__(
            "retrieval",
            factor,
            halo=reach_of_alignment(factor) + max(base.halo, REACH),
            copies=3 * self.n_images + 2 * N_PLACES,
            bank=str(bank),
            base=base.name,
            n_images=self.n_images,
            bank_sha256=self.bank.digest,
            **(of_base if digest else {}),
        )
        self.intensity_policy, self.overlap = base.intensity_policy, base.overlap
        self.instrument, self.device = base.instrument, base.device
        # A matrix of the images for each recorded pixel, and what solving it takes.
        self.bytes_per_pixel += FLOAT_BYTES * 4 * self.n_images**2
        self.bytes_per_pixel += base.bytes_per_pixel

    @property
    def reach(self) -> None:
        """All of a plane: where an image lies is found on whole planes."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditioning inputs of its base."""
        return self.base.conditions

    def to(self, device: torch.device | str) -> Self:
        """Give the same upscaler with its base on a device."""
        moved = copy(self)
        moved.base = self.base.to(device)
        moved.device = moved.base.device
        return moved

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find out what the base wants to know; the bank is searched for each plane."""
        return self.base.prepare(stack, intensity, noise)

    def fitted_blur(
        self, stack: Stack, intensity: IntensityRange, prepared: Prepared
    ) -> float:
        """Find the blur of the base: detail of the bank agrees with it."""
        return self.base.fitted_blur(stack, intensity, prepared)

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Stack a plane with the inputs of its base and the images laid over it.

        Parameters
        ----------
        plane
            `(1, 1, y, x)` float32 in network range.
        intensity, prepared
            As for the base.

        Returns
        -------
        Tensor
            `(1, c + n_images · factor², y, x)`: of each image the pixels within a
            recorded one as channels.
        """
        base_inputs = self.base.inputs(plane, intensity, prepared)
        images = torch.zeros(
            self.n_images, *(self.factor * side for side in plane.shape[-2:])
        )
        for image, laid in zip(images, self.laid_over(plane), strict=False):
            image.copy_(torch.from_numpy(laid.pixels))
        beside = functional.pixel_unshuffle(images[None], self.factor)
        return torch.cat([base_inputs, beside], dim=1)

    def laid_over(self, plane: Tensor) -> list[AlignedImage]:
        """Find images of the bank for a plane `(1, 1, y, x)` and lay them over it."""
        radius = kernel_radius("bicubic")
        padded = functional.pad(plane, (radius,) * 4, mode="replicate")
        inside = slice(radius * self.factor, -radius * self.factor)
        fine = resample(padded, self.factor, "bicubic")[0, 0, inside, inside].numpy()
        entries = self.bank.nearest(fine, self.n_images)
        return [align_to(entry.name, entry.pixels(), fine) for entry in entries]

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch of what `inputs` gives."""
        return self.explained(batch)[0]

    @torch.inference_mode()
    def explained(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Super-resolve, and say how much of the detail comes from where.

        Parameters
        ----------
        batch
            `(n, c, h, w)`, as `inputs` gives it, with its halo.

        Returns
        -------
        result
            `(n, 1, factor·h, factor·w)` in network range.
        shares
            `(n, n_images, h, w)`: share of each image in the detail of each recorded
            pixel; the rest is the base's.
        """
        n_beside = self.n_images * self.factor**2
        base_inputs, beside = batch[:, :-n_beside], batch[:, -n_beside:]
        low, besides = base_inputs[:, :1], base_inputs[:, 1:]
        images = functional.pixel_shuffle(beside, self.factor)
        fitted = [
            refine_alignment(low, image, self.factor)
            for image in torch.split(images, 1, 1)
        ]
        recorded = [functional.avg_pool2d(image, self.factor) for image in fitted]
        shares = trusted(low, torch.cat(recorded, 1))
        result = self.base(base_inputs)
        for share, image, coarse in zip(
            torch.split(shares, 1, 1), fitted, recorded, strict=True
        ):
            # What the base makes of the image itself, told the same as of the plane.
            lost = image - self.base(torch.cat([coarse, besides], 1))
            within = lost - self._stretched(functional.avg_pool2d(lost, self.factor))
            result = result + self._stretched(share) * within
        return result, shares

    def _stretched(self, low: Tensor) -> Tensor:
        return resample(low, self.factor, "nearest")

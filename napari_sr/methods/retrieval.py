"""Detail from a lab's own bank of sharp images.

After Yue et al. (IEEE TIP 22, 2013), whose images came from the web. For each plane the
most similar images of the bank are found, laid over it, and compared with it piece by
piece, a few pixels around where they lie. This module alone knows what is taken from
them: only what lies within recorded pixels, so that the result says of each recorded
pixel what its base says; as much of it as the recorded pixels are alike; nothing where
they are not.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
import torch
from torch.nn import functional

from napari_sr.methods.bank import Bank
from napari_sr.methods.weightless import Weightless
from napari_sr.networks.resampling import kernel_radius, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.blur import Prepared
    from napari_sr.intensity import IntensityPolicy, IntensityRange, NoiseLevel
    from napari_sr.stack import Stack

WINDOW = 7
"""Side of the surroundings that are compared, in recorded pixels."""
AROUND = 2
"""How far from where an image lies its pieces are looked for, in pixels of the
result."""
CAUTION = 3.0
"""Squared error of foreign detail over the squared difference of recorded pixels."""
ALIKE = 0.8
"""Correlation of recorded pixels below which a piece is left alone."""
_CHOOSY = 4
_LITTLE = 1e-6


@dataclass(frozen=True, slots=True)
class Laid:
    """An image of the bank, laid over a plane."""

    name: str
    shift: tuple[int, int]
    """Rows and columns from its corner to that of the plane's, in fine pixels."""
    pixels: NDArray[np.float32]
    """`(factor·y, factor·x)` in the plane's network range; 0 where it has nothing."""


class Base(Protocol):
    """What detail may be added to: what flow A asks of an upscaler."""

    name: str
    halo: int
    bytes_per_pixel: int
    intensity_policy: IntensityPolicy

    def to(self, device: torch.device) -> Self:
        """Give the same upscaler on a device."""

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find out what must be known once per stack."""

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Put beside a plane what the upscaler is told about it."""

    def __call__(self, batch: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, 1, factor·h, factor·w)`."""


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
    bank_sha256
        Of the index, as a result states it: another one is refused.

    Raises
    ------
    ValueError
        For an option that cannot be used, or a bank that is none or has changed.
    """

    sees_whole_planes = True

    def __init__(
        self,
        factor: int,
        *,
        bank: str,
        base: Base,
        n_images: int = 3,
        bank_sha256: str = "",
    ) -> None:
        if not 1 <= n_images <= 16:
            raise ValueError(f"1 to 16 images are used, got n_images={n_images:g}.")
        self.bank, self.base, self.n_images = Bank.read(bank), base, int(n_images)
        if bank_sha256 not in ("", self.bank.digest):
            raise ValueError(
                f"{bank} is not the bank that was used before (it has another "
                f"SHA-256). Give that one, or leave out bank_sha256."
            )
        super().__init__(
            "retrieval",
            factor,
            halo=max(base.halo, kernel_radius("bicubic") + WINDOW // 2 + AROUND + 1),
            copies=2 * self.n_images * (2 * AROUND + 1) ** 2,
            bank=str(bank),
            base=base.name,
            n_images=self.n_images,
            bank_sha256=self.bank.digest,
        )
        self.intensity_policy = base.intensity_policy
        self.bytes_per_pixel += base.bytes_per_pixel

    def to(self, device: torch.device | str) -> Self:
        """Give the same upscaler with its base on a device."""
        moved = copy(self)
        moved.base = self.base.to(torch.device(device))
        return moved

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find out what the base wants to know; the bank is searched for each plane."""
        return self.base.prepare(stack, intensity, noise)

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Put beside a plane what its base is told, and the images laid over it.

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
        told = self.base.inputs(plane, intensity, prepared)
        images = torch.zeros(
            self.n_images, *(self.factor * side for side in plane.shape[-2:])
        )
        for image, laid in zip(images, self.laid_over(plane), strict=False):
            image.copy_(torch.from_numpy(laid.pixels))
        beside = functional.pixel_unshuffle(images[None], self.factor)
        return torch.cat([told, beside], dim=1)

    def laid_over(self, plane: Tensor) -> list[Laid]:
        """Find images of the bank for a plane `(1, 1, y, x)` and lay them over it."""
        radius = kernel_radius("bicubic")
        padded = functional.pad(plane, (radius,) * 4, mode="replicate")
        inside = slice(radius * self.factor, -radius * self.factor)
        fine = resample(padded, self.factor, "bicubic")[0, 0, inside, inside].numpy()
        found = self.bank.nearest(fine, self.n_images)
        return [_laid(entry.name, entry.pixels(), fine) for entry in found]

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
        told, beside = batch[:, :-n_beside], batch[:, -n_beside:]
        base, low = self.base(told), told[:, :1]
        images = functional.pixel_shuffle(beside, self.factor)
        weights, detail = self._compared(low, images)
        total = weights.sum(1, keepdim=True)  # (n, 1, h, w), at most 1
        taken = torch.zeros_like(base)
        for weight, one in zip(
            torch.split(weights, 1, 1), torch.split(detail, 1, 1), strict=True
        ):
            taken += self._stretched(weight) * one
        own = base - self._stretched(functional.avg_pool2d(base, self.factor))
        of_places = weights.view(len(weights), self.n_images, -1, *weights.shape[-2:])
        shares = of_places.sum(2)
        return base + taken - self._stretched(total) * own, shares

    def _compared(self, low: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compare a recording with images, each at every place around its own.

        Returns
        -------
        weights
            `(n, n_images · places, h, w)`, in sum at most 1.
        detail
            `(n, n_images · places, factor·h, factor·w)` without mean in any recorded
            pixel.
        """
        places = range(-AROUND, AROUND + 1)
        found, trusted, detail = [], [], []
        for image in torch.split(images, 1, 1):
            for down in places:
                for across in places:
                    moved = image.roll((down, across), (2, 3))
                    coarse = functional.avg_pool2d(moved, self.factor)
                    lost = moved - resample(coarse, self.factor, "bicubic")
                    gain = _mean(functional.avg_pool2d(lost.square(), self.factor))
                    found.append(_mean((low - coarse).square()))
                    # Its worth: what interpolation would lose, beside what is foreign.
                    worth = gain / (gain + CAUTION * found[-1] + _LITTLE)
                    trusted.append(worth * _likeness(low, coarse))
                    detail.append(moved - self._stretched(coarse))
        apart, trust = torch.cat(found, 1), torch.cat(trusted, 1)
        least = apart.amin(1, keepdim=True) + _LITTLE
        chosen = (least / (apart + _LITTLE)) ** _CHOOSY
        chosen = chosen / chosen.sum(1, keepdim=True)
        return chosen * trust, torch.cat(detail, 1)

    def _stretched(self, low: Tensor) -> Tensor:
        return resample(low, self.factor, "nearest")


def _mean(image: Tensor) -> Tensor:
    """Average over the surroundings of each pixel."""
    return functional.avg_pool2d(image, WINDOW, 1, WINDOW // 2)


def _likeness(low: Tensor, other: Tensor) -> Tensor:
    """Correlate surroundings: 0 below `ALIKE`, 1 for those that are the same."""
    means = _mean(low), _mean(other)
    spread = [_mean(one.square()) - mean.square()
              for one, mean in zip((low, other), means, strict=True)]  # fmt: skip
    common = _mean(low * other) - means[0] * means[1]
    size = (spread[0].clamp_min(0) * spread[1].clamp_min(0)).sqrt() + _LITTLE
    return ((common / size - ALIKE) / (1 - ALIKE)).clamp(0, 1)


def _laid(name: str, image: NDArray[np.float32], fine: NDArray[np.float32]) -> Laid:
    """Lay an image over a plane, by the highest correlation, with its brightness."""
    shape = [a + b for a, b in zip(image.shape, fine.shape, strict=True)]
    spectra = [np.fft.rfft2(_windowed(one), shape) for one in (image, fine)]
    crossed = spectra[0] * spectra[1].conj()
    # Half-way to phase correlation: coarse structure alone has no sharp peak.
    peak = np.fft.irfft2(crossed / (np.sqrt(np.abs(crossed)) + 1e-9), shape)
    row, column = (int(i) for i in np.unravel_index(peak.argmax(), peak.shape))
    shift = (
        row - shape[0] * (row >= image.shape[0]),
        column - shape[1] * (column >= image.shape[1]),
    )
    over = np.zeros_like(fine)
    into = [
        slice(max(0, -by), min(there, here - by))
        for by, here, there in zip(shift, image.shape, fine.shape, strict=True)
    ]
    part = tuple(into)
    taken = tuple(
        slice(cut.start + by, cut.stop + by)
        for cut, by in zip(into, shift, strict=True)
    )
    seen, known = image[taken], fine[part]
    if seen.size:
        spread = float(seen.var())
        gain = float(np.mean((seen - seen.mean()) * (known - known.mean())))
        gain = max(gain / spread, 0.0) if spread > 1e-9 else 0.0
        over[part] = known.mean() + gain * (seen - seen.mean())
    return Laid(name, shift, over)


def _windowed(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Take out brightness, and let the borders fade."""
    faded = np.multiply.outer(*(np.hanning(side + 2)[1:-1] for side in image.shape))
    windowed: NDArray[np.float64] = (image - image.mean()) * faded
    return windowed

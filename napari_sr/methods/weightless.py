"""What all upscalers without weights answer to the upscaling flow.

This module alone knows that they are the same for every stack: no dial, no noise to be
told, a range as everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from napari_sr.image.factor import check_factor
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.methods.names import METHODS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_sr.image.intensity import IntensityRange, NoiseLevel
    from napari_sr.image.stack import Stack
    from napari_sr.models.upscaler import Prepared

FLOAT_BYTES = 4


class Weightless:
    """An upscaler without weights: local, and alike for every stack.

    Parameters
    ----------
    name
        As the catalogue has it.
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    halo
        Recorded pixels that take part around each pixel.
    copies
        Arrays of the size of the result that are in memory at a time.
    **options
        What else was chosen, as it is to stand with the result.

    Raises
    ------
    ValueError
        If the factor is none of these.
    """

    domain = "any"
    overlap = 0
    sees_whole_planes = False

    @property
    def device(self) -> torch.device | None:
        """No place of its own: it has no weights and computes where its input is."""
        return None

    def __init__(
        self, name: str, factor: int, halo: int, copies: int, **options: float | str
    ) -> None:
        check_factor(factor)
        self.name, self.factor, self.halo = name, factor, halo
        self.description = METHODS[name]
        self.intensity_policy = IntensityPolicy()
        self.bytes_per_pixel = FLOAT_BYTES * copies * factor * factor
        self.options = options

    def to(self, device: torch.device | str) -> Self:
        """Give the same upscaler, which has no place of its own."""
        return self

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find out nothing: the noise of the recording is kept.

        Parameters
        ----------
        stack, intensity
            The recording and its range; not looked at.
        noise
            "auto", or a level of zero: both keep the recording's grain.

        Raises
        ------
        ValueError
            If noise is to be removed.
        """
        if noise != "auto" and (noise.gain > 0 or noise.read > 0):
            raise ValueError(
                f"Method {self.name!r} cannot remove noise, but {noise} was asked for. "
                f"Leave noise at 'auto', or use a model that is told it."
            )
        return None

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Put nothing beside a plane.

        Parameters
        ----------
        plane
            `(1, 1, y, x)` float32 in network range.
        intensity, prepared
            The stack's range and what `prepare` found; not looked at.

        Returns
        -------
        Tensor
            `(1, 1, y, x)`: the plane itself.
        """
        return plane

    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch.

        What lies beyond the border of the batch is not known, so the outermost `halo`
        recorded pixels are only right where they are cut away.

        Parameters
        ----------
        batch
            `(n, 1, h, w)` float32 in network range.

        Returns
        -------
        Tensor
            `(n, 1, factor·h, factor·w)` in network range.
        """
        raise NotImplementedError

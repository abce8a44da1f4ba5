"""What all upscalers without weights answer to the upscaling flow.

This module alone knows that they are the same for every stack: no dial, no noise
conditioning, a range as everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_sr.image.factor import check_factor
from napari_sr.methods.names import METHODS
from napari_sr.models.upscaler import Prepared, Upscaler

if TYPE_CHECKING:
    from napari_sr.image.intensity import IntensityRange, NoiseLevel
    from napari_sr.image.stack import Stack

FLOAT_BYTES = 4


class Weightless(Upscaler):
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

    def __init__(
        self, name: str, factor: int, halo: int, copies: int, **options: float | str
    ) -> None:
        check_factor(factor)
        self.name, self.factor, self.halo = name, factor, halo
        self.description = METHODS[name].description
        self.bytes_per_pixel = FLOAT_BYTES * copies * factor * factor
        self.options = options

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
                f"Method {self.name!r} cannot remove noise, but {noise} was asked "
                "for. Leave noise at 'auto', or use a noise-conditioned model."
            )
        return Prepared()

"""Recordings to learn from: sharp patches as a user's instrument might give them.

This module alone decides what is simulated around the instrument itself: how bright a
recording is, where its black lies, and how often there is nothing but a flat field.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import ceil, log
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sr.device import to_device
from napari_sr.instrument.degradation import draw_instrument, record_with
from napari_sr.instrument.noise import noise_map
from napari_sr.instrument.psf import gaussian_psf
from napari_sr.instrument.ranges import typical
from napari_sr.networks.generators.ikc import Sftmd, as_kernel, with_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.instrument.degradation import DrawnInstrument
    from napari_sr.instrument.ranges import Instrument
    from napari_sr.settings import ForZ, TrainingSettings

_SPAN, _BLACK = (-0.5, 0.1), (-0.02, 0.08)
"""Ranges of the log scale and of the black level of a recording, in network units."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A batch as the instrument gave it, beside what it should have been."""

    sharp: Tensor
    """`(n, 1, factor·h, factor·w)` float32 in network range."""
    low: Tensor
    """`(n, 1, h, w)` float32 in network range."""
    gain: Tensor
    """`(n, 1, 1, 1)`: variance = gain × (signal − offset) + read²."""
    read: Tensor
    """`(n, 1, 1, 1)`."""
    offset: Tensor
    """`(n, 1, 1, 1)`."""
    correlation: Tensor | None = None
    """`(n, 1, 1, 1)` of the noise, in recorded pixels; `None` where all of it is white.
    """
    psf: Tensor | None = None
    """`(n, 1, k, k)` on sharp pixels; `None` where it is a point, or unknown."""

    @classmethod
    def measured(
        cls, low: Tensor, noise: NoiseLevel, factor: int, sharp: Tensor | None = None
    ) -> Recording:
        """Describe a recording that was not simulated, as far as it is known.

        Parameters
        ----------
        low
            `(n, 1, h, w)` float32 in network range.
        noise
            In network units.
        factor
            Sharp pixels along a recorded one.
        sharp
            The truth; empty pixels where there is none.
        """
        if sharp is None:
            n, _, height, width = low.shape
            sharp = low.new_zeros(1).expand(n, 1, height * factor, width * factor)
        return cls(
            sharp,
            low,
            *(
                low.new_full((len(low), 1, 1, 1), value)
                for value in (noise.gain, noise.read, noise.offset)
            ),
        )

    def comparable(self, result: Tensor) -> Tensor:
        """Bin a result back along x, where the recording was as fine as the truth."""
        n = result.shape[-1] // self.sharp.shape[-1]
        return result if n == 1 else functional.avg_pool2d(result, (1, n))

    def to(self, device: torch.device) -> Recording:
        """Give the same recording on another device."""
        return self._with(lambda part: to_device(part, device))

    def parts(self, n: int) -> list[Recording]:
        """Divide the batch into `n` parts, or as many as it has patches."""
        if n == 1:
            return [self]
        chunks = {
            field.name: part.chunk(n)
            for field in fields(self)
            if (part := getattr(self, field.name)) is not None
        }
        return [
            replace(self, **dict(zip(chunks, part, strict=True)))
            for part in zip(*chunks.values(), strict=True)
        ]

    def pinned(self) -> Recording:
        """Give the same recording in memory from which a device can be fed."""
        return self._with(lambda part: part.pin_memory())

    def _with(self, change: Callable[[Tensor], Tensor]) -> Recording:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        there = {name: change(part) for name, part in parts.items() if part is not None}
        return replace(self, **there)

    def inputs_of(self, network: nn.Module) -> Tensor:
        """Stack the recording with what a generator takes, `(n, c, h, w)`."""
        if isinstance(network, Sftmd):
            return with_code(self.low, network.code_of(self._kernel()))
        noise = [self.noise_map()] if network.in_channels == 2 else []
        return torch.cat([self.low, *noise], dim=1)

    def _kernel(self) -> Tensor:
        if self.psf is not None:
            return as_kernel(self.psf)
        point = torch.zeros(len(self.low), 1, 1, 1, device=self.low.device)
        return as_kernel(point + 1)

    def noise_map(self) -> Tensor:
        """Map the noise that was drawn, `(n, 1, h, w)`."""
        return noise_map(self.low, self.gain, self.read, self.offset)


def simulated(
    sharp: Tensor, settings: TrainingSettings, random: torch.Generator
) -> Recording:
    """Record sharp patches with an instrument drawn at random, as a user might have.

    Parameters
    ----------
    sharp
        `(n, 1, factor·h, factor·w)` float32; 0 stands for no light, 1 nearly for the
        brightest.
    settings
        Which instruments, and how many flat fields.
    random
        Source of everything that is drawn.
    """
    n = len(sharp)
    sharp = _with_flat_fields(sharp, settings.share_flat, random)
    drawn = draw_instrument(settings.instrument, n, random)
    factor: int | tuple[int, int] = settings.factor
    if settings.for_z is not None:
        sharp, drawn = _as_along_z(
            sharp, drawn, settings.for_z, settings.factor, random
        )
        factor = (settings.factor, 1)
    low = record_with(drawn, sharp, factor, random)
    # A range measured on a noisy recording lies a little beyond that of the specimen.
    span = torch.exp(torch.empty(n, 1, 1, 1).uniform_(*_SPAN, generator=random))
    black = torch.empty(n, 1, 1, 1).uniform_(*_BLACK, generator=random)
    return Recording(
        sharp=sharp * span + black,
        low=low * span + black,
        gain=drawn.gain * span,
        read=drawn.read * span,
        offset=drawn.offset * span + black,
        correlation=drawn.correlation.sigma if drawn.correlation else None,
        psf=drawn.psf,
    )


def _as_along_z(
    sharp: Tensor,
    drawn: DrawnInstrument,
    for_z: ForZ,
    factor: int,
    random: torch.Generator,
) -> tuple[Tensor, DrawnInstrument]:
    """Give what one of the passes along z is to find, and what has recorded it.

    The first pass sees the step of the recording, with its blur and noise; each of the
    others the steps that the one before has made, of which nothing is left to remove.
    """
    steps = steps_along_z(for_z.ratio, factor)
    number = int(torch.randint(len(steps), (1,), generator=random))
    step = steps[number]
    height = sharp.shape[-2] // (step * factor) * step * factor
    sharp = sharp[..., :height, :]
    drawn = replace(drawn, psf=None, correlation=None, defects=None, jpeg=None)
    if number:
        none = torch.zeros_like(drawn.gain)
        drawn = replace(drawn, gain=none, read=none)
    elif for_z.blur:
        width = torch.tensor([for_z.blur / step])
        psf = gaussian_psf(width, torch.ones(1), torch.zeros(1))
        drawn = replace(drawn, psf=psf.sum(dim=-1, keepdim=True))
    return functional.avg_pool2d(sharp, (step, 1)), drawn


def steps_along_z(ratio: float, factor: int) -> list[int]:
    """Give the pixels that the planes of each pass along z are apart, the first first.

    As many passes as it takes; a step of less than a pixel is taken for one.
    """
    n_passes = max(1, ceil(log(ratio, factor) - 1e-9))
    return [max(1, round(ratio / factor ** (k + 1))) for k in range(n_passes)]


def typical_recording(
    sharp: NDArray, instrument: Instrument, factor: int, seed: int = 0
) -> NDArray:
    """Record a sharp image with the instrument in the middle of a range, to look at.

    Parameters
    ----------
    sharp
        `(factor · y, factor · x)` float32 in network range.
    instrument
        The range.
    factor
        Recorded pixel over sharp pixel.
    seed
        The same gives the same noise.

    Returns
    -------
    ndarray
        `(y, x)` float32 in network range.
    """
    random = torch.Generator().manual_seed(seed)
    drawn = draw_instrument(typical(instrument), 1, random)
    low = record_with(drawn, torch.from_numpy(sharp)[None, None], factor, random)
    plane: NDArray = low[0, 0].numpy()
    return plane


def _with_flat_fields(sharp: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Replace some patches by flat ones: nothing is to be invented there."""
    flat = torch.rand(len(sharp), 1, 1, 1, generator=random) < share
    brightness = torch.rand(len(sharp), 1, 1, 1, generator=random)
    return torch.where(flat, brightness.expand_as(sharp), sharp)

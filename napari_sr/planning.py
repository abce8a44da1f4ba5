"""What is decided once, before the first pixel.

This module alone knows what flow A asks of an upscaler, and how a recording, an
upscaler and the user's settings become one small frozen `Plan`: range, noise, tile,
halo and precision. Whatever could differ between planes is in it, and it is stored with
the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict

from napari_sr.device import choose_device, choose_precision, choose_tile
from napari_sr.instrument import Range  # noqa: TC001
from napari_sr.intensity import IntensityPolicy, IntensityRange, NoiseLevel
from napari_sr.model import SRModel
from napari_sr.tiling import plan_tiles

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_sr.settings import UpscaleSettings
    from napari_sr.stack import Stack


class Upscaler(Protocol):
    """What flow A asks of whatever makes a plane larger."""

    @property
    def name(self) -> str:
        """Short name, for errors and for the plan."""

    @property
    def factor(self) -> int:
        """Super-resolution factor."""

    @property
    def halo(self) -> int:
        """Recorded pixels it must see around each pixel."""

    @property
    def overlap(self) -> int:
        """Recorded pixels over which tiles are blended; 0 for what is purely local."""

    @property
    def bytes_per_pixel(self) -> int:
        """Working memory per recorded pixel."""

    @property
    def intensity_policy(self) -> IntensityPolicy:
        """How the intensity range of a stack is measured."""

    def to(self, device: torch.device) -> Self:
        """Give the same upscaler on a device."""

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> NoiseLevel | None:
        """Find out what must be known once per stack."""

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: NoiseLevel | None
    ) -> Tensor:
        """Put beside a `(1, 1, y, x)` plane what the upscaler is told about it."""

    def __call__(self, batch: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, 1, factor·h, factor·w)`, network range."""


class Plan(BaseModel):
    """What is decided once, before the first pixel; stored with the output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    model_sha256: str | None
    factor: int
    dial: float | None
    intensity: IntensityRange
    noise: NoiseLevel | None
    """To be removed, in counts; `None` when the upscaler is not told."""
    tile: int
    tile_is_auto: bool
    halo: int
    precision: str
    device: str
    dtype: str
    consistency: Literal["auto", "off", "exact"] = "off"
    """How the result is made to agree with the recording; see `consistency`."""
    psf_sigma: Range = (0.0, 0.0)
    """Range of the blur for which it agrees, in pixels of the result."""


def make_plan(stack: Stack, upscaler: Upscaler, settings: UpscaleSettings) -> Plan:
    """Decide everything that must be the same for all planes.

    Parameters
    ----------
    stack
        The recording; some of its planes are read.
    upscaler
        Already on its device.
    settings
        What the user asked for.

    Raises
    ------
    ValueError
        If the settings do not fit the upscaler or the machine.
    StackError
        If the stack has no finite pixel or cannot be read.
    """
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    tile = settings.tile
    if tile == "auto":
        tile = choose_tile(upscaler.bytes_per_pixel, upscaler.halo, device)
    plan_tiles(stack.plane_shape, tile, upscaler.halo, upscaler.overlap)  # or refuse
    if settings.intensity_range is None:
        intensity = IntensityRange.measure(stack, upscaler.intensity_policy)
    else:
        intensity = IntensityRange(*settings.intensity_range)
    trained = upscaler if isinstance(upscaler, SRModel) else None
    noise = upscaler.prepare(stack, intensity, settings.noise)
    return Plan(
        model=upscaler.name,
        model_sha256=trained.digest if trained else None,
        factor=upscaler.factor,
        dial=trained.dial if trained else None,
        intensity=intensity,
        noise=noise,
        tile=tile,
        tile_is_auto=settings.tile == "auto",
        halo=upscaler.halo,
        precision=str(precision).removeprefix("torch."),
        device=str(device),
        dtype=stack.dtype.name if settings.dtype == "same" else settings.dtype,
        consistency=_consistency(settings, trained, noise),
        psf_sigma=trained.card.instrument.psf_sigma if trained else (0.0, 0.0),
    )


def _consistency(
    settings: UpscaleSettings, trained: SRModel | None, noise: NoiseLevel | None
) -> Literal["auto", "off", "exact"]:
    """Leave alone what cannot be judged: no known noise, or a blur of any shape."""
    if settings.consistency != "auto":
        return settings.consistency
    if trained is None or noise is None or trained.card.instrument.psf_image:
        return "off"
    return "auto"

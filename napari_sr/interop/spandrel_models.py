"""Networks that spandrel knows (ESRGAN, Compact, SPAN, SwinIR, …) as upscalers.

This module alone knows spandrel. Weights are read as those of any checkpoint, and
nothing in a file is run. Grey goes in as equal colours, the mean of the colours comes
out. A network that is local within `LARGEST_REACH` gets its measured reach as halo, so
that tiles are exact; others are blended, and their description says so.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import nn

from napari_sr.card import ModelFormatError
from napari_sr.intensity import IntensityPolicy
from napari_sr.interop.reading import read_weights
from napari_sr.networks.as_trained import working_memory

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor

    from napari_sr.blur import Prepared
    from napari_sr.intensity import IntensityRange, NoiseLevel
    from napari_sr.stack import Stack

LARGEST_REACH = 40
"""Recorded pixels of halo that are worth exact tiles."""
_BLENDED_HALO, _OVERLAP = 24, 16


class SpandrelUpscaler:
    """A network of spandrel, for one channel.

    Parameters
    ----------
    name
        Short name.
    descriptor
        As spandrel gives it.
    device
        Where it runs.
    """

    domain = "any"
    sees_whole_planes = False

    def __init__(
        self,
        name: str,
        descriptor: Any,  # noqa: ANN401 - spandrel is not always there
        device: torch.device | str = "cpu",
    ) -> None:
        self.name, self.factor = name, int(descriptor.scale)
        self.device = torch.device(device)
        self.intensity_policy = IntensityPolicy(low=0, high=100)  # it ends at 0 and 1
        self.options: dict[str, float | str] = {}
        self._descriptor = descriptor
        self._grey = _Grey(descriptor)
        reach = _reach_of(self._grey, self.factor)
        is_shifting = descriptor.size_requirements.multiple_of > 1
        self.is_local = reach <= LARGEST_REACH and not is_shifting
        self.halo = max(1, reach) if self.is_local else _BLENDED_HALO
        self.overlap = 0 if self.is_local else _OVERLAP
        how = (
            f"local within {reach} px, so tiles are exact"
            if self.is_local
            else "not local, so tiles are blended and results depend on them a little"
        )
        self.description = f"{descriptor.architecture.name} by spandrel, {how}."

    @cached_property
    def bytes_per_pixel(self) -> int:
        """Working memory per recorded pixel in float32, seen from the inside."""
        return working_memory(self._grey)  # type: ignore[arg-type]

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        self._grey.to(device)
        self.device = torch.device(device)
        return self

    def used_with(self, options: Mapping[str, object]) -> Self:
        """Refuse to be used in another way: nothing is left to choose."""
        raise ValueError(
            f"Model {self.name!r} takes no options, got {', '.join(options)}. Leave "
            f"them out."
        )

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> None:
        """Find out nothing: these networks are not told the noise.

        Raises
        ------
        ValueError
            If a level is asked for.
        """
        if noise != "auto":
            raise ValueError(
                f"Model {self.name!r} is not told the noise, so it cannot keep or "
                f"remove a given level. Leave noise at 'auto'."
            )

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Put nothing beside a `(1, 1, y, x)` plane."""
        return plane

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve `(n, 1, h, w)` to `(n, 1, f·h, f·w)`, both in [0, 1]."""
        return torch.cat([self._grey(image[None]) for image in batch])


class _Grey(nn.Module):
    """A network of spandrel that takes and gives one channel."""

    in_channels = 1

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.network = descriptor.model.eval().requires_grad_(False)
        self._compute = descriptor
        self._n_inputs = int(descriptor.input_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Map `(1, 1, h, w)` to `(1, 1, f·h, f·w)`."""
        colours = image.clamp(0, 1).repeat(1, self._n_inputs, 1, 1)
        high: Tensor = self._compute(colours)
        return high.mean(dim=1, keepdim=True)


def read_spandrel(path: str | os.PathLike[str]) -> SpandrelUpscaler:
    """Read a checkpoint of a network that spandrel knows.

    Parameters
    ----------
    path
        A state dict, bare or wrapped as usual.

    Raises
    ------
    ModelFormatError
        If spandrel is not installed or does not know it, or it does not super-resolve.
    """
    path = Path(path)
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except Exception as error:  # torchvision may not fit torch
        raise ModelFormatError(
            f"{path.name}: is of no layout known here, and spandrel, which knows more, "
            f"cannot be loaded ({type(error).__name__}). Install it with: pip install "
            '"napari-sr[spandrel]"'
        ) from error
    weights = read_weights(path, only_floats=False)
    try:
        found = ModelLoader(device="cpu").load_from_state_dict(dict(weights))
    except Exception as error:  # of any of its architectures
        raise ModelFormatError(
            f"{path.name}: is of no layout known here or in spandrel "
            f"({type(error).__name__}). Choose a checkpoint of a super-resolution "
            "network."
        ) from error
    channels = (found.input_channels, found.output_channels)
    is_image = isinstance(found, ImageModelDescriptor)
    if not is_image or found.scale < 2 or not set(channels) <= {1, 3}:
        raise ModelFormatError(
            f"{path.name}: {found.architecture.name} ×{found.scale} with {channels[0]} "
            f"to {channels[1]} channels does not super-resolve grey or RGB images. "
            "Choose another."
        )
    return SpandrelUpscaler(path.stem, found)


@torch.inference_mode()
def _reach_of(network: _Grey, factor: int) -> int:
    """Measure over how many recorded pixels a changed pixel is felt.

    What reaches as far as the measure goes is not known to end there.
    """
    middle = LARGEST_REACH + 8
    draw = torch.Generator().manual_seed(0)
    base = torch.rand(1, 1, 2 * middle + 1, 2 * middle + 1, generator=draw)
    before, reach = network(base), 0
    for value in (0.0, 1.0):
        changed = base.clone()
        changed[..., middle, middle] = value
        felt = (network(changed) != before)[0, 0].nonzero() // factor - middle
        reach = max(reach, int(felt.abs().max()) if len(felt) else 0)
    return reach

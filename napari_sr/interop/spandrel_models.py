"""Networks that spandrel knows (ESRGAN, Compact, SPAN, SwinIR, …) as upscalers.

This module alone knows spandrel. Weights are read as those of any checkpoint, and
nothing in a file is run. Grey goes in as equal colours, the mean of the colours comes
out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.interop.foreign import Foreign, NetworkSource
from napari_sr.interop.safe_loading import read_weights
from napari_sr.networks.bounded import no_larger_than
from napari_sr.networks.inference.as_trained import working_memory

if TYPE_CHECKING:
    import os

    from torch import Tensor


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


def read_spandrel(path: str | os.PathLike[str]) -> Foreign:
    """Read a checkpoint of a network that spandrel knows.

    Parameters
    ----------
    path
        A state dict, bare or wrapped as usual.

    Returns
    -------
    Foreign
        An upscaler.

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
            f"{path.name}: has an unknown layout, and spandrel, which knows more, "
            f"cannot be loaded ({type(error).__name__}). Install it with: pip install "
            '"napari-sr[spandrel]"'
        ) from error
    weights = read_weights(path, only_floats=False)
    try:
        with no_larger_than(weights, path.name):
            descriptor = ModelLoader(device="cpu").load_from_state_dict(dict(weights))
    except ModelFormatError:
        raise
    except Exception as error:  # of any of its architectures
        raise ModelFormatError(
            f"{path.name}: has a layout that neither napari-sr nor spandrel knows "
            f"({type(error).__name__}). Choose a checkpoint of a super-resolution "
            "network."
        ) from error
    channels = (descriptor.input_channels, descriptor.output_channels)
    is_image = isinstance(descriptor, ImageModelDescriptor)
    if not is_image or descriptor.scale < 2 or not set(channels) <= {1, 3}:
        raise ModelFormatError(
            f"{path.name}: {descriptor.architecture.name} ×{descriptor.scale} with "
            f"{channels[0]} "
            f"to {channels[1]} channels does not super-resolve grey or RGB images. "
            "Choose another."
        )
    network, title = _Grey(descriptor), f"{descriptor.architecture.name} by spandrel"
    origin = NetworkSource(
        title=title,
        architecture=title,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        intensity=IntensityPolicy(low=0, high=100),  # it ends at 0 and 1
        bytes_per_pixel=working_memory(network),  # type: ignore[arg-type]
        is_shifting=descriptor.size_requirements.multiple_of > 1,
        facts={
            "colours": "grey image as three equal colours in, mean of the colours out"
        },
    )
    return Foreign(path.stem, network, int(descriptor.scale), origin)

"""The generators, by name.

This module alone knows which architectures exist. They are an explicit list, and a
network's own arguments are checked by its constructor: nothing is accepted and ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_sr.networks.blind import Sftmd
from napari_sr.networks.fast import Fast
from napari_sr.networks.others import (
    ClampedSRResNet,
    MSRResNet,
    OtherSRResNet,
    TanhSRResNet,
)
from napari_sr.networks.resampling import check_factor
from napari_sr.networks.sparse import SparseCoding
from napari_sr.networks.srresnet import SRResNet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["ARCHITECTURES", "Generator", "Network", "build_generator"]

Network = Fast | SRResNet | OtherSRResNet | SparseCoding | Sftmd
"""Every generator there is."""

ARCHITECTURES: dict[
    str,
    type[Fast]
    | type[SRResNet]
    | type[OtherSRResNet]
    | type[SparseCoding]
    | type[Sftmd],
] = {
    "fast": Fast,
    "msrresnet": MSRResNet,
    "scn": SparseCoding,
    "sftmd": Sftmd,
    "srresnet": SRResNet,
    "srresnet-clamped": ClampedSRResNet,
    "srresnet-tanh": TanhSRResNet,
}


class Generator(Protocol):
    """What the rest of the package asks of a generator network."""

    factor: int
    in_channels: int
    """1: the image. 2: the image and the map of the noise to remove. 11: the image
    and the code of the blur."""
    halo: int
    """Receptive radius in low-resolution pixels, rounded up."""

    def __call__(self, batch: Tensor) -> Tensor:
        """Map `(n, in_channels, h, w)` to `(n, 1, factor·h, factor·w)`."""


def build_generator(
    architecture: str, factor: int, arguments: Mapping[str, int] | None = None
) -> Network:
    """Build an untrained generator.

    Parameters
    ----------
    architecture
        A key of `ARCHITECTURES`.
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    arguments
        What this architecture's constructor takes besides the factor.

    Raises
    ------
    ValueError
        For an unknown architecture, factor or argument.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(
            f"Unknown architecture {architecture!r}. Known ones are: {known}."
        )
    check_factor(factor)
    arguments = dict(arguments or {})
    if any(value < 1 for value in arguments.values()):
        raise ValueError(
            f"The arguments of architecture {architecture!r} are numbers from 1, got "
            f"{arguments}."
        )
    try:
        return ARCHITECTURES[architecture](factor=factor, **arguments)
    except TypeError as error:
        raise ValueError(
            f"Architecture {architecture!r} does not take {arguments}: {error}."
        ) from error

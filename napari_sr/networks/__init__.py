"""The generators, by name.

This module alone knows which architectures exist: those of an explicit list, and those
that other packages bring by an entry point of the group `napari_sr.architectures`. A
network's own arguments are checked by its constructor: nothing is accepted and ignored.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from napari_sr.image.factor import check_factor
from napari_sr.networks.generator import Condition, Generator, OutputStep
from napari_sr.networks.generators.fast import Fast
from napari_sr.networks.generators.ikc import Sftmd
from napari_sr.networks.generators.scn import SparseCoding
from napari_sr.networks.generators.srresnet import SRResNet
from napari_sr.networks.generators.srresnet_variants import (
    ClampedSRResNet,
    MSRResNet,
    TanhSRResNet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ARCHITECTURES",
    "Condition",
    "Generator",
    "OutputStep",
    "build_generator",
    "find_architecture",
]

ARCHITECTURES: dict[str, Callable[..., Generator]] = {
    "fast": Fast,
    "msrresnet": MSRResNet,
    "scn": SparseCoding,
    "sftmd": Sftmd,
    "srresnet": SRResNet,
    "srresnet-clamped": ClampedSRResNet,
    "srresnet-tanh": TanhSRResNet,
}


def find_architecture(name: str) -> Callable[..., Generator]:
    """Give the class of an architecture, from here or from another package.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    others = entry_points(group="napari_sr.architectures")
    if name in others.names:
        loaded: Callable[..., Generator] = others[name].load()
        return loaded
    known = ", ".join(sorted([*ARCHITECTURES, *others.names]))
    raise ValueError(f"Unknown architecture {name!r}. Known ones are: {known}.")


def build_generator(
    architecture: str,
    factor: int,
    arguments: Mapping[str, int] | None = None,
    output_step: OutputStep | None = None,
) -> Generator:
    """Build an untrained generator.

    Parameters
    ----------
    architecture
        A name that `find_architecture` knows.
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    arguments
        What this architecture's constructor takes besides the factor.
    output_step
        Scale and offset from its raw output to network range, as a model's card has
        them; the architecture's own when not given.

    Raises
    ------
    ValueError
        For an unknown architecture, factor or argument.
    """
    build = find_architecture(architecture)
    check_factor(factor)
    arguments = dict(arguments or {})
    if any(value < 1 for value in arguments.values()):
        raise ValueError(
            f"The arguments of architecture {architecture!r} are numbers from 1, got "
            f"{arguments}."
        )
    try:
        network = build(factor=factor, **arguments)
    except TypeError as error:
        raise ValueError(
            f"Architecture {architecture!r} does not take {arguments}: {error}."
        ) from error
    if output_step is not None:
        network.output_step = output_step
    return network

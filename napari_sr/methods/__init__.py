"""Upscalers without weights of their own: names, and how each is made.

This module alone makes them. Each is loaded when it is asked for, so that a list of
names costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING

from napari_sr.methods.names import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sr.methods.weightless import Weightless


def build_method(name: str, factor: int, options: Mapping[str, object]) -> Weightless:
    """Make an upscaler that needs no weights.

    Parameters
    ----------
    name
        A key of `METHODS`.
    factor
        Super-resolution factor: 2, 3, 4 or 8.
    options
        What this method takes besides, by name.

    Raises
    ------
    ValueError
        For another factor, or an option that the method does not have or cannot use.
    """
    if made_by := METHODS[name].made_by:
        module, _, kind = made_by.partition(":")
        build = getattr(import_module(module), kind)
        arguments: tuple[object, ...] = (factor,)
    else:
        from napari_sr.methods.interpolation import Interpolation

        build, arguments = Interpolation, (name, factor)
    try:
        method: Weightless = build(*arguments, **options)
    except TypeError as error:
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        taken = dict(list(signature(build).parameters.items())[len(arguments) :])
        known = list(taken)
        for key, parameter in taken.items():
            if parameter.default is parameter.empty and key not in options:
                raise ValueError(
                    f"Method {name!r} needs the option {key}; it takes "
                    f"{', '.join(known)}."
                ) from error
        raise ValueError(
            f"Method {name!r} cannot be made with the options {given or 'none'}; it "
            f"takes {', '.join(known) or 'none'}."
        ) from error
    return method

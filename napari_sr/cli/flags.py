"""Flags of settings: each field is one, so that no option can be forgotten.

This module alone turns the fields of a settings type into flags. What is typed stays
text; the settings themselves read and check it, as they do for recipes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection

    from pydantic import BaseModel


def add_flags(
    parser: argparse.ArgumentParser,
    settings: type[BaseModel],
    described: Collection[str] = (),
) -> None:
    """Add a flag for each field of a settings type, explained by its docstring.

    `described` names those that have one already.
    """
    for name, field in settings.model_fields.items():
        if name in described:
            continue
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            help=(field.description or "").replace("`", "").replace("%", "%%"),
            **_how(name, field.annotation),
        )


def typed_in(
    arguments: argparse.Namespace, settings: type[BaseModel]
) -> dict[str, object]:
    """Give the settings that were typed, by name."""
    typed = {name: getattr(arguments, name) for name in settings.model_fields}
    return {name: value for name, value in typed.items() if value is not None}


def _how(name: str, annotation: object) -> dict[str, Any]:
    """Say how a value of a type is typed."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    if get_origin(annotation) is Literal:
        return {"choices": kinds}
    for kind in kinds:
        if get_origin(kind) is tuple:
            return {"nargs": len(get_args(kind)), "metavar": "NUMBER"}
    return {"metavar": name.rpartition("_")[2].upper()}

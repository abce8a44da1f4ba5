"""What shells and editors complete from: names on Tab, JSON Schemas of recipes.

This module alone knows argcomplete, which a shell runs with an environment variable
set; a command that is run without it never loads it.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING

from napari_sr.cli.terminal import OK, say

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "napari-sr"
SHELLS = ("bash", "zsh", "fish", "powershell")
_MODELS = ("model", "models", "methods", "base")
"""Arguments that take names of models."""


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Describe `completion`."""
    parser.add_argument("shell", choices=SHELLS)
    parser.description = (
        "Print a script that completes commands, options and names of models on Tab. "
        'In bash and zsh: eval "$(napari-sr completion bash)" in ~/.bashrc, or with '
        "zsh in ~/.zshrc. Needs napari-sr[completion]."
    )
    parser.set_defaults(run=_completion)


def add_schema(parser: argparse.ArgumentParser) -> None:
    """Describe `schema`."""
    parser.add_argument("recipe", choices=["train", "upscale"])
    parser.description = (
        "Print the JSON Schema of a recipe. Editors complete and check a recipe that "
        "begins with #:schema and the path of the schema."
    )
    parser.set_defaults(run=_schema)


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and leave, where a shell asks; else do nothing."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    for action in _arguments_of(parser):
        if action.dest in _MODELS:
            action.completer = _names  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _arguments_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """List the arguments of a parser and of all commands below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _arguments_of(below)


def _names(**_: object) -> list[str]:
    """List what can be loaded by name."""
    from napari_sr.catalogue.lookup import scan_models
    from napari_sr.methods.names import METHODS

    return [*(card.name for card in scan_models()[0]), *METHODS]


def _completion(arguments: argparse.Namespace) -> int:
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as error:
        raise ImportError(
            f"Completion needs a library that is not installed ({error}). Install it "
            f'with: pip install "napari-sr[completion]"'
        ) from error
    say(shellcode([PROGRAM], shell=arguments.shell))
    return OK


def _schema(arguments: argparse.Namespace) -> int:
    from napari_sr.recipes import Recipe, UpscaleRecipe, schema_of

    schema = schema_of(Recipe if arguments.recipe == "train" else UpscaleRecipe)
    say(json.dumps(schema, indent=2, ensure_ascii=False))
    return OK

"""What a command tells whoever began it: an exit code, and text on a terminal.

This module alone writes there, and never what moves or colours it. Names of files
may hold any character, among them those that clear a screen, rename its window or turn
the direction of what follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_KEPT = "\n\t"


def say(text: object = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """Print a text, with characters that only control a terminal spelled out."""
    print(printable(str(text)), file=file, flush=flush)


def printable(text: str) -> str:
    """Spell out what is no character to be seen, such as an escape."""
    return "".join(
        character
        if character.isprintable() or character in _KEPT
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )

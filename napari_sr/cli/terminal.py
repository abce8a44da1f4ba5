"""The output of a command: an exit code, and text or a progress bar on a terminal.

This module alone writes there, and never what moves or colours text. Names of files
may hold any character, among them those that clear a screen, rename its window or turn
the direction of what follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TextIO

Found = TypeVar("Found")

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_KEPT = "\n\t"


def say(text: object = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """Print a text, with characters that only control a terminal spelled out."""
    print(printable(str(text)), file=file, flush=flush)


def printable(text: str) -> str:
    """Spell out what is not a visible character, such as an escape."""
    return "".join(
        character
        if character.isprintable() or character in _KEPT
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def followed(steps: Generator[tuple[int, int], None, Found], unit: str) -> Found:
    """Take all steps behind a bar, and give the result; there is no bar in a log.

    Parameters
    ----------
    steps
        Of each: how many are done, and how many there are as far as is known.
    unit
        What a step is.
    """
    from tqdm import tqdm

    from napari_sr.upscaling.progress import run_to_end

    with tqdm(unit=unit, disable=None, leave=False) as bar:

        def show(step: tuple[int, int]) -> None:
            done, bar.total = step
            bar.update(done - bar.n)

        return run_to_end(steps, show)

"""Work in steps: a generator that tells how far it is, and at its end what it found.

This module alone knows how such steps are followed to their end, and passed on in other
words by work of which they are a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

Progress = TypeVar("Progress")
Retold = TypeVar("Retold")
Result = TypeVar("Result")


def run_to_end(
    steps: Generator[Progress, None, Result],
    tell: Callable[[Progress], object] = lambda _: None,
) -> Result:
    """Take all steps, report each, and give what was found.

    Parameters
    ----------
    steps
        Run to their end, or to the error that they end with.
    tell
        Called after each step with how far it is.

    Returns
    -------
    object
        What the generator returned.
    """
    kept = _KeptResult(steps)
    for progress in kept:
        tell(progress)
    return kept.result


def with_progress(
    steps: Generator[Progress, None, Result], say: Callable[[Progress], Retold]
) -> Generator[Retold, None, Result]:
    """Take steps as a part of others: say of each how far that is in all.

    Parameters
    ----------
    steps
        Closed when this generator is closed.
    say
        Turns how far they are into how far all is.

    Yields
    ------
    object
        What `say` made of each step.

    Returns
    -------
    object
        What the steps returned.
    """
    kept = _KeptResult(steps)
    try:
        for progress in kept:
            yield say(progress)
        return kept.result
    finally:
        steps.close()


class _KeptResult(Generic[Progress, Result]):
    """Steps that keep what they found where a loop over them can see it."""

    result: Result

    def __init__(self, steps: Generator[Progress, None, Result]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[Progress]:
        self.result = yield from self._steps

"""Progress bars on a terminal; nothing in a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from napari_sr.upscaling.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator

Found = TypeVar("Found")


def followed(steps: Generator[tuple[int, int], None, Found], unit: str) -> Found:
    """Take all steps behind a bar, and give what was found.

    Parameters
    ----------
    steps
        Of each: how many are done, and how many there are as far as is known.
    unit
        What a step is.
    """
    with tqdm(unit=unit, disable=None, leave=False) as bar:

        def show(step: tuple[int, int]) -> None:
            done, bar.total = step
            bar.update(done - bar.n)

        return run_to_end(steps, show)

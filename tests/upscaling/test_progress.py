"""Work in steps: followed to its end, or passed on as a part of other work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_sr.upscaling.progress import run_to_end, with_progress

if TYPE_CHECKING:
    from collections.abc import Generator


def counting(closed: list[str]) -> Generator[int, None, str]:
    try:
        yield 1
        yield 2
        return "all"
    finally:
        closed.append("closed")


def test_gives_what_was_found_and_tells_of_each_step() -> None:
    told: list[int] = []
    assert run_to_end(counting([]), told.append) == "all"
    assert told == [1, 2]


def test_steps_can_be_retold_as_a_part_of_others() -> None:
    told: list[str] = []
    assert (
        run_to_end(with_progress(counting([]), lambda n: f"{n} of 5"), told.append)
        == "all"
    )
    assert told == ["1 of 5", "2 of 5"]


def test_to_stop_is_to_stop_what_is_retold() -> None:
    closed: list[str] = []
    steps = with_progress(counting(closed), str)
    next(steps)
    steps.close()
    assert closed == ["closed"]


def test_an_error_is_the_callers() -> None:
    def broken() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run_to_end(with_progress(broken(), lambda n: n))

"""What is said of a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_sr.interactive.telling import how_far

TWO, SIX = (f"Stopped with {n} of 6 planes done" for n in (2, 6))


def result(n_done):
    return SimpleNamespace(
        done=list(range(n_done)), n_planes=6, is_complete=n_done == 6
    )


@pytest.mark.parametrize(
    ("made", "left", "said"),
    [
        (None, ["GFP"], "Stopped before the first plane was done."),
        (result(2), [], f"{TWO}; Run the rest computes the others."),
        (result(2), ["GFP"], f"{TWO}; Run the rest computes the others and GFP."),
        (result(6), ["GFP"], f"{SIX}; Run the rest computes GFP."),
        (result(6), [], f"{SIX}."),
    ],
)
def test_what_was_stopped_says_what_is_left(made, left, said):
    assert how_far(made, left) == said

"""A preview has the pixels of a run: the same range, the same noise, no new edges."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sr.image.stack import Stack
from napari_sr.interactive.in_memory import run
from napari_sr.interactive.prepared import Preparer
from napari_sr.interactive.preview_pixels import View, preview_steps
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.settings import UpscaleSettings

N_ROWS, N_COLUMNS = 70, 90
VIEWS = {  # rows and columns of 70 × 90
    "in the middle": (slice(30, 45), slice(40, 61)),
    "in a corner": (slice(0, 20), slice(0, 12)),
    "in the other corner": (slice(51, 70), slice(60, 90)),
    "near a border": (slice(5, 30), slice(3, 9)),
    "everything": (slice(0, 70), slice(0, 90)),
}
ROUNDING = 1
"""Counts: a network rounds differently in tiles of another shape (law 4)."""


def recording(dtype=np.uint16) -> np.ndarray:
    """Three planes, the last with a light that a part of the first never sees."""
    planes = np.random.default_rng(0).normal(2000, 100, (3, N_ROWS, N_COLUMNS))
    planes[2] *= 5
    return planes.astype(dtype)


def request_of(pixels, model, **settings) -> UpscaleRequest:
    return UpscaleRequest(
        Stack.from_array(pixels),
        model,
        2 if isinstance(model, str) else None,
        UpscaleSettings(device="cpu", **settings),
    )


def previewed(request, preparer, view):
    *before, sight = preview_steps(request, preparer, view)
    assert set(before) <= {None}
    return sight


def in_result(plane, view):
    rows, columns = view.rows, view.columns
    return plane[2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]


def whole_result(request, preparer):
    *_, (result, _) = run(request, preparer)
    return result


@pytest.mark.parametrize("consistency", ["off", "exact", "auto"])
@pytest.mark.parametrize("where", VIEWS)
def test_a_preview_is_a_part_of_the_result(where, consistency, tiny_card):
    view = View((1,), *VIEWS[where])
    request = request_of(recording(), tiny_card, tile=48, consistency=consistency)

    sight = previewed(request, Preparer(), view)

    plane = whole_result(request, Preparer()).levels[0][1]
    assert sight.after.dtype == plane.dtype
    np.testing.assert_allclose(
        sight.after.astype(int), in_result(plane, view).astype(int), atol=ROUNDING
    )


def test_also_beside_pixels_that_hold_no_number(tiny_card):
    pixels = recording(np.float32)
    pixels[1, 20:34, 30:52] = np.nan
    view = View((1,), slice(26, 41), slice(44, 66))
    request = request_of(pixels, tiny_card, consistency="off")

    sight = previewed(request, Preparer(), view)

    plane = whole_result(request, Preparer()).levels[0][1]
    assert np.isnan(sight.after).any()
    np.testing.assert_allclose(sight.after, in_result(plane, view), atol=0.05)


def test_before_the_curtain_is_the_recording_itself():
    pixels = recording()
    view = View((2,), slice(3, 20), slice(50, 80))

    sight = previewed(request_of(pixels, "bicubic"), Preparer(), view)

    recorded = pixels[2, 3:20, 50:80]
    np.testing.assert_array_equal(sight.before, recorded.repeat(2, 0).repeat(2, 1))


def test_range_and_noise_are_measured_once_whatever_the_dial(tiny_card, monkeypatch):
    from napari_sr.image.intensity import IntensityRange

    measured = []
    measure = IntensityRange.measure

    def counting(stack, policy):
        measured.append(stack)
        return measure(stack, policy)

    monkeypatch.setattr(IntensityRange, "measure", counting)
    preparer, pixels = Preparer(), recording()
    request = request_of(pixels, tiny_card)
    view = View((0,), slice(0, 9), slice(0, 9))

    previewed(request, preparer, view)
    dialled = UpscaleRequest(
        request.stack, tiny_card, None, UpscaleSettings(device="cpu", dial=0.0)
    )
    previewed(dialled, preparer, view)
    whole_result(dialled, preparer)

    assert len(measured) == 1


def test_another_recording_is_measured_anew(tiny_card):
    preparer = Preparer()

    _, dim = preparer.prepare(request_of(recording(), tiny_card))
    _, bright = preparer.prepare(request_of(recording() * 2, tiny_card))

    assert bright.intensity.high == pytest.approx(2 * dim.intensity.high)

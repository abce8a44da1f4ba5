"""A run that is stopped while its stack is measured reads no further plane."""

from __future__ import annotations

from threading import Event

import numpy as np

from napari_sr.image.stack import Axis, Stack
from napari_sr.interactive.in_memory import run
from napari_sr.interactive.prepared import Preparer
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.settings import UpscaleSettings

SHAPE = (12, 16, 20)


def test_it_stops_between_the_planes_that_are_measured():
    stop, read = Event(), []

    def plane(index):
        read.append(index)
        if len(read) == 3:
            stop.set()
        return np.full(SHAPE[1:], sum(index), np.uint16)

    axes, dtype = [Axis(name) for name in "zyx"], np.dtype(np.uint16)
    stack = Stack(plane, axes=axes, shape=SHAPE, dtype=dtype, name="stack")
    settings = UpscaleSettings(device="cpu")
    request, preparer = UpscaleRequest(stack, "bicubic", 2, settings), Preparer()

    assert list(run(request, preparer, None, (), False, stop)) == [None]
    assert len(read) == 3

    *_, (result, _) = run(request, preparer, None, (), False, Event())
    assert result.is_complete

"""Which layers the upscaling flow can take."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from napari.layers import Image

from napari_sr._napari.layers.place import as_stack
from napari_sr.image.stack import StackError
from napari_sr.interactive.in_memory import run
from napari_sr.interactive.prepared import Preparer
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.settings import UpscaleSettings


def test_a_lazy_layer_is_read_plane_by_plane():
    array = pytest.importorskip("dask.array", reason="dask is not installed")
    planes = np.arange(216, dtype=np.uint16).reshape(3, 8, 9)

    stack = as_stack(Image(array.from_array(planes, chunks=(1, 8, 9))))

    np.testing.assert_array_equal(stack.plane((2,)), planes[2])


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        pytest.param(
            Image(np.zeros((20, 30, 3), np.uint8), rgb=True, name="photo"),
            "'photo' is RGB.*one channel.*split",
            id="RGB",
        ),
        pytest.param(
            Image(np.zeros((20, 30), np.int64), name="big"),
            "big holds int64.*Convert",
            id="int64",
        ),
        pytest.param(Image(np.zeros((1, 30), np.uint16)), "2 x 2", id="one row"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_a_sentence(layer, words):
    with pytest.raises(StackError, match=words):
        as_stack(layer)


def test_a_narrow_stack_is_not_taken_for_colour():
    narrow = Image(np.zeros((20, 30, 3), np.uint8), rgb=False)

    assert as_stack(narrow).plane_shape == (30, 3)


class Patience:
    """In the place of an event: counts who waits for it."""

    def __init__(self) -> None:
        self.waits = 0

    def wait(self, _seconds: float) -> None:
        self.waits += 1


def test_a_run_waits_once_until_its_layer_is_there():
    stack = as_stack(Image(np.zeros((3, 8, 8), np.uint16)))
    settings = UpscaleSettings(device="cpu")
    steps = run(UpscaleRequest(stack, "bicubic", 2, settings), Preparer())
    shown = Patience()

    waits = []
    for result, _ in steps:
        result.is_shown = shown
        waits.append(shown.waits)

    assert waits == [0, 1, 1]
    assert shown.waits == 1

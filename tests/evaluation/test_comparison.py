"""A result beside its recording: what fits is measured, what does not is refused."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_sr.evaluation.comparison import LARGEST, compare
from napari_sr.evaluation.protocol import BORDER
from napari_sr.image.sampling import binned
from napari_sr.image.stack import Stack, StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.metrics.descriptions import FIGURES
from napari_sr.metrics.quality import Agreement, Quality, measure, measure_agreement
from napari_sr.upscaling.flow import upscale


def picture(*shape) -> np.ndarray:
    return np.random.default_rng(1).uniform(1000, 21_000, shape).astype(np.float32)


def drain(steps):
    found = []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as stop:
            return found, stop.value


def stack(array, name="image"):
    return Stack.from_array(array, name=name)


def test_with_a_reference_all_figures_are_those_of_quality():
    truth = picture(3, 64, 80)
    low = np.stack([binned(plane, 2) for plane in truth])
    result = truth + picture(3, 64, 80) / 50

    steps, found = drain(compare(stack(result), stack(low), stack(truth)))

    assert steps == [(1, 3), (2, 3), (3, 3)]
    low_end, high_end = np.percentile(truth[:, ::4, ::4], (0.1, 99.9))
    assert found.data_range == pytest.approx(high_end - low_end)
    simple = upscale(low, Interpolation("bicubic", 2), dtype="float32")
    for name, pixels in (("result", result), ("bicubic", simple)):
        expected = Quality.mean(
            [
                measure(*planes, data_range=found.data_range, border=BORDER)
                for planes in zip(pixels, truth, low, strict=True)
            ]
        )
        came = found.figures[name].model_dump()
        assert came == pytest.approx(expected.model_dump(), rel=1e-4)
    assert found.names == list(FIGURES)
    assert "of the reference" in found.basis
    assert "3 of 3 planes" in found.basis


def test_without_a_reference_only_what_needs_none_is_measured():
    low, result = picture(40, 40), picture(80, 80)

    _, found = drain(compare(stack(result), stack(low)))

    expected = measure_agreement(
        result, low, data_range=found.data_range, border=BORDER
    )
    assert type(found.figures["result"]) is Agreement
    assert found.figures["result"] == expected
    assert found.names == ["agreement", "mean_shift", "lattice"]
    assert "of the recording" in found.basis


def test_of_a_long_stack_some_planes_stand_for_all():
    low = np.repeat(picture(1, 32, 32), 30, axis=0)

    steps, found = drain(compare(stack(low.repeat(2, 1).repeat(2, 2)), stack(low)))

    assert steps[-1] == (8, 8)
    assert "8 of 30 planes" in found.basis


def test_of_a_large_plane_the_same_middle_is_measured_everywhere():
    low = picture(40, 1400)
    result = low.repeat(2, 0).repeat(2, 1)
    result[:, :100] += 5000  # outside of the middle

    _, found = drain(
        compare(stack(result), stack(low), stack(low.repeat(2, 0).repeat(2, 1)))
    )

    assert found.figures["result"].psnr == np.inf
    assert f"the middle 80 × {LARGEST} px" in found.basis


def test_tables_say_the_same_in_markdown_and_csv():
    low = picture(40, 40)
    _, found = drain(compare(stack(low.repeat(2, 0).repeat(2, 1)), stack(low)))

    lines = found.as_markdown().splitlines()
    table = list(csv.reader(found.as_csv().splitlines()))

    assert lines[0] == "| the only plane | result | bicubic |"
    assert lines[2].startswith("| agreement/dB |")
    assert lines[-1] == found.basis
    assert table[0] == ["figure", "result", "bicubic"]
    assert [row[0] for row in table[1:]] == [*found.names, "data_range"]
    assert float(table[2][2]) == found.figures["bicubic"].mean_shift


@pytest.mark.parametrize(
    ("result", "low", "truth", "words"),
    [
        ((80, 80), (80, 80), None, "80 × 80 px are not 2, 3, 4 or 8 times the 80 × 80"),
        ((80, 81), (40, 40), None, "not a result of recording"),
        ((200, 200), (40, 40), None, "2, 3, 4 or 8"),
        ((2, 80, 80), (3, 40, 40), None, "along z the recording has 3, the result 2"),
        ((2, 80, 80), (40, 40), None, "is a plane .y, x., the result a stack .z, y, x"),
        ((80, 80), (40, 40), (80, 78), "same shape, or none"),
        ((40, 40), (20, 20), None, "too small for metrics"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(result, low, truth, words):
    stacks = [
        None if shape is None else stack(picture(*shape), name)
        for shape, name in ((result, "result"), (low, "recording"), (truth, "truth"))
    ]

    with pytest.raises(StackError, match=words):
        drain(compare(*stacks))


def test_a_flat_recording_is_refused():
    flat = np.full((40, 40), 7, np.uint16)

    with pytest.raises(StackError, match="same value everywhere"):
        drain(compare(stack(flat.repeat(2, 0).repeat(2, 1)), stack(flat)))

"""Several methods on one recording: the figures, the sheet, the command."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiny_models import tiny_fast

from napari_sr.catalogue.lookup import load_model
from napari_sr.cli import main
from napari_sr.cli.arguments import read_method
from napari_sr.evaluation.protocol import BORDER
from napari_sr.evaluation.side_by_side import (
    compare_side_by_side,
    load_methods,
    record_stack,
)
from napari_sr.image.sampling import binned
from napari_sr.image.stack import Stack, StackError
from napari_sr.metrics.quality import measure
from napari_sr.models.sr_model import save_model
from napari_sr.phantoms import make_phantom
from napari_sr.trust.report.contact_sheet import draw_contact_sheet, write_side_by_side
from napari_sr.upscaling.flow import upscale


def sharp_planes(n=2, size=160):
    truth = make_phantom("nuclei", n_planes=n, size=size, seed=5).truth
    return np.clip(truth, 0, 65_535).astype(np.float32).reshape(n, size, size)


def drain(steps):
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


@pytest.fixture
def pair():
    truth = sharp_planes()
    low = np.stack([binned(plane, 2) for plane in truth])
    return Stack.from_array(low, name="low"), Stack.from_array(truth, name="sharp")


def test_every_figure_is_that_of_the_whole_flow(pair):
    low, truth = pair
    upscalers = load_methods([("lanczos", {}), ("wiener", {"balance": 0.1})])

    steps, found = drain(compare_side_by_side(low, upscalers, truth))

    assert steps == [(n, 6) for n in range(1, 7)]
    assert list(found.comparison.figures) == [
        "bicubic",
        "lanczos",
        "wiener, balance 0.1",
    ]
    method = load_model("wiener", factor=2, balance=0.1)
    planes = [
        (upscale(low, method, dtype="float32")[i], truth.plane((i,)), low.plane((i,)))
        for i in range(2)
    ]
    expected = np.mean(
        [
            measure(*one, data_range=found.comparison.data_range, border=BORDER).psnr
            for one in planes
        ]
    )
    came = found.comparison.figures["wiener, balance 0.1"].psnr
    assert came == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(found.pictures["wiener, balance 0.1"], planes[0][0])
    assert next(iter(found.pictures)) == "recording"
    assert list(found.pictures)[-1] == "reference"


def test_without_a_reference_there_are_the_figures_that_need_none(pair):
    _, found = drain(compare_side_by_side(pair[0], load_methods([("nearest", {})])))

    assert found.comparison.names == ["agreement", "mean_shift", "lattice"]
    assert "reference" not in found.pictures


def test_a_sharp_stack_is_recorded_as_all_figures_are_taken():
    low, truth = record_stack(Stack.from_array(sharp_planes(3)), 2, None)

    assert (low.shape, truth.shape) == ((3, 80, 80), (3, 160, 160))
    np.testing.assert_array_equal(
        low.plane((1,)), np.rint(binned(truth.plane((1,)), 2)).astype(np.uint16)
    )


def test_what_does_not_fit_is_refused(pair):
    low, _ = pair
    with pytest.raises(StackError, match="on the pixel grid of the result"):
        drain(compare_side_by_side(low, load_methods([]), low))
    small = Stack.from_array(np.zeros((20, 20), np.uint16))
    with pytest.raises(StackError, match="too small"):
        drain(compare_side_by_side(small, load_methods([])))


def test_factors_and_options_that_do_not_go_together_are_refused(tmp_path):
    paths = []
    for factor in (2, 3):
        paths.append(str(tmp_path / f"x{factor}.safetensors"))
        save_model(tiny_fast(factor), paths[-1])
    with pytest.raises(ValueError, match="must have the same factor"):
        load_methods([(path, {}) for path in paths])
    with pytest.raises(ValueError, match="takes no options, got balance"):
        load_methods([(paths[0], {"balance": 1.0})])
    assert load_methods([(paths[1], {})])["bicubic"].factor == 3
    assert load_methods([("lanczos", {})], 4)["lanczos"].factor == 4


def test_the_sheet_and_the_table_say_the_same(pair, tmp_path):
    _, found = drain(
        compare_side_by_side(pair[0], load_methods([("lanczos", {})]), pair[1])
    )

    picture, table = write_side_by_side(found, tmp_path / "sheet.png")

    with Image.open(picture) as image:
        plans = json.loads(image.text["Description"])
        assert min(image.size) > 300
    assert plans["lanczos"]["model"] == "lanczos"
    with table.open() as file:
        rows = {row["figure"]: row for row in csv.DictReader(file)}
    psnr = found.comparison.figures["lanczos"].psnr
    assert float(rows["psnr"]["lanczos"]) == pytest.approx(psnr)
    figure = draw_contact_sheet(found, (slice(8, 24), slice(0, 16)))
    shown = figure.axes[2].images[0].get_array()  # bicubic, after whole and recording
    np.testing.assert_array_equal(shown, found.pictures["bicubic"][16:48, :32])
    # whole, recording, bicubic, lanczos, reference; and the errors below them
    below = figure.axes[5:10]
    error = below[3].images[0].get_array()
    wanted = (found.pictures["lanczos"] - found.pictures["reference"])[16:48, :32]
    np.testing.assert_array_equal(error, wanted)
    assert [bool(axes.images) for axes in below] == [False, False, True, True, False]
    scope = "Pictures: plane 0. Figures: mean of all 2 planes."
    assert figure.get_supxlabel() == scope
    with pytest.raises(ValueError, match="not inside"):
        draw_contact_sheet(found, (slice(0, 16), slice(70, 90)))
    with pytest.raises(ValueError, match=r"ends in \.png"):
        write_side_by_side(found, tmp_path / "sheet.pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sheet.csv",
        "sheet.png",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bicubic", ("bicubic", {})),
        (
            "wiener:psf_sigma=1.5,balance=0.1",
            ("wiener", {"psf_sigma": 1.5, "balance": 0.1}),
        ),
        ("exemplar:example=/a/b:c.tif", ("exemplar", {"example": "/a/b:c.tif"})),
        (r"C:\models\x.safetensors", (r"C:\models\x.safetensors", {})),
    ],
)
def test_a_method_is_read_as_typed(text, expected):
    assert read_method(text) == expected


def test_the_command_writes_a_sheet_and_prints_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("cells.tif", sharp_planes(1)[0].astype(np.uint16))
    save_model(tiny_fast(), tmp_path / "tiny.safetensors")
    command = "compare cells.tif --record 200 -m lanczos tiny.safetensors:dial=0"

    assert main(command.split()) == 0

    said = capsys.readouterr().out
    assert "| the only plane | bicubic | lanczos | tiny.safetensors, dial 0 |" in said
    assert (tmp_path / "cells.compared.png").is_file()
    assert (tmp_path / "cells.compared.csv").is_file()


@pytest.mark.parametrize(
    ("more", "code", "why"),
    [
        ("-m wiener:balance=", 2, "NAME:option=value"),
        ("-m nobody", 1, "no model named"),
        ("-m lanczos --record cells.tif", 2, "IMAGE goes before --record"),
        ("-m lanczos --record 50 --reference cells.tif", 1, "itself is the reference"),
        ("-m lanczos -o cells.jpg", 1, "ends in .png"),
        ("-m lanczos -o nowhere/cells.png", 1, "no folder"),
    ],
)
def test_a_command_that_cannot_be_done_is_refused(
    more, code, why, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("cells.tif", sharp_planes(1)[0].astype(np.uint16))
    try:
        came = main(["compare", "cells.tif", *more.split()])
    except SystemExit as end:
        came = end.code
    assert came == code
    assert why in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["cells.tif"]


def test_gaps_are_filled_in_pictures_and_figures():
    low = np.stack([binned(plane, 2) for plane in sharp_planes(1)])
    low[0, 20:25, 30:35] = np.nan

    _, found = drain(compare_side_by_side(Stack.from_array(low), load_methods([])))

    assert all(np.isfinite(one).all() for one in found.pictures.values())
    assert np.isfinite(found.comparison.figures["bicubic"].agreement)


def test_it_is_said_that_a_recording_was_simulated():
    recording, truth = record_stack(Stack.from_array(sharp_planes(1), name="s"), 2, 200)

    _, found = drain(compare_side_by_side(recording, load_methods([]), truth))

    assert found.comparison.basis.startswith(
        "s, recorded with 200 photons at white. Data range "
    )


def test_a_dial_beyond_its_ends_is_named():
    with pytest.raises(ValueError, match=r"general-x2: the option dial goes from 0"):
        load_methods([("general-x2", {"dial": 2.0})])

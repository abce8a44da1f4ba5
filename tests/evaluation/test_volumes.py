"""Methods side by side along z: the voxels of the flow, the figures, the commands."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from stacks_on_disk import write_stack

import napari_sr as sr
from napari_sr.catalogue.lookup import load_model
from napari_sr.cli import main
from napari_sr.evaluation.protocol import BLACK, noise_of
from napari_sr.evaluation.side_by_side import load_methods
from napari_sr.evaluation.volumes import (
    compare_volumes,
    evaluate_volume,
    record_volume,
)
from napari_sr.image.axis import Axis
from napari_sr.image.stack import Stack, StackError
from napari_sr.trust.report.volume import _enlarged, _views
from napari_sr.upscaling.progress import run_to_end


def specimen(shape=(48, 40, 36)):
    grain = np.random.default_rng(0).normal(size=shape)
    alike = gaussian_filter(grain, 1.2, mode="wrap")
    return (5000 + 1000 * alike / alike.std()).astype(np.float32)


def binned(volume, ratio):
    return volume.reshape(-1, ratio, *volume.shape[1:]).mean(axis=1)


@pytest.mark.parametrize(("factor", "in_plane"), [(1, 1), (None, 2)])
def test_the_voxels_are_those_of_the_flow(factor, in_plane):
    truth = specimen()
    low = binned(truth, 2)
    methods = load_methods([("wiener", {})])
    steps = compare_volumes(Stack.from_array(low), methods, 2, factor=factor)
    found = run_to_end(steps)

    whole = sr.upscale(low, methods["wiener"], z=2, factor=factor)
    middle = whole.shape[1] // 2
    np.testing.assert_allclose(found.views["XZ"]["wiener"], whole[:, middle], atol=0.01)
    assert found.factor == in_plane
    assert list(found.figures) == ["bicubic", "wiener"]
    assert found.figures["wiener"].psnr is None


def test_a_reference_tells_which_is_better_and_the_unit_is_that_of_the_voxels():
    truth = specimen()
    axes = [Axis(n, s, "µm") for n, s in zip("zyx", (0.4, 0.2, 0.2), strict=True)]
    low = Stack.from_array(binned(truth, 2), axes=axes)
    methods = load_methods([("wiener", {})])
    reference = Stack.from_array(truth)
    found = run_to_end(compare_volumes(low, methods, "isotropic", reference))
    assert found.ratio == 2
    assert found.unit == "um"
    bicubic, wiener = found.figures.values()
    assert wiener.psnr > bicubic.psnr + 1
    assert 0.2 * 2 <= wiener.true_resolution[0] <= bicubic.true_resolution[0]


def test_a_volume_is_recorded_as_planes_are():
    truth = specimen()
    low, sharp = record_volume(Stack.from_array(truth), 3, 50)
    assert (low.shape, sharp.shape) == ((16, 40, 36), (48, 40, 36))
    planes = np.stack([sharp.plane((i,)) for i in range(48)])
    np.testing.assert_allclose(
        np.percentile(planes, (0.1, 99.9)), (1000, 21000), rtol=1e-4
    )
    expected = binned(planes, 3)
    seen = np.stack([low.plane((i,)) for i in range(16)]).astype(float)
    noise = (seen - expected) / np.sqrt(
        noise_of(50).gain * np.maximum(expected - BLACK, 1)
    )
    assert noise.std() == pytest.approx(1, abs=0.03)
    again, _ = record_volume(Stack.from_array(truth), 3, None)
    np.testing.assert_allclose(again.plane((2,)), expected[2], atol=0.51)


def test_models_are_asked_with_the_noise_and_without():
    methods = load_methods([("general-x2", {"dial": 0.0})])
    volume = Stack.from_array(specimen((24, 32, 32)))
    found = dict(evaluate_volume(volume, methods, 2, 50))
    assert list(found) == [
        "bicubic",
        "general-x2, dial 0 auto",
        "general-x2, dial 0 given",
    ]
    assert found["general-x2, dial 0 given"] > found["bicubic"] + 1


@pytest.mark.parametrize(
    ("shape", "reference", "message"),
    [
        ((5, 32, 32), None, "need 8 along each axis"),
        ((12, 32, 32), (20, 32, 32), "Give one of the same shape"),
        ((32, 32), None, "no z axis"),
    ],
)
def test_what_does_not_fit_is_refused(shape, reference, message):
    methods = load_methods([])
    truth = None if reference is None else Stack.from_array(np.zeros(reference, "u2"))
    steps = compare_volumes(Stack.from_array(np.ones(shape, "u2")), methods, 2, truth)
    with pytest.raises(StackError, match=message):
        run_to_end(steps)


def test_too_few_planes_to_be_recorded():
    with pytest.raises(StackError, match="it needs 24"):
        record_volume(Stack.from_array(specimen((20, 32, 32))), 3, None)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_stack(tmp_path / "sharp.ome.tif", specimen((24, 40, 36)).astype(np.uint16))
    return tmp_path


def test_the_command_compares_volumes(here, capsys):
    words = "compare sharp.ome.tif -m wiener --z 2 --factor 1 --record 200 -o sheet.png"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "PSNR with the reference" in said
    assert "the 12 recorded planes in the middle, of 40 × 36 recorded px" in said
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 900
    with open("sheet.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["way"] for row in rows] == ["bicubic", "wiener"]
    assert all(float(row["psnr"]) > 10 for row in rows)


def test_the_sheet_of_volumes_shows_detail_enlarged_and_its_errors():
    low, truth = record_volume(Stack.from_array(specimen((24, 40, 36))), 2, None)
    upscalers = {"bicubic": load_model("bicubic", factor=2)}
    for reference, n_rows in ((truth, 6), (None, 4)):
        steps = compare_volumes(low, upscalers, 2, reference)
        found = run_to_end(steps)
        figure = _views(found)
        n = len(found.views["XZ"])
        lines = [figure.axes[i * n : (i + 1) * n] for i in range(n_rows)]
        part = _enlarged(found.views["XZ"])
        shown = lines[1][1].images[0].get_array()  # bicubic, enlarged
        np.testing.assert_array_equal(shown, found.views["XZ"]["bicubic"][part])
        assert shown.shape[1] <= found.views["XZ"]["bicubic"].shape[1] // 2
        if reference is not None:
            error = lines[2][1].images[0].get_array()
            reference_part = found.views["XZ"]["reference"][part]
            np.testing.assert_array_equal(error, shown - reference_part)


def test_the_command_evaluates_along_z(here, capsys):
    words = "evaluate sharp.ome.tif -m general-x2 --z 2 --photons clean 200 --csv t.csv"
    assert main(words.split()) == 0
    assert (
        "the step 2 times as long; of the middle of 1 volume" in capsys.readouterr().out
    )
    with open("t.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["photons"] for row in rows] == ["clean", "200"]
    assert float(rows[1]["general-x2, dial 0 given"]) > float(rows[1]["bicubic"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("compare sharp.ome.tif --z 0.5", "isotropic or a number above 1"),
        ("compare sharp.ome.tif --z 2.5 --record", "whole number"),
        ("compare sharp.ome.tif --z 2 --zoom 1 1 8", "--zoom is only for planes"),
        ("evaluate sharp.ome.tif -m general-x2 --z 2.5", "whole number"),
        (
            "evaluate sharp.ome.tif -m general-x2 --z 2 --calibrate",
            "is only for planes",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(words, message, here, capsys):
    try:
        code = main(words.split())
    except SystemExit as leaving:
        code = leaving.code
    assert code
    assert message in capsys.readouterr().err
    assert not list(here.glob("*.png"))

"""A result along z is judged along each axis, beside interpolation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from stacks_on_disk import write_stack

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.image.axis import Axis
from napari_sr.image.sampling import means_between
from napari_sr.image.stack import Stack, StackError
from napari_sr.metrics.axes import line_correlation, split_lines
from napari_sr.trust.volume import BASELINES, assess_volume


def specimen(n=48):
    grain = np.random.default_rng(0).normal(size=(n, 40, 36))
    alike = gaussian_filter(grain, 1.0, mode="wrap")
    return (5000 + 1000 * alike / alike.std()).astype("float32")


def binned(volume, ratio):
    n = int(len(volume) / ratio)
    return means_between(volume, np.arange(n + 1) * ratio, 0).astype("float32")


@pytest.mark.parametrize("ratio", [2, 2.5])
def test_the_truth_is_perfect_and_interpolation_is_not(ratio):
    truth = specimen(50)
    found = assess_volume(binned(truth, ratio), truth, truth)
    assert found.ratio == pytest.approx(ratio)
    assert list(found.figures) == ["result", *BASELINES]
    own, bilinear, bicubic = (
        found.figures[name] for name in ("result", "bilinear", "bicubic")
    )
    assert own.psnr == pytest.approx(90)
    assert own.agreement > 60
    assert own.stripes < 1e-3
    assert own.true_resolution == pytest.approx((2, 2, 2))
    assert bilinear.psnr < bicubic.psnr < 45
    assert bicubic.true_resolution[0] > 1.4 * bicubic.true_resolution[2]
    assert bilinear.agreement < bicubic.agreement < own.agreement


def test_stripes_and_what_disagrees_are_seen():
    truth = specimen()
    striped = truth.copy()
    striped[20:22] += 300
    found = assess_volume(binned(truth, 2), striped).figures["result"]
    span = np.ptp(np.percentile(binned(truth, 2), (0.1, 99.9)))
    assert found.stripes == pytest.approx(300 / span, rel=0.05)
    blurred = gaussian_filter1d(truth, 2, axis=0)
    assert assess_volume(binned(truth, 2), blurred).figures["result"].agreement < 30


def test_resolutions_are_in_the_unit_of_the_voxels():
    truth = specimen()
    axes = [Axis("z", 0.2, "um"), Axis("y", 0.2, "um"), Axis("x", 0.2, "um")]
    coarse = [Axis("z", 0.4, "um", 0.1), *axes[1:]]
    low, result = binned(truth, 2), Stack.from_array(truth, axes=axes)
    found = assess_volume(Stack.from_array(low, axes=coarse), result, truth)
    pixels = assess_volume(low, truth, truth).figures["bicubic"].true_resolution
    assert found.unit == "um"
    own = found.figures["bicubic"].true_resolution
    assert own == pytest.approx([0.2 * one for one in pixels])


def test_detail_along_z_is_that_of_the_result():
    truth = specimen()
    found = assess_volume(binned(truth, 2), truth)
    assert found.figures["result"].detail == pytest.approx(1, rel=0.2)
    assert found.figures["bilinear"].detail < 0.3
    assert any("Hallucinated" in remark for remark in found.remarks)
    assert found.figures["result"].true_detail is None
    beside = assess_volume(binned(truth, 2), truth, truth)
    assert {one.true_detail for one in beside.figures.values()} == {
        found.figures["result"].detail
    }
    assert "| The same of the reference |" in beside.as_markdown()


def test_also_finer_in_the_plane(tmp_path):
    truth = specimen()
    low = binned(truth, 2).reshape(24, 20, 2, 18, 2).mean(axis=(2, 4))
    found = assess_volume(low.astype("float32"), truth, truth)
    assert found.factor == 2
    assert found.figures["result"].psnr == pytest.approx(90)
    assert found.figures["bicubic"].psnr < 45
    assert {name: set(view) for name, view in found.views.items()} == {
        name: {"recording", "bicubic", "result", "reference"} for name in ("XZ", "YZ")
    }
    shapes = {picture.shape for picture in found.views["XZ"].values()}
    assert shapes == {(48, 36)}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((24, 40, 36), "40 × 36 px are not 2, 3, 4 or 8 times the 40 × 36 px"),
        ((48, 60, 54), "60 × 54 px are not 1, 2, 3, 4 or 8 times the 40 × 36 px"),
        ((12, 40, 36), "along z the recording has 24, the result 12"),
    ],
)
def test_what_is_no_result_along_z_is_refused(shape, message):
    low, high = specimen()[:24], np.zeros(shape, np.float32) + np.arange(shape[2])
    with pytest.raises(StackError, match=message):
        assess_volume(low, high)
    with pytest.raises(StackError, match="The reference"):
        assess_volume(low, specimen(), specimen()[:40])


def test_a_report_beside_the_wrong_recording_says_what_does_not_fit(tmp_path, capsys):
    low = binned(specimen(), 2).astype("uint16")
    source = str(write_stack(tmp_path / "a.ome.tif", low, "zyx"))
    result = str(tmp_path / "r.ome.tif")
    sr.upscale_file(source, result, sr.load_model("bicubic", factor=2), z=2)
    assert main(["report", result, "--recording", source]) == 0
    capsys.readouterr()
    plane = str(write_stack(tmp_path / "plane.ome.tif", low[0], "yx"))
    as_many = str(write_stack(tmp_path / "fine.ome.tif", np.repeat(low, 2, 0), "zyx"))
    wide = str(write_stack(tmp_path / "wide.ome.tif", low[:, :, :30], "zyx"))
    for wrong, words in (
        (plane, "the recording is a plane (y, x), the result a stack (z, y, x)"),
        (as_many, "the result is finer along z by 2, but both have 48 planes"),
        (wide, "80 × 72 px are not 1, 2, 3, 4 or 8 times the 40 × 30 px"),
    ):
        assert main(["report", result, "--recording", wrong]) == 1
        said = capsys.readouterr().err
        assert words in said
        assert "it was made from, which has 24 planes along z" in said


def test_the_command_line_reports_a_volume(tmp_path, capsys):
    low = binned(specimen(), 2).astype("uint16")
    source = str(write_stack(tmp_path / "a.ome.tif", low, "zyx"))
    result = str(tmp_path / "r.ome.tif")
    sr.upscale_file(source, result, sr.load_model("bicubic", factor=2), z=2, factor=1)
    page, figures = str(tmp_path / "p.html"), str(tmp_path / "p.json")
    assert main(["report", result, "--recording", source, "-o", page, figures]) == 0
    said = capsys.readouterr().out
    assert "Fine detail along z" in said
    assert "100 % is best" in said  # a guide value
    assert "the 24 recorded planes in the middle, of 40 × 36 recorded px" in said
    text = (tmp_path / "p.html").read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "Fine detail along z" in text
    known = json.loads((tmp_path / "p.json").read_text())
    assert known["ratio"] == 2
    own, bicubic = (known["figures"][name] for name in ("result", "bicubic"))
    assert own["agreement"] == pytest.approx(bicubic["agreement"], rel=1e-4)
    assert own["detail"] == pytest.approx(bicubic["detail"], rel=0.02)


def test_lines_of_halves_share_the_signal_and_no_noise():
    noise = np.random.default_rng(0).normal(size=(40, 64, 64))
    for axis in range(3):
        _, shared = line_correlation(*split_lines(noise, axis), axis)
        assert np.abs(shared).max() < 0.2
        smooth = gaussian_filter(noise, [3 * (i != axis) for i in range(3)])
        _, shared = line_correlation(*split_lines(smooth, axis), axis)
        assert shared.min() > 0.8


def test_means_between_places_hold_what_lies_between():
    line = np.arange(6.0)[None]
    np.testing.assert_allclose(
        means_between(line, np.array([0, 1.5, 4, 6]), 1)[0],
        [(0 + 0.5 * 1) / 1.5, (0.5 * 1 + 2 + 3) / 2.5, 4.5],
    )
    np.testing.assert_allclose(means_between(line, np.array([-1.0, 0, 7]), 1)[0, 0], 0)

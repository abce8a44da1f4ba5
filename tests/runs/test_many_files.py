"""The table of a run of many files, whatever becomes of its own file."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from stacks_on_disk import counts, write_stack

import napari_sr as sr
from napari_sr.image.stack import StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs.many_files import FileSkipped, Report, resume_job
from napari_sr.runs.one_file import FileJob, FileResult
from napari_sr.settings import UpscaleSettings

BICUBIC, MODEL = Interpolation("bicubic", 2), sr.load_model("general-x2")


def blurred(sigma):
    return sr.load_model("wiener", factor=2, psf_sigma=sigma)


JOB = FileJob(Path("a.tif"), Path("out", "a_x2.ome.tif"))
DONE = FileSkipped(JOB.source, JOB.output)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.reader(file)][1:]


def test_a_report_that_cannot_be_replaced_gets_a_number(tmp_path):
    (tmp_path / "report.csv").mkdir()  # as unwritable as one that is held elsewhere
    with Report(tmp_path / "report.csv") as report:
        report.skip(Path("b.png"), "is a picture")
        report.add(JOB, DONE)
    assert report.path == tmp_path / "report-2.csv"
    skipped, done = rows_of(report.path)
    assert skipped == ["b.png", "", "skipped", "0", "b.png is a picture"]
    assert done[:3] == ["a.tif", str(JOB.output), "already done"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match=r"cannot be written .* choose another folder"):
        Report(tmp_path / "file" / "report.csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to try")
def test_a_report_on_a_full_disk_ends_no_run(tmp_path):
    os.symlink("/dev/full", tmp_path / "report.csv")
    with Report(tmp_path / "report.csv") as report:
        report.add(JOB, DONE)
    assert "space" in report.error


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ((BICUBIC, {}), (Interpolation("nearest", 2), {}), "another model;"),
        ((BICUBIC, {}), (BICUBIC, {"dtype": "float32"}), "another dtype;"),
        ((MODEL.at_dial(0), {}), (MODEL.at_dial(1), {}), "another dial;"),
        ((blurred(1.0), {}), (blurred(1.5), {}), "another option of the model;"),
    ],
    ids=["model", "setting", "dial", "option"],
)
def test_what_is_another_is_called_by_its_name(tmp_path, first, second, named):
    source = write_stack(tmp_path / "a.tif", counts((2, 24, 24)))
    outcomes = []
    for upscaler, options in (first, second):
        job = FileJob(source, tmp_path / "r.ome.tif")
        settings = UpscaleSettings(device="cpu", **options)
        *_, outcome = resume_job(job, upscaler, settings)
        outcomes.append(outcome)
    assert isinstance(outcomes[0], FileResult)
    assert f"made with {named}" in str(outcomes[1].error)

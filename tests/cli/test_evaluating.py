"""`napari-sr evaluate`: tables on a user's own sharp images."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiny_models import tiny_fast

from napari_sr.cards.model_card import read_card
from napari_sr.cli import main
from napari_sr.models.sr_model import save_model
from napari_sr.phantoms import make_phantom


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two folders of sharp images and a model, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(["beads/a.tif", "beads/b.tif", "actin/a.tif"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        truth = make_phantom("nuclei", n_planes=1, size=128, seed=seed).truth
        tifffile.imwrite(path, np.clip(truth, 0, 65535).astype(np.uint16))
    save_model(tiny_fast(), tmp_path / "tiny.safetensors")
    return tmp_path


def test_tables_are_printed_and_everything_is_written(here, capsys):
    command = (
        "evaluate beads actin -m tiny.safetensors --photons clean 50 --csv all.csv"
    )

    assert main(command.split()) == 0

    said = capsys.readouterr().out
    assert "| 50 photons | non-local means |" in said
    assert "| lattice of a flat field | clean | 50 photons |" in said
    assert "| lattice | lattice of the truth |" in said
    assert "| beads | 2 | clean |" in said
    assert "| actin | 1 | 50 photons |" in said
    with (here / "all.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 7  # datasets, recordings, methods
    assert {row["method"] for row in rows} >= {"bicubic", "tiny given", "tiny auto"}


def test_a_method_need_not_be_named(here, capsys):
    assert main(["evaluate", "beads", "-m", "bicubic"]) == 1
    assert "only those can be measured" in capsys.readouterr().err


@pytest.mark.parametrize("photons", ["0", "many", "-5"])
def test_photons_that_are_no_number_are_refused(here, capsys, photons):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "beads", "-m", "tiny.safetensors", f"--photons={photons}"])

    assert end.value.code == 2
    assert "--photons" in capsys.readouterr().err


# ── report ──────────────────────────────────────────────────────────────────────────


def test_a_report_is_written_for_a_result(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    low = np.squeeze(make_phantom("nuclei", n_planes=1, size=96, seed=0).recorded)
    tifffile.imwrite("a.tif", low)
    assert main(["upscale", "a.tif", "-o", ".", "-m", "bicubic", "--factor", "2"]) == 0
    capsys.readouterr()

    assert main(["report", "a_x2.ome.tif", "-o", "r.json"]) == 0

    said = capsys.readouterr().out
    assert "the recording" in said
    assert said.rstrip().endswith("r.json")
    found = json.loads(Path("r.json").read_text("utf-8"))
    assert found["provenance"]["plan"]["model"] == "bicubic"
    assert main(["report", "a.tif", "-o", "r.json"]) == 1
    assert "--recording FILE" in capsys.readouterr().err


def test_a_report_of_an_unknown_form_is_refused_before_anything_is_read(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("a_x2.tif").write_text("no picture")  # would be refused, were it read
    arguments = ["report", "a_x2.tif", "--recording", "a_x2.tif", "-o"]

    assert main([*arguments, "r.html", "r.pdf"]) == 1
    assert ".html or .json, got 'r.pdf'" in capsys.readouterr().err
    assert main([*arguments, "nowhere/r.html"]) == 1
    assert "no folder" in capsys.readouterr().err
    assert not Path("r.html").exists()


def test_a_model_of_ones_own_is_calibrated(here, capsys):
    command = "evaluate beads actin -m tiny.safetensors --photons 50 --calibrate"

    assert main(command.split()) == 0

    found = read_card(here / "tiny.safetensors").interval
    assert (found.n_images, found.is_guaranteed) == (2, False)  # one is for the floor
    assert found.in_words() in capsys.readouterr().out


def test_planes_of_two_files_calibrate_as_two_images(here, capsys):
    for name in "ab":
        plane = tifffile.imread(here / "beads" / f"{name}.tif")
        planes = np.stack([plane + number for number in range(8)])
        tifffile.imwrite(here / f"{name}.tif", planes)

    command = "evaluate a.tif b.tif -m tiny.safetensors --photons 50 --calibrate"
    assert main(command.split()) == 0

    found = read_card(here / "tiny.safetensors").interval
    assert (found.n_images, found.is_guaranteed) == (1, False)
    assert "at least that share" not in capsys.readouterr().out


def test_planes_of_one_file_calibrate_nothing(here, capsys):
    plane = tifffile.imread(here / "beads" / "a.tif")
    tifffile.imwrite(here / "c.tif", np.stack([plane] * 12))

    command = "evaluate c.tif -m tiny.safetensors --photons 50 --calibrate"
    assert main(command.split()) == 1

    assert "all planes of a file or volume count as one" in capsys.readouterr().err


def test_a_shipped_model_is_not_calibrated_again(here, capsys):
    assert main(["evaluate", "beads", "-m", "general-x2", "--calibrate"]) == 1
    assert "is shipped with the package" in capsys.readouterr().err


def test_one_image_calibrates_nothing(here, capsys):
    before = (here / "tiny.safetensors").read_bytes()
    command = "evaluate actin -m tiny.safetensors --photons 50 --calibrate"

    assert main(command.split()) == 1

    assert "Give ten images or more" in capsys.readouterr().err
    assert (here / "tiny.safetensors").read_bytes() == before

"""The command line: what may be typed, what is said, and the exit codes."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from stacks_on_disk import contents, counts, names_in, provenance_of, read_stack
from stacks_on_disk import write_stack as write
from tiny_models import tiny_fast

import napari_sr
from napari_sr.cli import main
from napari_sr.files.finding import find_stacks
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.stack import StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.methods.names import METHODS
from napari_sr.models.sr_model import save_model
from napari_sr.upscaling.flow import upscale

NEAREST = ("-m", "nearest", "--factor", "2")
COMMANDS = ("upscale", "models", "info", "demo", "samples")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and one model, named tiny."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "models"))
    save_model(tiny_fast(), tmp_path / "models" / "tiny.safetensors")
    return folder


@pytest.fixture
def one(here):
    array = counts((2, 20, 24))
    write(here / "a.ome.tif", array, "zyx")
    return array


def said(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


# Help and misuse


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([*command.split(), "--help"])
    assert leaving.value.code == 0
    assert "usage: napari-sr" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out == f"napari-sr {napari_sr.__version__}\n"


def upscaling(*more):
    return ["upscale", "a.ome.tif", "-o", "r.ome.tif", *more]


MISUSES = [  # arguments, words of the sentence; the exit code is 2
    pytest.param([], "required: COMMAND", id="nothing"),
    pytest.param(["enlarge"], "invalid choice: 'enlarge'", id="unknown-command"),
    pytest.param(["upscale", "a.tif"], "required: -o/--output, -m", id="no-output"),
    pytest.param(upscaling(*NEAREST, "--colour"), "--colour", id="unknown-option"),
    pytest.param(
        upscaling(*NEAREST, "--tile", "big"), "--tile: tile is 'auto'", id="tile"
    ),
    pytest.param(upscaling(*NEAREST, "--tile=-5"), "got '-5'", id="tile-minus"),
    pytest.param(upscaling(*NEAREST, "--tile", "0"), "--tile: tile is", id="tile-0"),
    pytest.param(upscaling(*NEAREST, "--dtype", "int64"), "invalid choice", id="dtype"),
    pytest.param(upscaling(*NEAREST, "--dial", "2"), "--dial: expected", id="dial"),
    pytest.param(
        upscaling(*NEAREST, "--compression", "jpeg"), "invalid choice", id="compression"
    ),
    pytest.param(upscaling(*NEAREST, "--workers", "0"), "from 1", id="workers"),
    pytest.param(upscaling(*NEAREST, "--format", "png"), "invalid choice", id="format"),
    pytest.param(upscaling(*NEAREST, "--noise", "5"), "use read=5", id="noise-number"),
    pytest.param(upscaling(*NEAREST, "--noise", "loud"), "noise is auto", id="noise"),
    pytest.param(
        upscaling(*NEAREST, "--noise", "hum=5"),
        "--noise: noise is auto",
        id="noise-name",
    ),
    pytest.param(
        upscaling(*NEAREST, "--noise", "read=1,read=2"), "noise is auto", id="noise-two"
    ),
    pytest.param(
        upscaling(*NEAREST, "--noise", "read=x"), "noise is auto", id="noise-word"
    ),
    pytest.param(
        upscaling(*NEAREST, "--noise", "gain=-1"), "--noise: Gain", id="noise-negative"
    ),
]

FAILURES = [  # arguments, words of the sentence; the exit code is 1
    pytest.param(upscaling("-m", "magic"), "no model named 'magic'", id="model"),
    pytest.param(upscaling("-m", "nearest"), "Say which with --factor", id="no-factor"),
    pytest.param(
        upscaling("-m", "nearest", "--factor", "5"), "2, 3, 4 or 8", id="factor"
    ),
    pytest.param(
        upscaling("-m", "tiny", "--factor", "4"), "by 2, not by 4", id="other-factor"
    ),
    pytest.param(
        upscaling(*NEAREST, "--device", "abacus"), "'abacus'", id="unknown-device"
    ),
    pytest.param(upscaling(*NEAREST, "--dial", "0"), "has no dial", id="no-dial"),
    pytest.param(upscaling("-m", "tiny", "--dial", "1"), "textured end", id="one-end"),
    pytest.param(
        upscaling(*NEAREST, "--noise", "read=5"), "cannot remove noise", id="noise"
    ),
    pytest.param(upscaling(*NEAREST, "--channel", "3"), "channel", id="channel"),
    pytest.param(
        upscaling(*NEAREST, "--intensity-range", "9", "9"), "exceed", id="range"
    ),
    pytest.param(
        ["upscale", "*.png", "-o", "out", *NEAREST], "No file matches", id="no-match"
    ),
    pytest.param(["info", "b.tif"], "b.tif does not exist", id="info"),
    pytest.param(["info", "b.safetensors"], "no model file", id="info-model"),
]


@pytest.mark.parametrize("words", [["models"], ["upscale", "a.tif", "-o", "b.tif"]])
def test_a_pipe_whose_reader_is_gone_ends_no_work(words, here):
    write(here / "a.tif", counts((2, 20, 24)))
    if words[0] == "upscale":
        words = [*words[:-1], "b.ome.tif", *NEAREST]
    with subprocess.Popen(
        [sys.executable, "-m", "napari_sr", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=here,
    ) as running:
        running.stdout.close()  # as head does
        said = running.stderr.read().decode()
    assert (running.returncode, said) == (0, "")
    assert words[0] == "models" or (here / "b.ome.tif").exists()


@pytest.mark.parametrize(("arguments", "words"), MISUSES)
def test_what_is_not_understood_exits_with_2(arguments, words, one, here, capsys):
    try:
        code = main(arguments)
    except SystemExit as leaving:  # that is how argparse says it
        code = leaving.code
    assert code == 2
    assert words in said(capsys)[1]
    assert names_in(here) == ["a.ome.tif"]


@pytest.mark.parametrize(("arguments", "words"), FAILURES)
def test_what_cannot_be_done_exits_with_1(arguments, words, one, here, capsys):
    assert main(arguments) == 1
    out, err = said(capsys)
    assert words in err
    assert err.count("\n") == 1
    assert out == ""
    assert names_in(here) == ["a.ome.tif"]


def test_a_tile_without_room_says_which_would_do(one, here, capsys):
    save_model(tiny_fast(), here / "m.safetensors")
    assert main(upscaling("-m", "m.safetensors", "--tile", "12")) == 1
    assert said(capsys)[1] == (
        "a.ome.tif: Tile 12 px is not larger than twice the model's halo (2 × 6 px). "
        "Use a larger one; 32 px or more is efficient.\n"
    )


# One output


def test_a_file_becomes_a_file(one, here, capsys):
    assert main(upscaling(*NEAREST)) == 0
    np.testing.assert_array_equal(
        read_stack(here / "r.ome.tif"), upscale(one, Interpolation("nearest", 2))
    )
    out, err = said(capsys)
    assert re.fullmatch(
        r"r\.ome\.tif: 2 × 40 × 48 uint16, tile auto \(\d+\), range \S+ to \S+\n", out
    )
    assert err == ""  # no progress where nobody watches


def test_a_trained_model_is_told_the_noise(one, here, capsys):
    assert (
        main(upscaling("-m", "tiny", "--tile", "24", "--noise", "read=7,gain=2")) == 0
    )
    told = "noise gain=2,read=7,offset=0"
    assert f"tile 24, range 112.918 to 59837.7, {told}" in said(capsys)[0]
    expected = upscale(one, tiny_fast(), tile=24, noise=NoiseLevel(gain=2, read=7))
    np.testing.assert_array_equal(read_stack(here / "r.ome.tif"), expected)


NOISES = [
    pytest.param("0", {"gain": 0.0, "read": 0.0, "offset": 0.0}, id="zero"),
    pytest.param("read=5", {"gain": 0.0, "read": 5.0, "offset": 0.0}, id="read"),
    pytest.param(
        "gain=2, read=5,offset=-100,correlation=0.7",
        {"gain": 2.0, "read": 5.0, "offset": -100.0, "correlation": 0.7},
        id="all",
    ),
]


@pytest.mark.parametrize(("typed", "planned"), NOISES)
def test_noise_may_be_typed_in_several_ways(typed, planned, one, here):
    assert main(upscaling("-m", "tiny", "--noise", typed)) == 0
    noise = provenance_of(here / "r.ome.tif")["plan"]["noise"]
    assert noise == {"correlation": 0.0, **planned}


@pytest.mark.parametrize("correlation", ["", ",correlation=0.7"])
def test_a_correlation_is_printed_where_there_is_one(correlation, one, here, capsys):
    typed = f"gain=2,read=7,offset=0{correlation}"

    assert main(upscaling("-m", "tiny", "--noise", typed)) == 0
    assert f"noise {typed}, " in capsys.readouterr().out + ", "
    assert main(["info", "r.ome.tif"]) == 0
    assert f"noise {typed}\n" in capsys.readouterr().out


def test_options_reach_the_plan(one, here):
    options = ["--tile", "20", "--dtype", "float32", "--intensity-range", "-5", "900"]
    more = ["--device", "cpu", "--precision", "float32", "--compression", "none"]
    assert main(upscaling("-m", "tiny", *options, *more)) == 0
    plan = provenance_of(here / "r.ome.tif")["plan"]
    assert plan["intensity"] == {"low": -5.0, "high": 900.0}
    assert (plan["tile"], plan["tile_is_auto"], plan["dtype"]) == (20, False, "float32")
    assert read_stack(here / "r.ome.tif").dtype == np.float32


def test_a_recipe_says_what_is_not_typed(one, here):
    (here / "sub").mkdir()
    recipe = here / "sub" / "r.toml"
    recipe.write_text(
        'inputs = ["../a.ome.tif"]\noutput = "r.ome.tif"\nmodel = "tiny"\n'
        "[settings]\ntile = 20\nnoise = { read = 5 }\n",
        "utf-8",
    )

    assert main(["upscale", "--recipe", str(recipe)]) == 0
    plan = provenance_of(here / "sub" / "r.ome.tif")["plan"]
    assert (plan["model"], plan["tile"], plan["noise"]["read"]) == ("tiny", 20, 5)

    typed = ["-o", "other.ome.tif", "--tile", "24", "--noise", "0"]
    assert main(["upscale", "--recipe", str(recipe), *typed]) == 0
    plan = provenance_of(here / "other.ome.tif")["plan"]
    assert (plan["model"], plan["tile"], plan["noise"]["read"]) == ("tiny", 24, 0)


def test_a_recipe_may_leave_the_input_to_be_typed(one, here):
    (here / "r.toml").write_text('model = "nearest"\nfactor = 3\n', "utf-8")

    code = main(["upscale", "a.ome.tif", "-o", "r.ome.tif", "--recipe", "r.toml"])

    assert code == 0
    assert read_stack(here / "r.ome.tif").shape == (2, 60, 72)


def test_what_neither_a_recipe_nor_a_user_says_is_asked_for(here, capsys):
    (here / "r.toml").write_text('model = "nearest"\n', "utf-8")

    with pytest.raises(SystemExit) as leaving:
        main(["upscale", "--recipe", "r.toml"])

    assert leaving.value.code == 2
    assert "required: IN, -o/--output" in said(capsys)[1]


def test_clipped_pixels_are_said(here, capsys):
    write(here / "a.ome.tif", np.repeat(np.array([[9, 999]], "uint16"), 2, axis=0))
    assert main(upscaling(*NEAREST, "--dtype", "uint8")) == 0
    assert said(capsys)[0].endswith(", 50.00% of pixels clipped\n")


def test_an_existing_output_needs_overwrite(one, here, capsys):
    assert main(upscaling(*NEAREST)) == 0
    before = contents(here / "r.ome.tif")
    assert main(upscaling("-m", "tiny")) == 1
    assert "exists" in said(capsys)[1]
    assert contents(here / "r.ome.tif") == before
    assert main(upscaling("-m", "tiny", "--overwrite")) == 0
    assert contents(here / "r.ome.tif") != before


def test_a_zarr_may_be_replaced_too(one, here):
    arguments = ["upscale", "a.ome.tif", "-o", "r.ome.zarr", *NEAREST]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert main([*arguments, "--overwrite"]) == 0
    assert names_in(here) == ["a.ome.tif", "r.ome.zarr"]
    assert read_stack(here / "r.ome.zarr").shape == (2, 40, 48)


# Many inputs


@pytest.fixture
def tree(here):
    """Stacks among other things."""
    for name in ("d/z10.tif", "d/z2.tif", "d/sub/b.ome.zarr", "e/c.tif"):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, counts((8, 9), seed=len(name)))
    (here / "d" / "notes.txt").write_text("exposure 3 s")
    (here / "d" / "._z2.tif").write_bytes(b"what macOS leaves on other disks")
    (here / "empty").mkdir()
    return here


INPUTS = [  # what is typed, what is found
    pytest.param(["d/z2.tif"], ["d/z2.tif"], id="a-file"),
    pytest.param(["d/z2.tif", "d/z2.tif"], ["d/z2.tif"], id="once"),
    pytest.param(["d/z10.tif", "d/z2.tif"], ["d/z10.tif", "d/z2.tif"], id="as-typed"),
    pytest.param(["d/*.tif"], ["d/z2.tif", "d/z10.tif"], id="pattern"),
    pytest.param(["d"], ["d/sub/b.ome.zarr", "d/z2.tif", "d/z10.tif"], id="folder"),
    pytest.param(["*/c.tif"], ["e/c.tif"], id="folders-by-pattern"),
    pytest.param(
        ["[de]"],
        ["d/sub/b.ome.zarr", "d/z2.tif", "d/z10.tif", "e/c.tif"],
        id="folders-matched",
    ),
    pytest.param(
        ["**/*.tif"], ["d/z2.tif", "d/z10.tif", "e/c.tif"], id="pattern-through-folders"
    ),
    pytest.param(["d/sub/b.ome.zarr"], ["d/sub/b.ome.zarr"], id="a-zarr"),
    pytest.param(["d/sub/**"], ["d/sub/b.ome.zarr"], id="not-inside-a-zarr"),
    pytest.param(["e", "d/z*.tif"], ["e/c.tif", "d/z2.tif", "d/z10.tif"], id="both"),
    pytest.param(["missing.tif"], ["missing.tif"], id="missing"),
]


@pytest.mark.parametrize(("typed", "expected"), INPUTS)
def test_files_folders_and_patterns_are_found(typed, expected, tree):
    assert [path.as_posix() for path in find_stacks(typed)] == expected


@pytest.mark.parametrize(
    ("typed", "words"), [("empty", "holds no image"), ("*.jp*g", "No file matches")]
)
def test_what_stands_for_nothing_is_refused(typed, words, tree):
    with pytest.raises(StackError, match=words):
        find_stacks([typed])


def test_a_folder_without_images_ends_in_a_report_that_says_why(here, capsys):
    (here / "in").mkdir()
    (here / "in" / "a.jpg").write_text("")
    (here / "in" / "b.txt").write_text("")
    assert main(["upscale", "in", "-o", "out", *NEAREST]) == 1
    report = here / "out" / "napari-sr-report.csv"
    assert "holds no image that can be read: a.jpg is a picture" in said(capsys)[1]
    with report.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [(row["recording"], row["status"]) for row in rows] == [
        (str(Path("in", name)), "skipped") for name in ("a.jpg", "b.txt")
    ]


def test_a_name_may_look_like_a_pattern(here):
    path = write(here / "a[1].tif", counts((8, 8)))
    assert find_stacks([str(path)]) == [path]


def test_a_folder_of_zarr_need_not_be_called_so(here):
    write(here / "scan.zarr", counts((8, 8))).rename(here / "scan")
    assert main(["upscale", "scan", "-o", "r.ome.tif", *NEAREST]) == 0
    assert read_stack(here / "r.ome.tif").shape == (16, 16)


def test_a_folder_is_done_file_by_file(tree, capsys):
    assert main(["upscale", "d", "e", "-o", "out", *NEAREST]) == 0
    out, err = said(capsys)
    assert out.splitlines()[-1].startswith("4 of 4 files done, 0 failed, 1 skipped; ")
    assert err == ""
    assert names_in(tree / "out" / "d") == ["sub", "z10_x2.ome.tif", "z2_x2.ome.tif"]
    assert names_in(tree / "out" / "d" / "sub") == ["b_x2.ome.tif"]


def test_results_are_not_taken_for_recordings(tree):
    for _ in range(2):
        assert main(["upscale", "d", "-o", "d/out", "--overwrite", *NEAREST]) == 0
    results = ["sub", "z10_x2.ome.tif", "z2_x2.ome.tif"]
    assert names_in(tree / "d" / "out") == ["napari-sr-report.csv", *results]


def test_one_failing_file_does_not_stop_the_others(tree, capsys):
    (tree / "d" / "z5.tif").write_bytes(b"nonsense")
    assert main(["upscale", "d", "-o", "out", *NEAREST]) == 1
    out, err = said(capsys)
    report = Path("out", "napari-sr-report.csv")
    last = f"3 of 4 files done, 1 failed, 1 skipped; see {report}."
    assert out.splitlines()[-1] == last
    assert "z5.tif is not a readable TIFF" in err
    assert err.count("\n") == 1
    results = ["sub", "z10_x2.ome.tif", "z2_x2.ome.tif"]
    assert names_in(tree / "out") == ["napari-sr-report.csv", *results]
    with report.open(encoding="utf-8", newline="") as file:
        rows = {row["recording"]: row for row in csv.DictReader(file)}
    failed = rows.pop(str(Path("d", "z5.tif")))
    assert failed["status"] == "failed"
    assert failed["text"] == err.strip()
    assert [row["status"] for row in rows.values()] == ["skipped", *["done"] * 3]
    assert all((tree / row["result"]).exists() for row in rows.values())


def test_running_a_folder_again_does_what_is_missing(tree, capsys):
    (tree / "d" / "z5.tif").write_bytes(b"nonsense")
    main(["upscale", "d", "-o", "out", *NEAREST])
    written = {path: path.stat().st_mtime_ns for path in tree.glob("out/**/*.ome.*")}
    (tree / "d" / "z5.tif").unlink()
    write(tree / "d" / "z5.tif", counts((8, 9)))
    said(capsys)

    assert main(["upscale", "d", "-o", "out", *NEAREST]) == 0

    out, err = said(capsys)
    assert out.splitlines() == [
        out.splitlines()[0],
        "4 of 4 files done, 3 of them already done, 0 failed, 1 skipped; see "
        f"{Path('out', 'napari-sr-report.csv')}.",
    ]
    assert out.startswith(f"{Path('out', 'z5_x2.ome.tif')}: 16 × 18")
    assert err == ""
    assert all(path.stat().st_mtime_ns == then for path, then in written.items())


def test_a_folder_of_other_settings_is_not_added_to(tree, capsys):
    main(["upscale", "d", "-o", "out", *NEAREST])
    before = contents(tree / "out" / "z2_x2.ome.tif")
    said(capsys)

    for other in ([*NEAREST, "--dtype", "float32"], ["-m", "bicubic", "--factor", "2"]):
        assert main(["upscale", "d", "-o", "out", *other]) == 1
        assert said(capsys)[1].count(", made with another ") == 3

    assert contents(tree / "out" / "z2_x2.ome.tif") == before


def test_results_in_a_folder_may_be_ome_zarr(tree, capsys):
    assert main(["upscale", "e", "-o", "out", "--format", "ome.zarr", *NEAREST]) == 0
    assert names_in(tree / "out") == ["c_x2.ome.zarr"]
    one = ["upscale", "e", "-o", "r.ome.tif", "--format", "ome.zarr", *NEAREST]
    assert main(one) == 1
    assert "--format is for a folder" in said(capsys)[1]


def test_a_share_of_a_folder_is_of_whole_files(tree, capsys):
    for number in "12":
        share = ["--shard", f"{number}/2"]
        assert main(["upscale", "d", "-o", "out", *share, *NEAREST]) == 0
    assert (tree / "out" / "napari-sr-report-1-of-2.csv").exists()
    assert len(list((tree / "out").rglob("*.ome.tif"))) == 3


def test_workers_share_a_folder(tree, capsys):
    pytest.importorskip("distributed", reason="distributed is not installed")
    (tree / "d" / "z5.tif").write_bytes(b"nonsense")

    assert main(["upscale", "d", "-o", "out", "--workers", "2", *NEAREST]) == 1

    out, err = said(capsys)
    assert out.startswith("Workers can be watched at http://127.0.0.1:")
    assert out.splitlines()[-1].startswith("3 of 4 files done, 1 failed, 1 ")
    assert "z5.tif is not a readable TIFF" in err
    np.testing.assert_array_equal(
        read_stack(tree / "out" / "z2_x2.ome.tif"),
        upscale(read_stack(tree / "d" / "z2.tif"), Interpolation("nearest", 2)),
    )


def test_workers_share_one_large_result(one, here, capsys):
    pytest.importorskip("distributed", reason="distributed is not installed")
    zarr = ["upscale", "a.ome.tif", "-o", "r.ome.zarr", *NEAREST]

    assert main([*zarr, "--workers", "1"]) == 0
    np.testing.assert_array_equal(
        read_stack(here / "r.ome.zarr"), upscale(one, Interpolation("nearest", 2))
    )
    assert main([*upscaling(*NEAREST), "--workers", "1"]) == 1
    assert "Write .ome.zarr to share" in said(capsys)[1]
    with pytest.raises(SystemExit, match="2"):
        main([*zarr, "--overwrite", "--workers", "1", "--shard", "1/2"])


def test_a_recipe_says_all_of_a_run(tree, capsys):
    (tree / "r.toml").write_text(
        'inputs = ["d/*.tif", "e"]\noutput = "out"\nmodel = "nearest"\nfactor = 2\n'
        'format = "ome.zarr"\ncompression = "zstd"\n'
        '[settings]\ndtype = "float32"\n'
    )

    assert main(["upscale", "--recipe", "r.toml"]) == 0

    assert len(list((tree / "out").rglob("*.ome.zarr"))) == 3
    assert read_stack(tree / "out" / "e" / "c_x2.ome.zarr").dtype == np.float32
    array = json.loads((tree / "out/e/c_x2.ome.zarr/0/zarr.json").read_text())
    assert "zstd" in json.dumps(array["codecs"])


def test_files_may_be_planes_of_one_stack(here):
    array = counts((12, 8, 9))
    for i, plane in enumerate(array):
        write(here / f"z{i}.tif", plane)
    assert main(["upscale", "z*.tif", "-o", "r.ome.tif", "--stack", *NEAREST]) == 0
    np.testing.assert_array_equal(
        read_stack(here / "r.ome.tif"), upscale(array, Interpolation("nearest", 2))
    )


def test_planes_of_one_stack_must_fit_together(here, capsys):
    write(here / "1.tif", counts((8, 8)))
    write(here / "2.tif", counts((8, 9)))
    assert main(["upscale", "*.tif", "-o", "out", "--stack", *NEAREST]) == 1
    assert "2.tif is (8, 9)" in said(capsys)[1]
    assert not (here / "out").exists()


# Being watched, and being stopped


def test_progress_shows_the_time_left_on_a_terminal(here, monkeypatch):
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    termios = pytest.importorskip("termios")
    monkeypatch.setattr("tqdm.std.tqdm.mininterval", 0, raising=False)
    write(here / "a.ome.tif", counts((6, 60, 60)))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    shown = bytearray()

    def watch():
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux: the other end is closed
                return
            if not piece:
                return
            shown.extend(piece)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with open(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main(upscaling("-m", "tiny", "--tile", "16")) == 0
    watcher.join(10)
    os.close(ours)
    text = shown.decode()
    assert text.startswith("\ra.ome.tif: ")
    assert re.search(r"\d+%\|.*\| \d+/\d+ \[\d\d:\d\d<\d\d:\d\d", text)
    assert text.rstrip(" \r").endswith("]")  # wiped out by spaces at the end


def test_an_interrupt_exits_with_130(one, here, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Interpolation, "__call__", interrupt)
    assert main(upscaling(*NEAREST)) == 130
    assert said(capsys) == ("", "Interrupted; no incomplete file is left.\n")
    assert names_in(here) == ["a.ome.tif"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("a shape\ndoes not fit"), "a.ome.tif: a shape does not fit\n"),
        (MemoryError(), "a.ome.tif: Out of memory on cpu with tiles of 20 px. "),
    ],
    ids=["fault", "memory"],
)
def test_a_fault_of_the_network_is_said(
    one, here, capsys, monkeypatch, error, sentence
):
    def fail(*_):
        raise error

    monkeypatch.setattr(Interpolation, "__call__", fail)
    assert main(upscaling(*NEAREST, "--tile", "20", "--device", "cpu")) == 1
    out, err = said(capsys)
    assert err.startswith(sentence)
    assert out == ""
    assert names_in(here) == ["a.ome.tif"]


def test_a_log_in_an_old_encoding_is_no_failure(one, here, monkeypatch):
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", log)
    assert main(upscaling(*NEAREST)) == 0
    log.seek(0)
    assert "2 ? 40 ? 48 uint16" in log.read()


# Asking


def test_models_are_listed(here, capsys):
    assert main(["models"]) == 0
    lines = said(capsys)[0].splitlines()
    assert "tiny      ×2  test: Untrained, for tests." in [
        re.sub(r"^(tiny) +", r"\1      ", line) for line in lines
    ]
    assert [line.split()[0] for line in lines][-len(METHODS) :] == [*METHODS]


def test_a_stack_is_described(one, capsys):
    assert main(["info", "a.ome.tif"]) == 0
    assert said(capsys)[0].splitlines() == [
        "a: 2 planes, uint16",
        "  z: 2, spacing 2.5 um, origin -40",
        "  y: 20, spacing 0.65 um, origin 1234.5",
        "  x: 24, spacing 0.325 um, origin -0.125",
    ]


def test_a_result_of_few_counts_says_why_it_is_float32(here, capsys):
    few = np.random.default_rng(0).poisson(0.2, (64, 64)).astype("uint16")
    write(here / "a.ome.tif", few)
    assert main(upscaling("-m", "tiny")) == 0
    said(capsys)
    assert main(["info", "r.ome.tif"]) == 0
    assert "float32, since in whole counts the mean may change by" in said(capsys)[0]


def test_a_result_is_described_with_its_notice(one, capsys):
    main(upscaling("-m", "tiny"))
    said(capsys)
    assert main(["info", "r.ome.tif"]) == 0
    by, how = said(capsys)[0].splitlines()[-2:]
    assert by.startswith("made by napari-sr ")
    assert "computed, not measured" in by
    told = r"model tiny ×2, SHA-256 \w{12}…, dial 0, range \S+ to \S+, noise gain="
    assert re.match(told, how)


def test_a_stack_is_described_in_json(one, capsys):
    main(upscaling("-m", "tiny"))
    said(capsys)
    assert main(["info", "r.ome.tif", "--json"]) == 0
    known = json.loads(said(capsys)[0])
    assert (known["name"], known["dtype"]) == ("r", "uint16")
    assert [axis["length"] for axis in known["axes"]] == [2, 40, 48]
    assert known["axes"][0] == {
        **{"name": "z", "spacing": 2.5, "unit": "um", "origin": -40.0, "length": 2}
    }
    assert known["provenance"]["plan"]["model"] == "tiny"


@pytest.mark.parametrize("name", ["tiny", "../models/tiny.safetensors"])
def test_a_model_is_described(here, capsys, name):
    assert main(["info", name]) == 0
    lines = said(capsys)[0].splitlines()
    assert lines[0] == "tiny: Untrained, for tests."
    assert lines[1].startswith("×2, test, fast {'channels': 8, 'n_blocks': 2}")
    assert lines[2].startswith("halo 6 px, licence BSD-3-Clause, made by ")
    assert main(["info", name, "--json"]) == 0
    card = json.loads(said(capsys)[0])
    assert (card["name"], card["halo"]) == ("tiny", 6)
    assert set(card["digests"]) == {"faithful", "noise_estimator"}


def test_a_method_is_described(here, capsys):
    assert main(["info", "bicubic"]) == 0
    assert said(capsys)[0] == (
        "bicubic, by 2, 3, 4 or 8 (--factor): Cubic convolution (Keys, a = -1/2): the "
        "usual baseline.\n"
    )
    assert main(["info", "bicubic", "--json"]) == 0
    assert json.loads(said(capsys)[0]) == {"name": "bicubic"}


def interrupted_while_loaded(*_):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("numpy._core.multiarray failed to import") from None


class Destroyed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def interrupted_in_a_destructor(*_):
    thing = Destroyed()
    del thing  # what is raised there ends nothing, and is printed
    for _ in range(1000):
        time.sleep(0.001)
    return 0


@pytest.fixture
def heard():
    """Ctrl-C is heard, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    "begun", [interrupted_while_loaded, interrupted_in_a_destructor]
)
def test_an_interrupt_that_is_made_something_else_of_is_one(begun, capsys, monkeypatch):
    def parser():
        return SimpleNamespace(parse_args=lambda _: argparse.Namespace(run=begun))

    monkeypatch.setattr("napari_sr.cli.commands.build_parser", parser)

    assert main(["models"]) == 130
    assert capsys.readouterr().err == "Interrupted; no incomplete file is left.\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_while_arguments_are_read_is_one_sentence(capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_sr.cli.commands.build_parser", interrupt)

    assert main(["models"]) == 130
    assert capsys.readouterr().err == "Interrupted; no incomplete file is left.\n"


def test_a_damaged_tiff_is_told_by_one_sentence_alone(here):
    array = counts((2, 32, 32))
    said = "ImageJ=1.11a\nimages=9\nslices=9\n"
    tifffile.imwrite(
        "a.tif", array, description=said, metadata=None, photometric="minisblack"
    )
    code = "import sys; from napari_sr.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "info", "a.tif"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


def test_damaged_tiffs_of_a_folder_are_told_by_their_sentences_alone(here):
    # In a folder, sets of files are looked for before any file is opened.
    (here / "in").mkdir()
    tifffile.imwrite("in/a.ome.tif", counts((2, 32, 32)), metadata={"axes": "ZYX"})
    whole = Path("in/a.ome.tif").read_bytes()
    Path("in/a.ome.tif").write_bytes(whole[: int(0.99 * len(whole))])
    code = "import sys; from napari_sr.cli import main; sys.exit(main(sys.argv[1:]))"
    given = ["upscale", "in", "-o", "out", "-m", "bicubic", "--factor", "2"]
    done = subprocess.run(
        [sys.executable, "-c", code, *given], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "a.ome.tif is cut off or damaged" in done.stderr
    assert "tifffile" not in done.stderr, done.stderr

"""`napari-sr finetune` and `train`: what is written, what is said, how it ends."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from tiny_models import tiny_fast

from napari_sr.cards.model_card import read_card
from napari_sr.cli import main
from napari_sr.models.sr_model import save_model

RECIPE = """
name = "small"
domain = "test"
images = ["sharp"]

[settings]
iterations = {iterations}
batch = 2
patch = 16
validate_every = 4
arguments = {{ channels = 4, n_blocks = 1 }}
device = "cpu"
instrument = {{ share_clean = 1.0, psf_sigma = [1.2, 1.2] }}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with sharp images and a base called tiny."""
    folder = tmp_path / "here"
    (folder / "sharp").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NAPARI_SR_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("napari_sr.training.session.N_RECORDINGS", 40)
    save_model(tiny_fast(tail=0.3), tmp_path / "models" / "tiny.safetensors")
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(size=(80, 80))
        smooth = ndimage.gaussian_filter(noise, 1.2, mode="wrap")
        image = (smooth - smooth.min()) / np.ptp(smooth) * 20_000
        tifffile.imwrite(folder / "sharp" / f"{seed}.tif", image.astype(np.uint16))
    return folder


def tune(*more, iterations=8, output="mine.safetensors"):
    count = ("--iterations", str(iterations)) if iterations else ()
    fixed = ("finetune", "sharp", "--base", "tiny", "-o", output, "--device", "cpu")
    return main([*fixed, *count, *more])


def names():
    return sorted(os.listdir())


# ── finetune ────────────────────────────────────────────────────────────────────────


def test_a_better_model_is_written_with_its_curves(here, capsys):
    # the base is bicubic with a fault, which is soon mended
    assert tune("--keep-anyway", iterations=200) == 0

    said = capsys.readouterr().out
    card = read_card("mine.safetensors")
    assert card.name == "mine"
    assert card.verdict in said
    assert "held" in said
    assert names() == [
        "mine.curves.csv",
        "mine.curves.png",
        "mine.safetensors",
        "sharp",
    ]
    with open("mine.curves.csv", newline="") as file:
        assert [row["iteration"] for row in csv.DictReader(file)] == ["0", "200"]


def test_a_model_that_is_no_gain_is_not_written(here, capsys):
    assert tune(iterations=1) == 1

    said = capsys.readouterr()
    assert "Not better" in said.out
    assert "--keep-anyway" in said.err
    assert not os.path.exists("mine.safetensors")


def test_it_is_written_when_it_is_wanted_anyway(here):
    assert tune("--keep-anyway", iterations=1) == 0

    assert read_card("mine.safetensors").is_better is False


REFUSED = [
    pytest.param(["-o", "mine.tif"], r"\.safetensors", id="name of the output"),
    pytest.param(
        ["--base", "bicubic"],
        "only those can be fine-tuned",
        id="base without weights",
    ),
    pytest.param(["--base", "nothing"], "nothing", id="unknown base"),
    pytest.param(["--resume"], "no training to resume", id="no training to resume"),
    pytest.param(["--device", "tpu"], "tpu", id="device"),
    pytest.param(["--minutes", "-1"], "minutes", id="minutes"),
    pytest.param(["--low", "missing.tif"], "missing.tif", id="missing partner"),
]


@pytest.mark.parametrize(("more", "why"), REFUSED)
def test_what_is_refused_leaves_nothing(more, why, here, capsys):
    assert tune(*more) in (1, 2)

    said = capsys.readouterr().err
    assert why.replace("\\", "") in said
    assert said.count("\n") == 1
    assert names() == ["sharp"]


def test_recordings_alone_are_learnt_from(here, capsys):
    os.rename("sharp", "scans")
    alone = ("finetune", "--recordings-only", "scans", "--base", "tiny")
    rest = ("-o", "mine.safetensors", "--device", "cpu", "--iterations", "4")

    assert main([*alone, *rest, "--psf-sigma", "1.5", "--keep-anyway"]) == 0

    card = read_card("mine.safetensors")
    assert "Evaluated without ground truth" in capsys.readouterr().out
    low, high = card.instrument.psf_sigma
    assert low < 1.5 < high


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["sharp", "--recordings-only", "sharp"], id="both"),
        pytest.param([], id="neither"),
        pytest.param(["--recordings-only", "sharp", "--low", "sharp"], id="pairs"),
    ],
)
def test_sharp_images_or_recordings_alone(words, here, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["finetune", *words, "--base", "tiny", "-o", "mine.safetensors"])
    assert ended.value.code == 2
    assert "--recordings-only" in capsys.readouterr().err
    assert names() == ["sharp"]


def test_a_known_blur_is_not_ignored_beside_pairs(here, capsys):
    with pytest.raises(SystemExit) as ended:
        tune("--low", "sharp", "--psf-sigma", "1.5")
    assert ended.value.code == 2
    assert "leave out --psf-sigma" in capsys.readouterr().err


def test_an_existing_model_is_kept_unless_asked_otherwise(here, capsys):
    path = here / "mine.safetensors"
    path.write_bytes(b"precious")

    assert tune("--keep-anyway") == 1
    assert path.read_bytes() == b"precious"
    assert "--overwrite" in capsys.readouterr().err

    assert tune("--keep-anyway", "--overwrite") == 0
    assert read_card(path).name == "mine"


def test_no_image_is_said(here, capsys):
    (here / "empty").mkdir()

    assert main(["finetune", "empty", "--base", "tiny", "-o", "m.safetensors"]) == 1
    assert "empty" in capsys.readouterr().err


# ── train ───────────────────────────────────────────────────────────────────────────


def test_a_recipe_gives_a_model_beside_it(here):
    (here / "recipe.toml").write_text(RECIPE.format(iterations=8))

    assert main(["train", "recipe.toml"]) == 0

    card = read_card("small.safetensors")
    assert card.domain == "test"
    assert card.training_settings["iterations"] == 8


def test_a_recipe_that_is_not_understood_is_refused(here, capsys):
    (here / "recipe.toml").write_text(RECIPE.format(iterations=8) + "epochs = 3")

    assert main(["train", "recipe.toml"]) == 1
    assert "epochs" in capsys.readouterr().err
    assert names() == ["recipe.toml", "sharp"]


# ── however it ends ─────────────────────────────────────────────────────────────────


def started(*more):
    """Run the command on its own, until it has written a checkpoint."""
    command = [sys.executable, "-m", "napari_sr", *more]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    checkpoint = "small.safetensors.checkpoint"
    for _ in range(1200):
        if os.path.exists(checkpoint) or process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.poll() is None, process.stdout.read()
    return process


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_an_interrupt_loses_no_step(by, here, monkeypatch, capsys):
    steps = []

    def interrupt_at_the_third(step):
        steps.append(step)
        if len(steps) == 3:
            os.kill(os.getpid(), by)
        return ""

    with monkeypatch.context() as patch:
        patch.setattr("napari_sr.cli.training.describe_step", interrupt_at_the_third)
        assert tune("--keep-anyway", iterations=12) == 130
    assert len(steps) == 3
    assert "--resume continues" in capsys.readouterr().err
    assert "mine.curves.csv" in names()

    assert tune("--resume", "--overwrite", "--keep-anyway", iterations=12) == 0
    assert tune("--keep-anyway", iterations=12, output="again.safetensors") == 0
    resumed, whole = (read_card(f"{n}.safetensors") for n in ("mine", "again"))
    assert resumed.digests == whole.digests


def test_a_folder_that_cannot_be_written_is_refused_at_once(here, capsys):
    (here / "file").touch()
    assert tune(output="file/mine.safetensors") == 1
    assert "Nothing can be written in file" in capsys.readouterr().err


def test_a_checkpoint_of_other_settings_says_which(here, capsys):
    tune(iterations=4)  # no gain: the checkpoint stays
    assert tune("--resume", iterations=5) == 1
    assert "iterations 4 instead of 5" in capsys.readouterr().err


def test_progress_is_told_also_where_there_is_no_terminal(here, monkeypatch, capsys):
    monkeypatch.setattr("napari_sr.cli.training.LINE_EVERY", 0.0)
    tune(iterations=4)
    assert capsys.readouterr().out.count("fidelity") >= 4


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_an_interrupted_training_ends_with_a_usable_model(by, here):
    (here / "recipe.toml").write_text(RECIPE.format(iterations=100_000))
    process = started("train", "recipe.toml")

    process.send_signal(by)
    said = process.communicate(timeout=240)[0].decode()

    assert process.returncode == 130, said
    assert read_card("small.safetensors").verdict
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_killed_training_goes_on_where_it_was(here):
    (here / "recipe.toml").write_text(RECIPE.format(iterations=400))
    process = started("train", "recipe.toml")
    process.kill()
    process.communicate()

    assert not os.path.exists("small.safetensors")
    assert main(["train", "recipe.toml"]) == 1
    assert main(["train", "recipe.toml", "--resume"]) == 0

    resumed = read_card("small.safetensors").digests["faithful"]
    assert main(["train", "recipe.toml", "-o", "again.safetensors"]) == 0
    assert read_card("again.safetensors").digests["faithful"] == resumed
    assert not [name for name in names() if "checkpoint" in name or "partial" in name]

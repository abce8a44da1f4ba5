"""kill -9 in the middle of a training, twenty times: nothing is lost or half."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_sr.cards.model_card import read_card
from napari_sr.training.checkpoint import TrainingState

N_KILLS = 20
RECIPE = """
name = "small"
images = ["sharp"]

[settings]
iterations = 24
batch = 2
patch = 20
validate_every = 3
architecture = "srresnet"
arguments = { channels = 4, n_blocks = 1 }
device = "cpu"
adversarial = { iterations = 24, head_start = 4, ramp = 4, content = "gradient" }
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9"),
]


def train(*more):
    """Run the command in a process of its own."""
    import torch

    from napari_sr.cli import main

    torch.set_num_threads(1)
    os._exit(main(["train", "recipe.toml", *more]))


@pytest.fixture
def processes():
    """A server that forks processes which have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["napari_sr.cli", "napari_sr.training.session"])
    return context


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sharp").mkdir()
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(64, 64))
        smooth = ndimage.gaussian_filter(noise, 1.2, mode="wrap")
        image = (smooth - smooth.min()) / np.ptp(smooth) * 20_000
        tifffile.imwrite(tmp_path / "sharp" / f"{seed}.tif", image.astype(np.uint16))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(processes, *more, kill_after=None):
    """Start a training; kill it after so many seconds. Give its exit code."""
    process = processes.Process(target=train, args=more)
    started = time.monotonic()
    process.start()
    process.join(kill_after)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode, time.monotonic() - started


def digests(path):
    """What the model is: its networks, and what was found on held-out images."""
    card = read_card(path)
    return card.digests, card.verdict, card.recommended_dial


def test_a_training_killed_anywhere_ends_with_the_same_bits(here, processes):
    run(processes, "-o", "first.safetensors")  # the server is warm after it
    code, seconds = run(processes, "-o", "whole.safetensors")
    assert code == 0
    expected = digests("whole.safetensors")
    random = np.random.default_rng(0)
    model, checkpoint = (
        here / "small.safetensors",
        here / "small.safetensors.checkpoint",
    )

    n_killed = n_resumed = 0
    while n_killed < N_KILLS:
        code, _ = run(processes, kill_after=random.uniform(0, seconds))
        n_killed += code == -signal.SIGKILL
        if code == 0:
            assert digests(model) == expected
        else:
            assert not model.exists() or digests(model) == expected
        if checkpoint.exists():
            TrainingState.load(checkpoint)  # never half-written
            n_resumed += 1
            model.unlink(missing_ok=True)
            assert run(processes, "--resume")[0] == 0
            assert digests(model) == expected
        model.unlink(missing_ok=True)
        checkpoint.unlink(missing_ok=True)

    assert n_resumed >= N_KILLS // 4

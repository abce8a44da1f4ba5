"""kill -9 in the middle of a run, twenty times: nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time

import numpy as np
import psutil
import pytest
from counting import Counting, told
from stacks_on_disk import contents, counts, names_in, write_stack

N_KILLS, N_PLANES = 20, 24

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9"),
]


def run(folder, n_workers):
    """Do, or go on with, what is killed; in a process of its own."""
    from contextlib import nullcontext

    from napari_sr.runs.one_file import FileJob, run_job
    from napari_sr.runs.workers import Workers, connected
    from napari_sr.settings import UpscaleSettings

    upscaler = Counting(folder / "log", seconds=0.05)
    with connected(n_workers) if n_workers else nullcontext() as client:
        workers = Workers(client, upscaler) if client else None
        source, result = folder / "a.ome.tif", folder / "r.ome.zarr"
        job = FileJob(source, result, workers=workers)
        list(run_job(job, upscaler, UpscaleSettings(device="cpu")))


@pytest.fixture(scope="module")
def processes():
    """A server that forks processes which have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["napari_sr.runs.one_file", "napari_sr.runs.workers"]
    )
    return context


def run_or_kill(processes, folder, n_workers, kill_after=None):
    """Give how it ended, and after how many seconds."""
    process = processes.Process(target=run, args=(folder, n_workers))
    started = time.monotonic()
    process.start()
    process.join(kill_after)
    if process.is_alive():
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive  # nobody works on without it
    process.join()
    return process.exitcode, time.monotonic() - started


@pytest.mark.parametrize("n_workers", [0, 2], ids=["alone", "two workers"])
def test_a_run_killed_anywhere_ends_with_the_same_files(tmp_path, processes, n_workers):
    write_stack(tmp_path / "a.ome.tif", counts((N_PLANES, 20, 24)))
    log, result = tmp_path / "log", tmp_path / "r.ome.zarr"
    run_or_kill(processes, tmp_path, n_workers)  # the server is warm after it
    expected = contents(result)
    shutil.rmtree(result)
    code, seconds = run_or_kill(processes, tmp_path, n_workers)
    assert code == 0
    random = np.random.default_rng(0)

    n_killed = 0
    while n_killed < N_KILLS:
        shutil.rmtree(result)
        log.unlink()
        code, n_losses = -signal.SIGKILL, 0
        while code != 0:
            left = random.uniform(0, seconds) if n_killed < N_KILLS else None
            code, _ = run_or_kill(processes, tmp_path, n_workers, left)
            assert code in (0, -signal.SIGKILL)
            assert code == 0 or not result.exists() or contents(result) == expected
            n_losses += code != 0
            n_killed += code != 0
            if result.exists():
                break
        assert contents(result) == expected
        left_over = {".r.ome.zarr.partial"} if code else set()  # while cleaning up
        assert set(names_in(tmp_path)) - left_over == {"a.ome.tif", "log", "r.ome.zarr"}
        n_twice = sum(told(log, "begun").values()) - N_PLANES
        assert 0 <= n_twice <= n_losses * max(1, n_workers)

"""A process that is forked after use computes the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FORKED = """
import multiprocessing, numpy as np, torch, napari_sr as sr, warnings
warnings.simplefilter("ignore")  # that a process with threads is forked
torch.set_num_threads(2)
plane = np.random.default_rng(0).poisson(200, (40, 48)).astype("u2")
def work(_): return sr.upscale(plane, "general-x2", device="cpu").tobytes()
first = work(0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.map(work, [0]) == [first]
print("same")
"""


@pytest.mark.under_load
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_after_use_computes_the_same():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    code = [sys.executable, "-c", FORKED]
    try:
        done = subprocess.run(
            code, env=environment, capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired:
        pytest.fail("the forked process hangs")
    assert done.stdout == "same\n", done.stderr

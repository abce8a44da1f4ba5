"""The ratios and the memory that must not get worse: a few minutes.

    make bench

Times mean nothing on another machine, so each is compared with one that was taken
beside it in the same run, with one thread and by the processor's clock, which other
work on the machine changes little. The floors lie well below what is measured; the
table in docs/speed.md is taken by `benchmarks.speed.networks`.
"""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import napari_sr as sr
from benchmarks.speed.memory import peak_of, write_stack
from benchmarks.speed.networks import FAST, OURS, PAPER, runner

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

CHANNELS_LAST, PLAIN = "plain PyTorch, channels_last", "plain PyTorch"
SIDE, SMALL = 384, 256
SECONDS: dict[tuple[str, str], float] = {}
"""The fastest time of each way."""
WAYS = [(PAPER, OURS), (PAPER, CHANNELS_LAST), (PAPER, PLAIN), (FAST, OURS)]
FLOORS = [  # network and way, network and way, how many times as fast
    ((PAPER, OURS), (PAPER, CHANNELS_LAST), 1.3),
    ((PAPER, OURS), (PAPER, PLAIN), 1.8),
    ((FAST, OURS), (PAPER, PLAIN), 20),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def fastest(benchmark: BenchmarkFixture, run: object, *arguments: object) -> float:
    """Run a few times after a warm-up; give the fastest time in seconds."""
    benchmark.pedantic(run, arguments, rounds=2, warmup_rounds=1)
    return float(benchmark.stats.stats.min)


@pytest.mark.parametrize(("architecture", "way"), WAYS)
def test_a_plane(architecture: str, way: str, benchmark: BenchmarkFixture) -> None:
    """A plane by each way: nothing is asked of a time alone."""
    benchmark.group = f"a plane of {SIDE}², ×4"
    plane = np.random.default_rng(0).random((SIDE, SIDE), np.float32)

    with torch.inference_mode():
        seconds = fastest(benchmark, runner(way, architecture), plane)

    SECONDS[architecture, way] = seconds


@pytest.mark.parametrize(("quick", "slow", "floor"), FLOORS)
def test_a_ratio(quick: tuple[str, str], slow: tuple[str, str], floor: float) -> None:
    """How many times as fast one way is as the other."""
    ratio = SECONDS[slow] / SECONDS[quick]

    print(f"{quick} is {ratio:.2f} times as fast as {slow}, at least {floor} asked")
    assert ratio > floor


def test_all_around_the_network_costs_little(
    tmp_path: Path, benchmark: BenchmarkFixture
) -> None:
    """From file to file, beside the network alone on the same planes."""
    benchmark.group = "10 planes of 256², general-x2"
    source, n_planes = tmp_path / "a.ome.tif", 10
    write_stack(source, n_planes, SMALL)
    model, noise = sr.load_model("general-x2"), sr.NoiseLevel(gain=1.0)
    batch = torch.rand(1, 2, *2 * [SMALL + 2 * model.halo])

    def file_to_file() -> None:
        target = tmp_path / "b.ome.tif"
        sr.upscale_file(source, target, model, noise=noise, overwrite=True)

    whole = fastest(benchmark, file_to_file)
    with torch.inference_mode():
        alone = min(_seconds_of(model, batch) for _ in range(5)) * n_planes

    print(f"The network takes {alone / whole:.0%} of the time from file to file")
    assert alone / whole > 0.4


def _seconds_of(model: sr.SRModel, batch: torch.Tensor) -> float:
    started = process_time()
    model(batch)
    return process_time() - started


def test_memory_does_not_grow_with_the_stack(tmp_path: Path) -> None:
    """Peak memory of 20 and of 120 planes, each in a process of its own."""
    peaks = []
    for n_planes in (20, 120):
        source = tmp_path / f"{n_planes}.ome.tif"
        write_stack(source, n_planes)
        peaks.append(peak_of(source, "general-x2"))

    print(f"Peak memory: {peaks[0]:.0f} MB for 20 planes, {peaks[1]:.0f} MB for 120")
    assert peaks[1] - peaks[0] < 60

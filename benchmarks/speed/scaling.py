"""One worker and two: how much faster; and what 1, 10 and 100 nodes would take.

    python -m benchmarks.speed.scaling [--model general-x2] [--rounds 3]

Each worker has one thread. Both numbers of workers take turns, so that whatever else
the machine does meets both; their ratio is the median over the rounds. Beside time, the
work that a region is (seconds of a core) is compared: it does not depend on what else
goes on, and says what two workers cost each other. What a region takes is carried over
to nodes by the model that `project` spells out.
"""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import psutil
from distributed import Client, LocalCluster

import napari_sr as sr
from napari_sr.files import create_stack, open_stack
from napari_sr.image.regions import region_side
from napari_sr.image.stack import Axis
from napari_sr.metrics.quality import as_markdown
from napari_sr.runs.one_file import FileJob, FileResult, run_job
from napari_sr.runs.workers import Workers
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import as_upscaler

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = (12, 512, 512)
"""Of the recording that is tried: a region is a plane."""
TERABYTE = 10**12
STORE = 5e9
"""Bytes per second that a shared parallel file system gives to all nodes together."""
LINK = 1e9
"""Bytes per second between a node and that file system."""
NODES = (1, 10, 100)


class Group:
    """Some workers, and the work that they have done."""

    def __init__(self, client: Client, upscaler: object) -> None:
        self.workers = Workers(client, upscaler)
        self._processes = [psutil.Process(p) for p in client.run(os.getpid).values()]

    def work(self) -> float:
        """Count the seconds of cores that they have used so far."""
        times = [process.cpu_times() for process in self._processes]
        return sum(one.user + one.system for one in times)


@contextmanager
def workers_of(n: int, upscaler: object) -> Iterator[Group]:
    """Start processes of one thread each."""
    with (
        LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield Group(client, upscaler)


def taken_by(
    group: Group, source: Path, output: Path, upscaler: object
) -> tuple[float, float]:
    """Give time and work of a region, from the first that is done to the last."""
    job = FileJob(source, output, workers=group.workers)
    seen = []
    for event in run_job(job, upscaler, UpscaleSettings()):
        if not isinstance(event, FileResult):
            seen.append((perf_counter(), group.work()))
    (began, before), (ended, after) = seen[0], seen[-1]
    return (ended - began) / (len(seen) - 1), (after - before) / (len(seen) - 1)


def _nothing(_station: object, number: int) -> int:
    """Do nothing on a worker: what is left is scheduling."""
    return number


def scheduling(workers: Workers, n: int = 200) -> float:
    """Time a task that does nothing, from the scheduler and back."""
    started = perf_counter()
    for _ in workers.results(_nothing, [(number,) for number in range(n)]):
        pass
    return (perf_counter() - started) / n


def project(n_nodes: int, n_bytes: float, costs: dict[str, float]) -> dict[str, float]:
    """Tell how many hours each part would take on its own; the largest one rules.

    Nodes compute at the rate that was measured; each reads one recorded byte and writes
    `stored` bytes for it, over its own link and out of one store; one scheduler gives
    out all regions, one after the other.
    """
    moved = n_bytes * (1 + costs["stored"])
    return {
        "computing": n_bytes * costs["compute"] / n_nodes / 3600,
        "link of a node": moved / (LINK * n_nodes) / 3600,
        "store": moved / STORE / 3600,
        "scheduler": n_bytes / costs["region"] * costs["scheduler"] / 3600,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="general-x2")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = sr.load_model(arguments.model)
    upscaler = as_upscaler(model, UpscaleSettings(device="cpu"))
    pixels = np.random.default_rng(0).poisson(200, SHAPE).astype(np.uint16)
    with TemporaryDirectory() as folder:
        source = Path(folder, "a.ome.zarr")
        axes = [Axis(name) for name in "zyx"]
        with create_stack(
            source, shape=SHAPE, dtype=pixels.dtype, axes=axes, provenance={}
        ) as writer:
            for index in np.ndindex(SHAPE[0]):
                writer.write(index, pixels[index])
        taken: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        with workers_of(1, upscaler) as one, workers_of(2, upscaler) as two:
            idle = scheduling(one.workers)
            for turn in range(arguments.rounds + 1):  # the first warms them up
                for n, group in ((1, one), (2, two)):
                    output = Path(folder, f"{n}-{turn}.ome.zarr")
                    found = taken_by(group, source, output, upscaler)
                    if turn:
                        taken[n].append(found)
        stored = sum(f.stat().st_size for f in output.rglob("*") if f.is_file())
        with open_stack(source) as stack:
            started = perf_counter()
            for index in stack.indices():
                stack.plane(index)
            reading = (perf_counter() - started) / SHAPE[0]
    both = list(zip(taken[1], taken[2], strict=True))
    for part, what in enumerate(("time", "work")):
        ratios = [one[part] / two[part] for one, two in both]
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{what} of a region, one worker by two: {median(ratios):.2f} ({shown})")
    region, alone = pixels.nbytes / SHAPE[0], median(one[1] for one in taken[1])
    shares = f"reading {reading / alone:.2%}, scheduling {idle / alone:.2%}"
    print(f"beside the work of a region of {region / 2**20:.2g} MiB: {shares}\n")
    costs = {
        "compute": alone / region,
        "stored": stored / pixels.nbytes,
        "region": region_side(2) ** 2 * 2.0,  # of real size; here they are small
        "scheduler": idle,
    }
    projected = {n: project(n, TERABYTE, costs) for n in NODES}
    head = ["1 TB recorded, hours", *(f"{n} nodes" for n in NODES)]
    rows = [
        [part, *(f"{projected[n][part]:.3g}" for n in NODES)] for part in projected[1]
    ]
    print(as_markdown(head, rows))


if __name__ == "__main__":
    main()

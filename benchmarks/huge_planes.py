"""Memory of a run on planes that are made when they are read: flat, whatever there is.

    python -m benchmarks.huge_planes [--side 20000] [--planes 4] [--regions 6]

Bicubic, factor 2, to an OME-Zarr in a temporary folder; stopped after some regions, of
which each row shows the peak of resident memory so far.
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import napari_sr as sr
from napari_sr.batching import FileJob, run_job
from napari_sr.settings import UpscaleSettings
from napari_sr.stack import Stack
from napari_sr.upscaling import Step, as_upscaler

TILE = 512


class Endless:
    """Planes that repeat a tile of noise and are nowhere until they are read."""

    dtype = np.dtype("uint16")

    def __init__(self, n_planes: int, side: int) -> None:
        self.shape = (n_planes, side, side)
        self._tile = np.random.default_rng(0).poisson(200, (TILE, TILE))

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        """Make the window asked for, and nothing else."""
        whole = (slice(0, side) for side in self.shape[1:])
        rows, columns = (
            np.arange(part.start, part.stop) % TILE for part in index[1:] or whole
        )
        return self._tile.astype(self.dtype)[np.ix_(rows, columns)]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--planes", type=int, default=4)
    parser.add_argument("--regions", type=int, default=6)
    arguments = parser.parse_args()
    stack = Stack.from_array(Endless(arguments.planes, arguments.side), name="endless")
    settings = UpscaleSettings()
    upscaler = as_upscaler(sr.load_model("bicubic", factor=2), settings)
    per_mb = 2**20 if sys.platform == "darwin" else 2**10
    n_done = 0
    with TemporaryDirectory() as folder:
        job = FileJob(stack, Path(folder, "r.ome.zarr"))
        for event in run_job(job, upscaler, settings):
            if not isinstance(event, Step) or event.plane is None:
                continue
            n_done += 1
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mb
            print(f"region {n_done}: {peak:.0f} MB at most so far", flush=True)
            if n_done == arguments.regions:
                break


if __name__ == "__main__":
    main()

"""A recording of 100 GB that is made when it is read: memory, and time of all of it.

    python -m benchmarks.speed.huge_planes [--model M] [--regions 6] [--side 20000]

To an OME-Zarr in a temporary folder; stopped after some regions. Each row shows the
peak of resident memory so far; the last one carries the time over to all regions, as
that of one core, which does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np

import napari_sr as sr
from napari_sr.image.regions import Regions, region_side
from napari_sr.image.stack import Stack
from napari_sr.runs.resume import Target
from napari_sr.runs.volume import upscale_volume
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import as_upscaler

TILE = 512
GB = 10**9


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
    parser.add_argument("--model", default="bicubic")
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--regions", type=int, default=6)
    arguments = parser.parse_args()
    n_planes = round(100 * GB / (2 * arguments.side**2))
    stack = Stack.from_array(Endless(n_planes, arguments.side), name="endless")
    settings = UpscaleSettings()
    factor = 2 if arguments.model == "bicubic" else None
    model = sr.load_model(arguments.model, factor=factor)
    upscaler = as_upscaler(model, settings)
    n_regions = len(Regions(stack.shape, region_side(upscaler.factor)))
    per_mb = 2**20 if sys.platform == "darwin" else 2**10
    n_done = n_pixels = 0
    began = None
    with TemporaryDirectory() as folder:
        # Not as a job, which would ask for the disk of all of it first.
        target = Target(Path(folder, "r.ome.zarr"))
        for event in upscale_volume(target, [stack], [upscaler], settings):
            began = began or process_time()  # the plan is made, and one tile is done
            if event.plane is None:
                continue
            n_done, n_pixels = n_done + 1, n_pixels + event.plane.size
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mb
            print(f"region {n_done}: {peak:.0f} MB at most so far", flush=True)
            if n_done == arguments.regions:
                break
    assert began is not None  # something was done
    in_all = np.prod(stack.upscaled_shape(upscaler.factor), dtype=float)
    seconds = (process_time() - began) * in_all / n_pixels
    print(
        f"{n_planes} planes, {n_regions} regions: about {seconds / 3600:.1f} hours of "
        f"one core for all of them, from {n_done}"
    )


if __name__ == "__main__":
    main()

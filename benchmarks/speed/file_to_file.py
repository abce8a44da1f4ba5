"""How much of a run from file to file is the network's own work.

    python -m benchmarks.speed.file_to_file [--planes 100] [--side 256] [--models fast]

The time of the processor in which the network computes, as a share of all that the run
takes of it, with one thread: reading, normalising, agreeing with the recording, going
back to counts, compressing and writing are the rest. Where more than one processor is
there they overlap with the network, so that the share of the wall's time is higher.
Each plane is one tile, so the network's own pace is that of whole planes in memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time, thread_time

import torch

import napari_sr as sr
from benchmarks.speed.memory import write_stack
from benchmarks.speed.networks import FAST, PAPER, made_model
from napari_sr.image.intensity import NoiseLevel
from napari_sr.models.sr_model import SRModel


class Timed(SRModel):
    """A model that adds up what its network takes of the processor."""

    seconds = 0.0

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Compute, and look at the clock."""
        started = thread_time()
        found = super().__call__(batch)
        self.seconds += thread_time() - started
        return found


def share_of_network(source: Path, architecture: str, compression: str) -> float:
    """Super-resolve a file; give the network's share of the processor's time."""
    made = made_model(architecture)
    model = Timed(made.card, made.weights)
    noise = {"noise": NoiseLevel(gain=1, read=2)} if "noise" in made.conditions else {}
    _ = model.runner
    started = process_time()
    sr.upscale_file(
        source,
        source.with_name("out.ome.tif"),
        model,
        device="cpu",
        tile=source_side(source) + 2 * model.halo,
        compression=compression,
        overwrite=True,
        **noise,
    )
    return model.seconds / (process_time() - started)


def source_side(source: Path) -> int:
    """Read the side of the planes."""
    with sr.open_stack(source) as stack:
        return max(stack.plane_shape)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=100)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--models", nargs="+", default=[FAST, PAPER])
    parser.add_argument("--compressions", nargs="+", default=["none", "zstd", "zlib"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{arguments.planes} planes of {arguments.side}²\n\n"
        "| network | compression | network's share |\n|---|---|---|"
    )
    with TemporaryDirectory() as folder:
        source = Path(folder, "in.ome.tif")
        write_stack(source, arguments.planes, arguments.side)
        for architecture in arguments.models:
            for compression in arguments.compressions:
                share = share_of_network(source, architecture, compression)
                told = f"{architecture} ×4 | {compression} | {share:.0%}"
                print(f"| {told} |", flush=True)


if __name__ == "__main__":
    main()

"""Peak memory of `upscale_file` must not grow with the number of planes.

    python -m benchmarks.speed.memory [--model general-x2] [--planes 20 400]

Each stack of 512 × 512 planes is super-resolved file to file in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SIDE = 512


def write_stack(path: Path, n_planes: int, side: int = SIDE) -> None:
    """Write a stack of noisy planes, each different."""
    from napari_sr.files import create_stack
    from napari_sr.image.stack import Axis

    random = np.random.default_rng(0)
    with create_stack(
        path,
        shape=(n_planes, side, side),
        dtype=np.dtype(np.uint16),
        axes=(Axis("z"), Axis("y"), Axis("x")),
        provenance={},
    ) as writer:
        for index in range(n_planes):
            plane = random.poisson(200 + index, (side, side)).astype(np.uint16)
            writer.write((index,), plane)


def peak_of(source: Path, model: str) -> float:
    """Super-resolve a file in a fresh process; give its peak memory in MB."""
    output = source.with_name("out.ome.tif")
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed.memory",
        "--child",
        source,
        output,
    ]
    text = subprocess.run(
        [*map(str, command), "--model", model],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    output.unlink()
    return float(text)


def child(source: str, output: str, model: str) -> None:
    """Super-resolve one file and print the peak memory of this process."""
    import napari_sr as sr

    factor = 2 if model in ("nearest", "bilinear", "bicubic", "lanczos") else None
    sr.upscale_file(source, output, sr.load_model(model, factor=factor))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="general-x2")
    parser.add_argument("--planes", type=int, nargs="+", default=[20, 400])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child, arguments.model)
        return
    print(f"| planes of {SIDE}² | peak memory | against the first |\n|---|---|---|")
    first = None
    for n_planes in arguments.planes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "in.ome.tif"
            write_stack(source, n_planes)
            peak = peak_of(source, arguments.model)
        first = first or peak
        print(f"| {n_planes} | {peak:.0f} MB | {peak / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()

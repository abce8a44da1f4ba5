"""The automatic tile beside the best one that a search finds.

    python -m benchmarks.speed.tile_search [--sides 192 512 1100] [--memory 0.03 0.12 2]

For each side of a plane and each limit of memory (GiB that are free, as
`NAPARI_SR_MEMORY` says it) a whole plane is super-resolved with the automatic tile and
with every tile of a series that fits as well. All take turns, and the fastest time of
each counts. With one thread the clock is that of the processor. Peak memory is that of
arrays of torch during the automatic tile, beside what the plan allows it.
"""

from __future__ import annotations

import argparse
import os
from time import perf_counter, process_time

import numpy as np
import torch

import napari_sr as sr
from benchmarks.speed.networks import FAST, PAPER, made_model
from napari_sr.device import choose_tile
from napari_sr.metrics.quality import as_markdown
from napari_sr.settings import SHARE_OF_MEMORY

TILES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
"""Sides without halo."""


def seconds_of(model: sr.SRModel, plane: np.ndarray, tile: int | str) -> float:
    """Time a plane."""
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    noise = {"noise": 0} if "noise" in model.conditions else {}
    rest = {"device": "cpu", "intensity_range": (0, 1), "consistency": "off"}
    started = clock()
    sr.upscale(plane, model, tile=tile, **rest, **noise)
    return clock() - started


def tried(model: sr.SRModel, side: int, gigabytes: float, repeats: int) -> list[str]:
    """Search the best tile for one plane and one limit."""
    os.environ["NAPARI_SR_MEMORY"] = str(gigabytes)
    plane = np.random.default_rng(0).random((side, side), np.float32)
    cpu = torch.device("cpu")
    auto = choose_tile(model.bytes_per_pixel, model.halo, cpu)
    most = (SHARE_OF_MEMORY * gigabytes * 2**30 / model.bytes_per_pixel) ** 0.5
    tiles = {one + 2 * model.halo for one in TILES}
    enough = min((one for one in tiles if one >= side + 2 * model.halo), default=0)
    tiles = {one for one in tiles if one <= most and (not enough or one <= enough)}
    best = dict.fromkeys([auto, *sorted(tiles)], np.inf)
    seconds_of(model, plane[:64, :64], auto)
    for _ in range(repeats):
        for tile in best:
            best[tile] = min(best[tile], seconds_of(model, plane, tile))
    fastest = min(best, key=lambda one: best[one])
    ratio = best[auto] / best[fastest]
    words = [f"{side}²", f"{gigabytes:g} GiB", f"{auto}", f"{fastest}", f"{ratio:.2f}"]
    print(words, flush=True)
    return words


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[192, 512, 1100])
    parser.add_argument("--memory", type=float, nargs="+", default=[0.03, 0.12, 2])
    parser.add_argument("--model", choices=[FAST, PAPER], default=FAST)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = made_model(arguments.model)
    rows = [
        tried(model, side, limit, arguments.repeats)
        for side in arguments.sides
        for limit in arguments.memory
    ]
    head = ["plane", "free memory", "automatic tile", "best tile found"]
    print(f"\n{arguments.model} ×{model.factor}, {arguments.threads} threads\n")
    print(as_markdown([*head, "time of the automatic one, by that of the best"], rows))


if __name__ == "__main__":
    main()

"""How the time of a training step grows with the depth of the paper's generator.

    python -m benchmarks.depth [--write]

One fidelity step of batches of 2 patches of 24 recorded pixels, factor 2, one thread,
for several numbers of residual blocks, interleaved, the least time of each. Ratios to
the paper's 16 blocks, since the times themselves depend on what else the machine does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time

import torch

from napari_sr.metrics.quality import as_markdown
from napari_sr.networks import build_generator

BLOCKS, N_ROUNDS = (1, 2, 4, 8, 16), 4
RESULTS = Path("benchmarks/results/depth.md")


def step_time(network: torch.nn.Module, batch: torch.Tensor) -> float:
    """Measure one step, forwards and backwards, in seconds of processor time."""
    started = process_time()
    network(batch).square().mean().backward()
    return process_time() - started


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    networks = {
        n: build_generator("srresnet", 2, {"n_blocks": n}).train() for n in BLOCKS
    }
    batch = torch.rand(2, 1, 24, 24)
    times = {
        n: min(column)
        for n, column in zip(
            BLOCKS,
            zip(
                *(
                    [step_time(network, batch) for network in networks.values()]
                    for _ in range(N_ROUNDS)
                ),
                strict=True,
            ),
            strict=True,
        )
    }
    rows = [
        [
            str(n),
            f"{sum(one.numel() for one in networks[n].parameters()):,}",
            f"{times[n] / times[16]:.2f}",
        ]
        for n in BLOCKS
    ]
    table = as_markdown(["residual blocks", "weights", "time of a step"], rows)
    print(table)
    if arguments.write:
        RESULTS.write_text(
            f"Time of a training step over that of 16 blocks.\n\n{table}\n", "utf-8"
        )


if __name__ == "__main__":
    main()

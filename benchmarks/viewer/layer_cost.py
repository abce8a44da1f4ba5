"""What adding a layer costs the main thread: the worst beat of a run.

CPU time of the main thread, which a busy machine changes less than how late a beat is;
without widgets of this package, and with all of them open. Run as

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.viewer.layer_cost
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from time import monotonic, thread_time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.viewer.heartbeat import add_layer, close_viewer, open_viewer, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLES = ("Super-resolve", "Fine-tune", "Quality", "Batch", "Models")
N_LAYERS = 9


def cost_of_a_layer(titles: Sequence[str]) -> list[float]:
    """Add a layer a few times, and take what each costs in milliseconds."""
    viewer, _ = open_viewer(titles, show=True)
    costs = []
    for _ in range(N_LAYERS):
        before = thread_time()
        add_layer(viewer)
        costs.append(1000 * (thread_time() - before))
        settled = monotonic() + 0.5
        wait_until(lambda end=settled: monotonic() > end)
        viewer.layers.pop()
    close_viewer(viewer)
    return costs


def main() -> None:
    """Print the table."""
    print("| widgets open | median, ms of CPU | worst, ms of CPU |")
    print("|---|---|---|")
    with TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = os.environ["NAPARI_SR_MODELS"] = folder
        for titles in ((), TITLES):
            costs = cost_of_a_layer(titles)
            row = f"{len(titles)} | {np.median(costs):.0f} | {max(costs):.0f}"
            print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()

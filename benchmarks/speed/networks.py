"""How fast networks run here, beside what else would run them: ratios from one run.

    python -m benchmarks.speed.networks [--side 384] [--threads 1] [--repeats 2]

Each way runs in a process of its own, one after the other and all of them again, with
a warm-up on a small plane; the fastest time counts. With one thread the clock is that
of the processor, which other work on the machine changes little; with more it is the
wall's. The machine's limit, the best rate of a plain 64-channel 3×3 convolution in
channels_last, is taken in each process, right after its work. GFLOP are those of the
network as it was trained, whatever a way really computes. MONAI runs where it can be
imported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch

from benchmarks.speed.peers import WAYS, way_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sr.models.sr_model import SRModel

RESULT = Path(__file__).parents[1] / "results" / "speed.md"
FACTOR = 4
WARM_SIDE = 112
OURS = "napari-sr"
PAPER, FAST = "srresnet", "fast"


def made_model(architecture: str) -> SRModel:
    """Make a model with weights that all count; the pace does not depend on them."""
    from napari_sr.cards.model_card import ModelCard
    from napari_sr.models.sr_model import SRModel
    from napari_sr.networks import build_generator

    torch.manual_seed(0)
    network = build_generator(architecture, FACTOR)
    for parameter in network.parameters():
        if parameter.ndim == 4 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.01)
    card = ModelCard(
        name=architecture,
        description="For measuring the pace.",
        domain="test",
        factor=FACTOR,
        architecture=architecture,
        halo=network.halo,
    )
    return SRModel(card, {"faithful": network.state_dict()})


def runner(way: str, architecture: str) -> Callable[[np.ndarray], np.ndarray]:
    """Give what maps a `(y, x)` float32 plane in [0, 1] to its result."""
    model = made_model(architecture)
    if way == OURS:
        import napari_sr as sr

        noise = {"noise": 0} if "noise" in model.conditions else {}

        def ours(plane: np.ndarray) -> np.ndarray:
            return sr.upscale(
                plane,
                model,
                device="cpu",
                intensity_range=(0, 1),
                consistency="off",
                **noise,
            )

        return ours
    from napari_sr.networks import build_generator

    network = build_generator(architecture, FACTOR)
    network.load_state_dict(model.weights["faithful"])
    run = way_named(way, network.eval().requires_grad_(False))

    def theirs(plane: np.ndarray) -> np.ndarray:
        channels = np.zeros((1, network.in_channels, *plane.shape), np.float32)
        channels[0, 0] = plane
        return run(torch.from_numpy(channels))[0, 0].numpy()

    return theirs


def limit_of_the_machine(clock: Callable[[], float]) -> float:
    """GFLOP/s of a plain convolution, at its best."""
    convolution = torch.nn.Conv2d(64, 64, 3).to(memory_format=torch.channels_last)
    rates = []
    with torch.inference_mode():
        for side in (96, 128, 192):
            batch = torch.rand(1, 64, side + 2, side + 2)
            batch = batch.contiguous(memory_format=torch.channels_last)
            for _ in range(12):
                started = clock()
                convolution(batch)
                rates.append(2 * 64 * 64 * 9 * side**2 / (clock() - started) / 1e9)
    return max(rates)


def gflop_per_megapixel(architecture: str) -> float:
    """Count the multiplications and additions of a network as it was trained."""
    from torch.utils.flop_counter import FlopCounterMode

    network = made_model(architecture).network
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, network.in_channels, 32, 32))
    return counter.get_total_flops() / (32 * FACTOR) ** 2 / 1e3


def child(way: str, architecture: str, side: int, threads: int, output: str) -> None:
    """Run one way; print its seconds, memory and the limit as JSON."""
    torch.set_num_threads(threads)
    clock = process_time if threads == 1 else perf_counter
    random = np.random.default_rng(0)
    run = runner(way, architecture)
    run(random.random((WARM_SIDE, WARM_SIDE), np.float32))
    plane = random.random((side, side), np.float32)
    before = psutil.Process().memory_info().rss / 1024
    started = clock()
    result = run(plane)
    seconds = clock() - started
    peak = getrusage(RUSAGE_SELF).ru_maxrss - before
    np.save(output, result)
    found = {
        "seconds": seconds / result.size * 1e6,
        "peak_mb": peak / 1024,
        "limit": limit_of_the_machine(clock),
    }
    print(json.dumps(found))


def measured(arguments: argparse.Namespace) -> dict[tuple[str, str], dict[str, Any]]:
    """Run all ways, again and again; keep the best of each."""
    ways = [(FAST, OURS), (PAPER, OURS)]
    ways += [(PAPER, way) for way in WAYS if find_spec("monai") or "MONAI" not in way]
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(arguments.repeats):
        for way in ways:
            found = _run_child(way, arguments)
            if way in best:
                found["limit"] = max(found["limit"], best[way]["limit"])
                found["seconds"] = min(found["seconds"], best[way]["seconds"])
            best[way] = found
            if len(best) > 1:  # whole, or cut off: a table
                arguments.output.write_text(heading(arguments) + table(best) + "\n")
    return best


def _run_child(way: tuple[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    architecture, name = way
    with TemporaryDirectory() as folder:
        output = Path(folder, "result.npy")
        command = [sys.executable, "-m", "benchmarks.speed.networks", "--child", name]
        command += [architecture, str(output), "--side", str(arguments.side)]
        command += ["--threads", str(arguments.threads)]
        threads = {"OMP_NUM_THREADS": str(arguments.threads)}
        text = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads,
        ).stdout
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
        found["result"] = np.load(output)
    return found


def table(best: dict[tuple[str, str], dict[str, Any]]) -> str:
    """Put beside each other what was measured."""
    ours = best[PAPER, OURS]
    ring = FACTOR * made_model(PAPER).halo  # ways differ in what is beyond the border
    inside = slice(ring, -ring)
    wanted = ours["result"][inside, inside]
    limit = max(found["limit"] for found in best.values())
    lines = [
        "| network | way | time per output pixel, against ours | GFLOP/s against the "
        "limit | peak memory, against ours | largest difference, of the range |",
        "|---|---|---|---|---|---|",
    ]
    for (architecture, way), found in best.items():
        pace = gflop_per_megapixel(architecture) / found["seconds"]
        same = found["result"][inside, inside]
        differs = np.abs(same - wanted).max() / np.ptp(wanted)
        told = f"{differs:.0e}" if architecture == PAPER else ""
        lines.append(
            f"| {architecture} ×{FACTOR} | {way} | "
            f"{found['seconds'] / ours['seconds']:.3g} | {pace / limit:.0%} | "
            f"{found['peak_mb'] / ours['peak_mb']:.2f} | {told} |"
        )
    return "\n".join(lines)


def heading(arguments: argparse.Namespace) -> str:
    """Say what ran where."""
    packages = [_version(name) for name in ("torch", "monai", "numpy")]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return (
        f"A plane of {arguments.side}², {arguments.threads} threads of "
        f"{os.cpu_count()}, best of {arguments.repeats}; Python "
        f"{platform.python_version()}, {', '.join(packages)}, "
        f"{torch.backends.cpu.get_cpu_capability()}; "
        f"{load:.0f} processes wanted to run.\n\n"
    )


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, architecture, output = arguments.child
        child(way, architecture, arguments.side, arguments.threads, output)
        return
    measured(arguments)
    print(arguments.output.read_text())


if __name__ == "__main__":
    main()

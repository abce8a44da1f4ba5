"""Super-resolve every image of the collection with the command line and check each.

    python -m benchmarks.accuracy.whole_collection --data DIR [--model general-x2]

Checked for each output: it exists, shape, pixel type, pixel size, unit and origin.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.accuracy.real_images import add_data_argument
from napari_sr.cli import main as napari_sr
from napari_sr.files import open_stack
from napari_sr.runs.output_names import name_outputs

FACTOR = 2


def faults_of(source: Path, output: Path) -> list[str]:
    """List what is wrong with one output."""
    if not output.exists():
        return ["missing"]
    with open_stack(source) as low, open_stack(output) as high:
        expected = {
            "shape": (*low.shape[:-2], *(FACTOR * side for side in low.plane_shape)),
            "dtype": low.dtype,
            "axes": low.upscaled_axes(FACTOR),
        }
        found = {"shape": high.shape, "dtype": high.dtype, "axes": high.axes}
    return [
        f"{what}: expected {expected[what]}, found {found[what]}"
        for what in expected
        if expected[what] != found[what]
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="general-x2")
    add_data_argument(parser)
    arguments = parser.parse_args()
    sources = sorted(arguments.data.rglob("*.tif"))
    factor = ["--factor", str(FACTOR)] if arguments.model == "bicubic" else []
    with tempfile.TemporaryDirectory() as folder:
        code = napari_sr(
            [
                *("upscale", str(arguments.data), "-o", folder),
                *("--model", arguments.model, *factor),
            ]
        )
        outputs = name_outputs(sources, Path(folder), FACTOR)
        pairs = zip(sources, outputs, strict=True)
        faulty = {source: faults_of(source, output) for source, output in pairs}
    for source, faults in faulty.items():
        for fault in faults:
            print(f"{source.name}: {fault}")
    n_right = sum(not faults for faults in faulty.values())
    print(f"exit code {code}; {n_right} of {len(sources)} outputs are right")


if __name__ == "__main__":
    main()
